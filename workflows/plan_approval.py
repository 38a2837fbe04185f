"""The workflow `PlanApproval`: draft a plan, wait for approval, execute exactly the approved plan.

`run` shows the whole process. Signals and the update only add messages to the decision inbox.
`_process_inbox` takes them out in order, has an activity check and record each one, and applies the results.
Only `plangate.domain.runs.fold.apply` changes the run's state.

Three patterns in this file come from Temporal:

* Handlers and `run` accept any input (``Any``, and more inputs than they need): a typed parameter would block
  the run or drop the message silently. The domain validates the input.
* The deadline's timer is not cancelled when the plan is approved, because this would add a history event.
* Cancellation (the Web UI's button, `starter.py withdraw`) must not interrupt a write to the records, so
  the phases run in a separate task, and `run` only stores the reason for the cancellation.

A decision that cannot currently be recorded waits in the decision inbox, but the run does not wait for it:
the deadline and a withdrawal still end the run immediately (docs/decisions/0026).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar, assert_never

from temporalio import workflow
from temporalio.common import (
    RawValue,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ActivityError, FailureError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from pydantic import StringConstraints, TypeAdapter, ValidationError, field_validator

    from activities.closing import Closing
    from activities.decisions import Decisions
    from activities.execution import Execution
    from activities.failed_step import Holding
    from activities.planning import Planning
    from activities.tasks import AdmitTask, CloseTask, DraftTask, HoldTask, KeepTask, StepResult, StepTask
    from plangate.domain.base import AwareDatetime, Frozen
    from plangate.domain.decisions.decision import MAX_COMMENT, Arrival, Choice, DecisionAnswer, Verdict
    from plangate.domain.errors import RequestInvalid
    from plangate.domain.escaping import cut
    from plangate.domain.plans.plan import short
    from plangate.domain.plurals import step_or_undo
    from plangate.domain.runs.audit import Closed, Decided, Drafted, Event, Outcome, RunRef
    from plangate.domain.runs.fold import apply
    from plangate.domain.runs.lifecycle import executed_because, undone_because
    from plangate.domain.runs.request import PlanRequest, check_opening, read_request
    from plangate.domain.runs.run import (
        Phase,
        RunState,
        includes,
        is_behind,
        next_step,
        next_undo,
        next_wakeup,
        unsettled_steps,
    )
    from plangate.domain.runs.settlements import SettlementState, settlement_id
    from plangate.domain.runs.starting import missed_start_times, why_too_late
    from plangate.domain.runs.status import RunResult, Status, Unrecorded, result_of, status_of, unread_of
    from plangate.presentation.markdown import details_page
    from plangate.temporal.contract import WORKFLOW_TYPE
    from plangate.temporal.search_attributes import PLANGATE_STATE
    from workflows import options
    from workflows.decision_inbox import DecisionInbox
    from workflows.recording import LONGEST_REASON, Recording, RecordingFailure, is_refusal, reason_of
    from workflows.settlement import PlangateSettlement

_LONGEST_ID: Final = 1_000  # bytes, for Temporal
_HOLD_PATCH: Final = "hold-failed-steps"
"""The patch that holds the run if a step fails; in older histories, the run ended."""
_LEAVE_PATCH: Final = "leave-a-step-that-waits"
"""The patch that lets a run leave a waiting step when its phase changes, before the step ends."""
_KEEP_PATCH: Final = "keep-plan-of-failed-edit"
"""The patch that keeps the plan in review if an edit cannot be drafted; in older histories, the run ended."""
_NO_CRON: Final = (
    "Plangate does not support Temporal's cron: all its runs have one id, so they are one request, which is "
    "executed once. Use a Temporal schedule, which gives each start its own id: temporal schedule create "
    "--help. End this cron with: temporal workflow terminate -w ID"
)
_OR_SIGNED: Final = ", or the output of `starter.py sign`"
_UNREADABLE: Final = (
    "The workflow was continued as new with a state that this release cannot read; start the request again."
)
Written = TypeVar("Written")
Result = TypeVar("Result")
# The keys of received messages; no other entry of the trail has such a key.
_ARRIVAL_KEY: Final = TypeAdapter(
    Annotated[str, StringConstraints(pattern=r"^[^:]{1,100}:(signal|update):[0-9a-f]{1,32}$")]
)


class Carried(Frozen):
    """The data that continue-as-new passes to the next run of the chain.

    Attributes:
        arrivals: the messages that have not been processed yet.
        hindrance: why they cannot be recorded.
        closing: why the end of the run cannot be recorded.
        ended_at: when the run ended, if that has not been recorded yet.
        stopped_at: the step at which it ended.
        stopped_undoing: whether that step was being undone.
    """

    carried: RunState
    request: PlanRequest
    arrivals: tuple[Arrival, ...] = ()
    hindrance: RecordingFailure | None = None
    closing: RecordingFailure | None = None
    ended_at: AwareDatetime | None = None
    stopped_at: int | None = None
    stopped_undoing: bool = False

    @field_validator("arrivals")
    @classmethod
    def _have_keys_of_arrivals(cls, arrivals: tuple[Arrival, ...]) -> tuple[Arrival, ...]:
        for arrival in arrivals:
            _ARRIVAL_KEY.validate_python(arrival.key)
        return arrivals

    @property
    def is_within_limits(self) -> bool:
        """Whether this state is within the limits of a run; its reasons will be recorded."""
        state, step = self.carried, self.stopped_at
        reasons = [one.reason for step in state.steps for one in (step, step.undo)]
        reasons += [state.closed.reason] if state.closed else []
        reasons += [state.held.why] if state.held else []
        return all(len(one) <= LONGEST_REASON for one in reasons) and (
            step is None or 1 <= step <= len(state.steps)
        )


@workflow.defn(name=WORKFLOW_TYPE)
class PlanApproval:
    """One request, from its draft to its outcome."""

    def __init__(self) -> None:
        self._state = RunState(workflow_id=workflow.info().workflow_id)
        self._request: PlanRequest | None = None
        self._inbox = DecisionInbox()
        self._batch: tuple[Arrival, ...] = ()
        self._withdrawn: str | None = None
        self._unfinished_step: int | None = None
        self._unfinished_undo = False
        self._ended_at: datetime | None = None
        self._at_work_since: datetime | None = None
        self._closed_on_record = False
        self._decision_recording = Recording(needs_people=True)
        self._phase_recording = Recording(needs_people=False)

    # ---- the process ----------------------------------------------------------------------------

    @workflow.run
    async def run(self, request: Any = None, *more: Any) -> RunResult:
        """Draft, review, execute and close; always return the outcome."""
        self._open((request, *more))
        phases = asyncio.create_task(self._run_phases())
        admitting = asyncio.create_task(self._process_inbox())
        while not phases.done():
            try:
                await workflow.wait((phases, admitting), return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                reason = workflow.cancellation_reason() or "withdrawn by a request to cancel it"
                self._withdrawn = cut(reason, MAX_COMMENT)
            if admitting.done():
                await admitting  # it ends only with an exception, which fails the workflow task
        admitting.cancel()
        return await phases

    async def _run_phases(self) -> RunResult:
        while (phase := self._state.phase) is not Phase.CLOSED:
            match phase:
                case Phase.DRAFTING:
                    await self._draft()
                case Phase.IN_REVIEW:
                    await self._review()
                case Phase.EXECUTING:
                    await self._execute()
                case Phase.HELD:
                    await self._wait_for_resolution()
                case Phase.UNDOING:
                    await self._undo()
                case _:
                    assert_never(phase)
        await self._close()
        await self._look_up_later()
        await self._wait_or_continue_as_new(lambda: not self._inbox and workflow.all_handlers_finished())
        return result_of(self._state)

    def _open(self, inputs: Sequence[Any]) -> None:
        """Restore the state of the previous run, or start with the request."""
        try:
            match inputs:
                case _ if workflow.info().cron_schedule:
                    self._refuse(_NO_CRON)
                case ({"carried": _, "request": _} as carried,) if _continues_itself():
                    self._take_over(carried)
                case _:
                    self._request = read_request(inputs)
                    self._apply(self._request.requested(workflow.now()))
                    workflow.logger.info("A request was received.", extra={"action": "requested"})
        except RequestInvalid as error:
            self._refuse(str(error))

    def _refuse(self, why: str) -> None:
        """End immediately, because the input is not a valid request."""
        self._apply(PlanRequest(requester="unknown").requested(workflow.now()))
        self._end(Outcome.FAILED, why)

    def _take_over(self, carried: Any) -> None:
        try:
            before = Carried.model_validate(carried)
        except ValidationError:
            raise RequestInvalid(_UNREADABLE) from None
        state = before.carried
        if state.requested is None or not (before.is_within_limits and state.is_consistent):
            raise RequestInvalid(_UNREADABLE)
        check_opening(_opening_of(state), workflow.now())
        self._state, self._request = before.carried, before.request
        self._unfinished_step, self._unfinished_undo = before.stopped_at, before.stopped_undoing
        self._decision_recording.resume(before.hindrance)
        self._phase_recording.resume(before.closing)
        # The times of receipt that the previous run reports are not trusted: the current time is used
        # instead. A run continues as new only before its deadline (docs/decisions/0020).
        now = workflow.now()
        self._ended_at = min(before.ended_at, now) if before.ended_at else None
        self._inbox.restore([one.model_copy(update={"received_at": now}) for one in before.arrivals])

    async def _draft(self) -> None:
        assert self._request is not None
        revision, before = self._state.next_revision, self._state.drafted
        task = DraftTask(
            run=_opening_of(self._state),
            revision=revision,
            supplied=self._request.plan if before is None else None,
            is_edit=self._state.edit is not None,
            feedback=self._state.feedback,
            previous=before.plan if before else None,
        )
        self._at_work_since = workflow.now()
        if self._request.drafts_at_once and task.supplied is not None:
            at_once = await self._draft_at_once(task)
            if at_once is not None:
                self._apply(at_once)
                return
        drafting = workflow.start_activity_method(
            Planning.draft_plan, task, summary=f"revision {revision}", **options.DRAFT
        )
        await workflow.wait_condition(lambda: drafting.done() or self._withdrawn is not None)
        if self._withdrawn is not None and not drafting.done():
            drafting.cancel()
        try:
            drafted: Drafted = await drafting
        except ActivityError as error:
            if self._withdrawn is not None:
                self._end(Outcome.WITHDRAWN, self._withdrawn)
            elif self._state.edit is not None and workflow.patched(_KEEP_PATCH):
                await self._keep_plan(revision, reason_of(error))
            else:
                self._end(Outcome.FAILED, reason_of(error))
        else:
            self._apply(drafted)

    async def _keep_plan(self, revision: int, reason: str) -> None:
        """Record that the plan from before an edit is in review again, and adopt the recorded state."""
        task = KeepTask(run=_ref_of(self._state), revision=revision, reason=reason, at=workflow.now())
        record = await self._written(Planning.keep_plan, task)
        if record is not None:
            self._adopt(record)
            if self._state.phase is Phase.DRAFTING:
                self._end(Outcome.FAILED, reason)

    async def _draft_at_once(self, task: DraftTask) -> Drafted | None:
        """Draft a supplied plan in this workflow task; return None if it needs a separate activity."""
        task = task.model_copy(update={"at": workflow.now()})
        try:
            return await workflow.execute_local_activity_method(
                Planning.draft_at_once, task, **options.AT_ONCE
            )
        except FailureError:
            return None

    async def _review(self) -> None:
        drafted = self._state.drafted
        assert drafted is not None
        self._update_search_attribute(Phase.IN_REVIEW)
        deadline = await self._wait_for_people(
            Phase.IN_REVIEW, f"deadline of plan {short(drafted.fingerprint)}"
        )
        if self._state.phase is Phase.IN_REVIEW:
            self._end(Outcome.EXPIRED, self._why_expired())
        if self._state.phase is Phase.DRAFTING:
            deadline.cancel()

    async def _wait_for_people(self, phase: Phase, summary: str) -> "asyncio.Task[None]":
        """Wait until a decision ends ``phase``, the deadline has passed, or the run is withdrawn.

        A withdrawal ends the run. Return the deadline's timer.
        """
        now = workflow.now()
        deadline = asyncio.create_task(
            workflow.sleep((next_wakeup(self._state, now) or now) - now, summary=summary)
        )
        await self._wait_or_continue_as_new(
            lambda: (
                self._state.phase is not phase
                or (self._may_move_on() and (deadline.done() or self._withdrawn is not None))
            )
        )
        if self._state.phase is phase and self._withdrawn is not None:
            self._end(Outcome.WITHDRAWN, self._withdrawn)
        return deadline

    async def _wait_for_resolution(self) -> None:
        """Wait while the run is held; abort it at the deadline without doing anything else."""
        held = self._state.held
        assert held is not None
        self._update_search_attribute(Phase.HELD)
        deadline = await self._wait_for_people(Phase.HELD, f"held at step {held.step}")
        if self._state.phase is Phase.HELD:
            until = f"{held.deadline:%Y-%m-%d %H:%M} UTC"
            where = step_or_undo(held.step, undo=held.undo)
            self._end(Outcome.FAILED, f"held at {where}, and not resolved until {until}: {held.why}")
        deadline.cancel()
        if self._state.phase is not Phase.CLOSED:
            self._update_search_attribute(self._state.phase)

    def _why_expired(self) -> str:
        until = f"{self._state.deadline:%Y-%m-%d %H:%M} UTC"
        if not self._inbox:
            return f"the deadline, {until}, passed without the required approvals"
        return f"no decision could be recorded before the deadline, {until}"

    async def _execute(self) -> None:
        drafted = self._state.drafted
        assert drafted is not None
        while self._state.phase is Phase.EXECUTING:
            if self._withdrawn is not None:
                self._end(Outcome.WITHDRAWN, self._withdrawn)
                return
            if self._may_continue_as_new():
                await self._continue_as_new()
                continue
            step = next_step(self._state)
            if step is None:  # the last step was skipped, or marked as done
                self._end(Outcome.EXECUTED, executed_because(self._state))
            elif self._state.waits_until(workflow.now()):  # never true for plans that predate start times
                await self._wait_to_begin()
            elif missed_start_times(self._state, workflow.now()):
                self._end(Outcome.EXPIRED, why_too_late(self._state))
            else:
                await self._execute_step(drafted, step)

    async def _wait_to_begin(self) -> None:
        """Wait until the next step may begin, an approval is withdrawn, or the run is withdrawn."""
        left = min(self._state.beginning.wait(workflow.now()), options.LONGEST_SLEEP)
        is_cooling = self._state.beginning.cooling_until is not None
        summary = (
            "approved; approvals can still be withdrawn" if is_cooling else "approved; not yet time to begin"
        )
        timer = asyncio.create_task(workflow.sleep(left, summary=summary))
        await self._wait_or_continue_as_new(
            lambda: (
                self._state.phase is not Phase.EXECUTING
                or self._withdrawn is not None
                or (self._may_move_on() and timer.done())
            )
        )
        timer.cancel()

    async def _undo(self) -> None:
        """Undo the completed steps that can be undone, the last one first, and end the run."""
        drafted = self._state.drafted
        assert drafted is not None
        while self._state.phase is Phase.UNDOING:
            step = next_undo(self._state)
            if self._withdrawn is not None:
                self._end(Outcome.WITHDRAWN, self._withdrawn)
            elif step is None:
                self._end(Outcome.FAILED, undone_because(self._state))
            elif self._may_continue_as_new():
                await self._continue_as_new()
            else:
                await self._execute_step(drafted, step, undo=True)

    async def _execute_step(self, drafted: Drafted, step: int, *, undo: bool = False) -> None:
        requested, phase = self._state.requested, self._state.phase
        assert requested is not None
        progress = self._state.steps[step - 1]
        task = StepTask(
            run=_ref_of(self._state),
            requested_at=requested.requested_at,
            plan=drafted.plan,
            revision=drafted.revision,
            fingerprint=drafted.fingerprint,
            step=step,
            undo=undo,
            resolution=progress.undo.resolution if undo else progress.resolution,
            resolutions=self._state.resolutions,
        )
        position = f"step {step} of {len(drafted.plan.steps)}: {drafted.plan.steps[step - 1].tool}"
        summary = f"undo {position}" if undo else position
        self._at_work_since = workflow.now()
        acting = workflow.start_activity_method(Execution.execute_step, task, summary=summary, **options.STEP)
        await workflow.wait_condition(
            lambda: acting.done() or self._withdrawn is not None or self._state.phase is not phase
        )
        if not acting.done() and (self._withdrawn is not None or workflow.patched(_LEAVE_PATCH)):
            acting.cancel()  # ends the pause between two attempts; an action in progress is finished first
        try:
            result: StepResult = await acting
        except ActivityError as error:
            if self._state.phase is not phase:
                return  # an approval was withdrawn before the step, so nothing happened, despite the error
            if self._withdrawn is None and not is_refusal(error) and workflow.patched(_HOLD_PATCH):
                await self._hold(drafted, step, reason_of(error), undo=undo)
                return
            self._unfinished_step, self._unfinished_undo = step, undo
            if self._withdrawn is not None:
                self._end(Outcome.WITHDRAWN, self._withdrawn)
            else:
                self._end(Outcome.FAILED, reason_of(error))
            return
        self._adopt(result.record)
        if result.reopened is not None:
            self._apply(result.reopened)
        if result.done is not None:
            self._apply(result.done)
        if result.undone is not None:
            self._apply(result.undone)
        if result.closed is not None:
            self._closed_on_record = True
            self._apply(result.closed)

    async def _hold(self, drafted: Drafted, step: int, reason: str, *, undo: bool) -> None:
        """Record that the run is held, and adopt the recorded state."""
        task = HoldTask(
            run=_ref_of(self._state),
            fingerprint=drafted.fingerprint,
            step=step,
            undo=undo,
            reason=reason,
            at=workflow.now(),
            resolutions=self._state.resolutions,
            requested_at=self._state.requested.requested_at if self._state.requested else None,
        )
        result = await self._written(Holding.hold_run, task)
        if result is not None:
            self._adopt(result.record)
            if result.refusal:
                self._end(Outcome.FAILED, result.refusal)
        if self._ended_at is not None:
            self._unfinished_step, self._unfinished_undo = step, undo

    async def _written(
        self, activity: Callable[[Any, Written], Awaitable[Result]], task: Written
    ) -> Result | None:
        """Record an event that changes the state of the run, and return the result of the activity.

        A withdrawal does not wait until it can be recorded. Return None if the run has ended instead.
        """
        writing = asyncio.create_task(self._phase_recording.write(activity, lambda: task))
        await workflow.wait_condition(
            lambda: writing.done() or (self._withdrawn is not None and self._phase_recording.waits_outside)
        )
        if not writing.done():
            writing.cancel()
            self._end(Outcome.WITHDRAWN, self._withdrawn or "")
            return None
        try:
            return await writing
        except FailureError as error:
            self._end(Outcome.FAILED, reason_of(error))
            return None

    def _adopt(self, record: RunState | None) -> None:
        """Adopt the recorded state, unless this run has newer decisions."""
        if record is not None and is_behind(self._state, record):
            self._state = record

    async def _close(self) -> None:
        """Record the outcome, unless the last step has already recorded it."""
        closed = self._state.closed
        assert closed is not None
        if not self._closed_on_record:
            task = CloseTask(
                run=_opening_of(self._state),
                outcome=closed.outcome,
                reason=closed.reason,
                at=self._ended_at or workflow.now(),
                fingerprint=self._state.fingerprint,
                step=self._unfinished_step,
                undo=self._unfinished_undo,
            )
            writing = asyncio.create_task(self._phase_recording.write(Closing.close_run, lambda: task))
            await self._wait_or_continue_as_new(writing.done)
            for event in (await writing).events:
                self._apply(event)
            self._closed_on_record = True
        self._update_search_attribute(self._state.state)

    async def _look_up_later(self) -> None:
        """Start the look-up of accepted effects, if there are any; it continues after this run has ended."""
        name = settlement_id(self._state.workflow_id)
        if not unsettled_steps(self._state) or len(name.encode()) > _LONGEST_ID:
            return
        attributes = workflow.info().typed_search_attributes
        state = attributes.get(PLANGATE_STATE) and SearchAttributePair(PLANGATE_STATE, SettlementState.OPEN)
        with suppress(WorkflowAlreadyStartedError):  # already started before a reset, or by an operator
            await workflow.start_child_workflow(
                PlangateSettlement.run,
                id=name,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                search_attributes=TypedSearchAttributes([state]) if state else None,
                static_summary="how the accepted effects of the run end",
            )

    # ---- messages -------------------------------------------------------------------------------

    @workflow.signal(
        description='Approve the plan. Send {"by": "your name", "plan": "its first 12 digits"}' + _OR_SIGNED
    )
    def approve(self, *inputs: Any) -> None:
        """Approve exactly one plan."""
        self._inbox.add_signal(Choice.APPROVE, inputs)

    @workflow.signal(
        description='Reject the plan; this ends the run. Send {"by": "…", "plan": "…", "comment": "why"}'
        + _OR_SIGNED
    )
    def reject(self, *inputs: Any) -> None:
        """Reject the plan; the run ends."""
        self._inbox.add_signal(Choice.REJECT, inputs)

    @workflow.signal(
        description='Ask for another revision. Send {"by": "…", "plan": "…", "comment": "what to change"}'
        + _OR_SIGNED
    )
    def request_changes(self, *inputs: Any) -> None:
        """Request another revision."""
        self._inbox.add_signal(Choice.REQUEST_CHANGES, inputs)

    @workflow.signal(
        description='Withdraw your own approval, until the first step begins. Send {"by": "…", "plan": "…"}'
        + _OR_SIGNED
    )
    def withdraw_approval(self, *inputs: Any) -> None:
        """Withdraw an approval."""
        self._inbox.add_signal(Choice.WITHDRAW_APPROVAL, inputs)

    @workflow.signal(
        description='Replace the plan with your own. Send {"by": "…", "plan": "…", "new_plan": {…}}'
        + _OR_SIGNED
    )
    def edit(self, *inputs: Any) -> None:
        """Replace the plan with the sender's own revision."""
        self._inbox.add_signal(Choice.EDIT, inputs)

    @workflow.signal(
        description="Resolve a held run: retry, skip, mark_done, undo or abort. Send "
        '{"by": "…", "plan": "…", "step": 2, "hold": 1, "resolution": "retry", "comment": "why"}' + _OR_SIGNED
    )
    def resolve(self, *inputs: Any) -> None:
        """Resolve a held run."""
        self._inbox.add_signal(Choice.RESOLVE, inputs)

    @workflow.signal(dynamic=True)
    def unknown(self, name: str, inputs: Sequence[RawValue]) -> None:
        """Record a signal with an unknown name as a refused decision."""
        self._inbox.add_unknown(name, inputs)

    @workflow.update(
        description='Decide, and get the result. Send {"decision": "approve", "by": "…", "plan": "…"}'
    )
    async def decide(self, *inputs: Any) -> DecisionAnswer:
        """Make a decision, as the signals do, and return the result."""
        verdict = await self._inbox.submit_update(inputs, lambda: self._waits_outside)
        if verdict is not None:
            return DecisionAnswer(accepted=verdict.accepted, reason=verdict.reason, state=self._state.state)
        unrecorded = self._unrecorded()
        kept = (
            "your decision was received, and will be checked as soon as this problem is solved: "
            f"{unrecorded.cause.rstrip('.') if unrecorded else ''}. You need not send it again"
        )
        return DecisionAnswer(accepted=None, reason=kept, state=self._state.state)

    @workflow.query(description="The state of the run: plan, decisions, deadline, steps")
    def status(self) -> Status:
        """Return the status of the run."""
        return status_of(self._state, source="workflow", unrecorded=self._unrecorded())

    def page(self) -> str:
        """Return the Web UI's page for the run in its current state; see `workflows.details_interceptor`."""
        return details_page(self._state, self._unrecorded(), self._at_work_since)

    async def _process_inbox(self) -> None:
        """Process incoming decisions in order until the run ends."""
        unreported = 0
        while True:
            await workflow.wait_condition(lambda: bool(self._inbox))
            try:
                decided = await self._decision_recording.write(
                    Decisions.admit_decisions, self._admission, self._may_admit
                )
            except FailureError as error:
                refused = Verdict(accepted=False, reason=reason_of(error))
                decided = tuple(Decided(arrival=arrival, verdict=refused) for arrival in self._batch)
            if not decided:  # they may refer to a plan that this run has not received yet
                await workflow.wait_condition(lambda: self._state.phase is not Phase.DRAFTING)
                continue
            for event in decided:
                self._apply(event)
            self._inbox.resolve(decided)
            unreported += sum(len(event.model_dump_json()) for event in decided)
            if unreported > options.REPORT_BYTES and self._inbox:
                # A timer ends the workflow task: a very large number of signals in one task would exceed the
                # server's limit.
                await workflow.sleep(options.SHORTEST, summary="many decisions arrived")
                unreported = 0

    def _admission(self) -> AdmitTask:
        self._batch = self._inbox.first(options.ADMIT_AT_ONCE, options.ADMIT_BYTES)
        return AdmitTask(run=_ref_of(self._state), state=self._state, arrivals=self._batch)

    def _may_admit(self) -> bool:
        """Whether decisions may be recorded now: the end of the run is recorded first."""
        return self._state.phase is not Phase.CLOSED or self._closed_on_record

    @property
    def _waits_outside(self) -> bool:
        """Whether decisions wait because they, or the end of the run, cannot be recorded now."""
        return self._decision_recording.waits_outside or (
            self._phase_recording.waits_outside and not self._may_admit()
        )

    def _may_move_on(self) -> bool:
        """Whether no decision is being processed; those that cannot be recorded now are processed later."""
        return not self._inbox or self._waits_outside

    def _unrecorded(self) -> Unrecorded | None:
        failures = [one for one in (self._decision_recording.failure, self._phase_recording.failure) if one]
        if not failures:
            return None
        return Unrecorded(
            decisions=len(self._inbox),
            oldest=tuple(map(unread_of, self._inbox.first(options.LISTED_UNRECORDED, options.ADMIT_BYTES))),
            outcome=self._state.phase is Phase.CLOSED and not self._closed_on_record,
            cause=failures[-1].cause,
            since=min(one.since for one in failures),
        )

    # ---- state and history ----------------------------------------------------------------------

    def _apply(self, event: Event) -> None:
        if not includes(self._state, event):  # the recorded state may have included it
            self._state = apply(self._state, event)

    def _end(self, outcome: Outcome, reason: str) -> None:
        self._ended_at = workflow.now()
        self._apply(Closed(outcome=outcome, reason=reason))

    def _update_search_attribute(self, state: str) -> None:
        """Set the search attribute with the run's state, if the run was started with it.

        It stays "in review" during execution, which saves a history event (docs/decisions/0003).
        """
        if workflow.info().typed_search_attributes.get(PLANGATE_STATE) is not None:
            workflow.upsert_search_attributes([PLANGATE_STATE.value_set(state)])

    async def _wait_or_continue_as_new(self, condition: Callable[[], bool]) -> None:
        """Wait for ``condition``, and continue as new if the history becomes too long."""
        while True:
            await workflow.wait_condition(lambda: condition() or self._may_continue_as_new())
            if condition():
                return
            await self._continue_as_new()

    def _may_continue_as_new(self) -> bool:
        """Whether the history is long, and nothing in progress would be lost in the next run."""
        return (
            workflow.info().is_continue_as_new_suggested()
            and self._request is not None
            and not self._phase_recording.is_trying
            and self._may_move_on()
            and workflow.all_handlers_finished()
            and (self._withdrawn is None or self._state.phase is Phase.CLOSED)
            and self._inbox.fits(options.CARRY_BYTES)
        )

    async def _continue_as_new(self) -> None:
        """Continue with an empty history, unless a message was received in between, which would be lost.

        The server refuses the command if it receives a signal first, and the worker then has to read the
        whole history again. While many signals are received, the command can succeed only in a very short
        task, such as the one after this timer.
        """
        assert self._request is not None
        await workflow.sleep(options.SHORTEST, summary="the history is long")
        if not self._may_continue_as_new():
            return
        carried = Carried(
            carried=self._state,
            request=self._request.model_copy(update={"plan": None}),  # already drafted, and may be large
            arrivals=self._inbox.everything(),
            hindrance=self._decision_recording.failure,
            closing=self._phase_recording.failure,
            ended_at=self._ended_at,
            stopped_at=self._unfinished_step,
            stopped_undoing=self._unfinished_undo,
        )
        workflow.continue_as_new(carried)


def _ref_of(state: RunState) -> RunRef:
    """Return the reference to this run, for writes to an existing trail."""
    info = workflow.info()
    return RunRef(
        workflow_id=info.workflow_id,
        chain_id=info.first_execution_run_id,
        audience=state.drafted.audience if state.drafted else None,
    )


def _opening_of(state: RunState) -> RunRef:
    """Return the reference to this run with its request, for writes that may open the trail."""
    return _ref_of(state).model_copy(update={"requested": state.requested})


def _continues_itself() -> bool:
    """Whether this run was started by `_continue_as_new`.

    If the run was started by a retry, its input may come from any client.
    """
    info = workflow.info()
    return bool(info.continued_run_id) and info.attempt == 1
