"""What the records alone can answer of runs: no Temporal server and no worker is needed."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Row

from plangate.domain.audit import AuditEntry, Decided
from plangate.domain.errors import RecordsMissing, RunNotFound, TrailDamaged
from plangate.domain.model import AwareDatetime, Frozen
from plangate.domain.people import identity
from plangate.domain.run import Phase, fold
from plangate.domain.status import Status, status_of
from plangate.domain.visible import one_line
from plangate.records.database import Database
from plangate.records.trail import all_runs, open_workflow_ids, read_state, read_trail

DAMAGED: Final = "damaged"
_log = structlog.get_logger(__name__)


def status_on_record(database: Database, workflow_id: str) -> Status | None:
    """Return where a run stands, or None where the records do not have it.

    Raises:
        RecordsUnavailable: the database does not answer.
    """
    try:
        with database.read() as connection:
            state = read_state(connection, workflow_id)
    except RecordsMissing:
        return None
    return status_of(state, source="records") if state.requested else None


def pending_on_record(database: Database) -> list[Status]:
    """Return the runs that wait for a person, soonest deadline first.

    Raises:
        RecordsMissing: there are no records here.
        RecordsUnavailable: the database does not answer.
    """
    states = []
    with database.read() as connection:
        for workflow_id in open_workflow_ids(connection):
            try:
                states.append(read_state(connection, workflow_id))
            except TrailDamaged as error:  # the others wait all the same
                _log.warning("A run is left out of the list.", action="pending", error=str(error))
    return waiting_of(status_of(state, source="records") for state in states)


class RunSummary(Frozen):
    """One line of the list of all runs. ``state`` is ``damaged`` where the trail cannot be read."""

    workflow_id: str
    state: str
    requester: str
    requested_at: AwareDatetime
    closed_at: AwareDatetime | None
    revision: int = 0
    fingerprint: str | None = None
    approved_by: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    accepted: int = 0
    refused: int = 0
    entries: int
    last_hash: str


def runs_on_record(
    database: Database, *, since: datetime | None = None, by: str | None = None, state: str | None = None
) -> list[RunSummary]:
    """Return all runs that were ever on the record, oldest first.

    Args:
        database: the records.
        since: only those that were requested at that time or later.
        by: only those that this person requested or decided on.
        state: only those that are in this state.

    Raises:
        RecordsMissing: there are no records here.
        RecordsUnavailable: the database does not answer.
    """
    with database.read() as connection:
        listed = [_summary(connection, row) for row in all_runs(connection, since)]
    return [
        summary
        for summary, people in listed
        if (by is None or identity(by) in people) and (state is None or summary.state == state)
    ]


def _summary(connection: Connection, row: Row[Any]) -> tuple[RunSummary, set[str]]:
    """Return one run in a line, and who had to do with it."""
    plain: dict[str, Any] = {
        "workflow_id": row.workflow_id,
        "requester": row.requester,
        "requested_at": row.opened_at,
        "closed_at": row.closed_at,
        "entries": row.entry_count,
        "last_hash": row.head_hash,
    }
    try:
        entries = read_trail(connection, row.workflow_id)
    except TrailDamaged:
        return RunSummary(state=DAMAGED, **plain), {identity(row.requester)}
    status = status_of(fold(row.workflow_id, (entry.event for entry in entries)), source="records")
    decided = [entry.event for entry in entries if isinstance(entry.event, Decided)]
    makers = [event.arrival.decision.by for event in decided if event.arrival.decision]
    summary = RunSummary(
        state=status.state,
        revision=status.revision,
        fingerprint=status.fingerprint,
        approved_by=status.approved_by,
        unverified=status.unverified,
        accepted=sum(event.verdict.accepted for event in decided),
        refused=sum(not event.verdict.accepted for event in decided),
        **plain,
    )
    return summary, {identity(name) for name in (row.requester, *makers)}


def trail_on_record(database: Database, workflow_id: str) -> tuple[AuditEntry, ...]:
    """Return the audit trail of a run.

    Raises:
        RecordsMissing: there are no records here.
        RecordsUnavailable: the database does not answer.
        RunNotFound: the id is not on the record.
    """
    with database.read() as connection:
        entries = read_trail(connection, workflow_id)
    if not entries:
        raise RunNotFound(f"{one_line(workflow_id)} is not on the record; `audit list` shows what is.")
    return entries


def waiting_of(statuses: Iterable[Status]) -> list[Status]:
    """Return those that wait for a person, soonest deadline first."""
    found = [status for status in statuses if status.state == Phase.IN_REVIEW]
    return sorted(found, key=lambda status: (status.deadline is None, status.deadline))
