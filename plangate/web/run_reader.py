"""Read the data for a run's page: its status, and related facts."""

import asyncio
from contextlib import suppress
from dataclasses import replace

from plangate.domain.errors import RecordsMissing
from plangate.domain.people.people import same_person
from plangate.domain.runs.run import Phase
from plangate.domain.runs.status import PreviousPlan, Status
from plangate.notifications.failures import undelivered_about
from plangate.presentation.clock import now, recorded
from plangate.presentation.disagreements import mentions_tools
from plangate.records.database import Database
from plangate.web.changes_view import changes_since_run
from plangate.web.earlier_runs import (
    familiar_tools,
    last_similar_run,
    named_duplicates,
    reached_before,
    tools_seen,
)
from plangate.web.run_index import RunIndex
from plangate.web.run_view import RunContext, RunView, contacts_of_run, view_of
from plangate.web.visitors import Visitor, Web, note_access


async def read_run(web: Web, visitor: Visitor, workflow_id: str) -> RunView:
    """Return the data for a visitor's page of a run.

    Raises:
        RunNotFound: there is no such run.
        RecordsUnavailable: the database does not respond.
        StatusContradicts: its parts contradict each other.
        TemporalUnreachable: the Temporal server does not respond, and the records do not contain the run.
    """
    status = await web.gate.status(workflow_id, visitor.rights)
    await note_access(web, visitor, status)
    with suppress(RecordsMissing):  # no worker has started it yet
        await web.index.refresh()
    if any(not one.workflow_id for one in status.repeated):
        status = await asyncio.to_thread(named_duplicates, web.gate.database, visitor, status)
    context = RunContext(people=visitor.people)
    if status.state == Phase.IN_REVIEW:
        context = await asyncio.to_thread(_context_of, web.gate.database, web.index, visitor, status)
    if _may_see_undelivered(web, visitor, status):
        found = await asyncio.to_thread(undelivered_about, web.gate.database, workflow_id)
        context = replace(context, undelivered=tuple(one.words(recorded) for one in found))
    return view_of(status, visitor.identified, context)


async def note_shown(web: Web, visitor: Visitor, view: RunView) -> None:
    """Record that a page shows a plan to a person who may decide on that plan."""
    status = view.status
    if view.offers and status.fingerprint:
        await asyncio.to_thread(
            web.views.note_shown, visitor.name, status.workflow_id, status.fingerprint, view.folds, now()
        )


def _may_see_undelivered(web: Web, visitor: Visitor, status: Status) -> bool:
    """Return whether the page shows undelivered notices: only to the requester and to operators."""
    viewer = visitor.identified.approver
    is_operator = viewer is not None and web.operators in viewer.roles()
    return is_operator or same_person(visitor.name, status.requester)


def _context_of(database: Database, index: RunIndex, visitor: Visitor, status: Status) -> RunContext:
    other = last_similar_run(database, index, visitor, status)
    last = None
    if other is not None and other.plan is not None and status.plan is not None:
        before = PreviousPlan(revision=other.revision, fingerprint=other.fingerprint or "", plan=other.plan)
        last = changes_since_run(other.workflow_id, before, status.plan)
    return RunContext(
        people=visitor.people,
        known=reached_before(index, visitor, contacts_of_run(status)),
        familiar=familiar_tools(index, visitor, {step.tool for step in status.steps}),
        last=last,
        tools=tools_seen(index, visitor) if status.plan and mentions_tools(status.plan.summary) else (),
        is_same_requester=other is not None and same_person(other.requester, status.requester),
    )
