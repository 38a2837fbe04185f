"""Query runs in the records alone, without a Temporal server or a worker."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Row, Select, select

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.errors import (
    PlangateError,
    RecordsMissing,
    RecordsUnavailable,
    RunNotFound,
    StatusContradicts,
    TrailDamaged,
)
from plangate.domain.escaping import one_line
from plangate.domain.people.people import People
from plangate.domain.runs.audit import AuditEntry, Decided
from plangate.domain.runs.fold import fold
from plangate.domain.runs.revocation import invalid_approvals
from plangate.domain.runs.run import Phase, RunState
from plangate.domain.runs.satisfiable import Deciders, unmet
from plangate.domain.runs.settlements import SettlementState, SettlementStatus, settlement_of, worst_of
from plangate.domain.runs.status import Status, status_of, with_stops
from plangate.domain.runs.status_consistency import checked
from plangate.domain.runs.stops import StopStatus, shown
from plangate.policy.kept_lists import lists_in
from plangate.records.database import Database
from plangate.records.duplicates import duplicates_now
from plangate.records.lists import ALL, IS_A_RUN, WAITING, Wanted, rows_of
from plangate.records.rule_texts import rules_in_effect
from plangate.records.stops import active_stops
from plangate.records.tables import NOW, runs
from plangate.records.trail import read_state, read_trail, read_trails

DAMAGED: Final = "damaged"
Unread = dict[str, PlangateError]
_PAGE: Final = 100  # runs that are read together
_log = structlog.get_logger(__name__)


def status_on_record(database: Database, workflow_id: str) -> Status | None:
    """Return the status of a run, or None if it is not recorded.

    Raises:
        RecordsUnavailable: the database does not respond.
        StatusContradicts: its plan does not match its fingerprint.
        TrailDamaged: its entries cannot be read.
    """
    try:
        with database.read() as connection:
            state = read_state(connection, workflow_id)
            status = status_of(state, source="records").model_copy(update=_by_people(connection, state))
            stops = shown(active_stops(connection))
    except RecordsMissing:
        return None
    if state.requested is None:
        return None
    return with_duplicates_now(database, checked(with_stops(status, stops), workflow_id=workflow_id))


def stops_on_record(database: Database) -> tuple[StopStatus, ...]:
    """Return the active stops.

    Raises:
        RecordsMissing: there are no records.
        RecordsUnavailable: the database does not respond.
        TrailDamaged: the stop trail cannot be read.
    """
    with database.read() as connection:
        return shown(active_stops(connection))


def with_duplicates_now(database: Database, status: Status) -> Status:
    """Return the status with the steps of other runs that now equal its steps, if the run is in review.

    They remain unknown if the records cannot be read, or are not migrated to this release yet.
    """
    if status.state != Phase.IN_REVIEW:
        return status
    with suppress(RecordsMissing, RecordsUnavailable), database.read() as connection:
        found = duplicates_now(connection, status.workflow_id, [step.tool for step in status.steps])
        return status.model_copy(update={"duplicates_now": found})
    return status


def settlements_on_record(database: Database, workflow_id: str) -> dict[int, SettlementStatus]:
    """Return the settlements of a run's accepted effects, by step number.

    Raises:
        RecordsMissing: there are no records.
        RecordsUnavailable: the database does not respond.
        TrailDamaged: its entries cannot be read.
    """
    with database.read() as connection:
        state = read_state(connection, workflow_id)
    found = ((number, settlement_of(step)) for number, step in enumerate(state.steps, start=1))
    return {number: one for number, one in found if one is not None}


def by_people_on_record(database: Database, workflow_id: str) -> dict[str, object]:
    """Return the fields of an open run's status that depend on the current list of people.

    These are ``revoked``, the approvals that are no longer valid, and ``unmet``, those that no one can give.

    Raises:
        RecordsMissing: there are no records.
        RecordsUnavailable: the database does not respond.
        TrailDamaged: its entries cannot be read.
    """
    with database.read() as connection:
        return _by_people(connection, read_state(connection, workflow_id))


def _by_people(connection: Connection, state: RunState) -> dict[str, object]:
    if state.phase is Phase.CLOSED:
        return {}
    now = connection.execute(NOW).scalar_one()
    people = _people_in_effect(connection)
    can_be_revoked = state.approvals and not state.claimed
    revoked = invalid_approvals(state, people, now) if can_be_revoked else ()
    return {"revoked": revoked, "unmet": unmet(state, people, now)}


def _people_in_effect(connection: Connection) -> People | None:
    """Return the newest list of people that a worker has recorded."""
    in_force = rules_in_effect(connection, "people")
    return lists_in((in_force.text,))(in_force.text.hash) if in_force and in_force.text else None


def _deciders(connection: Connection) -> Deciders | None:
    now = connection.execute(NOW).scalar_one()
    people = _people_in_effect(connection)
    return Deciders(people, now) if people is not None else None


@dataclass(frozen=True, slots=True)
class Pending:
    """A page of the runs that need a decision.

    Attributes:
        runs: their statuses, in the requested order.
        unread: the errors for the runs whose status cannot be read, by workflow id; they may need one too.
    """

    runs: Sequence[Status]
    unread: Unread


def pending_on_record(database: Database, wanted: Wanted = WAITING) -> Pending:
    """Return one page of the runs that need a decision, earliest deadline first.

    Raises:
        RecordsMissing: there are no records.
        RecordsUnavailable: the database does not respond.
    """
    unread = Unread()
    with database.read() as connection:
        return Pending(wanted.page(_statuses(connection, wanted, unread)), unread)


@dataclass(frozen=True, slots=True)
class OpenRuns:
    """The runs that are open according to their rows.

    Attributes:
        waiting: the runs of all pages that need a decision, in the requested order, with their deadlines.
        drafted: how many of the open runs have a plan.
        known: the states of all open runs, by id.
    """

    waiting: Sequence[tuple[str, datetime | None]]
    drafted: int
    known: Mapping[str, str | None]


def open_on_record(database: Database, wanted: Wanted = WAITING) -> OpenRuns:
    """Return the runs that are open according to their rows.

    Raises:
        RecordsMissing: there are no records.
        RecordsUnavailable: the database does not respond.
    """
    with database.read() as connection:
        query = rows_of(connection, wanted).with_only_columns(runs.c.workflow_id, runs.c.deadline)
        rows = connection.execute(query.where(runs.c.closed_at.is_(None)))
        waiting = [(row.workflow_id, row.deadline) for row in rows]
        still_open = select(runs.c.workflow_id, runs.c.state).where(runs.c.closed_at.is_(None), IS_A_RUN)
        known = {row.workflow_id: row.state for row in connection.execute(still_open)}
    drafted = sum(state != Phase.DRAFTING for state in known.values())
    return OpenRuns(waiting, drafted, known)


def statuses_on_record(database: Database, workflow_ids: Sequence[str]) -> list[Status]:
    """Return the status of these runs, in the given order, leaving out damaged trails.

    Raises:
        RecordsMissing: there are no records.
        RecordsUnavailable: the database does not respond.
    """
    with database.read() as connection:
        deciders = _deciders(connection)
        unread = Unread()
        states = _folded(read_trails(connection, workflow_ids), unread)
        return [status for one in states if (status := _shown(one, deciders, unread))]


def _statuses(connection: Connection, wanted: Wanted, unread: Unread) -> Iterator[Status]:
    """Yield the runs that are in the requested state according to their trails, even if their rows differ."""
    deciders = _deciders(connection)
    for rows in connection.execute(rows_of(connection, wanted)).partitions(_PAGE):
        for state in _folded(read_trails(connection, [row.workflow_id for row in rows]), unread):
            if wanted.matches(state.state) and (status := _shown(state, deciders, unread)):
                yield status


def _shown(state: RunState, deciders: Deciders | None, unread: Unread) -> Status | None:
    """Return a run's status for a list; None, with a log line, if it must not be shown."""
    known = {"unmet": deciders.unmet(state)} if deciders is not None else {}
    try:
        status = status_of(state, source="records").model_copy(update=known)
        return checked(status, workflow_id=state.workflow_id)
    except StatusContradicts as error:
        _log.warning("A run is left out of the list.", action="pending", error=str(error))
        unread[state.workflow_id] = error
        return None


def _folded(
    trails: Iterable[tuple[str, tuple[AuditEntry, ...] | TrailDamaged]], unread: Unread
) -> Iterator[RunState]:
    for workflow_id, entries in trails:
        if isinstance(entries, TrailDamaged):  # the others are still listed
            unread[workflow_id] = entries
            _log.warning("A run is left out of the list.", action="pending", error=str(entries))
        else:
            yield fold(workflow_id, (entry.event for entry in entries))


class RunSummary(Frozen):
    """One line of the list of all runs. ``state`` is ``damaged`` if the trail cannot be read.

    ``settlement`` is the worst one of its accepted effects; None if there are none.
    """

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
    settlement: SettlementState | None = None


def runs_on_record(database: Database, wanted: Wanted = ALL) -> list[RunSummary]:
    """Return one page of all recorded runs.

    Raises:
        RecordsMissing: there are no records.
        RecordsUnavailable: the database does not respond.
    """
    # Rows do not show whether a trail is damaged. A damaged run is therefore also listed under the state in
    # its row.
    asked = wanted.model_copy(update={"state": None}) if wanted.state == DAMAGED else wanted
    with database.read() as connection:
        summaries = _summaries(connection, rows_of(connection, asked))
        return wanted.page(
            one
            for one in summaries
            if one.state == DAMAGED
            or (wanted.matches(one.state) and wanted.settlement in (None, one.settlement))
        )


def _summaries(connection: Connection, query: Select[Any]) -> Iterator[RunSummary]:
    for rows in connection.execute(query).partitions(_PAGE):
        trails = read_trails(connection, [row.workflow_id for row in rows])
        for row, (_, entries) in zip(rows, trails, strict=True):
            yield _summary(row, entries)


def _summary(row: Row[Any], entries: tuple[AuditEntry, ...] | TrailDamaged) -> RunSummary:
    """Return one run as a line of the list."""
    plain: dict[str, Any] = {
        "workflow_id": row.workflow_id,
        "requester": row.requester,
        "requested_at": row.opened_at,
        "closed_at": row.closed_at,
        "entries": row.entry_count,
        "last_hash": row.head_hash,
    }
    if isinstance(entries, TrailDamaged):
        return RunSummary(state=DAMAGED, **plain)
    status = status_of(fold(row.workflow_id, (entry.event for entry in entries)), source="records")
    verdicts = [entry.event.verdict for entry in entries if isinstance(entry.event, Decided)]
    settlements = [step.settlement.state for step in status.steps if step.settlement]
    return RunSummary(
        state=status.state,
        settlement=worst_of(settlements) if settlements else None,
        revision=status.revision,
        fingerprint=status.fingerprint,
        approved_by=status.approved_by,
        unverified=status.unverified,
        accepted=sum(verdict.accepted for verdict in verdicts),
        refused=sum(not verdict.accepted for verdict in verdicts),
        **plain,
    )


def ids_on_record(database: Database, wanted: Wanted) -> list[str]:
    """Return the ids of the selected runs of all pages according to their rows, in order.

    Raises:
        RecordsMissing: there are no records.
        RecordsUnavailable: the database does not respond.
    """
    with database.read() as connection:
        return list(connection.scalars(rows_of(connection, wanted).with_only_columns(runs.c.workflow_id)))


def summaries_on_record(database: Database, workflow_ids: Sequence[str]) -> list[RunSummary]:
    """Return these runs as lines of the list, in the given order.

    Raises:
        RecordsMissing: there are no records.
        RecordsUnavailable: the database does not respond.
    """
    with database.read() as connection:
        query = select(runs).where(runs.c.workflow_id.in_(workflow_ids))
        found = {one.workflow_id: one for one in _summaries(connection, query)}
    return [found[one] for one in workflow_ids if one in found]


def trails_on_record(
    database: Database, wanted: Wanted = ALL
) -> Iterator[tuple[AuditEntry, ...] | TrailDamaged]:
    """Yield the trails of the selected runs; for a damaged trail, yield the error.

    Raises:
        RecordsMissing: there are no records.
        RecordsUnavailable: the database does not respond.
    """
    with database.read() as connection:
        for rows in connection.execute(rows_of(connection, wanted)).partitions(_PAGE):
            yield from (found for _, found in read_trails(connection, [row.workflow_id for row in rows]))


def trail_on_record(database: Database, workflow_id: str) -> tuple[AuditEntry, ...]:
    """Return the audit trail of a run.

    Raises:
        RecordsMissing: there are no records.
        RecordsUnavailable: the database does not respond.
        RunNotFound: the run is not recorded.
    """
    with database.read() as connection:
        entries = read_trail(connection, workflow_id)
    if not entries:
        raise RunNotFound(f"{one_line(workflow_id)} is not recorded; `audit list` lists the recorded runs.")
    return entries


def policy_in_effect(database: Database) -> str:
    """Return the text of the policy that a worker recorded last; empty if there is none.

    Raises:
        RecordsMissing: there are no records.
        RecordsUnavailable: the database does not respond.
    """
    with database.read() as connection:
        in_force = rules_in_effect(connection, "policy")
    return in_force.text.text if in_force is not None and in_force.text is not None else ""
