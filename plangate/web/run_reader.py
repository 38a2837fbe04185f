"""Read what the page of a run shows: its status, and what is known besides it."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select

from plangate.domain.errors import PlangateError, RecordsMissing
from plangate.domain.people import same_person
from plangate.domain.run import Phase
from plangate.domain.status import PreviousPlan, Status
from plangate.notifications.failures import not_told_about
from plangate.records.database import Database
from plangate.records.queries import status_on_record
from plangate.web.changes_view import Changes, changes_since_run
from plangate.web.index_tables import contacts, lines
from plangate.web.run_index import RunIndex
from plangate.web.run_view import Beside, RunView, contacts_of_run, view_of
from plangate.web.visitors import Visitor, Web, note_look


async def read_run(web: Web, visitor: Visitor, workflow_id: str) -> RunView:
    """Return what the page of a run shows to a visitor.

    Raises:
        RunNotFound: there is no such run.
        RecordsUnavailable: the database does not answer.
        StatusContradicts: its parts do not agree.
        TemporalUnreachable: the Temporal server does not answer, and the records do not know the run.
    """
    status = await web.gate.status(workflow_id, visitor.sight)
    await note_look(web, visitor, status)
    with suppress(RecordsMissing):  # no worker has taken it up yet
        await web.index.refresh()
    beside = Beside(people=visitor.people)
    if status.state == Phase.IN_REVIEW:
        beside = await asyncio.to_thread(_beside, web.gate.database, web.index, visitor, status)
    if _may_know_who_was_not_told(web, visitor, status):
        found = await asyncio.to_thread(not_told_about, web.gate.database, workflow_id)
        beside = replace(beside, not_told=tuple(map(str, found)))
    return view_of(status, visitor.identified, beside)


def _may_know_who_was_not_told(web: Web, visitor: Visitor, status: Status) -> bool:
    """Return whether the page shows what could not be delivered: to the requester, and to operators."""
    viewer = visitor.identified.approver
    is_operator = viewer is not None and web.operators in viewer.roles()
    return is_operator or same_person(visitor.name, status.requester)


def _beside(database: Database, index: RunIndex, visitor: Visitor, status: Status) -> Beside:
    reached = select(contacts.c.contact).where(contacts.c.contact.in_(contacts_of_run(status))).distinct()
    last, at = _last_executed(database, index, visitor, status)
    return Beside(
        people=visitor.people,
        known=frozenset(row.contact for row in index.read(reached)),
        last=last,
        last_at=at,
    )


def _last_executed(
    database: Database, index: RunIndex, visitor: Visitor, status: Status
) -> tuple[Changes | None, datetime | None]:
    """Return the difference to the last executed plan of the same tools in their order, and when it ended."""
    assert status.plan is not None
    same_tools = lines.c.tools == f" {' '.join(step.tool for step in status.steps)} "
    query = select(lines.c.workflow_id, lines.c.closed_at).where(same_tools, lines.c.state == "executed")
    for row in index.read(query.order_by(lines.c.closed_at.desc()).limit(1)):
        try:
            other = status_on_record(database, row.workflow_id)
        except PlangateError:  # it can be compared with none that cannot be shown
            return None, None
        if other is not None and other.plan is not None and visitor.sight.shows(other):
            before = PreviousPlan(
                revision=other.revision, fingerprint=other.fingerprint or "", plan=other.plan
            )
            return changes_since_run(other.workflow_id, before, status.plan), row.closed_at
    return None, None
