"""The life cycle of a run: the decisions that each phase allows, and how a run may end.

It is used to check decisions (`plangate.domain.runs.review`), apply events (`plangate.domain.runs.fold`),
close runs (`activities.closing`) and verify the audit trail (`plangate.audit.rules`).

===========  ===================  ===================  =======================  =====================
phase        approve, reject      request changes,     withdraw approval        resolve
                                  edit
===========  ===================  ===================  =======================  =====================
drafting     no plan yet          no plan yet          no plan yet              not held
in review    before the deadline  before the deadline  before the deadline      not held
                                  while no step is
                                  done or skipped,
                                  or was in doubt
executing    already approved     already approved     while no step has begun  not held
held         held                 held                 held                     before the deadline,
                                                                                if possible
undoing      being undone         being undone         being undone             not held
closed       the run has ended    the run has ended    the run has ended        the run has ended
===========  ===================  ===================  =======================  =====================

`possible_resolutions` returns how a held run can be resolved; `plangate.domain.runs.review` checks who may
decide.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from plangate.domain.decisions.decision import Choice, Decision, Resolution
from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.plan import short
from plangate.domain.plans.plan_changes import changes_between, in_short, plan_before
from plangate.domain.runs.audit import Outcome
from plangate.domain.runs.run import Phase, RunState, StepState, next_undo
from plangate.domain.runs.starting import missed_start_times

_LONGEST_PART: Final = 400
_LONGEST_LIST: Final = 9_000
Rule = Callable[[RunState, Decision, datetime], str | None]
"""Returns the reason why a decision received at that time is not allowed, or None if it is allowed."""


@dataclass(frozen=True)
class Row:
    """The rules of one phase, one for each decision."""

    approve: Rule
    reject: Rule
    request_changes: Rule
    withdraw_approval: Rule
    edit: Rule
    resolve: Rule

    def rule_for(self, choice: Choice) -> Rule:
        """Return the rule for a decision."""
        match choice:
            case Choice.APPROVE:
                return self.approve
            case Choice.REJECT:
                return self.reject
            case Choice.REQUEST_CHANGES:
                return self.request_changes
            case Choice.WITHDRAW_APPROVAL:
                return self.withdraw_approval
            case Choice.EDIT:
                return self.edit
            case Choice.RESOLVE:
                return self.resolve
            case _:
                assert_never(choice)


def row_of(phase: Phase) -> Row:
    """Return the row of the table for a phase."""
    match phase:
        case Phase.DRAFTING:
            return _DRAFTING
        case Phase.IN_REVIEW:
            return _IN_REVIEW
        case Phase.EXECUTING:
            return _EXECUTING
        case Phase.HELD:
            return _HELD
        case Phase.UNDOING:
            return _UNDOING
        case Phase.CLOSED:
            return _CLOSED
        case _:
            assert_never(phase)


def why_not_allowed(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    """Return the reason why the current state does not allow this ``decision`` from anyone, or None.

    An allowed decision is for the newest plan of the run.
    """
    return row_of(state.phase).rule_for(decision.decision)(state, decision, received_at)


def why_may_not_end(record: RunState, outcome: Outcome, at: datetime) -> str | None:
    """Return the reason why this record does not allow ``outcome`` at the time ``at``; None if it does."""
    is_executed = every_step_is_done_or_skipped(record)
    decided = record.closed.outcome if record.closed else None
    if decided is not None and decided is not outcome:
        return "an authorized " + ("rejection" if was_rejected(record) else "abort") + " is recorded"
    match outcome:
        case Outcome.EXECUTED:
            return None if is_executed else "not every step is done or skipped"
        case Outcome.REJECTED:
            return None if was_rejected(record) else "no authorized rejection is recorded"
        case Outcome.EXPIRED if missed_start_times(record, at):
            return None
        case Outcome.EXPIRED:
            if record.review_deadline is None:
                return "no review was open"
            if at < record.review_deadline:
                return "its deadline had not passed"
            if record.phase in (Phase.HELD, Phase.UNDOING):
                return "the run was held, and no review was open"
        case Outcome.WITHDRAWN | Outcome.FAILED:
            pass
        case _:
            assert_never(outcome)
    return "every step is done or skipped" if is_executed else None


def every_step_is_done_or_skipped(state: RunState) -> bool:
    """Return whether there is a plan, and all its steps are done or were skipped by a person."""
    return bool(state.steps) and all(step.state.is_done_or_skipped for step in state.steps)


def executed_because(record: RunState) -> str:
    """Return the reason for an executed run: the steps that people skipped or marked as done, if any."""
    return _listed(
        f"step {number} was {progress.reason}"
        for number, progress in enumerate(record.steps, start=1)
        if progress.state is StepState.SKIPPED or (progress.state is StepState.DONE and progress.reason)
    )


def undone_because(record: RunState) -> str:
    """Return the reason for an undone run: who chose undo, which steps were undone, and which were not."""
    parts = [_chosen_to_undo(record)] if _chosen_to_undo(record) else []
    for number, progress in enumerate(record.steps, start=1):
        match progress.state:
            case StepState.UNDONE:
                parts.append(f"step {number} was undone")
            case StepState.DONE:
                why = f" ({progress.undo.reason})" if progress.undo.reason else ""
                parts.append(f"step {number} was not undone{why}")
            case StepState.IN_DOUBT:
                parts.append(f"step {number} is in doubt")
            case StepState.FAILED:
                why = f" ({progress.reason.rstrip('.')})" if progress.reason else ""
                parts.append(f"step {number} failed{why}")
            case StepState.SKIPPED | StepState.PENDING:
                parts.append(f"step {number} was not done")
            case _:
                assert_never(progress.state)
    return _listed(parts)


def _chosen_to_undo(record: RunState) -> str:
    """Return the person who chose to undo the done steps, and the held step; empty if this is unknown."""
    for decided in reversed(record.decisions):
        decision = decided.arrival.decision
        if decided.verdict.accepted and decision is not None and decision.resolution is Resolution.UNDO:
            comment = f": {decision.comment}" if decision.comment.strip() else ""
            return f"{decision.by} chose undo at step {decision.step}{comment}"
    return ""


def _listed(parts: Iterable[str]) -> str:
    """Join the descriptions of what happened to each step, shortened to fit into the reason of a run."""
    return cut("; ".join(cut(part, _LONGEST_PART) for part in parts), _LONGEST_LIST)


def possible_resolutions(state: RunState) -> tuple[Resolution, ...]:
    """Return the resolutions that the held run and its policy allow; none if it is not held."""
    if state.held is None or state.drafted is None:
        return ()
    resolving = state.drafted.requirement.resolving
    progress = state.steps[state.held.step - 1]
    stopped = progress.part(undo=state.held.undo).state
    possible = {
        Resolution.RETRY: True,
        Resolution.SKIP: True,
        Resolution.MARK_DONE: stopped is StepState.IN_DOUBT,
        Resolution.UNDO: not state.held.undo and next_undo(state) is not None,
        Resolution.ABORT: True,
    }
    return tuple(one for one in Resolution if possible[one] and resolving.allows(one))


def was_rejected(state: RunState) -> bool:
    """Return whether an authorized rejection ended the review."""
    return state.closed is not None and state.closed.outcome is Outcome.REJECTED


def _no_plan_yet(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    del received_at
    another = _another_plan(state, decision)
    if another is None and state.edit is not None:
        return (
            f"{one_line(state.edit.by)} has just edited plan {short(decision.plan)}; wait for revision "
            f"{state.next_revision}, and decide on that one"
        )
    return another or (
        f"changes to plan {short(decision.plan)} were requested and a new one is being drafted; wait for it"
    )


def _before_the_deadline(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    another = _another_plan(state, decision)
    if another is None and state.deadline is not None and received_at >= state.deadline:
        return f"the deadline, {state.deadline:%Y-%m-%d %H:%M} UTC, has passed"
    return another


def _while_no_step_is_done(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    refused = _before_the_deadline(state, decision, received_at)
    done = [number for number, step in enumerate(state.steps, 1) if step.state.is_done_or_skipped]
    if refused is None and done:
        return (
            f"step {done[-1]} of this plan is {state.steps[done[-1] - 1].state}, and a new plan would do it "
            "again; approve the rest, or reject it"
        )
    doubted = [number for number, step in enumerate(state.steps, 1) if step.doubt]
    if refused is None and doubted:  # the retry keeps the idempotency key
        return (
            f"step {doubted[0]} of this plan was in doubt and is retried under its idempotency key; a new "
            "plan would lose that key and might repeat the effect; approve the rest, or reject it"
        )
    return refused


def _approved_already(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    del decision
    needs_some = state.drafted is None or bool(state.drafted.requirement.needs)
    first = state.waits_until(received_at)
    if first is None:
        return (
            "the plan is already approved and is being executed"
            if needs_some
            else "the plan needs no approval and is being executed"
        )
    begins = f"{first:%Y-%m-%d %H:%M:%S} UTC"
    if not needs_some and state.claimed:
        return f"the plan needs no approval, and its next step can begin at {begins}"
    if not needs_some:
        return (
            f"the plan needs no approval, and can begin at {begins}; until then its requester can withdraw it"
        )
    if state.claimed:
        return f"the plan is already approved, and its next step can begin at {begins}"
    return (
        f"the plan is already approved, and can begin at {begins}; "
        "until then its approvers can withdraw their approvals"
    )


def _while_no_step_has_begun(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    del received_at
    if state.claimed:
        return (
            f"step {state.claimed} has begun, so approvals can no longer be withdrawn; to stop the remaining "
            f"steps, withdraw the run: starter.py withdraw {one_line(state.workflow_id)}"
        )
    return _another_plan(state, decision)


def _not_held(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    del received_at
    another = _another_plan(state, decision)
    if another is None and state.resolution is not None:
        last = state.resolution
        return (
            f"the run is not held now: {one_line(last.approver.name)} resolved step {last.step} with "
            f"'{last.resolution}'"
        )
    return another or "the run is not held, so there is nothing to resolve"


def _while_held(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    del received_at
    return _another_plan(state, decision) or (
        f"the run is held at step {state.held.step if state.held else 0}; resolve it: "
        f"starter.py resolve {one_line(state.workflow_id)}"
    )


def _while_undoing(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    del received_at
    return _another_plan(state, decision) or "the done steps are being undone, and then the run ends"


def _resolves_the_step(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    refused = _before_the_deadline(state, decision, received_at)
    if refused or state.held is None or decision.resolution is None:
        return refused
    if decision.step != state.held.step:
        return f"the run is held at step {state.held.step}, not at step {decision.step}"
    other = _another_hold(state, decision)
    if other is not None:
        return other
    possible = possible_resolutions(state)
    resolving = state.drafted.requirement.resolving if state.drafted else None
    if resolving is not None and not resolving.allows(decision.resolution):
        return (
            f"the policy does not allow '{decision.resolution}' here (rule: {', '.join(resolving.rules)}); "
            f"possible resolutions: {', '.join(possible)}"
        )
    if decision.resolution not in possible:
        return f"'{decision.resolution}' is not possible here; possible resolutions: {', '.join(possible)}"
    return None


def _another_hold(state: RunState, decision: Decision) -> str | None:
    """Return an error message if a resolution is for an earlier hold, even at the same step or its undo."""
    assert state.held is not None
    number = state.next_hold
    if decision.hold is None and number > 1 and state.held.number:
        return (
            f"the run was held before, and this is hold {number}; "
            f'review it, and add "hold": {number} to the resolution'
        )
    if decision.hold not in (None, number):
        return f"it is for hold {decision.hold} of this run, and this is hold {number}; review the run again"
    return None


def _the_run_has_ended(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    del decision, received_at
    return f"the run has ended ({state.state}); it accepts no more decisions"


def _another_plan(state: RunState, decision: Decision) -> str | None:
    named, current = short(decision.plan), state.drafted
    if any(map(decision.refers_to, state.replaced)):
        newest = f"revision {current.revision}, {short(current.fingerprint)}" if current else "a newer one"
        if current is not None and current.author:
            newest += f", an edit by {one_line(current.author)}"
        if current is not None and state.before is not None and state.before.fits(len(current.plan.steps)):
            changes = changes_between(plan_before(state.before, current.plan), current.plan)
            newest += f" ({in_short(changes)})" if changes else ""
        return f"plan {named} was replaced by {newest}; review the new plan and decide on that one"
    if current is None:
        return "there is no plan to decide on yet; wait for the draft"
    if not decision.refers_to(current.fingerprint):
        in_review = short(current.fingerprint)
        return f"no plan of this run has the fingerprint {named}; the plan in review is {in_review}"
    return None


_DRAFTING: Final = Row(
    approve=_no_plan_yet,
    reject=_no_plan_yet,
    request_changes=_no_plan_yet,
    withdraw_approval=_no_plan_yet,
    edit=_no_plan_yet,
    resolve=_not_held,
)
_IN_REVIEW: Final = Row(
    approve=_before_the_deadline,
    reject=_before_the_deadline,
    request_changes=_while_no_step_is_done,
    withdraw_approval=_before_the_deadline,
    edit=_while_no_step_is_done,
    resolve=_not_held,
)
_EXECUTING: Final = Row(
    approve=_approved_already,
    reject=_approved_already,
    request_changes=_approved_already,
    withdraw_approval=_while_no_step_has_begun,
    edit=_approved_already,
    resolve=_not_held,
)
_HELD: Final = Row(
    approve=_while_held,
    reject=_while_held,
    request_changes=_while_held,
    withdraw_approval=_while_held,
    edit=_while_held,
    resolve=_resolves_the_step,
)
_UNDOING: Final = Row(
    approve=_while_undoing,
    reject=_while_undoing,
    request_changes=_while_undoing,
    withdraw_approval=_while_undoing,
    edit=_while_undoing,
    resolve=_not_held,
)
_CLOSED: Final = Row(
    approve=_the_run_has_ended,
    reject=_the_run_has_ended,
    request_changes=_the_run_has_ended,
    withdraw_approval=_the_run_has_ended,
    edit=_the_run_has_ended,
    resolve=_the_run_has_ended,
)
