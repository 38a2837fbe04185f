"""Verify the entries about steps: claims, results, holds and settlements.

- A claim has its plan's idempotency key and the next attempt number, and `authorise` allows it. If the step
  may run after it (`plangate.audit.claims`), the step was allowed to begin at that time: no approval was too
  old, and the cooling-off time was over.
- A step that is done, undone, in doubt or released was claimed before; a step is done only once.
- A run is held at the step that failed or is in doubt, for no longer than its policy allows.
- An effect in doubt is not recorded as failed unless it was claimed again.
- A settlement is recorded after the end, at most one for each done step whose receipt was not final. The
  look-up ends no earlier than the step's entry specifies.
"""

from collections import Counter
from collections.abc import Container, Sequence
from typing import assert_never

from pydantic import JsonValue

from plangate.audit.claims import SLOW_CLAIM
from plangate.domain.errors import NotApproved, StepUnready
from plangate.domain.escaping import one_line
from plangate.domain.runs.audit import (
    AuditEntry,
    Claimed,
    Closed,
    Event,
    Held,
    Released,
    Settlement,
    StepDone,
    StepFailed,
    StepInDoubt,
    StepUndone,
    StepUnsettled,
)
from plangate.domain.runs.deadlines import exceeds_hold
from plangate.domain.runs.resolved_references import resolve_references
from plangate.domain.runs.review import authorise, authorise_undo
from plangate.domain.runs.revocation import stale_approvers
from plangate.domain.runs.run import Phase, RunState, StepState, key_of
from plangate.domain.runs.starting import why_too_early, why_too_late


class Effects:
    """The effects so far, by idempotency key: how often each was claimed, and which are in doubt."""

    def __init__(self) -> None:
        self.claims: Counter[str] = Counter()
        self.in_doubt: set[str] = set()

    def follow(self, state: RunState, event: Event) -> None:
        """Add the claim or the doubt that an event records in this state."""
        if isinstance(event, Claimed):
            self.claims[event.idempotency_key] += 1
            self.in_doubt.discard(event.idempotency_key)
        elif isinstance(event, StepInDoubt) and 1 <= event.step <= len(state.steps):
            self.in_doubt.add(key_of(state, event.step, undo=event.undo))


def wrong_claim(state: RunState, event: Claimed, effects: Effects) -> str | None:
    """Return why a claim is not allowed in this state, or None."""
    try:
        if event.undo:
            authorise_undo(state, event.fingerprint, event.step)
        else:
            authorise(state, event.fingerprint, event.step)
    except NotApproved as error:
        return f"a step began that was not allowed: {error}"
    if event.idempotency_key != key_of(state, event.step, undo=event.undo):
        return "its idempotency key is not that of its plan and step"
    if event.resolved != _resolved(state, event.step):
        return "the values of its references differ from the receipts that they refer to"
    expected = effects.claims[event.idempotency_key] + 1
    if event.attempt != expected:
        return f"is numbered attempt {event.attempt}, expected attempt {expected}"
    return None


def begun_too_late(state: RunState, entry: AuditEntry, begin: Container[int]) -> str | None:
    """Return an error if a step began with an approval that was too old."""
    if not isinstance(entry.event, Claimed) or entry.event.undo or entry.number not in begin:
        return None
    stale = stale_approvers(state, entry.at - SLOW_CLAIM)
    if not stale:
        return None
    return f"a step began although the approval by {', '.join(map(one_line, stale))} was too old"


def begun_too_early(state: RunState, entry: AuditEntry, begin: Container[int]) -> str | None:
    """Return an error if a step began outside the times when it may begin."""
    if not isinstance(entry.event, Claimed) or entry.event.undo or entry.number not in begin:
        return None
    first = state.beginning.first(entry.at)
    if first == entry.at:  # without a tolerance: the claim was checked with the same clock
        return None
    why = why_too_late(state) if first is None else why_too_early(state, entry.at)
    return f"a step began although {why}"


def _resolved(state: RunState, step: int) -> dict[str, JsonValue] | None:
    """Return the values of a step's references; None if one has no value, so the step could not begin."""
    assert state.drafted is not None
    try:
        return resolve_references(state.drafted.plan.steps[step - 1].arguments, state.steps)
    except StepUnready:
        return None


_Result = StepDone | StepUndone | Released | StepFailed | StepInDoubt


def claims_of(state: RunState, event: _Result, effects: Effects) -> int:
    """Return how often the effect of this result was claimed."""
    if not 1 <= event.step <= len(state.steps):
        return 0
    return effects.claims[key_of(state, event.step, undo=_is_of_undo(event))]


def _is_of_undo(event: _Result) -> bool:
    match event:
        case StepUndone():
            return True
        case StepDone():
            return False
        case Released() | StepFailed() | StepInDoubt():
            return event.undo
        case _:
            assert_never(event)


def wrong_end(state: RunState, event: _Result, effects: Effects) -> str | None:
    """Compare the result of a step with its claims; only a failed step may be without a claim."""
    if not 1 <= event.step <= len(state.steps):
        return f"refers to step {event.step}, which does not exist"
    claims = claims_of(state, event, effects)
    now = state.steps[event.step - 1].state
    if _is_of_undo(event) and now is not StepState.DONE:
        return f"undoes step {event.step}, which is {now}"
    if not _is_of_undo(event) and now in (StepState.DONE, StepState.UNDONE):
        return f"step {event.step} was done {'a second time' if isinstance(event, StepDone) else 'already'}"
    match event:
        case StepDone(settles_until=at) if at is not None and event.receipt.final:
            return f"leaves the settlement of step {event.step} open, but its receipt is final"
        case StepDone():
            return None if claims else f"step {event.step} was done but never claimed under this plan"
        case StepUndone():
            return None if claims else f"step {event.step} was undone but never claimed under this plan"
        case StepInDoubt():
            return None if claims else f"step {event.step} is in doubt but was never claimed under this plan"
        case Released():
            if event.attempt == claims:
                return None
            return f"releases attempt {event.attempt} of step {event.step}, which has {claims} claims"
        case StepFailed():
            if key_of(state, event.step, undo=event.undo) in effects.in_doubt:
                return f"records step {event.step} as failed, though its effect is in doubt"
            return None
        case _:
            assert_never(event)


def wrong_hold(state: RunState, event: Held) -> str | None:
    """Return why the run must not be held in this state, or None."""
    phase = Phase.UNDOING if event.undo else Phase.EXECUTING
    if state.phase is not phase or event.fingerprint != state.fingerprint or state.drafted is None:
        return f"holds a run that is {state.state}"
    if not 1 <= event.step <= len(state.steps):
        return f"refers to step {event.step}, which does not exist"
    progress = state.steps[event.step - 1]
    stopped = progress.part(undo=event.undo)
    if stopped.state not in (StepState.FAILED, StepState.IN_DOUBT) or stopped.reason != event.why:
        return f"holds the run at step {event.step}, which did not stop for that reason"
    if event.number not in (0, state.next_hold):
        return f"is numbered hold {event.number}, expected hold {state.next_hold}"
    if exceeds_hold(event, state.drafted.requirement):
        return "holds the run for longer than its policy allows"
    return None


def wrong_settlement(
    state: RunState, entry: AuditEntry, event: Settlement, before: Sequence[Event]
) -> str | None:
    """Compare a settlement with its step: each step has at most one, after the end of the run."""
    if not any(isinstance(one, Closed) for one in before):
        return f"records how step {event.step} ended before the end of the run"
    if not 1 <= event.step <= len(state.steps):
        return f"refers to step {event.step}, which does not exist"
    step = state.steps[event.step - 1]
    if step.settlement is not None:
        return f"records a second time how step {event.step} ended"
    if step.state is not StepState.DONE:
        return f"records how step {event.step} ended, which is {step.state}"
    if step.receipt is None or step.receipt.final or step.settles_until is None:
        return f"records how step {event.step} ended, but its receipt leaves nothing to look up"
    if isinstance(event, StepUnsettled) and entry.at < step.settles_until:
        return f"ends the look-up of step {event.step} too early"
    return None
