"""List the runs that wait for a person, in review or held: the recorded runs that are open in Temporal.

One query reads the waiting runs from the records; Temporal confirms, page by page, which are open. If the two
counts differ, Temporal's whole list is read, because a run may have been ended from outside, or have no
records here. A run without records is queried directly.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar, assert_never

from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from plangate.domain.errors import RecordsMissing, RecordsUnavailable
from plangate.domain.people import identity
from plangate.domain.run import Phase
from plangate.domain.status import Status
from plangate.records.database import Database
from plangate.records.lists import Sort, Wanted
from plangate.records.queries import StillOpen, open_on_record, statuses_on_record
from plangate.temporal.contract import WORKFLOW_TYPE
from plangate.temporal.search_attributes import PLANGATE_STATE

Thing = TypeVar("Thing")
Ask = Callable[[str], Awaitable[Status | None]]

_RUNNING: Final = f"WorkflowType = '{WORKFLOW_TYPE}' AND ExecutionStatus = 'Running'"
_DRAFTED: Final = f"({PLANGATE_STATE.name} IS NULL OR {PLANGATE_STATE.name} != '{Phase.DRAFTING}')"
_ASKED_AT_ONCE: Final = 50  # a run for which no worker answers takes as long as a query may
_NAMED_AT_ONCE: Final = 200  # ids in one question to Temporal
# The server finds no id with a quotation mark or a backslash, however it is escaped (tried with 1.32).
_CAN_BE_NAMED: Final = re.compile(r'[^"\\\x00-\x1f\x7f-\U0010ffff]+')
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Line:
    """One waiting run; ``status`` is set if the run itself had to be queried."""

    workflow_id: str
    deadline: datetime | None
    status: Status | None = None


async def waiting_runs(
    client: TemporalClient, database: Database | None, ask: Ask, wanted: Wanted
) -> list[Status]:
    """Return one page of the runs that wait for a person.

    Args:
        client: a client of their namespace.
        database: the records; None if there are none here.
        ask: returns the status of a run without records; None if it is unknown.
        wanted: the filters, the order and the page.

    Raises:
        RPCError: the server does not answer.
    """
    recorded = await asyncio.to_thread(_recorded, database, wanted)
    if wanted.limit is not None and await _count(client) == recorded.drafted:
        page = await _first_open(client, recorded, wanted)
    else:
        page = wanted.page(await _all_open(client, recorded, ask, wanted))
    return await _shown(database, ask, page, wanted)


def _recorded(database: Database | None, wanted: Wanted) -> StillOpen:
    if database is not None:
        try:
            return open_on_record(database, wanted)
        except (RecordsMissing, RecordsUnavailable):
            pass
    return StillOpen((), 0, frozenset())


async def _count(client: TemporalClient) -> int | None:
    """Return how many open runs have a plan, according to Temporal; None if it lacks the attribute."""
    try:
        return (await client.count_workflows(f"{_RUNNING} AND {_DRAFTED}")).count
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise
        return None


async def _first_open(client: TemporalClient, recorded: StillOpen, wanted: Wanted) -> list[_Line]:
    """Return the page from the records, and look up as few of its runs as possible in Temporal."""
    assert wanted.limit is not None
    found: list[_Line] = []
    for named in _portions(recorded.waiting, _NAMED_AT_ONCE):
        still_open = await open_of(client, [workflow_id for workflow_id, _ in named])
        found += (_Line(*one) for one in named if one[0] in still_open)
        if len(found) >= wanted.skip + wanted.limit:
            break
    return wanted.page(found)


async def _all_open(client: TemporalClient, recorded: StillOpen, ask: Ask, wanted: Wanted) -> Iterable[_Line]:
    listed = await _list(client, _RUNNING)  # a plan may be recorded before its workflow gets the result
    lines = [_Line(*one) for one in recorded.waiting if one[0] in listed]
    strangers = [
        _Line(status.workflow_id, status.deadline, status)
        for status in await _asked(ask, sorted(listed - recorded.known))
        if _is_wanted(status, wanted)
    ]
    if not strangers:
        return lines
    match wanted.sort:
        case Sort.DEADLINE:
            return sorted((*lines, *strangers), key=lambda line: line.deadline or _NEVER)
        case Sort.ID:
            return sorted((*lines, *strangers), key=lambda line: line.workflow_id)
        case Sort.NEWEST | Sort.OLDEST:  # only the record has the time of the request
            return (*strangers, *lines)
        case _:
            assert_never(wanted.sort)


def _is_wanted(status: Status, wanted: Wanted) -> bool:
    is_theirs = wanted.requester is None or identity(status.requester) == identity(wanted.requester)
    return wanted.takes(status.state) and is_theirs


async def _shown(database: Database | None, ask: Ask, page: Sequence[_Line], wanted: Wanted) -> list[Status]:
    """Return the status of these runs from their trails; a run without a readable trail is queried."""
    ids = [line.workflow_id for line in page if line.status is None]
    read: dict[str, Status] = {}
    if database is not None and ids:
        read = {one.workflow_id: one for one in await asyncio.to_thread(statuses_on_record, database, ids)}
    unread = [workflow_id for workflow_id in ids if workflow_id not in read]
    read |= {status.workflow_id: status for status in await _asked(ask, unread)}
    shown = (line.status or read.get(line.workflow_id) for line in page)
    return [status for status in shown if status and wanted.takes(status.state)]


async def _asked(ask: Ask, workflow_ids: Sequence[str]) -> list[Status]:
    answers: list[Status | None] = []
    for some in _portions(workflow_ids, _ASKED_AT_ONCE):
        answers += await asyncio.gather(*(ask(workflow_id) for workflow_id in some))
    return [status for status in answers if status]


async def _list(client: TemporalClient, query: str) -> set[str]:
    return {execution.id async for execution in client.list_workflows(query)}


def _portions(things: Sequence[Thing], size: int) -> Iterator[Sequence[Thing]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]


async def open_of(client: TemporalClient, workflow_ids: Sequence[str]) -> set[str]:
    """Return the runs that are open in Temporal; ids that queries cannot contain are checked singly."""
    plain = [f"'{_quoted(one)}'" for one in workflow_ids if _CAN_BE_NAMED.fullmatch(one)]
    named = await _list(client, f"{_RUNNING} AND WorkflowId IN ({', '.join(plain)})") if plain else set()
    others = [one for one in workflow_ids if not _CAN_BE_NAMED.fullmatch(one)]
    are_open = await asyncio.gather(*(_is_open(client, one) for one in others))
    return named | {one for one, is_open in zip(others, are_open, strict=True) if is_open}


async def _is_open(client: TemporalClient, workflow_id: str) -> bool:
    try:
        description = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return description.status is WorkflowExecutionStatus.RUNNING


def _quoted(workflow_id: str) -> str:
    return workflow_id.replace("'", "''")
