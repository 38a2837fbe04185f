"""`people invite`: a link for a person without a login to propose a passkey."""

from __future__ import annotations

import click

from plangate import settings
from plangate.cli import console, options
from plangate.cli.exits import Exit, WrongUsage
from plangate.domain import escaping
from plangate.policy import people_file
from plangate.presentation import clock, page
from plangate.web import database as web_database
from plangate.web import proposals, public_address


@click.command()
@click.argument("name", help="The person to invite, as named in the list of people.")
@options.as_json
def invite(name: str, *, as_json: bool) -> int:
    """Print a link that a person can use to propose a passkey.

    It works once, within 24 hours. Run it where the inbox runs, with the same PLANGATE_VAR_DIR, and send the
    link only to this person. A proposed passkey is valid once its line is in the list of people, or an
    enroller has confirmed it.
    """
    here = console.open_console(as_json=as_json)
    loaded = here.settings
    person = _listed(loaded, name)
    database = web_database.WebDatabase.at(loaded.var_dir / "web.db")
    try:
        token = proposals.Proposals(database.engine).invite(person, clock.now())
    finally:
        database.close()
    link = f"{public_address.web_address_of(loaded).url}/invitation/{token}"
    if here.screen.is_json:
        here.screen.print_json({"person": person, "link": link})
        return Exit.DONE
    shown = page.Page()
    shown.heading(f"An invitation for {person}, valid for 24 hours")
    shown.copied("link", link)
    shown.note("It works once. Send it only to them; the proposed key is valid once it is confirmed.")
    here.screen.show(shown)
    return Exit.DONE


def _listed(loaded: settings.Settings, name: str) -> str:
    """Return the name as the list of people spells it, or as typed if this machine has no list."""
    if not name.strip():
        raise WrongUsage("The name is empty; use a name from the list of people.")
    if loaded.people_file is None:
        return name
    person = people_file.read_people(loaded.people_file, is_kept=False).find(name)
    if person is None or not person.active:
        raise WrongUsage(f"{escaping.one_line(name)} is not an active person in the list of people.")
    return person.name
