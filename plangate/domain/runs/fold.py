"""Apply events to the state of a run.

The workflow applies events as they happen; a reader of the audit trail applies the same events and gets the
same state. `plangate.domain.runs.lifecycle` defines what a decision may change.
"""

from collections.abc import Iterable
from functools import lru_cache, reduce
from itertools import accumulate
from typing import Final, assert_never

from plangate.domain.base import OutsideRun
from plangate.domain.decisions.decision import MAX_COMMENT, Choice, Decision, Resolution
from plangate.domain.escaping import cut, one_line
from plangate.domain.people.people import Approver, same_person
from plangate.domain.plans.plan_changes import Before, kept_baseline, kept_before
from plangate.domain.plurals import step_or_undo
from plangate.domain.runs.audit import (
    Claimed,
    Closed,
    Decided,
    Drafted,
    Event,
    Held,
    Outcome,
    Released,
    Reopened,
    Requested,
    StepDone,
    StepFailed,
    StepInDoubt,
    StepReversed,
    StepSettled,
    StepUndone,
    StepUnsettled,
)
from plangate.domain.runs.lifecycle import why_not_allowed
from plangate.domain.runs.run import (
    Approval,
    Edit,
    Phase,
    Resolved,
    RunState,
    StepProgress,
    StepState,
    unsettled_steps,
)

KEPT_REFUSALS: Final = 50
KEPT_ACCEPTED: Final = 60
KEPT_BYTES: Final = 100_000
"""Total size of the kept comments; with the largest plan twice, they fit into one response (2 MB)."""
_REFUSED_COMMENT: Final = 300
_MAX_REASON_SHOWN: Final = 500  # the length of a comment in the reason of a step


def fold(workflow_id: str, events: Iterable[Event]) -> RunState:
    """Return the state that these events lead to."""
    return reduce(apply, events, RunState(workflow_id=workflow_id))


def _named(requested: Requested | None, requester: str) -> Requested | None:
    """Return the request with the requester's name as it appears in the list of people, if there is one."""
    if requested is None or not requester:
        return requested
    return requested.model_copy(update={"requester": requester})


def apply(state: RunState, event: Event) -> RunState:  # noqa: PLR0912  one case for each kind of event
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
                edit=None,
                authors=_authors(state, event),
                before=_before(state.drafted, event),
                baseline=_baseline(state, event),
                resolution=None,
            )
        case Reopened():
            return _reopen(state, event)
        case Decided():
            return _apply_decision(_keep(state, event), event)
        case Claimed():
            return _with(state, claimed=event.step)
        case Released() | OutsideRun():
            return state
        case StepDone():
            done = {"state": StepState.DONE, "receipt": event.receipt, "settles_until": event.settles_until}
            return _progress(state, event.step, reason="", **done)
        case StepSettled() | StepReversed() | StepUnsettled():
            is_unsettled = event.step in unsettled_steps(state)  # otherwise the trail was changed
            return _progress(state, event.step, settlement=event) if is_unsettled else state
        case StepFailed(undo=True):
            return _progress_of_undo(state, event.step, state=StepState.FAILED, reason=event.reason)
        case StepFailed():
            return _progress(state, event.step, state=StepState.FAILED, reason=event.reason)
        case StepInDoubt(undo=True):
            return _progress_of_undo(state, event.step, state=StepState.IN_DOUBT, reason=event.reason)
        case StepInDoubt():
            return _progress(state, event.step, state=StepState.IN_DOUBT, reason=event.reason)
        case StepUndone():
            after = _progress_of_undo(state, event.step, state=StepState.DONE, receipt=event.receipt)
            return _progress(after, event.step, state=StepState.UNDONE)
        case Held():
            return _with(state, phase=Phase.HELD, held=event)
        case Closed():
            return _with(state, phase=Phase.CLOSED, closed=event, held=None)
        case _:
            assert_never(event)


def _reopen(state: RunState, event: Reopened) -> RunState:
    """Reopen the review, unless the plan's approvals meet its stricter requirement."""
    lost = {one.name for one in event.lost}
    kept = tuple(one for one in state.approvals if one.approver.name not in lost)
    after = _with(state, phase=Phase.IN_REVIEW, reopened=event, approvals=kept, claimed=0, edit=None)
    if event.requirement is None or state.drafted is None:
        return after
    after = _with(after, drafted=state.drafted.with_stricter_requirement(event.requirement, event.recent))
    return _with(after, phase=Phase.EXECUTING) if after.is_approved else after


def changes_run(state: RunState, decided: Decided) -> bool:
    """Return whether this decision changes the phase, the approvals, the plan or the end of the run."""
    after = apply(state, decided)
    return _parts_that_decisions_change(after) != _parts_that_decisions_change(state)


def _parts_that_decisions_change(state: RunState) -> tuple[object, ...]:
    return state.phase, state.approvals, state.closed, state.edit, state.resolutions


def as_in_review(state: RunState) -> RunState:
    """Return the state with the newest plan in review, and without decisions on it."""
    return _with(state, phase=Phase.IN_REVIEW, approvals=(), claimed=0, closed=None, held=None)


def _apply_decision(state: RunState, decided: Decided) -> RunState:
    """Return the state after a decision; it changes only if the decision is accepted and allowed now.

    It is not enough that the decision was recorded as accepted. If each of two workers assumes that the other
    is dead, they may record decisions in any order. Even then, an approval of a replaced plan, or after the
    deadline, must have no effect.
    """
    decision, received_at = decided.arrival.decision, decided.arrival.received_at
    if decision is None or not decided.verdict.accepted or why_not_allowed(state, decision, received_at):
        return state
    match decision.decision:
        case Choice.APPROVE:
            return _approve(state, decided)
        case Choice.WITHDRAW_APPROVAL:
            kept = tuple(one for one in state.approvals if not same_person(one.approver.name, decision.by))
            if len(kept) == len(state.approvals):
                return state
            return _with(state, phase=Phase.IN_REVIEW, approvals=kept)
        case Choice.REJECT:
            reason = f"rejected by {decision.by}" + (f": {decision.comment}" if decision.comment else "")
            return _with(state, phase=Phase.CLOSED, closed=Closed(outcome=Outcome.REJECTED, reason=reason))
        case Choice.REQUEST_CHANGES:
            return _with(state, phase=Phase.DRAFTING, feedback=decision.comment, approvals=(), reopened=None)
        case Choice.EDIT:
            edit = Edit(by=decided.approver.name if decided.approver else decision.by, plan=decision.new_plan)
            return _with(state, phase=Phase.DRAFTING, edit=edit, feedback="", approvals=(), reopened=None)
        case Choice.RESOLVE:
            return _resolve(state, decision, decided.approver)
        case _:
            assert_never(decision.decision)


def _resolve(state: RunState, decision: Decision, approver: Approver | None) -> RunState:
    """Apply a resolution; the workflow then continues with the next step or undo, or ends the run."""
    held, resolution = state.held, decision.resolution
    assert held is not None
    assert resolution is not None
    number = state.resolutions + 1
    by_whom = f"by {decision.by}" + (f": {decision.comment}" if decision.comment else "")
    in_short = f"by {decision.by}" + (
        f": {cut(decision.comment, _MAX_REASON_SHOWN)}" if decision.comment else ""
    )
    after = _with(
        state,
        phase=Phase.UNDOING if held.undo else Phase.EXECUTING,
        held=None,
        resolutions=number,
        claimed=held.step,
        resolution=Resolved(approver=approver, step=held.step, resolution=resolution) if approver else None,
    )
    progress = _progress_of_undo if held.undo else _progress
    match resolution:
        case Resolution.RETRY:
            before = state.steps[held.step - 1].part(undo=held.undo)
            is_new = before.state is StepState.FAILED
            renewed = number if is_new else before.resolution
            doubt = {} if held.undo else {"doubt": _doubt_about(state.steps[held.step - 1])}
            return progress(after, held.step, state=StepState.PENDING, reason="", resolution=renewed, **doubt)
        case Resolution.SKIP:
            return progress(after, held.step, state=StepState.SKIPPED, reason=f"skipped {in_short}")
        case Resolution.MARK_DONE:
            done = progress(after, held.step, state=StepState.DONE, reason=f"marked as done {in_short}")
            return _progress(done, held.step, state=StepState.UNDONE) if held.undo else done
        case Resolution.UNDO:
            return _with(after, phase=Phase.UNDOING)
        case Resolution.ABORT:
            where = step_or_undo(held.step, undo=held.undo)
            reason = f"aborted at {where} {by_whom}. It was held because: {cut(held.why, _MAX_REASON_SHOWN)}"
            return _with(after, phase=Phase.CLOSED, closed=Closed(outcome=Outcome.FAILED, reason=reason))
        case _:
            assert_never(resolution)


def _doubt_about(progress: StepProgress) -> str:
    """Return the reason why a step to be retried may have taken effect; empty if it did not."""
    if progress.state is StepState.IN_DOUBT:
        return progress.reason or "no reason is recorded"
    return progress.doubt


def _before(replaced: Drafted | None, newest: Drafted) -> Before | None:
    if replaced is None:
        return None
    return kept_before(replaced.revision, replaced.fingerprint, replaced.plan, newest.plan)


def _baseline(state: RunState, newest: Drafted) -> Before | None:
    """Return the plan that all changes are compared with, if it is older than the previous one."""
    replaced = state.drafted
    if replaced is None or any(_is_approval_of(replaced, one) for one in state.decisions):
        return None
    return kept_baseline(state.baseline, state.before, replaced.plan, newest.plan)


def _is_approval_of(drafted: Drafted, decided: Decided) -> bool:
    decision = decided.arrival.decision
    if decision is None or not decided.verdict.accepted or decision.decision is not Choice.APPROVE:
        return False
    return decision.refers_to(drafted.fingerprint)


def _authors(state: RunState, drafted: Drafted) -> tuple[str, ...]:
    """Return the people who may not approve the new plan because they edited it or an earlier one."""
    keeps = bool(drafted.struck) and drafted.requirement.strike_keeps_approver
    is_known = any(same_person(drafted.author, one) for one in state.authors)
    return state.authors if not drafted.author or keeps or is_known else (*state.authors, drafted.author)


def _approve(state: RunState, decided: Decided) -> RunState:
    """Count an approval, once for each person; the plan may run when no approval is missing."""
    approver = decided.approver
    if approver is None or any(same_person(approver.name, one.name) for one in state.approvers):
        return state
    is_timed = bool(state.drafted and state.drafted.requirement.escalations)
    began = state.review_or_hold_began if is_timed else None
    approval = Approval(approver=approver, at=decided.arrival.received_at, began=began)
    after = _with(state, approvals=(*state.approvals, approval))
    return _with(after, phase=Phase.EXECUTING) if after.is_approved else after


def _keep(state: RunState, decided: Decided) -> RunState:
    """Keep the newest accepted and refused decisions, shortened; the trail contains all of them in full.

    There are many accepted decisions only if an approval is given and withdrawn repeatedly.
    """
    decisions = (*state.decisions, _slim(decided))
    accepted = decided.verdict.accepted
    same_verdict = [index for index, kept in enumerate(decisions) if kept.verdict.accepted is accepted]
    room = KEPT_ACCEPTED if accepted else KEPT_REFUSALS
    left_out = set(same_verdict[:-room])
    if accepted:
        sizes = accumulate(_shown_size(_comment(decisions[index])) for index in reversed(same_verdict))
        too_much = [size > KEPT_BYTES for size in sizes][1:]  # the newest one is always kept
        left_out |= set(same_verdict[: sum(too_much)])
    if not left_out:
        return _with(state, decisions=decisions)
    return _with(
        state,
        decisions=tuple(kept for index, kept in enumerate(decisions) if index not in left_out),
        refusals_not_kept=state.refusals_not_kept + len(left_out),
    )


@lru_cache(maxsize=1_000)
def _shown_size(comment: str) -> int:
    return len(one_line(comment).encode())


def _comment(decided: Decided) -> str:
    return decided.arrival.decision.comment if decided.arrival.decision else ""


def _slim(decided: Decided) -> Decided:
    """Return the decision without the parts that the state does not need: it must fit into one message."""
    decision = decided.arrival.decision
    if decision is None:
        return decided
    room = MAX_COMMENT if decided.verdict.accepted else _REFUSED_COMMENT
    if decision.signature is None and decision.new_plan is None and len(decision.comment) <= room:
        return decided
    slim = decision.model_copy(
        update={"signature": None, "comment": cut(decision.comment, room), "new_plan": None}
    )
    return decided.model_copy(update={"arrival": decided.arrival.model_copy(update={"decision": slim})})


def _progress(state: RunState, step: int, /, **changes: object) -> RunState:
    """Change the progress of a step; a new state clears an earlier doubt."""
    if "state" in changes:
        changes = {"doubt": "", **changes}
    index = step - 1
    if not 0 <= index < len(state.steps):  # the trail was changed, which an audit reports
        return state
    progress = state.steps[index].model_copy(update=changes)
    return _with(state, steps=(*state.steps[:index], progress, *state.steps[index + 1 :]))


def _progress_of_undo(state: RunState, step: int, /, **changes: object) -> RunState:
    """Change the progress of undoing a step."""
    if not 1 <= step <= len(state.steps):
        return state
    undo = state.steps[step - 1].undo.model_copy(update=changes)
    return _progress(state, step, undo=undo)


def _with(state: RunState, **changes: object) -> RunState:
    return state.model_copy(update=changes)
