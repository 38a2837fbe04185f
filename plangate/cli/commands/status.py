"""`status`: the state of one run, even while no worker or Temporal server responds."""

from __future__ import annotations

import asyncio

import click

from plangate.cli import console, options
from plangate.cli.exits import Exit
from plangate.domain import errors
from plangate.domain.runs import run
from plangate.domain.runs import status as statuses
from plangate.notifications import failures
from plangate.presentation import clock, deciding_page, program_name, run_page
from plangate.records import queries

_MAX_UNDELIVERED = 5


@click.command()
@options.run_id
@options.as_json
def status(workflow_id: str, *, as_json: bool) -> int:
    """Show a run: its state, plan and decisions.

    Works even while no worker runs, and after Temporal has deleted the run. The last line shows the source.
    """
    here = console.open_console(as_json=as_json)
    found, access = asyncio.run(_found(here, workflow_id))
    with here.records() as database:
        not_told = failures.undelivered_about(database, workflow_id)
    if here.screen.is_json:
        shown = {"not_told": [one.model_dump(mode="json") for one in not_told]} if not_told else {}
        here.screen.print_json(found.model_dump(mode="json") | shown)
        return Exit.DONE
    here.screen.show(run_page.run_page(found, clock.now()))
    for one in not_told[:_MAX_UNDELIVERED]:
        here.screen.say(str(one))
    if len(not_told) > _MAX_UNDELIVERED:
        here.screen.say(f"{len(not_told) - _MAX_UNDELIVERED} more: {program_name.program()} notify failures")
    waits = found.state in (run.Phase.IN_REVIEW, run.Phase.HELD)
    if waits or not (access.is_open or run_page.is_over(found)):
        here.screen.show(deciding_page.deciding_page(found, access, here.user, signs=here.keys.has_any))
    return Exit.DONE


async def _found(
    here: console.Console, workflow_id: str
) -> tuple[statuses.Status, deciding_page.TemporalAccess]:
    try:
        async with here.connected() as session:
            return await session.client.status(workflow_id), session.access
    except errors.TemporalDenied:
        raise
    except errors.TemporalUnreachable as unreachable:
        with here.records() as database:
            try:
                recorded = await asyncio.to_thread(queries.status_on_record, database, workflow_id)
            except errors.RecordsUnavailable:
                recorded = None
        if recorded is None:
            raise unreachable from None
        offline = recorded.model_copy(update={"source": console.NO_SERVER})
        return offline, deciding_page.TemporalAccess(is_open=False)
