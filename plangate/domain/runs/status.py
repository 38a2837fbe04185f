"""The status of a run for the query, the command line and ``--json``."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import Field, JsonValue

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.decisions.decision import Arrival, Choice, Resolution
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Approver, InvalidApproval
from plangate.domain.plans.duplicates import Duplicate
from plangate.domain.plans.plan import Plan, short
from plangate.domain.plans.plan_changes import Before, plan_before
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.escalation import LaterApprovers
from plangate.domain.policies.missing_approvals import missing, still_missing
from plangate.domain.policies.requirement import Missing, Need, Requirement, alone
from plangate.domain.policies.rolling_totals import RecentSum, written
from plangate.domain.runs.audit import OUTCOMES, Decided, Drafted, ModelUse, Outcome
from plangate.domain.runs.lifecycle import possible_resolutions
from plangate.domain.runs.run import Phase, RunState, StepState, UndoProgress
from plangate.domain.runs.satisfiable import Unmet
from plangate.domain.runs.settlements import SettlementState, SettlementStatus, settlement_of
from plangate.domain.runs.stops import StopStatus
from plangate.domain.runs.valid_approvals import approval_of, counts_until, why_invalid
from plangate.domain.times.start_times import Beginning

GONE: Final = "gone"
"""The state of a run that is open in the records but unknown to the Temporal server."""


class DecisionStatus(Frozen):
    """A decision that was accepted or refused.

    ``by`` and ``plan`` are missing if it could not be parsed. ``assurance`` is the proof of who made it;
    ``on_behalf_of`` lists the people whose delegated roles were needed. ``void`` explains why an accepted
    approval is no longer valid; ``counts_until`` is when a valid approval expires. ``step``, ``resolution``
    and ``hold`` belong to a resolution. ``key_id`` is the thumbprint of the key that proves the decision; for
    a login, of the web server's key. ``origin`` is where a passkey was used, and ``batch`` is how many
    approvals it signed at once.
    """

    by: str | None
    decision: str
    plan: str | None
    comment: str
    accepted: bool
    reason: str
    assurance: Assurance = Assurance.TYPED
    on_behalf_of: tuple[str, ...] = ()
    via: str
    at: AwareDatetime
    excerpt: str = ""
    void: str = ""
    counts_until: AwareDatetime | None = None
    step: int | None = None
    resolution: Resolution | None = None
    hold: int | None = None
    key_id: str | None = Field(default=None, exclude_if=lambda value: value is None)
    origin: str | None = Field(default=None, exclude_if=lambda value: value is None)
    batch: int | None = Field(default=None, exclude_if=lambda value: value is None)


class UnreadDecision(Frozen):
    """A decision that has not been processed yet: no worker is running, or it cannot be recorded now.

    ``by`` and ``plan`` are missing if it cannot be parsed; ``decision`` is ``withdraw`` for a cancellation.
    """

    decision: str
    by: str | None = None
    plan: str | None = None
    sent_at: AwareDatetime


class Attempt(Frozen):
    """An activity that is being retried, or is paused in Temporal.

    Attributes:
        attempt: the number of the current or the next attempt, as counted by Temporal.
        last_error: the error of the previous attempt; empty if there is none.
        next_try: when the next attempt begins; None while one runs, or while it is paused.
        is_stopped: whether it only waits until people release the stop that ``last_error`` describes.
        paused: who paused it in Temporal, and how to unpause it; empty if it is not paused.
        lost_since: when the previous attempt's worker last responded; None if the attempt ended.
        waits_for_worker: whether the attempt is due, but no worker has taken it yet.
    """

    attempt: int
    last_error: str = ""
    next_try: AwareDatetime | None = None
    is_stopped: bool = False
    paused: str = ""
    lost_since: AwareDatetime | None = Field(default=None, exclude_if=lambda value: value is None)
    waits_for_worker: bool = Field(default=False, exclude_if=lambda value: value is False)


class StepStatus(Frozen):
    """One step of the newest plan, and its progress.

    The step's tool added ``preview``, ``observation`` and ``undoable`` when the plan was drafted.
    ``is_begun`` means that the record contains a claim but no result: the step may have had an effect. A
    pending step with a ``failure`` is in doubt for that reason, and its retry has no result yet. ``undo`` is
    the progress of its undo, if one was tried. ``settlement`` is the final result of its effect, if its
    receipt was not final. ``attempt`` and the fields after it are as in `Attempt`, while the step, or its
    undo, is being retried or is paused.
    """

    number: int
    tool: str
    arguments: dict[str, JsonValue]
    why: str
    preview: str = ""
    observation: JsonValue = None
    undoable: bool = False
    state: StepState
    receipt: Receipt | None
    failure: str
    undo: UndoProgress | None = None
    settlement: SettlementStatus | None = Field(default=None, exclude_if=lambda value: value is None)
    is_begun: bool = False
    attempt: int | None = None
    last_error: str = ""
    next_try: AwareDatetime | None = None
    is_stopped: bool = False
    paused: str = ""
    lost_since: AwareDatetime | None = Field(default=None, exclude_if=lambda value: value is None)
    waits_for_worker: bool = Field(default=False, exclude_if=lambda value: value is False)

    @property
    def is_retried_in_doubt(self) -> bool:
        """Whether a person chose to retry it although it may have had an effect, without a result yet."""
        return self.state is StepState.PENDING and bool(self.failure)


class Unrecorded(Frozen):
    """Decisions and an outcome that cannot be recorded now, and the reason.

    ``decisions`` counts those that have not been processed, and ``oldest`` contains the first few.
    ``outcome`` indicates whether the outcome waits to be recorded.
    """

    decisions: int
    oldest: tuple[UnreadDecision, ...] = ()
    outcome: bool
    cause: str
    since: AwareDatetime


class HeldStatus(Frozen):
    """The reason why a run is held at ``step``, or at its undo, and the possible resolutions.

    ``number`` is the number of the hold in the run, from 1; a resolution refers to it.
    """

    number: int = 1
    step: int
    undo: bool = False
    why: str
    since: AwareDatetime
    resolutions: tuple[Resolution, ...]


class PreviousPlan(Frozen):
    """The plan that the newest one replaced; its approvals are no longer valid."""

    revision: int
    fingerprint: str
    plan: Plan


class SumStatus(RecentSum):
    """A rolling total; ``with_this_one`` includes this plan, and is None if it is not known."""

    with_this_one: str | None


class EditedRevision(Frozen):
    """A revision of the plan that a person made."""

    revision: int
    by: str


class Status(Frozen):
    """The full status of a run; ``source`` indicates where it was read from.

    ``unverified`` lists the approvers whose approval has the assurance ``typed``. ``missing`` lists the
    missing approvals, and ``reliefs`` the other roles that may give them, with their times. ``still_needed``
    lists how many of them each role may give; the sum may be larger. ``represented`` lists the people for
    whom an approval counts already, so that no other can. ``lost`` lists the approvals that were
    no longer valid when a step was to begin: the plan has been in review again since ``reopened_at``. The
    same applies if an edit could not be drafted (``edit_failed`` explains why). ``revoked`` lists the
    approvals that are no longer valid according to the recorded list of people. ``unmet`` lists the needed
    decisions that no one in that list can make. ``unread`` lists the decisions that have not been processed
    yet. The fingerprint is that of ``plan``, ``revision`` and ``workflow_id`` in ``installation`` and
    ``namespace``; `plangate.domain.runs.status_consistency` recomputes it. ``workers_differ`` lists the rules
    or tools that differ between the workers of the task queue, if the records can be read. ``cooling_until``
    is the time until which no step of the approved plan may begin, so that approvals can be withdrawn; it may
    be in the past. ``beginning`` indicates when the next step of the newest plan may begin after its
    approval, if this is limited. ``drafting`` is the current attempt at a draft that is being retried.
    ``author`` is the person who edited the newest plan; empty for a planner's or a supplied plan. ``authors``
    lists the people who may not approve it because they edited it or an earlier plan. ``previous`` is the
    plan before it. ``edits`` lists the revisions that people made, oldest first. ``baseline`` is the plan
    that all changes are compared with, if it is older than ``previous``: the last plan with an approval, else
    the first. If one of its steps is a number, it is the same as the step of ``plan`` with this number.
    ``stops`` lists the stops that make its steps wait, if ``source`` contains them. ``sums`` lists the
    rolling totals that were used to evaluate the newest plan. ``duplicates`` lists the steps of other runs
    that were equal when it was drafted. ``duplicates_now`` lists those that are equal while it is in review,
    if the records can be read. ``needs_more`` means that the sums, checked before a step, required more than
    the plan was approved for. ``may_draft`` indicates whether a running worker may be able to redraft the
    plan; True if this is unknown.
    """

    workflow_id: str
    state: str
    reason: str
    request: str
    requester: str
    plan: Plan | None
    revision: int
    installation: str | None
    namespace: str | None
    fingerprint: str | None
    short_fingerprint: str | None
    requirement: Requirement | None
    approved_by: tuple[str, ...]
    unverified: tuple[str, ...] = ()
    still_needed: tuple[Need, ...] = ()
    missing: tuple[Missing, ...] = ()
    reliefs: tuple[LaterApprovers, ...] = Field(default=(), exclude_if=lambda value: not value)
    represented: tuple[str, ...] = Field(default=(), exclude_if=lambda value: not value)
    lost: tuple[InvalidApproval, ...] = ()
    reopened_at: AwareDatetime | None = None
    edit_failed: str = ""
    revoked: tuple[InvalidApproval, ...] = ()
    unmet: tuple[Unmet, ...] = Field(default=(), exclude_if=lambda value: not value)
    changes_asked: str = ""
    decisions: tuple[DecisionStatus, ...]
    refusals_not_listed: int
    unread: tuple[UnreadDecision, ...] = ()
    unread_not_listed: int = 0
    deadline: AwareDatetime | None
    cooling_until: AwareDatetime | None = Field(default=None, exclude_if=lambda value: value is None)
    beginning: Beginning | None = Field(default=None, exclude_if=lambda value: value is None)
    planner: ModelUse | None
    steps: tuple[StepStatus, ...]
    workers_differ: tuple[str, ...] = ()
    drafting: Attempt | None = None
    unrecorded: Unrecorded | None = None
    author: str = ""
    authors: tuple[str, ...] = ()
    previous: PreviousPlan | None = None
    edits: tuple[EditedRevision, ...] = Field(default=(), exclude_if=lambda value: not value)
    baseline: Before | None = Field(default=None, exclude_if=lambda value: value is None)
    held: HeldStatus | None = None
    stops: tuple[StopStatus, ...] = ()
    sums: tuple[SumStatus, ...] = ()
    duplicates: tuple[Duplicate, ...] = Field(default=(), exclude_if=lambda value: not value)
    duplicates_now: tuple[Duplicate, ...] | None = Field(default=None, exclude_if=lambda value: value is None)
    needs_more: bool = False
    may_draft: bool = True
    source: str

    @property
    def lacks(self) -> tuple[Missing, ...]:
        """The missing approvals; those of each role if the worker that gave the status is older."""
        return self.missing or tuple(map(alone, self.still_needed))

    @property
    def repeated(self) -> tuple[Duplicate, ...]:
        """The equal steps of other runs to show: the current ones if known, else those of the draft."""
        return self.duplicates if self.duplicates_now is None else self.duplicates_now

    def waits_until(self, at: datetime) -> datetime | None:
        """Return until when the approved plan waits for its next step; None if it does not wait."""
        if self.state != Phase.EXECUTING or self.beginning is None:
            return None
        first = self.beginning.first(at)
        return first if first is not None and first > at else None

    def begins(self, at: datetime) -> datetime | None:
        """Return the earliest time at which an unapproved plan can begin; None if it can begin now."""
        if self.state != Phase.IN_REVIEW or self.beginning is None:
            return None
        first = self.beginning.first(at)
        return first if first is not None and first > at else None

    def can_never_begin(self, at: datetime) -> bool:
        """Return whether no step of the open plan may ever begin."""
        is_open = self.state in (Phase.IN_REVIEW, Phase.EXECUTING)
        return is_open and self.beginning is not None and self.beginning.first(at) is None


class RunResult(Frozen):
    """The result of the workflow: outcome, newest plan, receipts, and approvers.

    ``skipped`` contains the numbers of the steps that a person skipped, and ``undone`` those of the steps
    that were undone.
    """

    workflow_id: str
    outcome: Outcome
    reason: str
    revision: int
    fingerprint: str | None
    plan: Plan | None
    receipts: tuple[Receipt | None, ...]
    approved_by: tuple[str, ...]
    unverified: tuple[str, ...] = ()
    skipped: tuple[int, ...] = ()
    undone: tuple[int, ...] = ()


def status_of(state: RunState, source: str, unrecorded: Unrecorded | None = None) -> Status:
    """Return the status of a run in ``state``."""
    drafted, review = state.drafted, _review(state)
    return Status(
        workflow_id=state.workflow_id,
        state=state.state,
        reason=state.closed.reason if state.closed else "",
        request=state.requested.request if state.requested else "",
        requester=state.requester,
        plan=drafted.plan if drafted else None,
        revision=drafted.revision if drafted else 0,
        installation=drafted.audience.installation if drafted else None,
        namespace=drafted.audience.namespace if drafted else None,
        fingerprint=state.fingerprint,
        short_fingerprint=short(state.fingerprint) if state.fingerprint else None,
        requirement=drafted.requirement if drafted else None,
        approved_by=_names(state),
        unverified=_unverified(state),
        still_needed=missing(*review),
        missing=still_missing(*review),
        reliefs=state.later_approvers,
        represented=state.represented,
        lost=state.reopened.lost if state.reopened and state.phase is Phase.IN_REVIEW else (),
        reopened_at=state.reopened.reopened_at if state.reopened else None,
        edit_failed=state.reopened.edit if state.reopened else "",
        changes_asked=state.feedback,
        decisions=_decisions(state),
        refusals_not_listed=state.refusals_not_kept,
        deadline=state.deadline,
        cooling_until=state.cooling_until,
        beginning=_beginning(state),
        planner=drafted.planner if drafted else None,
        steps=_steps(state),
        unrecorded=unrecorded,
        author=drafted.author if drafted else "",
        authors=state.authors,
        previous=_previous(state),
        edits=_edits(state),
        baseline=state.baseline if state.drafted else None,
        held=_held(state),
        sums=_sums(drafted),
        duplicates=drafted.duplicates if drafted else (),
        needs_more=state.reopened is not None and state.reopened.requirement is not None,
        source=source,
    )


def _beginning(state: RunState) -> Beginning | None:
    is_open = state.phase in (Phase.IN_REVIEW, Phase.EXECUTING, Phase.HELD)
    return state.beginning if is_open and not state.beginning.is_free else None


def with_step_attempt(status: Status, attempt: Attempt) -> Status:
    """Return ``status`` with the attempt of the step that is being executed or undone."""
    number = current_step(status)
    steps = tuple(
        step.model_copy(update=dict(attempt)) if step.number == number else step for step in status.steps
    )
    return status.model_copy(update={"steps": steps})


def current_step(status: Status) -> int | None:
    """Return the number of the step that is executed or undone next, or None."""
    if status.state != Phase.UNDOING:
        return next((step.number for step in status.steps if step.state is StepState.PENDING), None)
    undoable = [
        step.number
        for step in status.steps
        if step.undoable
        and step.state is StepState.DONE
        and step.receipt
        and (step.undo is None or step.undo.state is StepState.PENDING)
    ]
    return max(undoable, default=None)


def with_stops(status: Status, stops: Collection[StopStatus]) -> Status:
    """Return the status of a run, with the stops that make its steps wait if it is open."""
    if status.state in OUTCOMES:
        return status
    tools = {step.tool for step in status.plan.steps} if status.plan else None
    concerned = tuple(stop for stop in stops if tools is None or stop.concerns(tools))
    return status.model_copy(update={"stops": concerned})


def is_unsettled(status: Status) -> bool:
    """Return whether the run has ended, but the settlement of an accepted effect is still looked up."""
    return status.state in OUTCOMES and any(
        step.settlement is not None and step.settlement.state is SettlementState.OPEN for step in status.steps
    )


def with_settlements(status: Status, found: Mapping[int, SettlementStatus]) -> Status:
    """Return ``status`` with the settlements of these steps."""
    steps = tuple(
        step.model_copy(update={"settlement": found[step.number]})
        if step.settlement is not None and step.number in found
        else step
        for step in status.steps
    )
    return status.model_copy(update={"steps": steps})


def result_of(state: RunState) -> RunResult:
    """Return how a closed run ended.

    Raises:
        ValueError: the run is not closed.
    """
    if state.closed is None:
        raise ValueError("an open run has no result")
    return RunResult(
        workflow_id=state.workflow_id,
        outcome=state.closed.outcome,
        reason=state.closed.reason,
        revision=state.drafted.revision if state.drafted else 0,
        fingerprint=state.fingerprint,
        plan=state.drafted.plan if state.drafted else None,
        receipts=tuple(progress.receipt for progress in state.steps),
        approved_by=_names(state),
        unverified=_unverified(state),
        skipped=_numbers(state, StepState.SKIPPED),
        undone=_numbers(state, StepState.UNDONE),
    )


def unread_of(arrival: Arrival) -> UnreadDecision:
    """Return a decision that has not been processed yet; its content is unchecked."""
    decision = arrival.decision
    return UnreadDecision(
        decision=decision.decision if decision else arrival.name,
        by=decision.by if decision else None,
        plan=decision.plan if decision else None,
        sent_at=arrival.received_at,
    )


def on_behalf_of(approver: Approver | None, requirement: Requirement | None) -> tuple[str, ...]:
    """Return the delegators whose roles the approver needed; empty if their own roles were enough."""
    if approver is None or requirement is None:
        return ()
    demanded = set(requirement.asked_roles)
    named = [standing.person for standing in approver.standings if demanded.intersection(standing.roles)]
    return () if approver.name in named else tuple(named)


def _review(state: RunState) -> tuple[Requirement, Sequence[Approver], Sequence[str]]:
    """Return what the review of a run requires, the approvals so far, and who may not approve."""
    if state.drafted is None or state.phase is not Phase.IN_REVIEW:
        return Requirement(), (), ()
    return state.drafted.requirement, state.approvers_as_received, state.excluded


def _sums(drafted: Drafted | None) -> tuple[SumStatus, ...]:
    return tuple(
        SumStatus(**dict(one), with_this_one=None if one.total is None else written(one.total))
        for one in (drafted.recent if drafted else ())
    )


def _held(state: RunState) -> HeldStatus | None:
    if state.held is None:
        return None
    return HeldStatus(
        number=state.next_hold,
        step=state.held.step,
        undo=state.held.undo,
        why=state.held.why,
        since=state.held.held_at,
        resolutions=possible_resolutions(state),
    )


def _previous(state: RunState) -> PreviousPlan | None:
    if state.before is None or state.drafted is None:
        return None
    plan = plan_before(state.before, state.drafted.plan)
    return PreviousPlan(revision=state.before.revision, fingerprint=state.before.fingerprint, plan=plan)


def _edits(state: RunState) -> tuple[EditedRevision, ...]:
    """Return the revisions that people made, from the last accepted decision on each replaced plan."""
    made = []
    for revision, fingerprint in enumerate(state.replaced, start=2):
        asked = [
            decided
            for decided in state.decisions
            if decided.verdict.accepted
            and decided.arrival.decision is not None
            and decided.arrival.decision.decision in (Choice.EDIT, Choice.REQUEST_CHANGES)
            and decided.arrival.decision.refers_to(fingerprint)
        ]
        last = asked[-1] if asked else None
        if last is not None and last.arrival.decision and last.arrival.decision.decision is Choice.EDIT:
            by = last.approver.name if last.approver else last.arrival.decision.by
            made.append(EditedRevision(revision=revision, by=by))
    return tuple(made)


def _numbers(state: RunState, wanted: StepState) -> tuple[int, ...]:
    return tuple(number for number, step in enumerate(state.steps, start=1) if step.state is wanted)


def _names(state: RunState) -> tuple[str, ...]:
    return tuple(approver.name for approver in state.approvers)


def _unverified(state: RunState) -> tuple[str, ...]:
    return tuple(approver.name for approver in state.approvers if approver.assurance is Assurance.TYPED)


def _decisions(state: RunState) -> tuple[DecisionStatus, ...]:
    requirement = state.drafted.requirement if state.drafted else None
    shown = []
    for decided in state.decisions:
        approval = approval_of(state, decided)
        validity = {
            "void": why_invalid(state, decided),
            "counts_until": counts_until(state, approval) if approval else None,
        }
        shown.append(decision_status(decided, requirement).model_copy(update=validity))
    return tuple(shown)


def decision_status(decided: Decided, requirement: Requirement | None) -> DecisionStatus:
    """Return the status of one decision."""
    arrival, decision = decided.arrival, decided.arrival.decision
    known: dict[str, Any] = (
        {"by": decision.by, "decision": decision.decision, "plan": decision.plan, "comment": decision.comment}
        if decision
        else {"by": None, "decision": arrival.name, "plan": None, "comment": ""}
    )
    return DecisionStatus(
        **known,
        accepted=decided.verdict.accepted,
        reason=decided.verdict.reason,
        assurance=decided.approver.assurance if decided.approver else Assurance.TYPED,
        on_behalf_of=on_behalf_of(decided.approver, requirement),
        via=arrival.via,
        at=arrival.received_at,
        excerpt=arrival.excerpt,
        step=decision.step if decision else None,
        resolution=decision.resolution if decision else None,
        hold=decision.hold if decision else None,
        key_id=decided.approver.key_id if decided.approver else None,
        origin=decided.approver.origin if decided.approver else None,
        batch=decided.approver.batch if decided.approver else None,
    )


def _steps(state: RunState) -> tuple[StepStatus, ...]:
    if state.drafted is None:
        return ()
    return tuple(
        StepStatus(
            number=number,
            tool=step.tool,
            arguments=step.arguments,
            why=step.reason,
            preview=step.preview,
            observation=step.observation,
            undoable=step.undoable,
            state=progress.state,
            receipt=progress.receipt,
            failure=progress.reason or progress.doubt,
            undo=None if progress.undo == UndoProgress() else progress.undo,
            settlement=settlement_of(progress),
            is_begun=(number == state.claimed or bool(progress.doubt))
            and progress.state is StepState.PENDING,
        )
        for number, (step, progress) in enumerate(
            zip(state.drafted.plan.steps, state.shown_steps, strict=True), start=1
        )
    )
