"""`people confirm` and `people revoke-key`: signed requests to confirm or revoke a person's key."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from plangate.cli import console, key_requests
from plangate.cli.options import AsJson, KeyOwner

Signer = Annotated[
    str,
    typer.Option("--by", metavar="NAME", show_default=False, help="Your own name; you sign with your key."),
]


def confirm(
    name: KeyOwner,
    *,
    key: Annotated[
        str,
        typer.Option(
            "--key",
            metavar="KEY",
            show_default=False,
            help="The proposed key, passkey:… or ed25519:….",
        ),
    ],
    by: Signer,
    thumbprint: Annotated[
        str | None,
        typer.Option(
            "--thumbprint",
            metavar="TEXT",
            show_default=False,
            help="The key's thumbprint, as read out by its owner; asked for if omitted.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Confirm that a proposed key belongs to a person.

    You sign the person's name and the thumbprint with your own key. The list of people must contain that key,
    and `enroller = true` for you. Compare the thumbprint with its owner over another channel, such as by
    phone, because the web server that proposed the key could have replaced it.

    Exit 0: accepted, or stored by Temporal because no worker is running. Exit 3: refused, with the reason.
    """
    here = console.open_console(as_json=as_json)
    return asyncio.run(key_requests.confirm(here, name, key, by=by, thumbprint=thumbprint))


def revoke_key(
    name: KeyOwner,
    *,
    key: Annotated[
        str,
        typer.Option("--key", metavar="THUMBPRINT", show_default=False, help="The thumbprint of the key."),
    ],
    by: Signer,
    as_json: AsJson = False,
) -> int:
    """Revoke a person's key now, for example after a device was lost.

    An enroller may do this, and so may the person, with any of their keys. Approvals signed with the key
    become invalid for steps that have not begun.

    Exit 0: accepted, or stored by Temporal because no worker is running. Exit 3: refused, with the reason.
    """
    here = console.open_console(as_json=as_json)
    return asyncio.run(key_requests.revoke(here, name, key, by=by))
