"""The activity that executes one step: exactly the approved one, and once.

The order is what keeps the promises: recompute the fingerprint, ask the record for the approval, claim the
effect, act, store the receipt. A crash between any two of them leaves a claim that says how to go on.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import structlog
from pydantic import ValidationError
from temporalio import activity

from activities.acting import act_once
from activities.caller import check_caller, own_audience
from activities.failures import told_to_temporal
from activities.heartbeat import Pulse, ServerClock, beating, this_worker
from activities.pacing import Pacing
from activities.requiring import Requiring
from activities.tasks import StepResult, StepTask
from plangate.domain.audit import (
    Claimed,
    Closed,
    Outcome,
    Released,
    Reopened,
    StepDone,
    StepFailed,
    StepInDoubt,
    step_key,
)
from plangate.domain.drafting import complete
from plangate.domain.errors import (
    DirectoryUnavailable,
    EffectUnknown,
    InDoubt,
    NotApproved,
    RecordsUnavailable,
    StillBegun,
    ToolError,
    ToolRefused,
    ToolUnavailable,
    TrailDamaged,
    WorkerStopping,
)
from plangate.domain.people import Directory, People
from plangate.domain.plan import Step, fingerprint_of, idempotency_key, short
from plangate.domain.review import authorise
from plangate.domain.revocation import lost_approvals
from plangate.domain.run import Phase, RunState, was_taken_back
from plangate.domain.tool import Receipt, ToolArguments, storable
from plangate.logs.redaction import recordable
from plangate.records.database import Database
from plangate.records.ledger import (
    Effect,
    EffectState,
    claim_effect,
    find_effect,
    settle_effect,
)
from plangate.records.trail import Note, OpenTrail, open_trail
from plangate.tool import Tool, arguments_for

_LONGEST_REASON: Final = 2_000
PATIENCE: Final = (0.2, 0.5, 1, 2, 4, 8, 15)  # in seconds
_LAST_SECONDS: Final = 2.0  # in which a tool may let go of what it holds when it is broken off
_log = structlog.get_logger(__name__)
Written = TypeVar("Written")


class Execution:
    """Executes steps with the tools, under the effects ledger."""

    def __init__(
        self, database: Database, tools: Mapping[str, Tool], directory: Directory, requiring: Requiring
    ) -> None:
        self._database = database
        self._tools = tools
        self._directory = directory
        self._requiring = requiring
        self._pacing = Pacing()
        self._acting: dict[tuple[str | None, str], tuple[_Attempt, asyncio.Future[StepResult]]] = {}

    @activity.defn
    async def execute_step(self, task: StepTask) -> StepResult:
        """Return the step's receipt, from now or from before; nothing acts twice and nothing acts unapproved.

        Raises:
            ApplicationError: named after the domain error: not approved, refused by the tool, in doubt, or
                (tried again) a tool, the records or the list of people not answering.
        """
        with beating() as pulse:
            attempt = self._under_way(_Attempt(self._database, self._directory, self._requiring, task, pulse))
            with told_to_temporal(task.tries, tried=attempt.tried):
                check_caller(task.run, self._database)
                return await _to_its_end(self._acted(attempt))

    def _under_way(self, attempt: "_Attempt") -> "_Attempt":
        """Return the attempt at the same activity that goes on in this worker already, or this one.

        A worker that stood still is taken for dead, and may be given its own step once more: it knows that it
        is acting, where a tool could only say that it cannot know.
        """
        under_way = self._acting.get(attempt.activity)
        return under_way[0] if under_way else attempt

    def _acted(self, attempt: "_Attempt") -> "asyncio.Future[StepResult]":
        """Return what comes of an attempt: the same for all who wait for it."""
        if attempt.activity not in self._acting:
            acting = asyncio.ensure_future(self._execute(attempt))
            self._acting[attempt.activity] = attempt, acting
            acting.add_done_callback(lambda _: self._acting.pop(attempt.activity))
        return self._acting[attempt.activity][1]

    async def _execute(self, attempt: "_Attempt") -> StepResult:
        step = attempt.check_fingerprint()
        async with self._pacing.turn() as turn:
            _leave_if_withdrawn()
            claim = await self._database.transact(attempt.claim)
            if isinstance(claim, Reopened):
                return StepResult(reopened=claim)
            if isinstance(claim, RunState):
                return StepResult(record=claim)
            claimed, before = claim
            if claimed.receipt is not None:
                return attempt.told(attempt.result(claimed.receipt))
            turn.end_soon()
            return await self._act_and_store(attempt, step, claimed, before)

    async def _act_and_store(
        self, attempt: "_Attempt", step: Step, claimed: Effect, before: EffectState | None
    ) -> StepResult:
        try:
            receipt = await self._act(step, claimed, begun_before=before is EffectState.BEGUN)
        except StillBegun:
            raise  # the claim stays begun, so that the next attempt asks the tool before it acts
        except ToolUnavailable as error:
            await self._store(attempt.settle, EffectState.RELEASED, error)
            raise
        except ToolRefused as error:
            await self._store(attempt.settle, EffectState.RELEASED, error)
            raise
        except EffectUnknown as error:
            await self._store(attempt.settle, EffectState.IN_DOUBT, error)
            raise InDoubt(
                f"Step {claimed.step} ({step.tool}) is in doubt: {error} Nothing was repeated."
            ) from error
        return await self._store(attempt.finish, receipt)

    async def _act(self, step: Step, claimed: Effect, *, begun_before: bool) -> Receipt:
        try:
            tool = self._tool(step)
            arguments = _arguments(tool, step)
        except ToolUnavailable as error:
            if begun_before:
                raise StillBegun(f"An earlier attempt may have done it, and now: {error}") from error
            raise
        return await act_once(tool, arguments, claimed.idempotency_key, begun_before=begun_before)

    async def _store(self, write: Callable[..., Written], *arguments: object) -> Written:
        """Write down what is known of an effect, again and again: what is lost ends in doubt for nothing."""
        with self._pacing.storing():
            for wait in PATIENCE:
                try:
                    return await self._database.transact(write, *arguments, receipt=True)
                except RecordsUnavailable:
                    await asyncio.sleep(wait)
            return await self._database.transact(write, *arguments, receipt=True)

    def _tool(self, step: Step) -> Tool:
        tool = self._tools.get(step.tool)
        if tool is None:
            raise ToolUnavailable(f"This worker has no tool called {step.tool}; start one that has it.")
        return tool


def _leave_if_withdrawn() -> None:
    """End an attempt that was withdrawn while it waited for its turn: nothing of it has begun.

    Raises:
        CancelledError: it was.
    """
    details = activity.cancellation_details()
    if details is not None and details.cancel_requested:
        raise asyncio.CancelledError


async def _to_its_end(acting: "asyncio.Future[StepResult]") -> StepResult:
    """Await an attempt; no withdrawal breaks off an act that has begun, and no shutdown within its grace.

    Raises:
        WorkerStopping: the worker's grace is over; the claim stays begun, and the next attempt finds out.
    """
    while True:
        try:
            return await asyncio.shield(acting)
        except asyncio.CancelledError:
            if acting.done():
                raise
            details = activity.cancellation_details()
            if details is None or not details.worker_shutdown:
                continue
        acting.cancel()
        await asyncio.wait((acting,), timeout=_LAST_SECONDS)
        if acting.done() and not acting.cancelled():
            return acting.result()
        raise WorkerStopping("The worker stopped while the step was acting; the next attempt finds out.")


def _arguments(tool: Tool, step: Step) -> ToolArguments:
    """Return the approved arguments as this worker's tool takes them, if it takes exactly these.

    Raises:
        ToolUnavailable: it takes others than when the plan was made, and a default of today was never
            approved. A worker of the other version may take them, as in the middle of an update.
    """
    try:
        arguments = arguments_for(tool.declaration, step.arguments)
    except ValidationError:
        arguments = None
    if arguments is None or complete(arguments) != step.arguments:
        raise ToolUnavailable(
            f"The tool {step.tool} of this worker takes other arguments than when the plan was made; start a "
            "worker of that version, or withdraw the run and start the request again."
        )
    return arguments


class _Attempt:
    """One attempt at one step, as the records see it: every method is one transaction."""

    def __init__(
        self, database: Database, directory: Directory, requiring: Requiring, task: StepTask, pulse: Pulse
    ) -> None:
        info = activity.info()
        self._database = database
        self._directory = directory
        self._requiring = requiring
        self._task = task
        self._clock = ServerClock()
        self._pulse = pulse
        # The run is the one that Temporal says is running, whatever the task claims.
        self._run = task.run.model_copy(update={"workflow_id": info.workflow_id})
        self.activity = (info.workflow_run_id, info.activity_id)  # the same for all its attempts
        self._key = idempotency_key(self._run.workflow_id, task.fingerprint, task.step)
        self._holder = _holder(info)
        self._claims = 0
        self._log = _log.bind(
            workflow_id=self._run.workflow_id, fingerprint=short(task.fingerprint), step=task.step
        )

    def tried(self) -> int:
        """Return how often the step got to a claim; what the records' absence cost was no try."""
        return self._claims

    def check_fingerprint(self) -> Step:
        """Return the step to execute, if the plan is what its fingerprint says."""
        task = self._task
        audience = own_audience(self._database)
        actual = fingerprint_of(task.plan, task.revision, self._run.workflow_id, audience)
        if actual != task.fingerprint:
            raise NotApproved(
                f"The plan handed over for execution is {short(actual)}, not {short(task.fingerprint)}, "
                "so nothing of it may run."
            )
        if not 1 <= task.step <= len(task.plan.steps):
            raise NotApproved(f"Plan {short(actual)} has no step {task.step}.")
        return task.plan.steps[task.step - 1]

    def claim(self) -> tuple[Effect, EffectState | None] | Reopened | RunState:
        """Take the claim, if the record allows it; return it with the state it was found in.

        Where an approval does not hold any more, the review is opened again instead, and that returned. Where
        the record left the execution before (the review was opened again, an approval was taken back), its
        state is returned: the run may not have heard of it. A step that was begun before is not asked again:
        it began while the approvals held.

        Raises:
            DirectoryUnavailable: there is a list of people, and it cannot be read: no step begins meanwhile.
        """
        task = self._task
        people = _people_or_fault(self._directory)
        with self._database.write() as connection:
            trail = open_trail(connection, self._run)
            trail.check()
            found = find_effect(trail, self._key)
            if found is not None and found.state is EffectState.DONE:
                return found, found.state
            if found is not None and found.state is EffectState.IN_DOUBT:
                raise InDoubt(f"Step {task.step} is in doubt since an earlier attempt; nothing was repeated.")
            if self._pulse.is_lost or (found is not None and _is_newer(found.holder, self._holder)):
                # We stood still and were taken for dead; what we say is not heard any more.
                raise StillBegun(f"Step {task.step} is in the hands of a newer attempt, or will be soon.")
            state, looked_at = trail.state(), ""
            if found is None or found.state is EffectState.RELEASED:
                if _has_left_the_execution(state, task.fingerprint) and not trail.is_closed:
                    return state
                if state.drafted is not None and state.fingerprint == task.fingerprint:
                    self._requiring.borne_out(trail, self._run, state.drafted)
                if isinstance(people, DirectoryUnavailable):
                    raise people
                reopened = self._reopened(trail, state, people)
                if reopened is not None:
                    return reopened
                looked_at = people.hash if people else ""
            authorise(state, task.fingerprint, task.step)
            effect = claim_effect(trail, found, self._new_claim())
            event = Claimed(
                step=task.step,
                idempotency_key=self._key,
                fingerprint=task.fingerprint,
                attempt=effect.attempts,
                people=looked_at,
            )
            (entry,) = trail.append(self._note(f"claimed:{effect.attempts}", event))
            if entry.event != event:
                raise TrailDamaged(f"The trail has another claim than the ledger for step {task.step}.")
        self._claims = effect.attempts
        self._log.debug("The step is claimed.", action="claimed", attempt=effect.attempts)
        return effect, found.state if found else None

    def _reopened(self, trail: OpenTrail, state: RunState, people: People | None) -> Reopened | None:
        """Open the review again if an approval does not hold any more, by the list of people of now."""
        now = self._clock.now()
        lost = lost_approvals(state, people, now)
        if not lost or state.phase is not Phase.EXECUTING or state.fingerprint != self._task.fingerprint:
            return None
        assert state.drafted is not None
        wait = state.drafted.deadline - state.drafted.drafted_at
        event = Reopened(
            fingerprint=self._task.fingerprint,
            step=self._task.step,
            lost=lost,
            people=people.hash if people else "",
            reopened_at=now,
            deadline=now + wait,
        )
        trail.append(Note(key=f"reopened:{now.isoformat()}", at=now, actor=this_worker(), event=event))
        self._log.info("An approval does not hold any more; the plan is in review again.", action="reopened")
        return event

    def finish(self, receipt: Receipt) -> StepResult:
        """Store the receipt; with the last step's the run is closed, in the same transaction."""
        receipt = storable(receipt)
        result = self.result(receipt)
        with self._database.write() as connection:
            trail = open_trail(connection, self._run)
            if not settle_effect(trail, self._key, self._holder, EffectState.DONE, receipt):
                return self._result_of_another(find_effect(trail, self._key))
            notes = [self._note("done", self._done(receipt))]
            if result.closed:
                notes.append(
                    Note(key="closed", at=self._clock.now(), actor=this_worker(), event=result.closed)
                )
            trail.append(*notes)
        return self.told(result)

    def _result_of_another(self, effect: Effect | None) -> StepResult:
        """Return what another attempt stored that took the step over while this one acted.

        Raises:
            StillBegun: it has not stored anything yet; the next attempt will see.
            InDoubt: it could not know what we were doing.
        """
        step = self._task.step
        if effect is not None and effect.receipt is not None:
            return self.result(effect.receipt)
        if effect is not None and effect.state is EffectState.IN_DOUBT:
            raise InDoubt(f"Step {step} is in doubt: another attempt took it over while it was being done.")
        raise StillBegun(f"Step {step} was taken over by another attempt while it was being done.")

    def settle(self, state: EffectState, failure: ToolError) -> None:
        """Give the claim back, for another attempt or for good, or put the step in doubt."""
        step, reason = self._task.step, recordable(str(failure), _LONGEST_REASON)
        with self._database.write() as connection:
            trail = open_trail(connection, self._run)
            if not settle_effect(trail, self._key, self._holder, state):
                return
            if state is EffectState.IN_DOUBT:
                note = self._note("in_doubt", StepInDoubt(step=step, reason=reason))
            elif isinstance(failure, ToolRefused):
                note = self._note("failed", StepFailed(step=step, reason=reason))
            else:
                released = Released(step=step, attempt=self._claims, reason=reason)
                note = self._note(f"released:{self._claims}", released)
            trail.append(note)
        is_final = not isinstance(failure, ToolUnavailable)
        self._log.warning("The step did not get done.", action=state.value, final=is_final)

    def result(self, receipt: Receipt) -> StepResult:
        """Return what the workflow is told."""
        is_last = self._task.step == len(self._task.plan.steps)
        return StepResult(
            done=self._done(receipt),
            closed=Closed(outcome=Outcome.EXECUTED) if is_last else None,
        )

    def told(self, result: StepResult) -> StepResult:
        """Return the result after it was logged, by whichever attempt lives to tell the workflow."""
        if result.closed:
            outcome = result.closed.outcome.value
            self._log.info("The last step is done, and the run is closed.", action="closed", outcome=outcome)
        else:
            self._log.info("The step is done.", action="done")
        return result

    def _done(self, receipt: Receipt) -> StepDone:
        return StepDone(step=self._task.step, receipt=receipt)

    def _new_claim(self) -> Effect:
        return Effect(
            idempotency_key=self._key,
            workflow_id=self._run.workflow_id,
            fingerprint=self._task.fingerprint,
            step=self._task.step,
            state=EffectState.BEGUN,
            holder=self._holder,
            attempts=1,
        )

    def _note(self, what: str, event: Claimed | Released | StepDone | StepFailed | StepInDoubt) -> Note:
        key = step_key(self._task.fingerprint, self._task.step, what)
        return Note(key=key, at=self._clock.now(), actor=this_worker(), event=event)


def _people_or_fault(directory: Directory) -> People | DirectoryUnavailable | None:
    """Look the people up ahead of the transaction; the fault matters only to a step that has yet to begin."""
    try:
        return directory.people()
    except DirectoryUnavailable as error:
        return error


def _has_left_the_execution(record: RunState, fingerprint: str) -> bool:
    """Whether this plan was approved by the record, and is in review again or behind it."""
    if record.fingerprint != fingerprint or record.phase is Phase.EXECUTING:
        return False
    return record.reopened is not None or was_taken_back(record)


def _holder(info: activity.Info) -> str:
    """Return a name for one attempt at one activity that no other attempt ever has.

    It says when the server started the attempt. Its number would say no more, and an operator may turn it
    back (`temporal activity reset`); time goes on, and where two clocks disagree the next attempt is later.
    """
    started = int(info.started_time.timestamp() * 1_000_000)
    return f"{info.workflow_run_id}:{info.activity_id}:{started}:{secrets.token_hex(8)}"


def _is_newer(holder: str, than: str) -> bool:
    """Whether one holder of a claim is a later attempt at the same activity than another one."""
    *theirs, their_start, _ = holder.split(":")
    *ours, our_start, _ = than.split(":")
    return theirs == ours and int(their_start) > int(our_start)
