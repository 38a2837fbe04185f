"""Events and states of a run without records: Rita's plan of two steps is in review for an hour from noon.

Each builder has a default for every field, and takes any field by name.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

from plangate.domain.decisions.decision import Arrival, Choice, Decision, Via
from plangate.domain.plans.plan import Plan, Step, fingerprint_of
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.requirement import ONE_APPROVAL
from plangate.domain.runs.audit import (
    FIRST_HASH,
    AuditEntry,
    Decided,
    Drafted,
    Event,
    Requested,
    StepDone,
    entry_after,
)
from plangate.domain.runs.fold import apply, fold
from plangate.domain.runs.review import judge
from plangate.domain.runs.run import RunState
from tests.support.fakes import AUDIENCE
from tests.support.senders import judge_all, sender_of, sent

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEADLINE = NOON + HOUR
RUN = "plan-1"
PLAN = Plan(summary="s", steps=(Step(tool="t", arguments={}), Step(tool="t", arguments={"n": 2})))


def requested(**more: Any) -> Requested:
    fields = {"request": "Do it.", "requester": "rita", "timeout_seconds": 3600, "requested_at": NOON}
    return Requested(**{**fields, **more})


def drafted(plan: Plan = PLAN, revision: int = 1, run: str = RUN, **more: Any) -> Drafted:
    audience = more.setdefault("audience", AUDIENCE)
    fields = {
        "revision": revision, "plan": plan, "fingerprint": fingerprint_of(plan, revision, run, audience),
        "requirement": ONE_APPROVAL, "drafted_at": NOON, "deadline": DEADLINE,
    }  # fmt: skip
    return Drafted(**{**fields, **more})


def arrival(
    decision: str = "approve",
    by: str = "dana",
    plan: str | None = None,
    at: datetime = NOON,
    comment: str = "c",
    **more: Any,
) -> Arrival:
    content = Decision(
        decision=Choice(decision), by=by, plan=plan or drafted().fingerprint, comment=comment, **more
    )
    return Arrival(key=f"{decision}{by}{at}", via=Via.SIGNAL, name=decision, received_at=at, decision=content)


def done(step: int = 1) -> StepDone:
    return StepDone(step=step, receipt=Receipt(summary="ok"))


def after(state: RunState, *events: Event) -> RunState:
    return reduce(apply, events, state)


def state_after(*events: Event, run: str = RUN) -> RunState:
    """Return the state of a run after its request and these events."""
    return fold(run, (requested(), *events))


def decide(state: RunState, *arrivals: Arrival) -> RunState:
    """Return the state after processing these decisions in order."""
    return after(state, *judge_all(state, sent(arrivals)))


def accepts(state: RunState, one: Arrival) -> bool:
    return judge(state, one, sender_of(one)).verdict.accepted


def approved() -> RunState:
    return decide(state_after(drafted()), arrival())


def chained(events: Iterable[Event], *, run: str = RUN, at: datetime = NOON) -> list[AuditEntry]:
    """Return the trail of these events, each entry linked to the previous one by its hash."""
    entries: list[AuditEntry] = []
    for number, event in enumerate(events, start=1):
        before = entries[-1].hash if entries else FIRST_HASH
        actor = event.approver.name if isinstance(event, Decided) and event.approver else "worker@here"
        entry = entry_after(
            before, workflow_id=run, number=number, key=f"key {number}", at=at, actor=actor, event=event
        )
        entries.append(entry)
    return entries
