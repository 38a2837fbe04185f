"""`audit deciders`: how fast each person decided, according to the records."""

from __future__ import annotations

import click

from plangate.audit import deciding_times
from plangate.cli import console, moments, options
from plangate.cli.exits import Exit
from plangate.domain import errors
from plangate.presentation import table
from plangate.records import lists, queries
from plangate.web import plan_views

_MINUTE = 60
_DAY = 86_400


@click.command()
@options.since
@options.as_json
def deciders(*, since: str | None, as_json: bool) -> int:
    """Show how fast each person decided.

    The time is measured from when the inbox of this machine first showed the plan. If that is not known, it
    is an upper bound (≤): the time since the plan was drafted, or since the person's previous decision.
    --since includes only runs requested since then.
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
    found = deciding_times.deciding_times(
        decided, plan_views.stored_views_in(here.settings.var_dir / "web.db")
    )
    if here.screen.is_json:
        here.screen.print_json([one.model_dump(mode="json") for one in found])
    elif not found:
        here.screen.say("No decision is recorded.")
    else:
        quick = f"under {deciding_times.QUICK_SECONDS:g} s"
        columns = ("name", "decisions", "median", quick, "not fully opened", "display time known")
        here.screen.out.print(table.Table(columns, [_row(one) for one in found]))
    return Exit.DONE


def _row(one: deciding_times.DecidingTimes) -> tuple[str, ...]:
    is_known = one.shown == one.decisions
    return (
        one.name,
        str(one.decisions),
        ("" if is_known else "≤ ") + _words(one.median_seconds),
        ("" if is_known else "≥ ") + f"{one.quick:.0%}",
        _unfolded(one),
        f"{one.shown} of {one.decisions}",
    )


def _unfolded(one: deciding_times.DecidingTimes) -> str:
    """Return the share of the plans with collapsed sections that the person never saw in full."""
    if one.never_unfolded is None:
        return "none collapsed" if one.shown else ""
    return f"{one.never_unfolded:.0%} of {one.folded}"


def _words(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _DAY:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _DAY:.1f} d"
