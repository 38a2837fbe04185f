"""`away`: set the end of your absence, during which your messages go to others, or end it now."""

from __future__ import annotations

import asyncio

import click

from plangate.cli import console, delegating, options
from plangate.cli.exits import WrongUsage
from plangate.domain.decisions import delegations


@click.command()
@options.own_name
@click.option(
    "--until",
    metavar="TIME",
    help="When you are back: a date or time (2026-12-24, UTC), or a duration: 14d. At most 90 days.",
)
@click.option("--to", metavar="NAME", help="The recipient of your messages; default: your delegates.")
@options.why
@click.option("--back", is_flag=True, help="End your absence now.")
@click.option("--list", "list_all", is_flag=True, help="Only show who is away now.")
@options.as_json
def away(
    *,
    by: str | None,
    until: str | None,
    to: str | None,
    reason: str,
    back: bool,
    list_all: bool,
    as_json: bool,
) -> int:
    """Set the end of your absence; until then your messages go to others.

    Your absence ends automatically. It does not transfer your right to decide: delegate your roles for that.
    You can still decide. Only people who may see a run get messages about it.

    Exit 0: accepted, or stored by Temporal because no worker is running. Exit 3: refused, with the reason.
    """
    here = console.open_console(as_json=as_json)
    if list_all:
        if any((by, until, to, reason, back)):
            raise WrongUsage("--list takes no other option: it shows who is away.")
        return asyncio.run(delegating.show_who_is_away(here))
    if by is None:
        raise WrongUsage("Give the name of the absent person with --by; --list shows who is away.")
    if back and (until is not None or to is not None):
        raise WrongUsage("--back ends your absence; leave out --until and --to.")
    if not back and until is None:
        raise WrongUsage("Set the end of your absence with --until, or use --back when you are back.")
    action = delegations.DelegationAction.BACK if back else delegations.DelegationAction.AWAY
    order = delegating.made_delegation_request(
        action, by=by, to=to or "", roles=None, until=until, reason=reason
    )
    return asyncio.run(delegating.send(here, order, "away --list"))
