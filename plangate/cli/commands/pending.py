"""`pending`: the runs that wait for a person, even while no Temporal server answers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated

import typer

from plangate.cli import console, paging
from plangate.cli.exits import Exit
from plangate.cli.options import PAGE, AsJson, LimitOption, PageOptions, SkipOption, Sorted, SortOption
from plangate.domain import errors, run, status
from plangate.domain import stops as domain
from plangate.presentation import clock, lists, page
from plangate.records import lists as listed
from plangate.records import queries


def pending(
    *,
    requester: Annotated[
        str | None,
        typer.Option("--requester", metavar="NAME", show_default=False, help="Only runs of this requester."),
    ] = None,
    sort: SortOption = Sorted.DEADLINE,
    limit: LimitOption = PAGE,
    skip: SkipOption = 0,
    as_json: AsJson = False,
) -> int:
    """List the runs that wait for a person: in review, or held at a step.

    Held runs come first, then those with the soonest deadline, unless --sort says otherwise. Stops are shown
    above them, with the approved runs that wait for a release.
    """
    here = console.open_console(as_json=as_json)
    options = PageOptions(sort, limit, skip)
    wanted = paging.wanted_on(options, requester=requester, waiting=True)
    found, source = asyncio.run(_found(here, wanted))
    stops = _stops(here)
    waiting = [status.with_stops(one, stops) for one in paging.on_this_page(options, found)]
    if here.screen.is_json:
        here.screen.print_json([one.model_dump(mode="json") for one in waiting])
        return Exit.DONE
    if stops:
        here.screen.show(lists.stopped_page(stops, _approved(here)))
    if waiting:
        waiting = lists.held_first(waiting) if sort is Sorted.DEADLINE else waiting
        here.screen.out.print(lists.pending_table(waiting, clock.now()), crop=False)
    else:
        here.screen.say("No run waits for a person.")
    paging.say_that_there_are_more(here.screen, options, found)
    sources = page.Page()
    sources.gap()
    sources.sentence(f"Source: {source}.", "dim")
    here.screen.show(sources)
    return Exit.DONE


def _stops(here: console.Console) -> tuple[domain.StopStatus, ...]:
    """Return the stops in force, if the records can be read here."""
    unreadable = (errors.RecordsMissing, errors.RecordsUnavailable, errors.TrailDamaged)
    with suppress(*unreadable), here.records() as database:
        return queries.stops_on_record(database)
    return ()


def _approved(here: console.Console) -> list[status.Status]:
    """Return the first runs that are being executed according to the records."""
    with suppress(errors.RecordsMissing, errors.RecordsUnavailable), here.records() as database:
        wanted = listed.Wanted(state=run.Phase.EXECUTING.value, limit=PAGE)
        return queries.pending_on_record(database, wanted)
    return []


async def _found(here: console.Console, wanted: listed.Wanted) -> tuple[list[status.Status], str]:
    try:
        async with here.connected() as session:
            waiting = await session.client.pending(wanted)
            return waiting, " and ".join(["Temporal's list of open runs", *lists.sources_of(waiting)])
    except errors.TemporalDenied:
        raise
    except errors.TemporalUnreachable as unreachable:
        with here.records() as database:
            try:
                recorded = await asyncio.to_thread(queries.pending_on_record, database, wanted)
            except (errors.RecordsMissing, errors.RecordsUnavailable):
                raise unreachable from None
        offline = [one.model_copy(update={"source": console.NO_SERVER}) for one in recorded]
        return offline, f"the {console.NO_SERVER}"
