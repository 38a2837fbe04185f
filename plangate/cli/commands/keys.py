"""`keys …`: this user's private keys, and the public keys of this host's seals and logins."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

import click

from plangate.cli import console, key_chain, options
from plangate.cli.exits import Exit, WrongUsage
from plangate.domain import errors, escaping
from plangate.domain.people import people
from plangate.files import durable_file
from plangate.presentation import page, program_name
from plangate.signing import jws, key_files


@click.command()
@options.key_owner
@click.option("--passphrase", is_flag=True, help="Protect the key with a passphrase.")
@options.as_json
def new(name: str, *, passphrase: bool, as_json: bool) -> int:
    """Generate a key pair, and print the public key for the list of people."""
    here = console.open_console(as_json=as_json)
    if not people.identity(name) or escaping.one_line(name) != name:
        raise WrongUsage("The name must have visible characters; use the one in the list of people.")
    path = here.keys.path_of(name)
    secret = _new_passphrase(here) if passphrase else None
    try:
        public = jws.public_of(key_files.write_new_key(path, secret))
        beside = f"{jws.PUBLIC_PREFIX}{public}\n{people.identity(name)}\n"
        durable_file.write_over(path.with_suffix(key_chain.PUBLIC_SUFFIX), beside.encode())
    except FileExistsError:
        raise WrongUsage(
            f"A key for {name} already exists: {path}. To replace it, move it away and create a new "
            "one. Keep its public key in the list of people, with `until = …`: signatures made with "
            "the old key are still checked against it."
        ) from None
    if here.screen.is_json:
        here.screen.print_json(
            {"name": name, "public": jws.PUBLIC_PREFIX + public, "id": jws.key_id(public), "path": str(path)}
        )
    else:
        here.screen.show(_new_key_page(name, public, path))
    return Exit.DONE


@click.command()
@options.as_json
def list_all(*, as_json: bool) -> int:
    """List the private keys on this machine."""
    here = console.open_console(as_json=as_json)
    keys = here.keys.listed()
    if here.screen.is_json:
        here.screen.print_json([one.as_json() for one in keys])
    elif not keys:
        make_one = f"{program_name.program()} keys new NAME"
        here.screen.write_line(f"There is no key in {here.settings.private_keys}; make one: {make_one}")
    else:
        shown = page.Page()
        for key in keys:
            shown.heading(key.name)
            shown.line(f'keys = [{{ public = "{key.public}" }}]')
            shown.copied("private", str(key.path))
        here.screen.show(shown)
    return Exit.DONE


@click.command()
@options.as_json
def seal(*, as_json: bool) -> int:
    """Print the public key that verifies this host's seals.

    To accept this host's seals on another machine, add the key to PLANGATE_SEALERS, or pass it with --sealer.
    """
    here = console.open_console(as_json=as_json)
    public = key_files.public_key_in(here.settings.seal_key)
    if public is None:
        raise errors.SettingsInvalid(
            f"There is no seal key in {here.settings.seal_key}; a worker creates it on its own host "
            "when it starts."
        )
    return _show_public(here, public, "The key with which this host seals the trail")


@click.command()
@options.as_json
def web(*, as_json: bool) -> int:
    """Print the public key that verifies this host's login attestations.

    Workers accept logins attested by its inbox once PLANGATE_WEB_KEYS contains this line.
    """
    here = console.open_console(as_json=as_json)
    public = key_files.public_key_in(here.settings.web_key)
    if public is None:
        raise errors.SettingsInvalid(
            f"There is no inbox key in {here.settings.web_key}; the inbox creates it on its own host "
            "when it starts."
        )
    return _show_public(
        here,
        public,
        "The key with which this host's inbox attests logins",
        "Set it for the workers and for auditors: PLANGATE_WEB_KEYS.",
    )


def _new_key_page(name: str, public: str, path: Path) -> page.Page:
    shown = page.Page()
    shown.heading(f"A key for {name}")
    shown.copied("private", str(path))
    shown.note("It never leaves this machine. Decisions made here under that name are now signed with it.")
    entry = f'{{ public = "{jws.PUBLIC_PREFIX}{public}" }}'
    shown.note(
        f"Add it to the keys of {name} in the list of people (PLANGATE_PEOPLE). If they have no keys yet:"
    )
    shown.line(f"keys = [{entry}]")
    shown.note("If that line already exists, add this inside its brackets, after a comma:")
    shown.line(entry)
    shown.note("The key is valid once it is in the workers' list of people.")
    return shown


def _new_passphrase(here: console.Console) -> bytes:
    if here.settings.key_passphrase is not None:
        return here.settings.key_passphrase.get_secret_value().encode()
    if not here.screen.can_ask:
        raise WrongUsage(
            "A passphrase can only be typed at a terminal; use one, or set PLANGATE_KEY_PASSPHRASE."
        )
    first, second = (getpass.getpass(f"{word}: ", sys.stderr) for word in ("Passphrase", "Once more"))
    if not first or first != second:
        raise WrongUsage("The two passphrases differ, or are empty; try again.")
    return first.encode()


def _show_public(here: console.Console, public: str, title: str, note: str = "") -> int:
    """Print a public key of this host."""
    if here.screen.is_json:
        here.screen.print_json({"public": jws.PUBLIC_PREFIX + public, "id": jws.key_id(public)})
        return Exit.DONE
    shown = page.Page()
    shown.heading(title)
    shown.copied("id", jws.key_id(public))
    shown.copied("public", jws.PUBLIC_PREFIX + public)
    if note:
        shown.note(note)
    here.screen.show(shown)
    return Exit.DONE
