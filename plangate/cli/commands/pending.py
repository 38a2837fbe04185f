"""`pending`: the runs that need a decision, even while no Temporal server responds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import click

from plangate import client
from plangate.cli import answer, console, options, paging
from plangate.cli.exits import Exit, end_with, fit
from plangate.domain import errors
from plangate.domain.runs import run, status
from plangate.domain.runs import stops as domain
from plangate.presentation import clock, lists, page, program_name
from plangate.records import lists as listed
from plangate.records import queries


@click.command()
@click.option("--requester", metavar="NAME", help="Only runs of this requester.")
@options.paged(options.Sorted.DEADLINE)
@options.as_json
def pending(*, requester: str | None, sort: options.Sorted, limit: int, skip: int, as_json: bool) -> int:
    """List the runs that need a decision: in review, or held at a step.

    Held runs come first, then those with the earliest deadline, unless --sort specifies another order. Active
    stops are shown above them, with the approved runs that wait until a stop is released.

    Exit 1: the list is incomplete; it shows the open runs whose status cannot be read, and the reasons.
    """
    here = console.open_console(as_json=as_json)
    listed_page = options.PageOptions(sort, limit, skip)
    wanted = paging.wanted_rows(listed_page, requester=requester, waiting=True)
    found, source = asyncio.run(_found(here, wanted))
    stops = _stops(here)
    waiting = [status.with_stops(one, stops or ()) for one in paging.on_this_page(listed_page, found.found)]
    incomplete = errors.ListIncomplete(found.unread) if found.unread else None
    if here.screen.is_json:
        return _print_json(here, waiting, incomplete)
    if stops:
        here.screen.show(lists.stopped_page(stops, _approved(here)))
    if waiting:
        waiting = lists.held_first(waiting) if sort is options.Sorted.DEADLINE else waiting
        here.screen.out.print(lists.pending_table(waiting, clock.now()))
    elif incomplete is None:
        here.screen.say("No run waits for a person.")
    paging.note_more_rows(here.screen, listed_page, found.rows)
    sources = page.Page()
    sources.gap()
    sources.sentence(f"Source: {source}.", "dim")
    if stops is None and (waiting or incomplete):
        command = f"{program_name.program()} stop --list"
        words = f"The records cannot be read here, so stops are not shown; see {command}."
        sources.sentence(words, "dim")
    if incomplete is not None:
        sources.sentence(fit(str(incomplete)), "yellow")
    here.screen.show(sources)
    return Exit.FAILED if incomplete else Exit.DONE


def _print_json(
    here: console.Console, waiting: list[status.Status], incomplete: errors.ListIncomplete | None
) -> int:
    """Print the list; if it is incomplete, print an error that contains it, because `[]` means 'none'."""
    listed_runs = [one.model_dump(mode="json") for one in waiting]
    if incomplete is None:
        here.screen.print_json(listed_runs)
        return Exit.DONE
    unread = [{"workflow_id": one, "error": str(error)} for one, error in incomplete.unread.items()]
    error = answer.error_as_json(str(incomplete), Exit.FAILED)
    here.screen.print_json({**error, "waiting": listed_runs, "unread": unread})
    return end_with(str(incomplete), Exit.FAILED)


def _stops(here: console.Console) -> tuple[domain.StopStatus, ...] | None:
    """Return the active stops; None if the records cannot be read here."""
    unreadable = (errors.RecordsMissing, errors.RecordsUnavailable, errors.TrailDamaged)
    with suppress(*unreadable), here.records() as database:
        return queries.stops_on_record(database)
    return None


def _approved(here: console.Console) -> Sequence[status.Status]:
    """Return the first of the runs that are executing according to the records."""
    with suppress(errors.RecordsMissing, errors.RecordsUnavailable), here.records() as database:
        wanted = listed.Wanted(state=run.Phase.EXECUTING.value, limit=options.PAGE)
        return queries.pending_on_record(database, wanted).runs
    return []


async def _found(here: console.Console, wanted: listed.Wanted) -> tuple[client.WaitingRuns, str]:
    try:
        async with here.connected() as session:
            waiting = await session.client.waiting(wanted)
            return waiting, " and ".join(["Temporal's list of open runs", *lists.sources_of(waiting.found)])
    except errors.TemporalDenied:
        raise
    except errors.TemporalUnreachable as unreachable:
        with here.records() as database:
            try:
                recorded = await asyncio.to_thread(queries.pending_on_record, database, wanted)
            except (errors.RecordsMissing, errors.RecordsUnavailable):
                raise unreachable from None
        offline = tuple(one.model_copy(update={"source": console.NO_SERVER}) for one in recorded.runs)
        return client.WaitingRuns(offline, recorded.unread, len(offline)), f"the {console.NO_SERVER}"
