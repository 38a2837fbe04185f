"""The audit trail: appended to inside a transaction, read as entries.

Writers of one run come one after the other, because each holds the lock on the run's row, and takes it before
any other. The statements of every run are built once, since SQLAlchemy takes longer to build one than SQLite
to answer it.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from plangate.domain.audit import FIRST_HASH, AnyEvent, AuditEntry, Closed, Event, RunRef, entry_after
from plangate.domain.errors import IdInUse, RequestInvalid
from plangate.domain.model import Frozen
from plangate.domain.run import RunState, fold
from plangate.records.tables import audit_entries, runs

_RUN: Final = select(runs).where(runs.c.workflow_id == bindparam("run")).with_for_update()
_OPEN: Final = {
    "sqlite": sqlite.insert(runs).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(runs).on_conflict_do_nothing(),
}
_MOVE_ON: Final = update(runs).where(runs.c.workflow_id == bindparam("run"))
_ENTER: Final = insert(audit_entries)
_TRAIL: Final = (
    select(audit_entries)
    .where(audit_entries.c.workflow_id == bindparam("run"))
    .order_by(audit_entries.c.number)
)
_KNOWN: Final = select(audit_entries).where(
    audit_entries.c.workflow_id == bindparam("run"),
    audit_entries.c.key.in_(bindparam("keys", expanding=True)),
)


class Note(Frozen):
    """One event about to be written down. The same ``key`` in the same run is written once."""

    key: str
    at: datetime
    actor: str
    event: Event


def append(connection: Connection, run: RunRef, notes: Iterable[Note]) -> tuple[AuditEntry, ...]:
    """Append to the trail of ``run`` what is not on it yet; return the entries of all notes, old or new.

    The first append of a run opens its trail with the request, whoever comes first: the draft, a decision
    that arrived before it, or the close of a run that was withdrawn at once.

    Raises:
        IdInUse: another run has this workflow id on the record.
        RequestInvalid: no record can hold this workflow id.
    """
    if not _can_be_held(run.workflow_id):
        raise RequestInvalid(
            "The id holds the character U+0000, which no record can hold; start again with another --id."
        )
    head = _locked_run(connection, run.workflow_id) or _open(connection, run)
    if head.chain_id != run.chain_id:
        raise IdInUse(
            f"The id {run.workflow_id} names an earlier request on the record; start again with another --id."
        )
    if head.entry_count:
        return _append(connection, head, list(notes))
    first = run.requested
    opening = Note(key="requested", at=first.requested_at, actor=first.requester, event=first)
    return _append(connection, head, [opening, *notes])[1:]


def read_trail(connection: Connection, workflow_id: str) -> tuple[AuditEntry, ...]:
    """Return all entries of one run in order; none where the id is not on the record."""
    if not _can_be_held(workflow_id):
        return ()
    return tuple(_entry(row) for row in connection.execute(_TRAIL, {"run": workflow_id}))


def read_state(connection: Connection, workflow_id: str) -> RunState:
    """Return the state that the trail of one run leads to."""
    return fold(workflow_id, (entry.event for entry in read_trail(connection, workflow_id)))


def open_workflow_ids(connection: Connection) -> tuple[str, ...]:
    """Return the ids of all runs that are not closed on the record, oldest first."""
    rows = connection.execute(
        select(runs.c.workflow_id).where(runs.c.closed_at.is_(None)).order_by(runs.c.opened_at)
    )
    return tuple(row.workflow_id for row in rows)


def _can_be_held(workflow_id: str) -> bool:
    return "\0" not in workflow_id  # PostgreSQL has no such text, and both databases are to answer alike


def _open(connection: Connection, run: RunRef) -> Row[Any]:
    """Put the run's row there, unless another writer is doing so: then wait for it, and take its row."""
    connection.execute(
        _OPEN[connection.dialect.name],
        {
            "workflow_id": run.workflow_id,
            "chain_id": run.chain_id,
            "requester": run.requested.requester,
            "opened_at": run.requested.requested_at,
            "entry_count": 0,
            "head_hash": FIRST_HASH,
        },
    )
    head = _locked_run(connection, run.workflow_id)
    assert head is not None
    return head


def _append(connection: Connection, head: Row[Any], notes: Sequence[Note]) -> tuple[AuditEntry, ...]:
    known = _by_key(connection, head, [note.key for note in notes])
    number, previous = head.entry_count, head.head_hash
    entries, new = [], []
    for note in notes:
        entry = known.get(note.key)
        if entry is None:
            number += 1
            entry = entry_after(
                previous,
                workflow_id=head.workflow_id,
                number=number,
                key=note.key,
                at=note.at.astimezone(UTC),  # as it will be read, for the hash is over its text
                actor=note.actor,
                event=note.event,
            )
            previous = entry.hash
            known[note.key] = entry
            new.append(entry)
        entries.append(entry)
    if new:
        connection.execute(_ENTER, [_columns(entry) for entry in new])
        changes: dict[str, object] = {"entry_count": number, "head_hash": previous}
        closing = next((entry for entry in entries if isinstance(entry.event, Closed)), None)
        if closing is not None:
            changes["closed_at"] = closing.at
        connection.execute(_MOVE_ON, {"run": head.workflow_id, **changes})
    return tuple(entries)


def _locked_run(connection: Connection, workflow_id: str) -> Row[Any] | None:
    return connection.execute(_RUN, {"run": workflow_id}).one_or_none()


def _by_key(connection: Connection, head: Row[Any], keys: Sequence[str]) -> dict[str, AuditEntry]:
    if not keys or not head.entry_count:
        return {}
    rows = connection.execute(_KNOWN, {"run": head.workflow_id, "keys": keys})
    return {row.key: _entry(row) for row in rows}


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


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        workflow_id=row.workflow_id,
        number=row.number,
        key=row.key,
        at=row.at,
        actor=row.actor,
        written=row.event,
        event=AnyEvent.model_validate_json(row.event).root,
        previous_hash=row.previous_hash,
        hash=row.hash,
    )
