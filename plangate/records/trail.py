"""Append events to the audit trail inside a transaction, and read entries.

The lock on the run's row, which each writer takes before any other lock, serializes the writers of one run.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Any, Final, assert_never

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from plangate.domain.base import Frozen, OutsideRun
from plangate.domain.errors import IdInUse, NotApproved, RequestInvalid, TrailDamaged
from plangate.domain.escaping import one_line
from plangate.domain.runs.audit import (
    FIRST_HASH,
    OWN_TRAILS,
    AuditEntry,
    Claimed,
    Closed,
    Decided,
    Drafted,
    Event,
    Held,
    Released,
    Reopened,
    Requested,
    RunRef,
    StepDone,
    StepFailed,
    StepInDoubt,
    StepReversed,
    StepSettled,
    StepUndone,
    StepUnsettled,
    entry_after,
    read_event,
)
from plangate.domain.runs.findings import Finding, broken_links
from plangate.domain.runs.fold import apply, fold
from plangate.domain.runs.request import check_opening
from plangate.domain.runs.run import RunState
from plangate.domain.runs.settlements import run_of
from plangate.records.prepared_statements import Prepared
from plangate.records.reservations import Reservation, reserve, update_reservations
from plangate.records.tables import audit_entries, runs

_REQUEST_AND_PLAN: Final = 2
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_RUN: Final = Prepared(select(runs).where(runs.c.workflow_id == bindparam("run")).with_for_update())
_OPEN: Final = {
    "sqlite": Prepared(sqlite.insert(runs).on_conflict_do_nothing()),
    "postgresql": Prepared(postgresql.insert(runs).on_conflict_do_nothing()),
}
_UPDATE_RUN: Final = Prepared(update(runs).where(runs.c.workflow_id == bindparam("run")))
_INSERT: Final = Prepared(insert(audit_entries))
_OF_RUN: Final = select(audit_entries).where(audit_entries.c.workflow_id == bindparam("run"))
_TRAIL: Final = Prepared(_OF_RUN.order_by(audit_entries.c.number))
_TRAILS: Final = (
    select(audit_entries)
    .where(audit_entries.c.workflow_id.in_(bindparam("runs", expanding=True)))
    .order_by(audit_entries.c.workflow_id, audit_entries.c.number)
)
_READ_AT_ONCE: Final = 200  # trails per query
_KNOWN: Final = _OF_RUN.where(audit_entries.c.key.in_(bindparam("keys", expanding=True)))
# For one or two keys, without a list that SQLAlchemy must render for each statement.
_KNOWN_PAIR: Final = Prepared(_OF_RUN.where(audit_entries.c.key.in_((bindparam("first"), bindparam("last")))))


class Note(Frozen):
    """One event to be written; each ``key`` is written once per run."""

    key: str
    at: datetime
    actor: str
    event: Event


class OpenTrail:
    """The trail of one run, while the transaction holds the lock on it. Created by `open_trail`."""

    def __init__(self, connection: Connection, head: Any) -> None:
        self.connection = connection
        self.workflow_id: str = head.workflow_id
        self._number: int = head.entry_count
        self._hash: str = head.head_hash
        self._closed = head.closed_at is not None
        self._reserves = bool(head.reserves)
        self._entries: list[AuditEntry] | None = None if self._number else []
        self._state, self._folded = RunState(workflow_id=self.workflow_id), 0
        self._found: dict[str, AuditEntry | None] = {}

    @property
    def is_closed(self) -> bool:
        """Whether the run has ended according to the records."""
        return self._closed

    def reserve(self, rows: Sequence[Reservation], plan: str, now: datetime) -> None:
        """Reserve the amounts of a plan's steps in rolling totals; from now on the rows follow the trail."""
        reserve(self.connection, rows, run=self.workflow_id, plan=plan, now=now)
        self._reserves = True

    def renew(self, plan: str, now: datetime) -> None:
        """Renew the reservations of the plan, if any, so that their time limit starts again."""
        if self._reserves:
            reserve(self.connection, (), run=self.workflow_id, plan=plan, now=now)

    @property
    def is_without_decisions(self) -> bool:
        """Whether the trail contains only the request and the first plan, and thus no decision."""
        return self._number <= _REQUEST_AND_PLAN

    def entries(self) -> tuple[AuditEntry, ...]:
        """Return all entries so far, in order."""
        if self._entries is None:
            self._entries = list(read_trail(self.connection, self.workflow_id))
        return tuple(self._entries)

    def check(self) -> None:
        """Check the links of the trail, up to the last entry that was written.

        Raises:
            TrailDamaged: a link is broken.
        """
        damage = _damage(self.workflow_id, self.entries(), self._number, self._hash)
        if damage is not None:
            raise damage

    def state(self) -> RunState:
        """Return the run's state after these entries."""
        entries = self.entries()
        self._state = reduce(apply, (entry.event for entry in entries[self._folded :]), self._state)
        self._folded = len(entries)
        return self._state

    def find(self, keys: Sequence[str]) -> Mapping[str, AuditEntry]:
        """Return the existing entries with these keys."""
        if self._entries is not None:
            wanted = frozenset(keys)
            return {entry.key: entry for entry in self._entries if entry.key in wanted}
        unknown = [key for key in keys if key not in self._found]
        if unknown:
            found = _entries(self.workflow_id, lambda: self._rows_with(unknown))
            self._found |= dict.fromkeys(unknown) | {entry.key: entry for entry in found}
        return {key: entry for key in keys if (entry := self._found[key]) is not None}

    def _rows_with(self, keys: Sequence[str]) -> Sequence[Any]:
        run = {"run": self.workflow_id}
        if len(keys) <= 2:  # noqa: PLR2004  a pair
            return _KNOWN_PAIR(self.connection, {**run, "first": keys[0], "last": keys[-1]}).rows
        return self.connection.execute(_KNOWN, {**run, "keys": keys}).all()

    def append(self, *notes: Note) -> tuple[AuditEntry, ...]:
        """Append the notes that are not recorded yet; return the entries of all notes."""
        known = dict(self.find([note.key for note in notes]))
        entries, new = [], []
        for note in notes:
            entry = known.get(note.key)
            if entry is None:
                entry = known[note.key] = self._next(note)
                new.append(entry)
            entries.append(entry)
        if new:
            self._write(new)
        return tuple(entries)

    def _next(self, note: Note) -> AuditEntry:
        entry = entry_after(
            self._hash,
            workflow_id=self.workflow_id,
            number=self._number + 1,
            key=note.key,
            at=note.at.astimezone(UTC),  # in the form that readers get, because the hash covers its text
            actor=note.actor,
            event=note.event,
        )
        self._number, self._hash = entry.number, entry.hash
        return entry

    def _write(self, new: Sequence[AuditEntry]) -> None:
        _INSERT(self.connection, *(_columns(entry) for entry in new))
        changes: dict[str, object] = {"entry_count": self._number, "head_hash": self._hash}
        closing = next((entry for entry in new if isinstance(entry.event, Closed)), None)
        if closing is not None:
            changes["closed_at"] = closing.at
        self._found |= {entry.key: entry for entry in new}
        self._closed = self._closed or closing is not None
        if self._entries is not None:
            self._entries += new
        changes |= self._state_columns(new)
        if self._reserves:
            state = fold(self.workflow_id, (entry.event for entry in self.entries()[: -len(new)]))
            for entry in new:
                state = apply(state, entry.event)
                update_reservations(self.connection, entry, state)
        _UPDATE_RUN(self.connection, {"run": self.workflow_id, **changes})

    def _state_columns(self, new: Sequence[AuditEntry]) -> dict[str, object]:
        """Return the run's state and deadline for lists, if these entries may have changed them."""
        last = new[-1].event
        if (
            isinstance(last, Closed) and self._entries is None
        ):  # the run was never held, so its last entries are enough
            return {"state": last.outcome.value}
        if not any(_may_change_state(entry.event) for entry in new):
            return {}
        state = self.state()
        return {"state": state.state, "deadline": state.deadline}


def open_trail(connection: Connection, run: RunRef) -> OpenTrail:
    """Take the lock on the trail of ``run``, until the transaction ends.

    The first writer opens the trail with the request. This writer is the draft, a decision that was received
    before it, or the close of a run that was withdrawn before its draft.

    Raises:
        IdInUse: another run is recorded under this workflow id.
        RequestInvalid: the records cannot store this workflow id or request.
        NotApproved: the run is not recorded, and the reference contains no request.
        TrailDamaged: the run has a plan, so it was recorded, but another run is recorded now.
    """
    if run.workflow_id in OWN_TRAILS:
        raise RequestInvalid(f"The id {run.workflow_id} is reserved; start again with another id.")
    if not _is_storable(run.workflow_id):
        raise RequestInvalid(
            "The id contains U+0000 or a lone surrogate, which cannot be stored; start again with another id."
        )
    head = _locked_run(connection, run.workflow_id)
    if head is None:
        first = _opening(run)
        check_opening(run)
        if (
            run_of(run.workflow_id) is not None
        ):  # the other run's look-up could not start while this run is open
            raise RequestInvalid(
                f"The id {run.workflow_id} is reserved for the settlement of another run; start again with "
                "another id."
            )
        head = _open(connection, run.workflow_id, run.chain_id, first.requester, first.requested_at)
    if head.chain_id != run.chain_id:
        if run.audience is not None:
            raise _damaged(run.workflow_id, "its id now belongs to another request")
        raise IdInUse(f"The id {run.workflow_id} belongs to an earlier request; start again with another id.")
    trail = OpenTrail(connection, head)
    if not head.entry_count:
        first = _opening(run).model_copy(update={"chain_id": run.chain_id})
        trail.append(Note(key="requested", at=first.requested_at, actor=first.requester, event=first))
    return trail


def reopen_trail(connection: Connection, workflow_id: str) -> OpenTrail:
    """Take the lock on the trail of a recorded run, until the transaction ends.

    Raises:
        NotApproved: it is not recorded.
    """
    head = _locked_run(connection, workflow_id) if _is_storable(workflow_id) else None
    if head is None or workflow_id in OWN_TRAILS:
        raise NotApproved(f"The run {one_line(workflow_id)} is not recorded.")
    return OpenTrail(connection, head)


def _opening(run: RunRef) -> Requested:
    if run.requested is None:
        raise NotApproved(f"The run {run.workflow_id} is not recorded, so none of its steps may run.")
    return run.requested


def open_own_trail(connection: Connection, name: str, actor: str, at: datetime) -> OpenTrail:
    """Take the lock on a trail of `OWN_TRAILS`, until the transaction ends; take it after a run's lock."""
    return OpenTrail(connection, _locked_run(connection, name) or _open(connection, name, "", actor, at))


def read_trail(connection: Connection, workflow_id: str) -> tuple[AuditEntry, ...]:
    """Return all entries of one run in order; empty if the run is not recorded."""
    if not _is_storable(workflow_id):
        return ()
    return _entries(workflow_id, lambda: _TRAIL(connection, {"run": workflow_id}).rows)


def check_readable(connection: Connection, workflow_id: str, chain_id: str) -> None:
    """Check that the trail of this run, if it has one, can be continued.

    With a ``chain_id``, it must belong to that chain.

    Raises:
        TrailDamaged: its entries cannot be read, or belong to another run.
    """
    head = connection.execute(select(runs.c.chain_id).where(runs.c.workflow_id == workflow_id)).scalar()
    if chain_id and head not in (None, chain_id):
        raise _damaged(workflow_id, "its id now belongs to another request")
    read_state(connection, workflow_id)


def read_state(connection: Connection, workflow_id: str) -> RunState:
    """Return the state of one run after all entries of its trail."""
    return fold(workflow_id, (entry.event for entry in read_trail(connection, workflow_id)))


def read_trails(
    connection: Connection, workflow_ids: Sequence[str]
) -> Iterator[tuple[str, tuple[AuditEntry, ...] | TrailDamaged]]:
    """Yield these runs with their trails, in the given order; for a damaged trail, yield the error."""
    for start in range(0, len(workflow_ids), _READ_AT_ONCE):
        ids = workflow_ids[start : start + _READ_AT_ONCE]
        rows: dict[str, list[Any]] = {workflow_id: [] for workflow_id in ids}
        with connection.execute(_TRAILS, {"runs": ids}) as found:
            for row in found:
                rows[row.workflow_id].append(row)
        for workflow_id in ids:
            try:
                yield workflow_id, tuple(_entry(row) for row in rows[workflow_id])
            except TrailDamaged as error:
                yield workflow_id, error


def read_intact_trails(
    connection: Connection, workflow_ids: Sequence[str]
) -> Iterator[tuple[str, tuple[AuditEntry, ...] | TrailDamaged]]:
    """Yield the same as `read_trails`, but also report broken links and missing entries as errors."""
    columns = runs.c.workflow_id, runs.c.entry_count, runs.c.head_hash
    found = connection.execute(select(*columns).where(runs.c.workflow_id.in_(workflow_ids)))
    heads = {row.workflow_id: (row.entry_count, row.head_hash) for row in found}
    for workflow_id, entries in read_trails(connection, workflow_ids):
        if isinstance(entries, TrailDamaged):
            yield workflow_id, entries
        elif workflow_id not in heads:
            yield workflow_id, _damaged(workflow_id, "the run is no longer recorded")
        else:
            yield workflow_id, _damage(workflow_id, entries, *heads[workflow_id]) or entries


def _damage(
    workflow_id: str, entries: Sequence[AuditEntry], number: int, last_hash: str
) -> TrailDamaged | None:
    """Return the error in the links of a trail; its last entry must have this number and hash."""
    broken = next(broken_links(workflow_id, entries), None)
    last = entries[-1].hash if entries else FIRST_HASH
    if broken is None and (len(entries), last) != (number, last_hash):
        broken = Finding(workflow_id=workflow_id, what="its last entries are not the last ones written")
    return None if broken is None else _damaged(workflow_id, str(broken))


def _is_storable(workflow_id: str) -> bool:
    """Return whether both databases can store an id: PostgreSQL rejects U+0000, and both a lone surrogate."""
    return _UNSTORABLE.search(workflow_id) is None


def _open(connection: Connection, workflow_id: str, chain_id: str, requester: str, at: datetime) -> Any:
    """Insert the run's row; if another writer is inserting it, wait for that row and use it."""
    _OPEN[connection.dialect.name](
        connection,
        {
            "workflow_id": workflow_id,
            "chain_id": chain_id,
            "requester": requester,
            "opened_at": at,
            "entry_count": 0,
            "head_hash": FIRST_HASH,
        },
    )
    head = _locked_run(connection, workflow_id)
    assert head is not None
    return head


def _locked_run(connection: Connection, workflow_id: str) -> Any | None:
    return _RUN(connection, {"run": workflow_id}).one_or_none()


def _columns(entry: AuditEntry) -> dict[str, object]:
    return {
        "workflow_id": entry.workflow_id,
        "number": entry.number,
        "key": entry.key,
        "at": entry.at,
        "actor": entry.actor,
        "kind": entry.event.kind,
        "event": entry.written,
        "previous_hash": entry.previous_hash,
        "hash": entry.hash,
    }


def _may_change_state(event: Event) -> bool:
    """Return whether an event may change the run's state or deadline; a single step's result does not."""
    match event:
        case (
            Claimed()
            | Released()
            | StepDone()
            | StepFailed()
            | StepInDoubt()
            | StepUndone()
            | StepSettled()
            | StepReversed()
            | StepUnsettled()
            | OutsideRun()
        ):
            return False
        case Decided(verdict=verdict):
            return verdict.accepted
        case Requested() | Drafted() | Reopened() | Held() | Closed():
            return True
        case _:
            assert_never(event)


def _entries(workflow_id: str, rows: Callable[[], Sequence[Any]]) -> tuple[AuditEntry, ...]:
    """Return the entries in the rows that ``rows`` reads.

    Raises:
        TrailDamaged: one of them cannot be read.
    """
    try:
        return tuple(map(_entry, rows()))
    except (TypeError, ValueError):  # for example an invalid time
        raise _damaged(workflow_id, "an entry cannot be read") from None


def _entry(row: Any) -> AuditEntry:
    return AuditEntry(
        workflow_id=row.workflow_id,
        number=row.number,
        key=row.key,
        at=row.at,
        actor=row.actor,
        written=row.event,
        event=_event(row),
        previous_hash=row.previous_hash,
        hash=row.hash,
    )


def _event(row: Any) -> Event:
    try:
        return read_event(row.event)
    except ValueError:
        raise _damaged(row.workflow_id, f"entry {row.number} cannot be read") from None


def _damaged(workflow_id: str, what: str) -> TrailDamaged:
    run = one_line(workflow_id)
    return TrailDamaged(
        f"The audit trail of {run} was changed ({what}), so the run cannot continue; check it with: "
        f"starter.py audit verify {run}"
    )
