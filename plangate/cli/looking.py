"""`status`, `pending` and `tools`: they answer whatever is away, as far as the records know."""

import asyncio

from rich.text import Text

from plangate.cli.application import declared_tools
from plangate.cli.exits import Exit
from plangate.cli.keys import KeyChain
from plangate.cli.options import PageOptions
from plangate.cli.paging import on_this_page, say_that_there_are_more, wanted_on
from plangate.cli.screen import open_screen
from plangate.cli.session import opened, opened_records, settings_for_people
from plangate.domain.errors import RecordsMissing, RecordsUnavailable, TemporalDenied, TemporalUnreachable
from plangate.domain.run import Phase
from plangate.domain.status import Status
from plangate.presentation.clock import now
from plangate.presentation.lists import pending_table, sources_of, tool_as_json, tools_page
from plangate.presentation.page import Page
from plangate.presentation.run_page import Doors, deciding_page, is_over, run_page
from plangate.records.lists import Wanted
from plangate.records.queries import pending_on_record, status_on_record
from plangate.settings import Settings, operating_system_user

_NO_SERVER = "records (the Temporal server does not answer)"


def show_status(workflow_id: str, *, as_json: bool) -> int:
    """Print where a run stands, and how to decide if it waits for a decision."""
    settings, screen = settings_for_people(), open_screen(as_json=as_json)
    status, doors = asyncio.run(_status(settings, workflow_id))
    if screen.is_json:
        screen.print_json(status.model_dump(mode="json"))
        return Exit.DONE
    screen.show(run_page(status, now()))
    if status.state == Phase.IN_REVIEW or not (doors.is_open or is_over(status)):
        signs = KeyChain(settings, screen).has_any
        screen.show(deciding_page(status, doors, operating_system_user(), signs=signs))
    return Exit.DONE


def show_pending(page: PageOptions, *, requester: str | None, as_json: bool) -> int:
    """Print one page of the runs that wait for a person."""
    settings, screen = settings_for_people(), open_screen(as_json=as_json)
    wanted = wanted_on(page, requester=requester, state=Phase.IN_REVIEW)
    found, source = asyncio.run(_pending(settings, wanted))
    waiting = on_this_page(page, found)
    if screen.is_json:
        screen.print_json([status.model_dump(mode="json") for status in waiting])
        return Exit.DONE
    if waiting:
        screen.out.print(pending_table(waiting, now()), crop=False)
    else:
        screen.out.print(Text("Nothing waits for a decision."))
    say_that_there_are_more(screen, page, found)
    answered = Page()
    answered.gap()
    answered.sentence(f"Source: {source}.", "dim")
    screen.show(answered)
    return Exit.DONE


def show_tools(*, as_json: bool) -> int:
    """Print what a step can do."""
    settings_for_people()
    screen = open_screen(as_json=as_json)
    if screen.is_json:
        screen.print_json([tool_as_json(declaration) for declaration in declared_tools().values()])
    else:
        screen.show(tools_page(declared_tools()))
    return Exit.DONE


async def _status(settings: Settings, workflow_id: str) -> tuple[Status, Doors]:
    try:
        async with opened(settings) as session:
            return await session.gateway.status(workflow_id), session.doors
    except TemporalDenied:
        raise
    except TemporalUnreachable as unreachable:
        with opened_records(settings) as database:
            try:
                recorded = await asyncio.to_thread(status_on_record, database, workflow_id)
            except RecordsUnavailable:
                recorded = None
        if recorded is None:
            raise unreachable from None
        return recorded.model_copy(update={"source": _NO_SERVER}), Doors(is_open=False)


async def _pending(settings: Settings, wanted: Wanted) -> tuple[list[Status], str]:
    try:
        async with opened(settings) as session:
            waiting = await session.gateway.pending(wanted)
            return waiting, " and ".join(["Temporal's list of open runs", *sources_of(waiting)])
    except TemporalDenied:
        raise
    except TemporalUnreachable as unreachable:
        with opened_records(settings) as database:
            try:
                recorded = await asyncio.to_thread(pending_on_record, database, wanted)
            except (RecordsMissing, RecordsUnavailable):
                raise unreachable from None
        return [status.model_copy(update={"source": _NO_SERVER}) for status in recorded], f"the {_NO_SERVER}"
