"""`away`: set the end of your absence, during which your messages go to others, or end it now."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from plangate.cli import console, delegating
from plangate.cli.exits import WrongUsage
from plangate.cli.options import AsJson, OwnName, Why
from plangate.domain.decisions import delegations


def away(
    *,
    by: OwnName = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="TIME",
            show_default=False,
            help="When you are back: a date or time (2026-12-24, UTC), or a duration: 14d. At most 90 days.",
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="NAME",
            show_default=False,
            help="The recipient of your messages; default: your delegates.",
        ),
    ] = None,
    reason: Why = "",
    back: Annotated[bool, typer.Option("--back", help="End your absence now.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="Only show who is away now.")] = False,
    as_json: AsJson = False,
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
