"""The workflow `PlanApproval`: draft a plan, wait for people, run exactly what they approved.

`run` reads as the business. Signals and the update only put arrivals in a tray; one clerk takes them out,
in order, has each admitted (judged and recorded), and applies the verdicts. What the run is changes by
`plangate.domain.fold.apply` alone.

Three habits of this file come from the platform:

* Handlers and `run` take whatever is sent (``Any``, and more inputs than they want), for a typed parameter
  would block the run or drop the message silently; what came is judged by the domain.
* The deadline's timer is left running when the plan is approved, since to cancel it would cost an event of
  history for nothing.
* Cancellation (the Web UI's button, `starter.py withdraw`) must not break off what is being written down,
  hence the life of the run is a task of its own, and a cancellation of `run` is only noted.

Where a decision cannot be recorded now it waits in the tray, and the run does not wait with it: the deadline
and a withdrawal end the run at once (docs/decisions/0026).
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, assert_never

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from pydantic import StringConstraints, TypeAdapter, ValidationError, field_validator

    from activities.closing import Closing
    from activities.decisions import Decisions
    from activities.execution import Execution
    from activities.planning import Planning
    from activities.tasks import AdmitTask, CloseTask, DraftTask, StepResult, StepTask
    from plangate.domain.audit import Closed, Decided, Drafted, Event, Outcome, RunRef
    from plangate.domain.base import AwareDatetime, Frozen
    from plangate.domain.decision import MAX_COMMENT, Arrival, Choice, DecisionAnswer, Verdict
    from plangate.domain.errors import RequestInvalid
    from plangate.domain.escaping import cut
    from plangate.domain.fold import apply
    from plangate.domain.plan import short
    from plangate.domain.request import PlanRequest, check_opening, read_request
    from plangate.domain.run import Phase, RunState, StepState, has_followed, is_behind, next_wakeup
    from plangate.domain.status import RunResult, Status, Unrecorded, result_of, status_of, unread_of
    from plangate.presentation.markdown import details_page
    from plangate.temporal.contract import WORKFLOW_TYPE
    from plangate.temporal.search_attributes import PLANGATE_STATE
    from workflows import options
    from workflows.decision_inbox import Tray
    from workflows.recording import LONGEST_REASON, Hindrance, Recording, reason_of

_NO_CRON: Final = (
    "Plangate takes no Temporal cron: all its runs have one id, and so are one request, which is executed "
    "once. Use a Temporal schedule, which gives each start an id of its own: temporal schedule create "
    "--help. End this cron with: temporal workflow terminate -w ID"
)
_OR_SIGNED: Final = ", or what `starter.py sign` printed"
_UNREADABLE: Final = (
    "The workflow was continued as new with a state that this release cannot read; start the request again."
)
# The keys of arrivals; no other entry of the trail has such a key.
_ARRIVAL_KEY: Final = TypeAdapter(
    Annotated[str, StringConstraints(pattern=r"^[^:]{1,100}:(signal|update):[0-9a-f]{1,32}$")]
)


class Carried(Frozen):
    """What continue-as-new hands to the next run of the chain.

    Attributes:
        arrivals: what is not judged yet.
        hindrance: why it is not.
        closing: why the run's end is not on the record yet.
        ended_at: when the run ended, where its end is not on the record yet.
        stopped_at: the step at which it ended.
    """

    carried: RunState
    request: PlanRequest
    arrivals: tuple[Arrival, ...] = ()
    hindrance: Hindrance | None = None
    closing: Hindrance | None = None
    ended_at: AwareDatetime | None = None
    stopped_at: int | None = None

    @field_validator("arrivals")
    @classmethod
    def _have_keys_of_arrivals(cls, arrivals: tuple[Arrival, ...]) -> tuple[Arrival, ...]:
        for arrival in arrivals:
            _ARRIVAL_KEY.validate_python(arrival.key)
        return arrivals

    @property
    def is_within_limits(self) -> bool:
        """Whether a run of ours could have got as far as this: what it ends with goes on the record."""
        state, step = self.carried, self.stopped_at
        reasons = [one.reason for one in state.steps] + ([state.closed.reason] if state.closed else [])
        return all(len(one) <= LONGEST_REASON for one in reasons) and (
            step is None or 1 <= step <= len(state.steps)
        )


@workflow.defn(name=WORKFLOW_TYPE)
class PlanApproval:
    """One request, from its draft to its outcome."""

    def __init__(self) -> None:
        self._state = RunState(workflow_id=workflow.info().workflow_id)
        self._request: PlanRequest | None = None
        self._tray = Tray()
        self._batch: tuple[Arrival, ...] = ()
        self._withdrawn: str | None = None
        self._stopped_at: int | None = None
        self._ended_at: datetime | None = None
        self._at_work_since: datetime | None = None
        self._closed_on_record = False
        self._admitting = Recording(needs_people=True)
        self._closing = Recording(needs_people=False)

    # ---- the business ---------------------------------------------------------------------------

    @workflow.run
    async def run(self, request: Any = None, *more: Any) -> RunResult:
        """Draft, review, execute, close; whatever happens, the outcome is the result."""
        self._open((request, *more))
        life = asyncio.create_task(self._live())
        clerk = asyncio.create_task(self._admit_arrivals())
        while not life.done():
            try:
                await workflow.wait((life, clerk), return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                reason = workflow.cancellation_reason() or "withdrawn by a request to cancel it"
                self._withdrawn = cut(reason, MAX_COMMENT)
            if clerk.done():
                await clerk  # it never ends by itself: what stopped it fails the task, which is tried again
        clerk.cancel()
        return await life

    async def _live(self) -> RunResult:
        while (phase := self._state.phase) is not Phase.CLOSED:
            match phase:
                case Phase.DRAFTING:
                    await self._draft()
                case Phase.IN_REVIEW:
                    await self._review()
                case Phase.EXECUTING:
                    await self._execute()
                case _:
                    assert_never(phase)
        await self._close()
        await self._unless_it_grows(lambda: not self._tray and workflow.all_handlers_finished())
        return result_of(self._state)

    def _open(self, inputs: Sequence[Any]) -> None:
        """Take over the state of the run before, or begin with the request."""
        try:
            match inputs:
                case _ if workflow.info().cron_schedule:
                    self._refuse(_NO_CRON)
                case ({"carried": _, "request": _} as carried,) if _continues_itself():
                    self._take_over(carried)
                case _:
                    self._request = read_request(inputs)
                    self._apply(self._request.requested(workflow.now()))
                    workflow.logger.info("A request has come in.", extra={"action": "requested"})
        except RequestInvalid as error:
            self._refuse(str(error))

    def _refuse(self, why: str) -> None:
        """End at once; what the run was started with is no request."""
        self._apply(PlanRequest(requester="unknown").requested(workflow.now()))
        self._end(Outcome.FAILED, why)

    def _take_over(self, carried: Any) -> None:
        try:
            before = Carried.model_validate(carried)
        except ValidationError:
            raise RequestInvalid(_UNREADABLE) from None
        state = before.carried
        if state.requested is None or not before.is_within_limits:
            raise RequestInvalid(_UNREADABLE)
        check_opening(_ref_of(state), workflow.now())
        self._state, self._request = before.carried, before.request
        self._stopped_at = before.stopped_at
        self._admitting.resume(before.hindrance)
        self._closing.resume(before.closing)
        # Nothing but a run's word says when they came to the run before: they count as come now, and it goes
        # on as new only before its deadline (docs/decisions/0020).
        now = workflow.now()
        self._ended_at = min(before.ended_at, now) if before.ended_at else None
        self._tray.put_back([one.model_copy(update={"received_at": now}) for one in before.arrivals])

    async def _draft(self) -> None:
        assert self._request is not None
        revision, before = self._state.next_revision, self._state.drafted
        task = DraftTask(
            run=self._ref(),
            revision=revision,
            supplied=self._request.plan if before is None else None,
            feedback=self._state.feedback,
            previous=before.plan if before else None,
        )
        self._at_work_since = workflow.now()
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
            else:
                self._end(Outcome.FAILED, reason_of(error))
        else:
            self._apply(drafted)

    async def _review(self) -> None:
        drafted = self._state.drafted
        assert drafted is not None
        self._list_as(Phase.IN_REVIEW)
        now = workflow.now()
        deadline = asyncio.create_task(
            workflow.sleep(
                (next_wakeup(self._state, now) or now) - now,
                summary=f"deadline of plan {short(drafted.fingerprint)}",
            )
        )
        while self._state.phase is Phase.IN_REVIEW:
            await self._unless_it_grows(
                lambda: (
                    self._state.phase is not Phase.IN_REVIEW
                    or (self._may_move_on() and (deadline.done() or self._withdrawn is not None))
                )
            )
            if self._state.phase is not Phase.IN_REVIEW:
                break
            if self._withdrawn is not None:
                self._end(Outcome.WITHDRAWN, self._withdrawn)
            else:
                self._end(Outcome.EXPIRED, self._why_expired())
        if self._state.phase is Phase.DRAFTING:
            deadline.cancel()

    def _why_expired(self) -> str:
        until = f"{self._state.deadline:%Y-%m-%d %H:%M} UTC"
        if not self._tray:
            return f"nobody decided before the deadline, {until}"
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
            done = [progress.state for progress in self._state.steps].count(StepState.DONE)
            await self._execute_step(drafted, done + 1)

    async def _execute_step(self, drafted: Drafted, step: int) -> None:
        task = StepTask(
            run=self._ref(),
            plan=drafted.plan,
            revision=drafted.revision,
            fingerprint=drafted.fingerprint,
            step=step,
            tries=options.STEP_TRIES,
        )
        summary = f"step {step} of {len(drafted.plan.steps)}: {drafted.plan.steps[step - 1].tool}"
        self._at_work_since = workflow.now()
        acting = workflow.start_activity_method(Execution.execute_step, task, summary=summary, **options.STEP)
        await workflow.wait_condition(lambda: acting.done() or self._withdrawn is not None)
        if self._withdrawn is not None and not acting.done():
            acting.cancel()  # ends the waiting between two tries; an act that has begun is finished first
        try:
            result: StepResult = await acting
        except ActivityError as error:
            if self._state.phase is not Phase.EXECUTING:
                return  # an approval was taken back ahead of the step: whatever it met, it did nothing
            self._stopped_at = step
            if self._withdrawn is not None:
                self._end(Outcome.WITHDRAWN, self._withdrawn)
            else:
                self._end(Outcome.FAILED, reason_of(error))
            return
        if result.record is not None and is_behind(self._state, result.record):
            self._state = result.record
        if result.reopened is not None:
            self._apply(result.reopened)
        if result.done is not None:
            self._apply(result.done)
        if result.closed is not None:
            self._closed_on_record = True
            self._apply(result.closed)

    async def _close(self) -> None:
        """Put the outcome on the record, unless the last step did."""
        closed = self._state.closed
        assert closed is not None
        if not self._closed_on_record:
            task = CloseTask(
                run=self._ref(),
                outcome=closed.outcome,
                reason=closed.reason,
                at=self._ended_at or workflow.now(),
                fingerprint=self._state.fingerprint,
                step=self._stopped_at,
            )
            writing = asyncio.create_task(self._closing.write(Closing.close_run, lambda: task))
            await self._unless_it_grows(writing.done)
            for event in (await writing).events:
                self._apply(event)
            self._closed_on_record = True
        self._list_as(self._state.state)

    # ---- what arrives ---------------------------------------------------------------------------

    @workflow.signal(
        description='Approve the plan. Send {"by": "your name", "plan": "its first 12 digits"}' + _OR_SIGNED
    )
    def approve(self, *inputs: Any) -> None:
        """An approver consents to exactly one plan."""
        self._tray.put_signal(Choice.APPROVE, inputs)

    @workflow.signal(
        description='Reject the plan; this ends the run. Send {"by": "…", "plan": "…", "comment": "why"}'
        + _OR_SIGNED
    )
    def reject(self, *inputs: Any) -> None:
        """An approver refuses; the run ends."""
        self._tray.put_signal(Choice.REJECT, inputs)

    @workflow.signal(
        description='Ask for another revision. Send {"by": "…", "plan": "…", "comment": "what to change"}'
        + _OR_SIGNED
    )
    def request_changes(self, *inputs: Any) -> None:
        """An approver wants another revision."""
        self._tray.put_signal(Choice.REQUEST_CHANGES, inputs)

    @workflow.signal(
        description='Take your own approval back, until the first step begins. Send {"by": "…", "plan": "…"}'
        + _OR_SIGNED
    )
    def withdraw_approval(self, *inputs: Any) -> None:
        """An approver takes back that they approved."""
        self._tray.put_signal(Choice.WITHDRAW_APPROVAL, inputs)

    @workflow.signal(dynamic=True)
    def unknown(self, name: str, inputs: Sequence[RawValue]) -> None:
        """A signal with a name that nobody knows: shown and recorded, never followed."""
        self._tray.put_unknown(name, inputs)

    @workflow.update(
        description='Decide, and hear the verdict. Send {"decision": "approve", "by": "…", "plan": "…"}'
    )
    async def decide(self, *inputs: Any) -> DecisionAnswer:
        """The same as the signals, with the verdict as its answer."""
        verdict = await self._tray.put_update(inputs, lambda: self._waits_outside)
        if verdict is not None:
            return DecisionAnswer(accepted=verdict.accepted, reason=verdict.reason, state=self._state.state)
        unrecorded = self._unrecorded()
        kept = (
            "your decision was received, and will be judged as soon as what is in the way is mended: "
            f"{unrecorded.cause.rstrip('.') if unrecorded else ''}. You need not send it again"
        )
        return DecisionAnswer(accepted=None, reason=kept, state=self._state.state)

    @workflow.query(description="Where the run stands: plan, decisions, deadline, steps")
    def status(self) -> Status:
        """Everything there is to know of the run."""
        return status_of(self._state, source="workflow", unrecorded=self._unrecorded())

    def page(self) -> str:
        """Return what the Web UI shows of the run as it stands; see `workflows.details_interceptor`."""
        return details_page(self._state, self._unrecorded(), self._at_work_since)

    async def _admit_arrivals(self) -> None:
        """The clerk: take arrivals from the tray, in order, for as long as the run lives."""
        unreported = 0
        while True:
            await workflow.wait_condition(lambda: bool(self._tray))
            try:
                decided = await self._admitting.write(
                    Decisions.admit_decisions, self._admission, self._may_admit
                )
            except FailureError as error:
                refused = Verdict(accepted=False, reason=reason_of(error))
                decided = tuple(Decided(arrival=arrival, verdict=refused) for arrival in self._batch)
            if not decided:  # they may be about the plan that is just being handed to this run
                await workflow.wait_condition(lambda: self._state.phase is not Phase.DRAFTING)
                continue
            for event in decided:
                self._apply(event)
            self._tray.settle(decided)
            unreported += sum(len(event.model_dump_json()) for event in decided)
            if unreported > options.REPORT_BYTES and self._tray:
                # A timer ends the workflow task: all of a flood in one would be more than the server takes.
                await workflow.sleep(options.SHORTEST, summary="many decisions arrived")
                unreported = 0

    def _admission(self) -> AdmitTask:
        self._batch = self._tray.first(options.ADMIT_AT_ONCE, options.ADMIT_BYTES)
        return AdmitTask(run=self._ref(), state=self._state, arrivals=self._batch)

    def _may_admit(self) -> bool:
        """Whether the record knows, too, what a decision is judged by: the end of the run comes first."""
        return self._state.phase is not Phase.CLOSED or self._closed_on_record

    @property
    def _waits_outside(self) -> bool:
        """Whether decisions have to wait until something can be recorded: themselves, or the run's end."""
        return self._admitting.waits_outside or (self._closing.waits_outside and not self._may_admit())

    def _may_move_on(self) -> bool:
        """Whether no decision is being judged: what cannot be recorded now is judged by the state then."""
        return not self._tray or self._waits_outside

    def _unrecorded(self) -> Unrecorded | None:
        hindrances = [one for one in (self._admitting.hindrance, self._closing.hindrance) if one]
        if not hindrances:
            return None
        return Unrecorded(
            decisions=len(self._tray),
            oldest=tuple(map(unread_of, self._tray.first(options.LISTED_UNRECORDED, options.ADMIT_BYTES))),
            outcome=self._state.phase is Phase.CLOSED and not self._closed_on_record,
            cause=hindrances[-1].cause,
            since=min(one.since for one in hindrances),
        )

    # ---- the shell ------------------------------------------------------------------------------

    def _apply(self, event: Event) -> None:
        if not has_followed(self._state, event):  # the record's state may have brought it
            self._state = apply(self._state, event)

    def _end(self, outcome: Outcome, reason: str) -> None:
        self._ended_at = workflow.now()
        self._apply(Closed(outcome=outcome, reason=reason))

    def _list_as(self, state: str) -> None:
        """Say in the lists what the run waits for, or how it ended, where it was started with the attribute.

        While it executes it is still listed as in review: one event of history less (docs/decisions/0003).
        """
        if workflow.info().typed_search_attributes.get(PLANGATE_STATE) is not None:
            workflow.upsert_search_attributes([PLANGATE_STATE.value_set(state)])

    def _ref(self) -> RunRef:
        return _ref_of(self._state)

    async def _unless_it_grows(self, condition: Callable[[], bool]) -> None:
        """Wait for ``condition``, and go on with an empty history where it gets long meanwhile."""
        while True:
            await workflow.wait_condition(lambda: condition() or self._may_continue_as_new())
            if condition():
                return
            await self._continue_as_new()

    def _may_continue_as_new(self) -> bool:
        """Whether the history is long, and nothing is at work that the next run would not have."""
        return (
            workflow.info().is_continue_as_new_suggested()
            and self._request is not None
            and not self._closing.is_trying
            and self._may_move_on()
            and workflow.all_handlers_finished()
            and (self._withdrawn is None or self._state.phase is Phase.CLOSED)
            and self._tray.fits(options.CARRY_BYTES)
        )

    async def _continue_as_new(self) -> None:
        """Go on with an empty history; return where something came in between, which would be lost.

        The server refuses it where a signal comes while it is told, and then the worker has to read the whole
        history again. Under a flood it can succeed only in a task as short as the one behind this timer.
        """
        assert self._request is not None
        await workflow.sleep(options.SHORTEST, summary="the history is long")
        if not self._may_continue_as_new():
            return
        carried = Carried(
            carried=self._state,
            request=self._request.model_copy(update={"plan": None}),  # it is drafted, and may be large
            arrivals=self._tray.everything(),
            hindrance=self._admitting.hindrance,
            closing=self._closing.hindrance,
            ended_at=self._ended_at,
            stopped_at=self._stopped_at,
        )
        workflow.continue_as_new(carried)


def _ref_of(state: RunState) -> RunRef:
    assert state.requested is not None
    info = workflow.info()
    return RunRef(
        workflow_id=info.workflow_id,
        chain_id=info.first_execution_run_id,
        requested=state.requested,
        audience=state.drafted.audience if state.drafted else None,
    )


def _continues_itself() -> bool:
    """Whether `_continue_as_new` began this run, and no retry: its input may be anybody's."""
    info = workflow.info()
    return bool(info.continued_run_id) and info.attempt == 1
