"""How each event changes a run.

The workflow folds events as they happen; a reader of the audit trail folds the same events from the record
and gets the same state. What a decision may change, `plangate.domain.lifecycle` says.
"""

from collections.abc import Iterable
from functools import reduce
from typing import Final, assert_never

from plangate.domain.audit import (
    Claimed,
    Closed,
    Decided,
    Drafted,
    Event,
    Outcome,
    Released,
    Reopened,
    Requested,
    RulesInForce,
    StepDone,
    StepFailed,
    StepInDoubt,
)
from plangate.domain.decision import MAX_COMMENT, Choice
from plangate.domain.people import same_person
from plangate.domain.run import Approval, Phase, RunState, StepProgress, StepState
from plangate.domain.visible import cut

KEPT_REFUSALS: Final = 50
KEPT_ACCEPTED: Final = 60
_REFUSED_COMMENT: Final = 300


def fold(workflow_id: str, events: Iterable[Event]) -> RunState:
    """Return the state that these events lead to."""
    return reduce(apply, events, RunState(workflow_id=workflow_id))


def _named(requested: Requested | None, requester: str) -> Requested | None:
    """Return the request with its requester as the list of people writes the name, where there is one."""
    if requested is None or not requester:
        return requested
    return requested.model_copy(update={"requester": requester})


def apply(state: RunState, event: Event) -> RunState:
    """Return the state after ``event``."""
    match event:
        case Requested():
            return _with(state, requested=event)
        case Drafted():
            return _with(
                state,
                requested=_named(state.requested, event.requester),
                phase=Phase.IN_REVIEW if event.requirement.needs else Phase.EXECUTING,
                drafted=event,
                replaced=(*state.replaced, state.drafted.fingerprint) if state.drafted else (),
                approvals=(),
                reopened=None,
                claimed=0,
                steps=(StepProgress(),) * len(event.plan.steps),
            )
        case Reopened():
            lost = {one.name for one in event.lost}
            kept = tuple(one for one in state.approvals if one.approver.name not in lost)
            return _with(state, phase=Phase.IN_REVIEW, reopened=event, approvals=kept, claimed=0)
        case Decided():
            return _apply_decision(_keep(state, event), event)
        case Claimed():
            return _with(state, claimed=event.step)
        case Released() | RulesInForce():
            return state
        case StepDone():
            return _with_step(state, event.step, StepProgress(state=StepState.DONE, receipt=event.receipt))
        case StepFailed():
            return _with_step(state, event.step, StepProgress(state=StepState.FAILED, reason=event.reason))
        case StepInDoubt():
            return _with_step(state, event.step, StepProgress(state=StepState.IN_DOUBT, reason=event.reason))
        case Closed():
            return _with(state, phase=Phase.CLOSED, closed=event)
        case _:
            assert_never(event)


def changes(state: RunState, decided: Decided) -> bool:
    """Whether the run is another one after this decision, except for what it remembers of it."""
    after = apply(state, decided)
    return (after.phase, after.approvals, after.closed) != (state.phase, state.approvals, state.closed)


def as_in_review(state: RunState) -> RunState:
    """Return the state in which the review of the newest plan is open, and nobody has decided yet."""
    return _with(state, phase=Phase.IN_REVIEW, approvals=(), claimed=0, closed=None)


def _apply_decision(state: RunState, decided: Decided) -> RunState:
    """Follow an accepted decision, if it is about the plan that is in review now.

    Whatever a verdict says: two workers that take each other for dead may write theirs down in any order, and
    an approval of one plan must not become one of the next; nor may one count that came behind the deadline.
    """
    decision = decided.arrival.decision
    if decision is None or not decided.verdict.accepted:
        return state
    if not decision.names(state.fingerprint):
        return state
    if decision.decision is Choice.WITHDRAW_APPROVAL:
        return _take_back(state, decision.by)
    if state.phase is not Phase.IN_REVIEW:
        return state
    if state.deadline is not None and decided.arrival.received_at >= state.deadline:
        return state
    match decision.decision:
        case Choice.APPROVE:
            maker = decided.approver
            if maker is None or any(same_person(maker.name, one.name) for one in state.approvers):
                return state
            approval = Approval(approver=decided.approver, at=decided.arrival.received_at)
            after = _with(state, approvals=(*state.approvals, approval))
            return _with(after, phase=Phase.EXECUTING) if after.is_approved else after
        case Choice.REJECT:
            reason = f"rejected by {decision.by}" + (f": {decision.comment}" if decision.comment else "")
            return _with(state, phase=Phase.CLOSED, closed=Closed(outcome=Outcome.REJECTED, reason=reason))
        case Choice.REQUEST_CHANGES:
            return _with(state, phase=Phase.DRAFTING, feedback=decision.comment, approvals=(), reopened=None)
        case _:
            assert_never(decision.decision)


def _take_back(state: RunState, name: str) -> RunState:
    """Leave out the approval by ``name``; an approved plan that has not begun is in review again."""
    kept = tuple(one for one in state.approvals if not same_person(one.approver.name, name))
    is_open = state.phase is Phase.IN_REVIEW or (state.phase is Phase.EXECUTING and not state.claimed)
    if not is_open or len(kept) == len(state.approvals):
        return state
    return _with(state, phase=Phase.IN_REVIEW, approvals=kept)


def _keep(state: RunState, decided: Decided) -> RunState:
    """Keep the newest decisions of each verdict; the trail has them all, and whole.

    Nobody can make many accepted ones, but who approves and takes it back, again and again.
    """
    decisions = (*state.decisions, _slim(decided))
    accepted = decided.verdict.accepted
    alike = [index for index, kept in enumerate(decisions) if kept.verdict.accepted is accepted]
    if len(alike) <= (KEPT_ACCEPTED if accepted else KEPT_REFUSALS):
        return _with(state, decisions=decisions)
    oldest = alike[0]
    return _with(
        state,
        decisions=decisions[:oldest] + decisions[oldest + 1 :],
        refusals_not_kept=state.refusals_not_kept + 1,
    )


def _slim(decided: Decided) -> Decided:
    """Leave out what a run need not carry with it: its state has to fit into one message."""
    decision = decided.arrival.decision
    if decision is None:
        return decided
    room = MAX_COMMENT if decided.verdict.accepted else _REFUSED_COMMENT
    slim = decision.model_copy(update={"signature": None, "comment": cut(decision.comment, room)})
    return decided.model_copy(update={"arrival": decided.arrival.model_copy(update={"decision": slim})})


def _with_step(state: RunState, step: int, progress: StepProgress) -> RunState:
    index = step - 1
    if not 0 <= index < len(state.steps):  # a trail that somebody edited; whoever examines it will say so
        return state
    return _with(state, steps=(*state.steps[:index], progress, *state.steps[index + 1 :]))


def _with(state: RunState, **changes: object) -> RunState:
    return state.model_copy(update=changes)
