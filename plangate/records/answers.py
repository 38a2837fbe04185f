"""What the records alone can answer of runs: no Temporal server and no worker is needed."""

from collections.abc import Iterable

from plangate.domain.audit import AuditEntry
from plangate.domain.errors import RecordsMissing, RunNotFound
from plangate.domain.run import Phase
from plangate.domain.status import Status, status_of
from plangate.domain.visible import one_line
from plangate.records.database import Database
from plangate.records.trail import open_workflow_ids, read_state, read_trail


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
    with database.read() as connection:
        states = [read_state(connection, workflow_id) for workflow_id in open_workflow_ids(connection)]
    return waiting_of(status_of(state, source="records") for state in states)


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
        raise RunNotFound(
            f"{one_line(workflow_id)} is not on the record; `pending` lists the runs that wait."
        )
    return entries


def waiting_of(statuses: Iterable[Status]) -> list[Status]:
    """Return those that wait for a person, soonest deadline first."""
    found = [status for status in statuses if status.state == Phase.IN_REVIEW]
    return sorted(found, key=lambda status: (status.deadline is None, status.deadline))
