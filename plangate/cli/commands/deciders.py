"""`audit deciders`: who decided how fast, by the records."""

from __future__ import annotations

from typing import Annotated

import typer

from plangate.audit import deciding_times
from plangate.cli import console, moments
from plangate.cli.exits import Exit
from plangate.cli.options import AsJson
from plangate.domain import errors
from plangate.presentation import table
from plangate.records import lists, queries

_MINUTE = 60
_DAY = 86_400


def deciders(
    *,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="WHEN", show_default=False, help="A day (2026-05-03), or an age: 7d."
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show who decided how fast.

    The records do not have when a plan was shown, so each time is an upper bound: since the plan was drafted,
    or since the person's decision before. With --since, runs requested since then.
    """
    here = console.open_console(as_json=as_json)
    wanted = lists.Wanted(since=moments.moment_of(since) if since else None)
    with here.records() as database:
        trails = queries.trails_on_record(database, wanted)
        decided = [
            one
            for entries in trails
            if not isinstance(entries, errors.TrailDamaged)
            for one in deciding_times.plans_decided(entries)
        ]
    found = deciding_times.deciding_times(decided)
    if here.screen.is_json:
        here.screen.print_json([one.model_dump(mode="json") for one in found])
    elif not found:
        here.screen.say("No decision is recorded.")
    else:
        rows = [
            (
                one.name,
                str(one.decisions),
                f"≤ {_words(one.median_seconds)}",
                f"≥ {one.quick:.0%}",
            )
            for one in found
        ]
        quick = f"under {deciding_times.QUICK_SECONDS:g} s"
        here.screen.out.print(table.Table(("name", "decisions", "median", quick), rows), crop=False)
    return Exit.DONE


def _words(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _DAY:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _DAY:.1f} d"
