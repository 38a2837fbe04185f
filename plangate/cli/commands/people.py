"""`people …`: check a list of people, and print an older one."""

from __future__ import annotations

from pathlib import Path

import click

from plangate.cli import console, options, origin, rule_files
from plangate.cli.exits import Exit, WrongUsage
from plangate.domain import errors, plurals
from plangate.domain.people import absence
from plangate.domain.people import people as domain
from plangate.policy import people_file
from plangate.presentation import clock, page
from plangate.settings import Settings


@click.command()
@options.optional_file
@options.as_json
def check(file: Path | None, *, as_json: bool) -> int:
    """Check a list of people: print it, or every error (exit 2)."""
    here = console.open_console(as_json=as_json)
    path = file or here.settings.people_file
    if path is None:
        raise WrongUsage("Give the file, or set PLANGATE_PEOPLE.")
    try:
        people = people_file.read_people(path, is_kept=False)
    except errors.FileInvalid as error:
        return rule_files.show_faults(here, error)
    source = origin.origin_of(here.settings, "people", path, people.hash, people.text)
    if here.screen.is_json:
        here.screen.print_json({**source.as_json(), **people.model_dump(mode="json")})
        return Exit.DONE
    shown = _page_of(people, here.settings)
    shown.gap()
    source.add_to(shown)
    here.screen.show(shown)
    return Exit.DONE


@click.command()
@options.when
@options.as_json
def as_of(when: str, *, as_json: bool) -> int:
    """Print the list of people that was in effect at a given time."""
    return rule_files.show_as_of(console.open_console(as_json=as_json), "people", when)


def _unusable(people: domain.People, settings: Settings) -> list[tuple[str, str, str]]:
    """Return the addresses that cannot be used, if the libraries that send messages are installed."""
    try:
        from plangate.notifications.channels import Channels  # noqa: PLC0415

        return list(Channels(settings).objections(people))
    except (ImportError, errors.SettingsInvalid):  # an invalid mail setting is not an error in the list
        return []


def _page_of(people: domain.People, settings: Settings) -> page.Page:
    shown = page.Page()
    shown.heading(f"This list can be used: {plurals.counted(len(people.persons), 'person', 'people')}.")
    at = clock.now()
    width = rule_files.widest(person.name for person in people.persons)
    for person in people.persons:
        valid = sum(domain.is_valid_at(key, at) for key in person.keys)
        keys = plurals.counted(valid, "valid key") if person.keys else "no key"
        keys += ", enroller" if person.enroller else ""
        roles = ", ".join(person.roles) or "no role"
        active = "" if person.active else "; not active"
        shown.field(person.name, f"{roles}; {keys}{active}", width=width)
        gone = absence.absence_of(person, at)
        if gone is not None:
            shown.note(f"away until {clock.moment(gone.until)}", indent=4)
        for lent in person.delegates:
            when = "active now" if domain.is_valid_at(lent, at) else "not active now"
            shown.note(f"{lent.to} may act as {', '.join(lent.roles)} ({when})", indent=4)
        for address in person.notify:
            shown.note(f"notices go to {address}", indent=4)
    for role in people.described_roles:
        shown.note(f"notices for the role {role.name} go to {' and '.join(role.notify) or 'no address'}")
    for name, address, wrong in _unusable(people, settings):
        shown.note(f"notices to {name} at {address} cannot be sent: it {wrong}", "yellow")
    return shown
