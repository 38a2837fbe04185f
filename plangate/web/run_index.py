"""Index runs for lists and searches, one row per run, so that lists do not read every trail.

It is built from the trails and can be deleted while no inbox runs. A row has the head hash of the trail from
which it was built. `plangate.records.changed_runs` finds the changed runs.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import structlog
from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from plangate.domain.errors import PlangateError, StatusContradicts, TrailDamaged
from plangate.domain.people.people import identity
from plangate.domain.policies.escalation import LaterApprovers
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.fold import fold
from plangate.domain.runs.run import StepState
from plangate.domain.runs.status import Status, status_of
from plangate.domain.runs.status_consistency import checked
from plangate.presentation.clock import now
from plangate.presentation.state_details import Deviations, deviations_of, held_step
from plangate.records.changed_runs import HEADS, changed_since, heads_in, newest_number
from plangate.records.database import Database
from plangate.records.queries import DAMAGED
from plangate.records.tables import runs
from plangate.records.trail import read_trails
from plangate.web.contacts import contacts_in
from plangate.web.database import writing
from plangate.web.index_file import IndexFile
from plangate.web.index_tables import contacts, lines, needs, progress

AT_ONCE: Final = 100
"""The maximum number of trails that one request reads; the rest are read afterwards."""
_NAMED_AT_ONCE: Final = 500  # ids in one query
_LONGEST_TEXT: Final = 20_000  # maximum searchable characters
_NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
_LATER_APPROVERS: Final = TypeAdapter(tuple[LaterApprovers, ...])
_PROGRESS: Final = update(progress)
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Unread:
    """The runs whose trails are still to be read, and the checkpoint that the index covers after that."""

    ids: list[str] = field(default_factory=list)
    checkpoint: int = 0


class RunIndex:
    """Keeps the rows up to date, and reads them.

    Args:
        database: the records.
        path: the SQLite file of the index.
    """

    def __init__(self, database: Database, path: Path) -> None:
        self._database = database
        self._file = IndexFile.open(path)
        self._engine = self._file.engine
        self._unread = _Unread()
        self._lock = asyncio.Lock()
        self._reads = 0
        self._rest: asyncio.Task[None] | None = None

    async def refresh(self) -> int:
        """Read the runs that changed since the last call; return how many are still unread.

        Raises:
            RecordsMissing: no worker has created the records yet.
            RecordsUnavailable: the database does not respond.
        """
        before = self._reads
        async with self._lock:
            if self._reads == before:  # otherwise another request has read since this one arrived
                self._reads += 1
                await asyncio.to_thread(self._read_some)
        if self._unread.ids and (self._rest is None or self._rest.done()):
            self._rest = asyncio.create_task(self._read_rest())
        return len(self._unread.ids)

    def read(self, query: Select[Any]) -> list[Row[Any]]:
        """Return the rows of a query over the index."""
        with self._engine.connect() as connection:
            return list(connection.execute(query))

    def rows(self, query: Select[Any]) -> Iterator[Row[Any]]:
        """Yield the rows of a query over the index, without keeping all in memory."""
        with self._engine.connect() as connection:
            yield from connection.execution_options(yield_per=AT_ONCE).execute(query)

    def close(self) -> None:
        """Stop reading, and close the index."""
        if self._rest is not None:
            self._rest.cancel()
        self._file.close()

    async def _read_rest(self) -> None:
        with suppress(PlangateError):  # the next request reads the unread runs
            while self._unread.ids:
                async with self._lock:
                    await asyncio.to_thread(self._read_some)

    def _read_some(self) -> None:
        """Index some of the unread runs; runs that were not committed stay unread."""
        with self._database.read() as records, writing(self._engine) as index:
            unread = self._unread
            if not unread.ids:
                unread = _changed_runs(records, index, self._database.installation)
            rest = unread.ids[AT_ONCE:]
            _rebuild_rows(records, index, unread.ids[:AT_ONCE])
            if not rest:
                number = unread.checkpoint
                index.execute(
                    _PROGRESS.where(progress.c.checkpoint.is_distinct_from(number)).values(checkpoint=number)
                )
        self._unread = _Unread(rest, unread.checkpoint)


def _changed_runs(records: Connection, index: Connection, installation: str) -> _Unread:
    """Return the runs whose rows do not match the current state of their trails."""
    number = newest_number(records)
    known = index.execute(select(progress)).one_or_none()
    if known is None or known.installation != installation or (known.checkpoint or 0) > number:
        for table in (lines, contacts, needs, progress):
            index.execute(delete(table))
        index.execute(insert(progress).values(installation=installation))
        known = index.execute(select(progress)).one()
    if known.checkpoint is None:
        order = (runs.c.closed_at.is_not(None), runs.c.deadline, runs.c.workflow_id)
        found = heads_in(records.execute(HEADS.order_by(*order)))
    else:
        found = changed_since(records, known.checkpoint).heads
    stale = _stale(index, found)
    return _Unread([one for one in found if one in stale], number)


def _stale(index: Connection, heads: dict[str, str]) -> set[str]:
    stale = set(heads)
    ids = list(heads)
    for start in range(0, len(ids), _NAMED_AT_ONCE):
        named = lines.c.workflow_id.in_(ids[start : start + _NAMED_AT_ONCE])
        rows = index.execute(select(lines.c.workflow_id, lines.c.head_hash).where(named))
        stale -= {row.workflow_id for row in rows if heads[row.workflow_id] == row.head_hash}
    return stale


def _rebuild_rows(records: Connection, index: Connection, ids: Sequence[str]) -> None:
    """Rebuild the rows of these runs."""
    if not ids:
        return
    found = {row.workflow_id: row for row in records.execute(select(runs).where(runs.c.workflow_id.in_(ids)))}
    for table in (lines, contacts):
        index.execute(delete(table).where(table.c.workflow_id.in_(ids)))
    reached: list[dict[str, str]] = []
    rows_of_runs: list[dict[str, Any]] = []
    for workflow_id, entries in read_trails(records, ids):
        status = _status(workflow_id, entries)
        rows_of_runs.append(_line(index, found[workflow_id], status))
        reached += [{"contact": one, "workflow_id": workflow_id} for one in _contacts_reached(status)]
    index.execute(insert(lines), rows_of_runs)
    if reached:
        index.execute(insert(contacts), reached)


def _status(workflow_id: str, entries: Any) -> Status | None:
    """Return the checked status of a trail; None, with a log line, if it must not be shown."""
    try:
        if isinstance(entries, TrailDamaged):
            raise entries
        state = fold(workflow_id, (entry.event for entry in entries))
        return checked(status_of(state, source="records"), workflow_id=workflow_id)
    except (StatusContradicts, TrailDamaged) as error:
        _log.warning("A run is not shown in lists.", action="pending", error=str(error))
        return None


def _line(index: Connection, row: Row[Any], status: Status | None) -> dict[str, Any]:
    steps = status.steps if status else ()
    deadline = status.deadline if status else row.deadline
    named = steps[held_step(status) - 1 if status and held_step(status) else 0] if steps else None
    words = (named.preview or named.tool) if named else status.request if status else ""
    deviations = deviations_of(status) if status else Deviations()
    return {
        "workflow_id": row.workflow_id,
        "head_hash": row.head_hash,
        "is_open": row.closed_at is None,
        "state": status.state if status else DAMAGED,
        "requester": row.requester,
        "requester_key": identity(row.requester),
        "requested_at": row.opened_at,
        "closed_at": row.closed_at,
        "deadline": deadline,
        "waits_until": status.waits_until(now()) if status else None,
        "soonest": deadline or _NEVER,
        "preview": words[:2_000],
        "more": max(0, len(steps) - 1),
        "held_step": held_step(status) if status else 0,
        "skipped": json.dumps(deviations.skipped),
        "reversed": json.dumps(deviations.reversed),
        "tools": f" {' '.join(step.tool for step in steps)} ",
        "authors": json.dumps(status.authors if status else ()),
        "approved_by": json.dumps(status.approved_by if status else ()),
        "represented": json.dumps(status.represented if status else ()),
        "needs": _need(index, status),
        "reliefs": _LATER_APPROVERS.dump_json(status.reliefs if status else ()).decode(),
        "text": _searched(status).casefold() if status else "",
    }


def _need(index: Connection, status: Status | None) -> int | None:
    """Return the number of the row with the decision that the run waits for. Many runs share such a row."""
    if status is None or status.requirement is None:
        return None
    text = json.dumps(
        [status.requirement.model_dump_json(), [one.model_dump() for one in status.still_needed]]
    )
    found = index.execute(select(needs.c.number).where(needs.c.text == text)).scalar()
    if found is not None:
        return int(found)
    return int(index.execute(insert(needs).values(text=text)).inserted_primary_key[0])  # type: ignore[index]


def _searched(status: Status) -> str:
    parts = [status.workflow_id, status.requester, status.request]
    parts += [status.plan.summary] if status.plan else []
    for step in status.steps:
        parts += [step.preview, json.dumps(step.arguments, ensure_ascii=False)]
    return "\n".join(parts)[:_LONGEST_TEXT]


def _contacts_reached(status: Status | None) -> set[str]:
    """Return the recipients and hosts that the run has reached."""
    steps = status.steps if status else ()
    return {one for step in steps if step.state is StepState.DONE for one in contacts_in(step.arguments)}


def later_approvers_in(text: str) -> tuple[LaterApprovers, ...]:
    """Return the other roles that may approve later, in the format of the index."""
    return _LATER_APPROVERS.validate_json(text)


@lru_cache(maxsize=1_000)
def waits_for(text: str) -> tuple[Requirement, tuple[Need, ...]]:
    """Return a requirement and the missing approvals, in the format of the index."""
    requirement, still = json.loads(text)
    return Requirement.model_validate_json(requirement), tuple(Need(**one) for one in still)
