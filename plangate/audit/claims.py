"""Which claims begin a step, so that whoever makes them looks at the approvals again.

A step that had begun before goes on whatever became of its approvals: to stop in the middle would leave its
effect in doubt. A claim that was given back, and taken once more, begins anew. Worker, auditor and bundle
follow this one rule.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final, assert_never

from plangate.domain.audit import (
    AuditEntry,
    Claimed,
    Closed,
    Decided,
    Drafted,
    Released,
    Reopened,
    Requested,
    RulesInForce,
    StepDone,
    StepFailed,
    StepInDoubt,
)
from plangate.domain.fold import apply
from plangate.domain.plan import idempotency_key
from plangate.domain.run import RunState

SLOW_CLAIM: Final = timedelta(minutes=1)
"""The longest time between the look at the approvals and the claim on the record."""


def beginnings(workflow_id: str, trail: Sequence[AuditEntry]) -> frozenset[int]:
    """Return the numbers of the entries that begin a step, or begin it anew."""
    return frozenset(_beginnings(workflow_id, trail))


def _beginnings(workflow_id: str, trail: Sequence[AuditEntry]) -> Iterator[int]:
    state = RunState(workflow_id=workflow_id)
    begun: set[str] = set()
    for entry in trail:
        match entry.event:
            case Claimed(idempotency_key=key):
                if key not in begun:
                    yield entry.number
                begun.add(key)
            case Released(step=step) | StepFailed(step=step):
                begun.discard(idempotency_key(workflow_id, state.fingerprint or "", step))
            case (
                Requested()
                | Drafted()
                | Decided()
                | Reopened()
                | StepDone()
                | StepInDoubt()
                | Closed()
                | RulesInForce()
            ):
                pass
            case _:
                assert_never(entry.event)
        state = apply(state, entry.event)
