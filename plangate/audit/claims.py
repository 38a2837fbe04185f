"""Which claims begin a step, so that its approvals are checked again.

A step that has begun goes on even if its approvals are lost: stopping in the middle would leave its effect in
doubt. A claim after a released one begins the step anew.
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
"""The longest time between checking the approvals and recording the claim."""


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
