"""The activity that executes one step: exactly as approved, and only once.

The order of operations matters: recompute the fingerprint, check the recorded approval, claim the effect,
act, store the receipt. After a crash between any two of these, the claim determines how to continue.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from pydantic import JsonValue, ValidationError
from temporalio import activity

from activities.calling_workflow import check_caller, own_audience
from activities.claims import Claim, Unready
from activities.effect_once import EarlierState, Undoing, act_once, after_earlier_attempt
from activities.heartbeat import heartbeating
from activities.observing import effect_seen, is_observed, observed, unmet_precondition
from activities.pacing import Pacing
from activities.requirement_check import Requiring
from activities.step_attempt import StepAttempt
from activities.step_tool import tool_of_step
from activities.stopping import (
    StoppedSteps,
    keep_error,
    kept_error,
    tries_without_waits,
    waiting,
)
from activities.tasks import StepResult, StepTask
from activities.temporal_failures import as_application_errors
from plangate.domain.errors import (
    EffectUnknown,
    InDoubt,
    OutcomePending,
    RecordsUnavailable,
    StepUnready,
    ToolError,
    ToolRefused,
    ToolUnavailable,
    WorkerStopping,
)
from plangate.domain.plans.drafting import complete
from plangate.domain.plans.plan import Step
from plangate.domain.plans.references import references_in
from plangate.domain.plans.tool import STEP_TRIES, Receipt, Reference, StepReceipt, ToolArguments, storable
from plangate.domain.validation import faults_in
from plangate.logs.later import log_later
from plangate.records.ledger import EffectState
from plangate.records.records import Records
from plangate.records.rule_texts import RecordedPeople
from plangate.records.trail import OpenTrail
from plangate.tool import (
    DefinedElsewhere,
    NotFound,
    Repeatable,
    Tool,
    Undoes,
    Unknown,
    arguments_for,
    settles_within_of,
)

# The maximum difference between a vendor's clock and the Temporal server's clock.
MAX_CLOCK_DIFFERENCE: Final = timedelta(minutes=5)
WAIT_LIMIT: Final = (0.2, 0.5, 1, 2, 4, 8, 15)  # in seconds
_CLEANUP_SECONDS: Final = 2.0  # seconds that a cancelled tool has to clean up
Precondition = Callable[[Sequence[StepReceipt]], str | None]
"""Returns why a step must not begin, given the run's receipts; None if it may begin."""
Result = TypeVar("Result")


class Execution:
    """Executes steps with the tools, guarded by the effects ledger."""

    def __init__(
        self,
        records: Records,
        tools: Mapping[str, Tool],
        directory: RecordedPeople,
        requiring: Requiring,
        *,
        longest_wait: timedelta,
    ) -> None:
        """Create the object; ``longest_wait`` limits the wait for effects that may still happen."""
        self._records = records
        self._tools = tools
        self._directory = directory
        self._requiring = requiring
        self._longest_wait = longest_wait
        self._stopped = StoppedSteps()
        self._pacing = Pacing()
        self._acting: dict[tuple[str | None, str], asyncio.Future[StepResult]] = {}

    @activity.defn
    async def execute_step(self, task: StepTask) -> StepResult:
        """Execute the step if it is approved and not yet done, and return its receipt.

        Raises:
            ApplicationError: named after the domain error: not approved, refused by the tool, in doubt, or
                (retryable) a tool, the records or the list of people are unavailable.
        """
        with heartbeating() as heartbeats, as_application_errors(), waiting(self._stopped):
            check_caller(task.run, self._records)
            attempt = StepAttempt(task, self._requiring, heartbeats)
            return await _shield_until_done(self._acting.get(attempt.activity) or self._begin(attempt))

    def _begin(self, attempt: StepAttempt) -> "asyncio.Future[StepResult]":
        """Start an attempt and register it, so that a retry of the activity in this worker joins it.

        A worker that was suspended may receive its own step again. The register shows that it is running,
        even if the tool cannot look up the result.
        """
        acting = asyncio.ensure_future(self._attempt(attempt))
        self._acting[attempt.activity] = acting
        acting.add_done_callback(lambda _: self._acting.pop(attempt.activity))
        return acting

    async def _attempt(self, attempt: StepAttempt) -> StepResult:
        step = attempt.check_fingerprint(own_audience(self._records))
        if self._stopped.seen.stops.of(step.tool) is not None:  # nothing to observe while waiting
            instead = await self._records.transact(
                attempt.run, lambda trail: attempt.check_stops(trail, self._stopped.seen)
            )
            if instead is not None:
                return instead
        with as_application_errors(STEP_TRIES, tries_without_waits()):
            precondition = await self._precondition(attempt, step)
        async with self._pacing.turn() as turn:
            _stop_if_withdrawn()
            people = await self._directory.people_or_error()
            claim = await self._records.transact(
                attempt.run, lambda trail: attempt.claim(trail, people, precondition, self._stopped.seen)
            )
            if isinstance(claim, Unready):
                raise StepUnready(claim.reason)
            if isinstance(claim, Claim):
                log_later(partial(attempt.log_claim, claim))
                turn.end_soon()
                tried = min(claim.effect.attempts, tries_without_waits())
                with as_application_errors(STEP_TRIES, tried):
                    claim = await self._act_and_store(attempt, step, claim)
            log_later(partial(attempt.log_result, claim))
            return claim

    async def _precondition(self, attempt: StepAttempt, step: Step) -> Precondition:
        """Observe again, and return the check of the observation from the draft.

        A precondition that cannot be observed is not met. An observation may be None.

        Raises:
            ToolUnavailable: it cannot be observed now; a later attempt may succeed.
        """
        if attempt.is_undo or not self._was_observed(step):
            return _always_met
        if not await self._records.transact(attempt.run, attempt.is_unclaimed):
            return _must_be_observed  # an earlier attempt may have acted, so its result is looked up first
        try:
            tool, arguments, now = await self._observed_now(step)
        except ToolUnavailable as error:
            if tries_without_waits() < STEP_TRIES:
                raise
            message = f"{error} It was tried {STEP_TRIES} times."
            return lambda _receipts: message
        except ToolRefused as error:
            message = str(error)
            return lambda _receipts: message
        return partial(unmet_precondition, tool, arguments, step.observation, now)

    async def _observed_now(self, step: Step) -> tuple[Tool, ToolArguments, JsonValue]:
        tool = tool_of_step(step, self._tools)
        arguments = _arguments(tool, step, step.arguments, is_resolved=False)
        return tool, arguments, await observed(tool, arguments)

    async def _observe_again(self, step: Step, claim: Claim) -> Receipt | None:
        """Observe again before a repeat, because the state may have changed since an earlier attempt began.

        Return None if the precondition is still met, or the receipt if the tool recognizes its effect.

        Raises:
            EffectUnknown: neither is the case.
            ToolUnavailable, ToolRefused: it cannot be observed now, or permanently.
        """
        if claim.receipt is not None or not self._was_observed(step):
            return None
        tool, arguments, now = await self._observed_now(step)
        why = unmet_precondition(tool, arguments, step.observation, now, claim.receipts)
        if why is None:
            return None
        seen = effect_seen(tool, arguments, now, claim.effect.idempotency_key)
        if seen is None:
            raise EffectUnknown(f"An earlier attempt may have done it, so it is not repeated. {why}")
        return seen

    def _was_observed(self, step: Step) -> bool:
        """Return whether the step's tool made an observation when the plan was drafted, even if it was None.

        In plans from before steps had definitions, no tool observed anything.
        """
        if step.observation is not None:
            return True
        tool = self._tools.get(step.tool)
        return bool(step.definition) and tool is not None and is_observed(tool, step.arguments)

    async def _act_and_store(self, attempt: StepAttempt, step: Step, claim: Claim) -> StepResult:
        try:
            receipt = storable(await self._act(attempt, step, claim))
        except OutcomePending:
            raise  # the effect is still recorded as begun, so the next attempt looks it up first
        except (ToolUnavailable, ToolRefused) as error:
            await self._record_failure(attempt, claim, EffectState.RELEASED, error)
            raise
        except EffectUnknown as error:
            unknown = _with_kept_error(error)
            self._defer_until_certain(attempt, step, claim, unknown)
            unknown = attempt.with_call_time(claim, unknown)
            await self._record_failure(attempt, claim, EffectState.IN_DOUBT, unknown)
            raise InDoubt(
                f"Step {claim.effect.step} ({step.tool}) is in doubt: {unknown} Nothing was repeated."
            ) from error
        tool = self._tools.get(step.tool)  # None if an MCP server no longer offers it
        within = settles_within_of(tool) if tool is not None else None
        return await self._write_with_retry(
            attempt, lambda trail: attempt.entries.finish(trail, receipt, within)
        )

    def _defer_until_certain(
        self, attempt: StepAttempt, step: Step, claim: Claim, error: EffectUnknown
    ) -> None:
        """Defer the look-up until a dead worker's call can no longer take effect.

        Raises:
            OutcomePending: it may still take effect; the next attempt looks it up.
        """
        tool = self._tools.get(step.tool)
        limit = timedelta(seconds=tool.declaration.seconds) if tool is not None else self._longest_wait
        left = attempt.time_until_certain(claim, min(limit, self._longest_wait))
        if left is not None:
            keep_error(str(error))
            raise OutcomePending(
                f"{error} It may still happen, so it will be looked up again later.", left
            ) from error

    async def _act(self, attempt: StepAttempt, step: Step, claim: Claim) -> Receipt:
        may_have_happened = claim.earlier is not EarlierState.NOTHING
        with after_earlier_attempt() if may_have_happened else nullcontext():
            tool = tool_of_step(step, self._tools)
            arguments = _arguments(tool, step, claim.arguments)
            if claim.receipt is not None:
                tool = _undoing(tool, claim.receipt)
        return await act_once(
            tool,
            arguments,
            claim.effect.idempotency_key,
            claim.earlier,
            unmet=claim.unmet,
            interpret=partial(_interpret, attempt, claim, timedelta(seconds=tool.declaration.seconds)),
            observe_again=partial(self._observe_again, step, claim),
        )

    async def _record_failure(
        self, attempt: StepAttempt, claim: Claim, state: EffectState, failure: ToolError
    ) -> None:
        def record(trail: OpenTrail) -> bool:
            return attempt.entries.record_failure(trail, claim, state, failure)

        if await self._write_with_retry(attempt, record):
            attempt.log_failure(state, failure)

    async def _write_with_retry(self, attempt: StepAttempt, act: Callable[[OpenTrail], Result]) -> Result:
        """Record the result of an effect, with retries, because a lost result would put the step in doubt."""
        with self._pacing.storing():
            for wait in WAIT_LIMIT:
                try:
                    return await self._records.transact(attempt.run, act, receipt=True)
                except RecordsUnavailable:
                    await asyncio.sleep(wait)
            return await self._records.transact(attempt.run, act, receipt=True)


def _interpret(
    attempt: StepAttempt, claim: Claim, limit: timedelta, found: NotFound | Repeatable
) -> NotFound | Repeatable | Unknown:
    """Interpret a tool's response, given the time since the call (docs/decisions/0057).

    Raises:
        OutcomePending: there is no trace yet, but it may still happen or be listed; the next attempt checks
            again.
    """
    if isinstance(found, Repeatable):
        if found.within is None or attempt.age(claim) < found.within:
            return Unknown(claim.why_not_repeat) if claim.why_not_repeat else found
        if isinstance(found.later, Unknown):
            return found.later
        found = found.later
    left = attempt.time_until_certain(claim, limit)
    if left is not None:
        raise OutcomePending(
            "There is no trace of it, but it may still happen, so it will be looked up again later.", left
        )
    is_covered = found.since is None or found.since < claim.began_at - MAX_CLOCK_DIFFERENCE
    return found if is_covered else Unknown(found.reason)


def _always_met(_receipts: Sequence[StepReceipt]) -> str | None:
    return None


def _must_be_observed(_receipts: Sequence[StepReceipt]) -> str | None:
    """Refuse to begin a step that was not observed, because an earlier attempt was still in progress.

    Raises:
        OutcomePending: that attempt has since ended and did nothing; the next attempt observes.
    """
    raise OutcomePending("An earlier attempt has just ended, so what the step depends on is observed again.")


def _stop_if_withdrawn() -> None:
    """Stop an attempt if the run was withdrawn while the attempt waited for its turn and had done nothing.

    Raises:
        CancelledError: the run was withdrawn.
    """
    details = activity.cancellation_details()
    if details is not None and details.cancel_requested:
        raise asyncio.CancelledError


async def _shield_until_done(acting: "asyncio.Future[StepResult]") -> StepResult:
    """Await an attempt; a withdrawal, or a shutdown within its grace period, does not cancel it.

    Raises:
        WorkerStopping: the grace period is over; the effect is still recorded as begun; the next attempt
            looks up the result.
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
        await asyncio.wait((acting,), timeout=_CLEANUP_SECONDS)
        if acting.done() and not acting.cancelled():
            return acting.result()
        raise WorkerStopping(
            "The worker stopped while the step was acting; the next attempt looks up the result."
        )


def _undoing(tool: Tool, receipt: Receipt) -> Tool:
    """Return the tool that undoes a step's effect.

    Raises:
        ToolUnavailable: this worker's tool cannot undo.
    """
    if not isinstance(tool, Undoes):
        raise ToolUnavailable(
            f"The tool {tool.declaration.name} of this worker cannot undo; start a worker whose tool can."
        )
    return Undoing(tool, tool, receipt)


def _with_kept_error(error: EffectUnknown) -> EffectUnknown:
    """Add the error of an earlier attempt, because a later look-up cannot report it."""
    message, before = str(error), kept_error()
    if not before or message in before:
        return EffectUnknown(before or message)
    return EffectUnknown(f"{message} The previous attempt ended with: {before}")


def _arguments(
    tool: Tool, step: Step, values: Mapping[str, JsonValue], *, is_resolved: bool = True
) -> ToolArguments:
    """Return the approved arguments in the model of this worker's tool, if it is the approved tool.

    ``values`` are the arguments, with their references replaced by values if these are resolved.

    Raises:
        ToolUnavailable: the tool has changed since the plan was drafted; a new default, for example, was
            never approved. During an update, a worker of the other version may still have the approved tool.
        ToolRefused: the value of a reference is not a valid argument.
    """
    try:
        arguments = arguments_for(tool.declaration, dict(values))
    except ValidationError as error:
        arguments = None
        references = references_in(step.arguments)
        faults = [fault for fault in faults_in(error) if fault.path and fault.path[0] in references]
        if faults:
            raise ToolRefused(f"A value from an earlier step cannot be used: {faults[0]}") from None
    else:
        for name in references_in(step.arguments) if is_resolved else ():
            if isinstance(
                getattr(arguments, name, None), Reference
            ):  # the type allows a reference, but the value must not be one
                raise ToolRefused(
                    f"A value from an earlier step cannot be used: {name} is a reference again."
                )
    is_changed = bool(step.definition) and step.definition != tool.declaration.definition()
    if is_changed and isinstance(tool, DefinedElsewhere):  # no worker still has the approved tool
        raise ToolRefused(
            f"The tool {step.tool} is not the one that the plan was made for: {tool.defined_by()} has "
            "changed its description or arguments. It was not called. Make a new plan, or restore it and "
            "retry."
        )
    if arguments is None or not _are_approved(arguments, step) or is_changed:
        raise ToolUnavailable(
            f"The tool {step.tool} of this worker is not the one that the plan was made for: its arguments "
            "or its description have changed. Start a worker of that version, or resolve the run when it is "
            "held."
        )
    return arguments


def _are_approved(arguments: ToolArguments, step: Step) -> bool:
    """Return whether these are the approved arguments; the model may normalize the value of a reference."""
    references = references_in(step.arguments)
    now = complete(arguments)
    return {**now, **{name: step.arguments[name] for name in references if name in now}} == step.arguments
