"""The state of one run. `plangate.domain.runs.fold` defines how each event changes it."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from pydantic import Field, JsonValue

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.decisions.decision import Choice, Resolution
from plangate.domain.people.people import Approver
from plangate.domain.plans.idempotency_key import idempotency_key
from plangate.domain.plans.plan import Step
from plangate.domain.plans.plan_changes import Before
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies import approvers
from plangate.domain.policies.escalation import LaterApprovers, later_approvers_of, with_later_roles
from plangate.domain.runs.audit import (
    Closed,
    Decided,
    Drafted,
    Event,
    Held,
    Reopened,
    Requested,
    Settlement,
)
from plangate.domain.times.start_times import Beginning


class Phase(StrEnum):
    """The phases of a run; the last one is its end."""

    DRAFTING = "drafting"
    IN_REVIEW = "in_review"
    EXECUTING = "executing"
    HELD = "held"
    UNDOING = "undoing"
    CLOSED = "closed"

    @property
    def is_at_work(self) -> bool:
        """Whether the run drafts, executes or undoes in this phase, so that it does not wait for people."""
        match self:
            case Phase.DRAFTING | Phase.EXECUTING | Phase.UNDOING:
                return True
            case Phase.IN_REVIEW | Phase.HELD | Phase.CLOSED:
                return False
            case _:
                assert_never(self)


class StepState(StrEnum):
    """The progress of a step."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    SKIPPED = "skipped"
    UNDONE = "undone"

    @property
    def is_done_or_skipped(self) -> bool:
        """Whether the following steps may run."""
        match self:
            case StepState.DONE | StepState.SKIPPED:
                return True
            case StepState.PENDING | StepState.FAILED | StepState.IN_DOUBT | StepState.UNDONE:
                return False
            case _:
                assert_never(self)


class UndoProgress(Frozen):
    """The progress of undoing a done step.

    Attributes:
        state: pending, failed, in doubt, or skipped by a person; a step whose undo is done is ``undone``.
        receipt: the receipt of the undo.
        reason: why it failed, is in doubt, or was skipped or marked as done by a person.
        resolution: the number of the resolution that is part of its idempotency key; 0 for the first try.
    """

    state: StepState = StepState.PENDING
    receipt: Receipt | None = None
    reason: str = ""
    resolution: int = 0


def _is_none(value: object) -> bool:
    return value is None


class StepProgress(Frozen):
    """A step's state, with its receipt or a reason.

    Attributes:
        state: pending, done, failed, in doubt, skipped or undone.
        receipt: the receipt from its tool; None if a person marked it as done.
        reason: why it failed, is in doubt, or was skipped or marked as done by a person.
        resolution: the number of the resolution that is part of its idempotency key; 0 for the first try.
        undo: the progress of its undo.
        settles_until: when the look-ups of an accepted effect end; None if there are none.
        settlement: the final result of the effect, once it is recorded.
        doubt: why the step was in doubt when a person chose to retry it; kept until that retry has a result.
    """

    state: StepState = StepState.PENDING
    receipt: Receipt | None = None
    reason: str = ""
    resolution: int = 0
    undo: UndoProgress = UndoProgress()
    settles_until: AwareDatetime | None = Field(default=None, exclude_if=_is_none)
    settlement: Settlement | None = Field(default=None, exclude_if=_is_none)
    doubt: str = Field(default="", exclude_if=lambda text: not text)

    @property
    def is_unsettled(self) -> bool:
        """Whether its effect is accepted, but its settlement is not known yet."""
        return self.state is StepState.DONE and self.settles_until is not None and self.settlement is None

    def part(self, *, undo: bool) -> "StepProgress | UndoProgress":
        """Return the progress of the step itself, or of its undo."""
        return self.undo if undo else self


class Edit(Frozen):
    """An accepted edit that has not been drafted yet: its author, and the new plan as sent."""

    by: str
    plan: JsonValue


class Approval(Frozen):
    """An accepted approval of the plan in review. ``at`` is when it was received.

    ``began`` is when that review began, if it has escalations.
    """

    approver: Approver
    at: AwareDatetime
    began: AwareDatetime | None = Field(default=None, exclude_if=_is_none)


class Resolved(Frozen):
    """An accepted resolution of a step, or of its undo, by ``approver``."""

    approver: Approver
    step: int
    resolution: Resolution


class RunState(Frozen):
    """The state of a run, as carried over by continue-as-new.

    Attributes:
        claimed: the last step claimed since the plan was approved, or 0. Only the recorded state contains it,
            because claims are not reported to workflows.
        refusals_not_kept: the number of decisions that are only in the audit trail, nearly all of them
            refused.
        edit: the edit that the next draft implements.
        authors: the people whose edits are part of the newest plan; they may not approve it.
        before: the plan that the newest one replaced; None for the first plan.
        baseline: the last earlier plan with an approval, else the first plan; None if this is ``before``.
        held: why the run waits for a resolution; None if it does not.
        resolutions: how many resolutions were accepted.
        resolution: the last accepted resolution. No step begins if its author may no longer resolve the run.
    """

    workflow_id: str
    phase: Phase = Phase.DRAFTING
    requested: Requested | None = None
    drafted: Drafted | None = None
    replaced: tuple[str, ...] = ()
    approvals: tuple[Approval, ...] = ()
    reopened: Reopened | None = None
    feedback: str = ""
    decisions: tuple[Decided, ...] = ()
    refusals_not_kept: int = 0
    claimed: int = 0
    steps: tuple[StepProgress, ...] = ()
    closed: Closed | None = None
    edit: Edit | None = None
    authors: tuple[str, ...] = ()
    before: Before | None = Field(default=None, exclude_if=lambda value: value is None)
    baseline: Before | None = Field(default=None, exclude_if=lambda value: value is None)
    held: Held | None = None
    resolutions: int = 0
    resolution: Resolved | None = None

    @property
    def state(self) -> str:
        """The phase, or the outcome of a closed run, as shown to people."""
        return self.closed.outcome.value if self.closed else self.phase.value

    @property
    def is_consistent(self) -> bool:
        """Whether phase, plan, steps and end are consistent, as in every state that results from events."""
        if (self.phase is Phase.CLOSED) != (self.closed is not None):
            return False
        if (self.phase is Phase.HELD) != (self.held is not None):
            return False
        planned = len(self.drafted.plan.steps) if self.drafted else 0
        if any(one is not None and not one.fits(planned) for one in (self.before, self.baseline)):
            return False
        match self.phase:
            case Phase.DRAFTING | Phase.CLOSED:
                return len(self.steps) in (0, planned)
            case Phase.IN_REVIEW | Phase.EXECUTING | Phase.UNDOING:
                return self.drafted is not None and len(self.steps) == planned
            case Phase.HELD:
                is_of_plan = self.held is not None and 1 <= self.held.step <= planned
                return self.drafted is not None and len(self.steps) == planned and is_of_plan
            case _:
                assert_never(self.phase)

    @property
    def requester(self) -> str:
        """The requester; empty before the request."""
        return self.requested.requester if self.requested else ""

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint of the newest plan, 64 hex digits."""
        return self.drafted.fingerprint if self.drafted else None

    @property
    def shown_steps(self) -> tuple[StepProgress, ...]:
        """The progress of the steps as shown to people.

        A step in doubt that was to be retried is still in doubt if the review is open again or the run has
        ended.
        """
        if self.phase is Phase.EXECUTING:
            return self.steps
        return tuple(
            one.model_copy(update={"state": StepState.IN_DOUBT, "reason": one.doubt}) if one.doubt else one
            for one in self.steps
        )

    @property
    def approvers(self) -> tuple[Approver, ...]:
        """The people who have approved the plan in review."""
        return tuple(approval.approver for approval in self.approvals)

    @property
    def approvers_as_received(self) -> tuple[Approver, ...]:
        """The people who have approved, each with their roles when the approval was received."""
        return tuple(self.as_received(one.approver, one) for one in self.approvals)

    @property
    def later_approvers(self) -> tuple[LaterApprovers, ...]:
        """The other roles that may also approve the plan in review, and their times."""
        if self.drafted is None or self.phase is not Phase.IN_REVIEW:
            return ()
        return later_approvers_of(self.drafted.requirement.escalations, self.review_or_hold_began)

    def as_received(self, approver: Approver, approval: Approval) -> Approver:
        """Return a person with the additional roles in which they could give the approval."""
        escalations = self.drafted.requirement.escalations if self.drafted else ()
        return with_later_roles(approver, later_approvers_of(escalations, approval.began), approval.at)

    @property
    def excluded(self) -> tuple[str, ...]:
        """The people who may not approve the newest plan: the requester and those who edited it."""
        return (self.requester, *self.authors)

    @property
    def represented(self) -> tuple[str, ...]:
        """The people for whom an approval of the plan in review counts already."""
        if self.drafted is None or self.phase is not Phase.IN_REVIEW:
            return ()
        return approvers.represented(self.drafted.requirement, self.approvers_as_received, self.excluded)

    @property
    def deadline(self) -> datetime | None:
        """When the hold or the review ends; None before the first review."""
        return self.held.deadline if self.held is not None else self.review_deadline

    @property
    def review_deadline(self) -> datetime | None:
        """When the review ends; None before the first."""
        if self.reopened is not None:
            return self.reopened.deadline
        return self.drafted.deadline if self.drafted else None

    @property
    def review_or_hold_began(self) -> datetime | None:
        """When the hold or the last review of the newest plan began."""
        if self.held is not None:
            return self.held.held_at
        if self.reopened is not None:
            return self.reopened.reopened_at
        return self.drafted.drafted_at if self.drafted else None

    @property
    def is_approved(self) -> bool:
        """Whether the approvals so far meet what the newest plan requires."""
        return self.drafted is not None and approvers.satisfied(
            self.drafted.requirement, self.approvers_as_received, self.excluded
        )

    @property
    def cooling_until(self) -> datetime | None:
        """When the cooling off of the approved plan ends; until then, approvals can be withdrawn.

        None if no rule requires one.
        """
        seconds = self.drafted.requirement.cooling_seconds if self.drafted else None
        if seconds is None or self.phase is not Phase.EXECUTING or not self.approvals:
            return None
        return max(approval.at for approval in self.approvals) + timedelta(seconds=seconds)

    @property
    def beginning(self) -> Beginning:
        """The conditions for when the next step of the newest plan may begin, in addition to approvals."""
        if self.drafted is None:
            return Beginning()
        again = self.reopened.starts if self.reopened is not None else None
        starts = again if again is not None else self.drafted.starts
        requirement = self.drafted.requirement
        has_times = starts is not None or bool(requirement.windows or requirement.freezes)
        return Beginning(
            not_before=self.drafted.plan.not_before,
            cooling_until=self.cooling_until,
            spans=(starts.spans if starts is not None else ()) if has_times else None,
        )

    def waits_until(self, at: datetime) -> datetime | None:
        """Return when the approved plan's wait for its next step ends; None if it does not wait."""
        if self.phase is not Phase.EXECUTING:
            return None
        first = self.beginning.first(at)
        return first if first is not None and first > at else None

    @property
    def next_hold(self) -> int:
        """The number of the current or the next hold; each resolution ends a hold."""
        return self.resolutions + 1

    @property
    def next_revision(self) -> int:
        """The revision of the next draft."""
        return self.drafted.revision + 1 if self.drafted else 1


def unsettled_steps(state: RunState) -> tuple[int, ...]:
    """Return the numbers of the steps whose effects are only accepted, and must be looked up."""
    return tuple(number for number, step in enumerate(state.steps, 1) if step.is_unsettled)


def next_step(state: RunState) -> int | None:
    """Return the number of the first step that is not done or skipped; None if all are."""
    return next((n for n, step in enumerate(state.steps, 1) if not step.state.is_done_or_skipped), None)


def next_undo(state: RunState) -> int | None:
    """Return the number of the last done step that can be undone and whose undo has no result yet."""
    planned = state.drafted.plan.steps if state.drafted else ()
    for number in range(min(len(state.steps), len(planned)), 0, -1):
        progress = state.steps[number - 1]
        if can_be_undone(planned[number - 1], progress) and progress.undo.state is StepState.PENDING:
            return number
    return None


def can_be_undone(step: Step, progress: StepProgress) -> bool:
    """Return whether a step is done, with a receipt, by a tool that can undo it."""
    return step.undoable and progress.state is StepState.DONE and progress.receipt is not None


def key_of(state: RunState, step: int, *, undo: bool) -> str:
    """Return the current idempotency key of a step of the newest plan, or of the step's undo."""
    progress = state.steps[step - 1]
    resolution = progress.undo.resolution if undo else progress.resolution
    return idempotency_key(state.workflow_id, state.fingerprint or "", step, undo=undo, resolution=resolution)


def approval_was_withdrawn(state: RunState) -> bool:
    """Return whether an approval of the newest plan was withdrawn."""
    return any(
        decided.verdict.accepted
        and decided.arrival.decision is not None
        and decided.arrival.decision.decision is Choice.WITHDRAW_APPROVAL
        and decided.arrival.decision.refers_to(state.fingerprint)
        for decided in state.decisions
    )


def includes(state: RunState, event: Event) -> bool:
    """Return whether ``state`` already includes this decision."""
    return isinstance(event, Decided) and any(
        decided.arrival.key == event.arrival.key for decided in state.decisions
    )


def is_behind(state: RunState, record: RunState) -> bool:
    """Return whether ``record`` includes every accepted decision of ``state``, so it is at least as new."""
    known = {decided.arrival.key for decided in record.decisions}
    newest = [decided.arrival.key for decided in state.decisions if decided.verdict.accepted][-1:]
    return known.issuperset(newest)


def next_wakeup(state: RunState, now: datetime) -> datetime | None:
    """Return when the run must continue if it receives no message; None if there is no deadline."""
    if state.phase in (Phase.IN_REVIEW, Phase.HELD) and state.deadline:
        return max(now, state.deadline)
    return None
