"""Runs of many kinds, written to the records as Plangate writes them, and an inbox that shows them.

No Temporal server is needed: without a server, the inbox shows the records.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from plangate.domain.errors import TemporalUnreachable
from plangate.domain.plans.plan import Audience, Plan, Step, fingerprint_of
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.requirement import ONE_APPROVAL
from plangate.domain.runs.audit import Claimed, Closed, Drafted, Event, Outcome, Requested, RunRef, StepDone
from plangate.presentation.clock import now
from plangate.records.database import Database
from plangate.records.rule_texts import record_rules
from plangate.records.trail import Note, open_trail, reopen_trail
from plangate.settings import Settings
from plangate.web.gate import Gate
from tests.support.inbox import Inbox, serving

PEOPLE = """
[[person]]
name = "rita"

[[person]]
name = "dana"
roles = ["finance"]

[[person]]
name = "kim"
roles = ["finance"]
"""


def step(tool: str = "note", preview: str = "", why: str = "", seen: Any = None, **arguments: Any) -> Step:
    """Return a step with its tool's preview."""
    return Step(tool=tool, arguments=arguments, preview=preview, reason=why, observation=seen)


def plan(*steps: Step, summary: str = "Do it") -> Plan:
    return Plan(summary=summary, steps=steps)


def put_run(
    database: Database,
    workflow_id: str,
    shown: Plan,
    *more: Event,
    requester: str = "rita",
    request: str = "Please do it.",
    at: datetime | None = None,
    **drafted: Any,
) -> str:
    """Record a run in review, with further events; return the fingerprint of its plan."""
    at = at or now()
    audience = Audience(installation=database.installation, namespace="default")
    requested = Requested(
        request=request,
        requester=requester,
        timeout_seconds=100 * 3_600,
        requested_at=at,
        chain_id=f"chain-{uuid4().hex}",
    )
    fingerprint = fingerprint_of(shown, 1, workflow_id, audience)
    fields = {"requirement": ONE_APPROVAL, "deadline": at + timedelta(hours=26), **drafted}
    first = Drafted(
        revision=1, plan=shown, fingerprint=fingerprint, audience=audience, drafted_at=at, **fields
    )
    run = RunRef(workflow_id=workflow_id, chain_id=requested.chain_id, requested=requested)
    with database.write() as connection:
        trail = open_trail(connection, run)
        for number, event in enumerate((first, *more), start=1):
            trail.append(Note(key=f"event:{number}", at=at, actor="worker@here", event=event))
    return fingerprint


def append(database: Database, workflow_id: str, events: Sequence[Event]) -> None:
    """Append more events to a run."""
    with database.write() as connection:
        trail = reopen_trail(connection, workflow_id)
        for number, event in enumerate(events):
            trail.append(Note(key=f"later:{number}", at=now(), actor="worker@here", event=event))


def executed(database: Database, workflow_id: str, shown: Plan) -> list[Event]:
    """Return the events of a plan that needs no approval: each step is done, and the run is closed."""
    audience = Audience(installation=database.installation, namespace="default")
    fingerprint = fingerprint_of(shown, 1, workflow_id, audience)
    events: list[Event] = []
    for number in range(1, len(shown.steps) + 1):
        key = f"{workflow_id}:{fingerprint}:{number}"
        events += [
            Claimed(step=number, fingerprint=fingerprint, idempotency_key=key, attempt=1),
            StepDone(step=number, receipt=Receipt(summary="done")),
        ]
    return [*events, Closed(outcome=Outcome.EXECUTED)]


def put_people(database: Database, text: str = PEOPLE) -> None:
    """Record a list of people."""
    record_rules(database, "people", text, hashlib.sha256(text.encode()).hexdigest(), "worker@here")


@asynccontextmanager
async def inbox_of_records(database: Database, folder: Path) -> AsyncIterator[Inbox]:
    """Serve the inbox of these records while the block runs, without an available Temporal server."""

    async def unreachable() -> Any:
        raise TemporalUnreachable("The Temporal server does not answer.")

    gate = Gate(unreachable, "plangate", database)
    async with serving(Settings(var_dir=folder), gate) as inbox:
        yield inbox
