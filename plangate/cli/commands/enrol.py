"""`people confirm` and `people revoke-key`: signed requests to confirm or revoke a person's key."""

from __future__ import annotations

import asyncio

import click

from plangate.cli import console, key_requests, options

_signer = click.option("--by", metavar="NAME", required=True, help="Your own name; you sign with your key.")


@click.command()
@options.key_owner
@click.option("--key", metavar="KEY", required=True, help="The proposed key, passkey:… or ed25519:….")
@_signer
@click.option("--thumbprint", help="The key's thumbprint, as read out by its owner; asked for if omitted.")
@options.as_json
def confirm(name: str, *, key: str, by: str, thumbprint: str | None, as_json: bool) -> int:
    """Confirm that a proposed key belongs to a person.

    You sign the person's name and the thumbprint with your own key. The list of people must contain that key,
    and `enroller = true` for you. Compare the thumbprint with its owner over another channel, such as by
    phone, because the web server that proposed the key could have replaced it.

    Exit 0: accepted, or stored by Temporal because no worker is running. Exit 3: refused, with the reason.
    """
    here = console.open_console(as_json=as_json)
    return asyncio.run(key_requests.confirm(here, name, key, by=by, thumbprint=thumbprint))


@click.command()
@options.key_owner
@click.option("--key", metavar="THUMBPRINT", required=True, help="The thumbprint of the key.")
@_signer
@options.as_json
def revoke_key(name: str, *, key: str, by: str, as_json: bool) -> int:
    """Revoke a person's key now, for example after a device was lost.

    An enroller may do this, and so may the person, with any of their keys. Approvals signed with the key
    become invalid for steps that have not begun.

    Exit 0: accepted, or stored by Temporal because no worker is running. Exit 3: refused, with the reason.
    """
    here = console.open_console(as_json=as_json)
    return asyncio.run(key_requests.revoke(here, name, key, by=by))
