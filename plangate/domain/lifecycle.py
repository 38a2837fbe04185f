"""The life cycle of a run: which decision is allowed in which phase, and how a run may end.

It is used to judge decisions (`plangate.domain.review`), fold events (`plangate.domain.fold`), close runs
(`activities.closing`) and verify the audit trail (`plangate.audit.rules`).

===========  ===================  ===================  ========================  ===========================
phase        approve              reject               request changes           withdraw approval
===========  ===================  ===================  ========================  ===========================
drafting     no plan yet          no plan yet          no plan yet               no plan yet
in review    before the deadline  before the deadline  before the deadline,      before the deadline
                                                       while no step is done
executing    approved already     approved already     approved already          while no step has begun
closed       the run has ended    the run has ended    the run has ended         the run has ended
===========  ===================  ===================  ========================  ===========================

`plangate.domain.review` checks who may decide.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from plangate.domain.audit import Outcome
from plangate.domain.decision import Choice, Decision
from plangate.domain.escaping import one_line
from plangate.domain.plan import short
from plangate.domain.run import Phase, RunState, StepState

Rule = Callable[[RunState, Decision, datetime], str | None]
"""Return why a decision received at that time is not allowed, or None if it is allowed."""


@dataclass(frozen=True)
class Row:
    """The rules of one phase, one for each decision."""

    approve: Rule
    reject: Rule
    request_changes: Rule
    withdraw_approval: Rule

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
        case Phase.CLOSED:
            return _CLOSED
        case _:
            assert_never(phase)


def why_not_now(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    """Return why ``decision`` is not allowed in the current state, for any person; None if it is allowed.

    An allowed decision names the newest plan of the run.
    """
    return row_of(state.phase).rule_for(decision.decision)(state, decision, received_at)


def may_end(record: RunState, outcome: Outcome, at: datetime) -> str | None:
    """Return why a run with this record cannot end with ``outcome`` at ``at``; None if it can."""
    is_executed = every_step_is_done(record)
    if was_rejected(record) and outcome is not Outcome.REJECTED:
        return "an authorized rejection is recorded"
    match outcome:
        case Outcome.EXECUTED:
            return None if is_executed else "not every step is done"
        case Outcome.REJECTED:
            return None if was_rejected(record) else "no authorized rejection is recorded"
        case Outcome.EXPIRED:
            if record.deadline is None:
                return "no review was open"
            if at < record.deadline:
                return "its deadline had not passed"
        case Outcome.WITHDRAWN | Outcome.FAILED:
            pass
        case _:
            assert_never(outcome)
    return "every step is done" if is_executed else None


def every_step_is_done(state: RunState) -> bool:
    """Return whether there is a plan, and each of its steps is done."""
    return bool(state.steps) and all(step.state is StepState.DONE for step in state.steps)


def was_rejected(state: RunState) -> bool:
    """Return whether an authorized rejection ended the review."""
    return state.closed is not None and state.closed.outcome is Outcome.REJECTED


def _no_plan_yet(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    del received_at
    return _another_plan(state, decision) or (
        f"changes to plan {short(decision.plan)} were requested and a new one is being drafted; wait for it"
    )


def _before_the_deadline(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    another = _another_plan(state, decision)
    if another is None and state.deadline is not None and received_at >= state.deadline:
        return f"the deadline, {state.deadline:%Y-%m-%d %H:%M} UTC, has passed"
    return another


def _while_no_step_is_done(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    refused = _before_the_deadline(state, decision, received_at)
    done = [number for number, step in enumerate(state.steps, 1) if step.state is StepState.DONE]
    if refused is None and done:
        return (
            f"step {done[-1]} of this plan is done, and a new plan would do it again; "
            "approve the rest, or reject it"
        )
    return refused


def _approved_already(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    del state, decision, received_at
    return "the plan is already approved and is being executed"


def _while_no_step_has_begun(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    del received_at
    if state.claimed:
        return (
            f"step {state.claimed} has begun, so approvals can no longer be withdrawn; to stop the remaining "
            f"steps, withdraw the run: starter.py withdraw {one_line(state.workflow_id)}"
        )
    return _another_plan(state, decision)


def _the_run_has_ended(state: RunState, decision: Decision, received_at: datetime) -> str | None:
    del decision, received_at
    return f"the run has ended ({state.state}); it takes no more decisions"


def _another_plan(state: RunState, decision: Decision) -> str | None:
    named, current = short(decision.plan), state.drafted
    if any(map(decision.names, state.replaced)):
        newest = f"revision {current.revision}, {short(current.fingerprint)}" if current else "a newer one"
        return f"plan {named} was replaced by {newest}; review the new plan and decide on that one"
    if current is None:
        return "there is no plan to decide on yet; wait for the draft"
    if not decision.names(current.fingerprint):
        return f"no plan of this run begins with {named}; the plan in review is {short(current.fingerprint)}"
    return None


_DRAFTING: Final = Row(
    approve=_no_plan_yet, reject=_no_plan_yet, request_changes=_no_plan_yet, withdraw_approval=_no_plan_yet
)
_IN_REVIEW: Final = Row(
    approve=_before_the_deadline,
    reject=_before_the_deadline,
    request_changes=_while_no_step_is_done,
    withdraw_approval=_before_the_deadline,
)
_EXECUTING: Final = Row(
    approve=_approved_already,
    reject=_approved_already,
    request_changes=_approved_already,
    withdraw_approval=_while_no_step_has_begun,
)
_CLOSED: Final = Row(
    approve=_the_run_has_ended,
    reject=_the_run_has_ended,
    request_changes=_the_run_has_ended,
    withdraw_approval=_the_run_has_ended,
)
