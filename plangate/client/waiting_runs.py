"""List the runs that need a decision, in review or held: the recorded runs that are open in Temporal.

One query reads the waiting runs from the records; Temporal confirms, page by page, which are open. If the two
counts differ, Temporal's whole list is read, because a run may have been ended in Temporal, or may have no
records here. A run without records, or without its plan in them, is queried directly; if its status cannot be
read, it is listed with the reason, because it may be waiting too.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar, assert_never

from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from plangate.client.messages import run_handle, sendable
from plangate.client.reads import limited_read
from plangate.domain.errors import (
    NotAnswered,
    PlangateError,
    RecordsMissing,
    RecordsUnavailable,
    RunNotFound,
    StatusContradicts,
    TrailDamaged,
)
from plangate.domain.people.people import identity
from plangate.domain.runs.run import Phase
from plangate.domain.runs.status import Status
from plangate.records.database import Database
from plangate.records.lists import Sort, Wanted
from plangate.records.queries import OpenRuns, Unread, open_on_record, statuses_on_record
from plangate.temporal.contract import WORKFLOW_TYPE
from plangate.temporal.search_attributes import PLANGATE_REQUESTER, PLANGATE_STATE

Item = TypeVar("Item")
Ask = Callable[[str], Awaitable[Status]]

_RUNNING: Final = f"WorkflowType = '{WORKFLOW_TYPE}' AND ExecutionStatus = 'Running'"
_DRAFTED: Final = f"({PLANGATE_STATE.name} IS NULL OR {PLANGATE_STATE.name} != '{Phase.DRAFTING}')"
_QUERIES_AT_ONCE: Final = 50  # for a run without a worker, a query takes its full time limit
_IDS_PER_QUERY: Final = 200  # ids in one query to Temporal
# The server finds no id with a quotation mark or a backslash, however it is escaped (tried with 1.32).
_QUOTABLE: Final = re.compile(r'[^"\\\x00-\x1f\x7f-\U0010ffff]+')
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_UNREADABLE: Final = (NotAnswered, RecordsUnavailable, StatusContradicts, TrailDamaged)


@dataclass(frozen=True, slots=True)
class WaitingRuns:
    """One page of the runs that need a decision.

    Attributes:
        found: their status, in the requested order.
        unread: the errors of the open runs whose status cannot be read, by workflow id; they may be waiting
            too. It contains all such runs that are not in the records here, and the others only for this
            page.
        rows: how many runs the page has, including those that are not in ``found``.
    """

    found: tuple[Status, ...]
    unread: Mapping[str, PlangateError]
    rows: int


@dataclass(frozen=True, slots=True)
class _Line:
    """One waiting run; ``status`` is set if the run itself had to be queried."""

    workflow_id: str
    deadline: datetime | None
    status: Status | None = None


class _StatusReader:
    """Queries runs. ``unread`` contains the errors of those whose status cannot be read."""

    def __init__(self, client: TemporalClient, ask: Ask) -> None:
        self.unread: Unread = {}
        self._client = client
        self._ask = ask

    async def asked(self, workflow_ids: Sequence[str]) -> list[Status]:
        """Return the status of these runs, without those that have ended or whose status cannot be read."""
        answers: list[Status | None] = []
        for some in _portions(workflow_ids, _QUERIES_AT_ONCE):
            answers += await asyncio.gather(*(self._answer(workflow_id) for workflow_id in some))
        return [status for status in answers if status]

    async def _answer(self, workflow_id: str) -> Status | None:
        try:
            return await self._ask(workflow_id)
        except _UNREADABLE as error:
            self.unread[workflow_id] = error
        except RunNotFound as error:
            if await _is_open(self._client, workflow_id):  # its worker cannot respond to the query
                self.unread[workflow_id] = error
        return None


async def waiting_runs(
    client: TemporalClient, database: Database | None, ask: Ask, wanted: Wanted
) -> WaitingRuns:
    """Return one page of the runs that need a decision.

    Args:
        client: a client of their namespace.
        database: the records; None if they are not available.
        ask: returns the status of a run without records, or raises the error if it cannot be read.
        wanted: the filters, the order and the page.

    Raises:
        RPCError: the server does not respond.
    """
    recorded, asker = await asyncio.to_thread(_recorded, database, wanted), _StatusReader(client, ask)
    # Counted even for a list without a limit, to fail soon if the server does not respond.
    if await _count(client) == recorded.drafted and wanted.limit is not None:
        page = await _first_open(client, recorded, wanted)
    else:
        page = wanted.page(await _all_open(client, recorded, asker, wanted))
    found = await _shown(database, asker, page, wanted)
    return WaitingRuns(tuple(found), dict(sorted(asker.unread.items())), len(page))


def _recorded(database: Database | None, wanted: Wanted) -> OpenRuns:
    if database is not None:
        try:
            return open_on_record(database, wanted)
        except (RecordsMissing, RecordsUnavailable):
            pass
    return OpenRuns((), 0, {})


async def _count(client: TemporalClient) -> int | None:
    """Return how many open runs have a plan, according to Temporal; None if the attribute is missing."""
    try:
        async with limited_read():
            return (await client.count_workflows(f"{_RUNNING} AND {_DRAFTED}")).count
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise
        return None


async def _first_open(client: TemporalClient, recorded: OpenRuns, wanted: Wanted) -> list[_Line]:
    """Return the page from the records, looking up as few of its runs as possible in Temporal."""
    assert wanted.limit is not None
    found: list[_Line] = []
    for named in _portions(recorded.waiting, _IDS_PER_QUERY):
        still_open = await open_of(client, [workflow_id for workflow_id, _ in named])
        found += (_Line(*one) for one in named if one[0] in still_open)
        if len(found) >= wanted.skip + wanted.limit:
            break
    return wanted.page(found)


async def _all_open(
    client: TemporalClient, recorded: OpenRuns, asker: _StatusReader, wanted: Wanted
) -> Iterable[_Line]:
    # A plan may be recorded before its workflow gets the result.
    listed = {execution.id: execution async for execution in client.list_workflows(_RUNNING)}
    lines = [_Line(*one) for one in recorded.waiting if one[0] in listed]
    unrecorded = [
        _Line(status.workflow_id, status.deadline, status)
        for status in await asker.asked(sorted(one.id for one in listed.values() if _is_newer(one, recorded)))
        if _is_wanted(status, wanted)
    ]
    asker.unread = {one: error for one, error in asker.unread.items() if _may_be_wanted(listed[one], wanted)}
    if not unrecorded:
        return lines
    match wanted.sort:
        case Sort.DEADLINE:
            return sorted((*lines, *unrecorded), key=lambda line: line.deadline or _NEVER)
        case Sort.ID:
            return sorted((*lines, *unrecorded), key=lambda line: line.workflow_id)
        case Sort.NEWEST | Sort.OLDEST:  # only the records contain the request time
            return (*unrecorded, *lines)
        case _:
            assert_never(wanted.sort)


def _is_newer(listed: WorkflowExecution, recorded: OpenRuns) -> bool:
    """Return whether a run is not in the records, or only without its plan because these were restored."""
    if listed.id not in recorded.known:
        return True
    has_plan = listed.typed_search_attributes.get(PLANGATE_STATE) not in (None, Phase.DRAFTING)
    return has_plan and recorded.known[listed.id] == Phase.DRAFTING


def _is_wanted(status: Status, wanted: Wanted) -> bool:
    is_theirs = wanted.requester is None or identity(status.requester) == identity(wanted.requester)
    return wanted.matches(status.state) and is_theirs


def _may_be_wanted(listed: WorkflowExecution, wanted: Wanted) -> bool:
    """Return whether a run may match the filters, by its search attributes; its status cannot be read."""
    state = listed.typed_search_attributes.get(PLANGATE_STATE)
    requester = listed.typed_search_attributes.get(PLANGATE_REQUESTER)
    may_be_theirs = (
        wanted.requester is None or requester is None or identity(requester) == identity(wanted.requester)
    )
    return may_be_theirs and (state is None or wanted.matches(state))


async def _shown(
    database: Database | None, asker: _StatusReader, page: Sequence[_Line], wanted: Wanted
) -> list[Status]:
    """Return the status of these runs from their trails; a run without a readable trail is queried."""
    ids = [line.workflow_id for line in page if line.status is None]
    read: dict[str, Status] = {}
    if database is not None and ids:
        read = {one.workflow_id: one for one in await asyncio.to_thread(statuses_on_record, database, ids)}
    missing = [workflow_id for workflow_id in ids if workflow_id not in read]
    read |= {status.workflow_id: status for status in await asker.asked(missing)}
    shown = (line.status or read.get(line.workflow_id) for line in page)
    return [status for status in shown if status and wanted.matches(status.state)]


async def _list(client: TemporalClient, query: str) -> set[str]:
    async with limited_read():
        return {execution.id async for execution in client.list_workflows(query)}


def _portions(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def open_of(client: TemporalClient, workflow_ids: Sequence[str]) -> set[str]:
    """Return the runs that are open in Temporal; ids that queries cannot contain are checked one by one."""
    plain = [f"'{_quoted(sendable(one))}'" for one in workflow_ids if _QUOTABLE.fullmatch(one)]
    named = await _list(client, f"{_RUNNING} AND WorkflowId IN ({', '.join(plain)})") if plain else set()
    others = [one for one in workflow_ids if not _QUOTABLE.fullmatch(one)]
    are_open = await asyncio.gather(*(_is_open(client, one) for one in others))
    return named | {one for one, is_open in zip(others, are_open, strict=True) if is_open}


async def _is_open(client: TemporalClient, workflow_id: str) -> bool:
    try:
        async with limited_read():
            description = await run_handle(client, workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return description.status is WorkflowExecutionStatus.RUNNING


def _quoted(workflow_id: str) -> str:
    return workflow_id.replace("'", "''")
