"""One attempt of a step, and its writes to the records.

`claim`, `finish` and `settle` work on the run's open trail: each runs inside one transaction, and its result
is recorded once that transaction is committed (`plangate.records.records.Records.transact`).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

import structlog
from pydantic import JsonValue
from temporalio import activity

from activities.acting import EarlierState
from activities.claims import Claim, Unready, began_at, earlier_state_of, holder_of, is_newer
from activities.heartbeat import Heartbeats, ServerClock, this_worker
from activities.limiting import StricterRequirement, reopened_for, reserve_unless_stricter
from activities.requiring import Requiring
from activities.stopping import step_stopped
from activities.tasks import StepResult, StepTask
from plangate.domain.audit import (
    Claimed,
    Closed,
    Event,
    Outcome,
    Released,
    Reopened,
    StepDone,
    StepFailed,
    StepInDoubt,
    StepUndone,
    step_result_key,
)
from plangate.domain.errors import (
    DirectoryUnavailable,
    EffectUnknown,
    InDoubt,
    NotApproved,
    OutcomePending,
    StepStopped,
    StepTooEarly,
    StepUnready,
    ToolError,
    ToolRefused,
    ToolUnavailable,
    TrailDamaged,
)
from plangate.domain.lifecycle import executed_because
from plangate.domain.limits import RecentSum
from plangate.domain.people import People
from plangate.domain.plan import Audience, Plan, Step, fingerprint_of, idempotency_key, short
from plangate.domain.references import resolve_references
from plangate.domain.review import authorise, authorise_undo
from plangate.domain.revocation import invalid_approvals, invalid_resolution
from plangate.domain.run import (
    Phase,
    RunState,
    StepProgress,
    StepState,
    UndoProgress,
    approval_was_withdrawn,
    key_of,
)
from plangate.domain.starting import missed_start_times, why_too_early, why_too_late
from plangate.domain.tool import Receipt, StepReceipt
from plangate.logs.redaction import recordable
from plangate.policy.review_times import reopened_times
from plangate.records.ledger import Effect, EffectState, claim_effect, find_effect, settle_effect
from plangate.records.stops import StopsCache
from plangate.records.trail import Note, OpenTrail

_LONGEST_REASON: Final = 2_000
_REOPENED: Final = "An approval is no longer valid; the plan is in review again."
_NEEDS_MORE: Final = "Because of a rolling total, the plan needs more approvals."
_log = structlog.get_logger(__name__)


class StepAttempt:
    """One attempt of the current activity to execute a step."""

    def __init__(self, task: StepTask, requiring: Requiring, heartbeats: Heartbeats) -> None:
        info = activity.info()
        self._task = task
        self._requiring = requiring
        self._heartbeats = heartbeats
        self._clock = ServerClock()
        # The run's id comes from Temporal, because the task is not trusted.
        self.run = task.run.model_copy(update={"workflow_id": info.workflow_id})
        self.activity = (info.workflow_run_id, info.activity_id)  # the same for all its attempts
        self._key = idempotency_key(
            self.run.workflow_id,
            task.fingerprint,
            task.step,
            undo=task.undo,
            resolution=task.resolution,
        )
        self._holder = holder_of(info)

    @cached_property
    def _log(self) -> structlog.stdlib.BoundLogger:
        task = self._task
        bound: structlog.stdlib.BoundLogger = _log.bind(
            workflow_id=self.run.workflow_id, fingerprint=short(task.fingerprint), step=task.step
        )
        return bound

    @property
    def is_undo(self) -> bool:
        """Whether the step's effect is being undone."""
        return self._task.undo

    def check_fingerprint(self, audience: Audience) -> Step:
        """Return the step to execute, if the plan matches its fingerprint.

        Raises:
            NotApproved: it does not match, or has no such step.
        """
        task = self._task
        actual = fingerprint_of(task.plan, task.revision, self.run.workflow_id, audience)
        if actual != task.fingerprint:
            raise NotApproved(
                f"The plan passed for execution is {short(actual)}, not {short(task.fingerprint)}, "
                "so none of its steps may run."
            )
        if not 1 <= task.step <= len(task.plan.steps):
            raise NotApproved(f"Plan {short(actual)} has no step {task.step}.")
        return task.plan.steps[task.step - 1]

    # ---- on the open trail ----------------------------------------------------------------------

    def claim(
        self,
        trail: OpenTrail,
        people: People | DirectoryUnavailable | None,
        precondition: Callable[[Sequence[StepReceipt]], str | None],
        stops: StopsCache,
    ) -> Claim | StepResult | Unready:
        """Take the claim if the record allows it; otherwise return another result for the workflow.

        The other result is the receipt of an earlier attempt, the reopened review if an approval is no longer
        valid, or the recorded state if only the run is still executing. ``precondition`` gets the receipts of
        this run, and returns the reason why the step must not begin, or None.

        An effect that was begun before can be claimed at any time, so that the tool can look up the result.
        The step may act again only if it could begin now; otherwise the claim is `barred`.

        Raises:
            DirectoryUnavailable: the list of people cannot be read; nothing is claimed.
            InDoubt: an earlier attempt left the step in doubt.
            NotApproved: the record does not allow this step.
            StepStopped: a stop is in effect for every step, or for this tool.
            StepTooEarly: no step may begin yet.
            OutcomePending: a newer attempt has the claim, or will soon have it.
        """
        trail.check()
        step = self._task.step
        found, state = find_effect(trail, self._key), trail.state()
        if found is not None and found.receipt is not None:
            return self._recorded_result(found.receipt, state)
        if _is_ahead(state, self._task):
            return StepResult(record=state)
        if found is not None and found.state is EffectState.IN_DOUBT and not self._is_retried(state):
            raise InDoubt(f"Step {step} has been in doubt since an earlier attempt; nothing was repeated.")
        if self._is_stale(found):
            raise OutcomePending(f"Step {step} is claimed by a newer attempt, or will be soon.")
        self._raise_recorded_failure(state)
        is_beginning = found is None or found.state is not EffectState.BEGUN
        instead = self._result_unless_executing(trail, state, stops, is_beginning=is_beginning)
        if instead is not None:
            return instead
        if isinstance(people, DirectoryUnavailable):
            raise people
        if is_beginning:
            instead = self._result_without_beginning(trail, state, people)
            if instead is not None:
                return instead
        self._authorise(state)
        barred = "" if is_beginning else self._barred(state, people)
        people_hash = "" if barred or people is None else people.hash
        too_late = self._is_too_late_to_begin(state, people) if is_beginning else None
        if too_late is not None:
            return self._append_unready(trail, too_late, found)
        earlier, arguments = earlier_state_of(trail, found), self._task.plan.steps[step - 1].arguments
        receipts = _receipts(self._task.plan, state)
        try:
            resolved = resolve_references(arguments, state.steps)
            unmet = precondition(receipts) if is_beginning else None
        except StepUnready as error:
            resolved, unmet = {}, str(error)
        # If a person ruled out an earlier effect, the tool looks it up first.
        if unmet is not None and earlier is not EarlierState.RULED_OUT:
            return self._append_unready(trail, unmet, found)
        recent = self._reserve(trail, state, {**arguments, **resolved}, people, is_beginning=is_beginning)
        if isinstance(recent, StepResult):
            return recent
        effect = claim_effect(trail, found, self._new_claim())
        claimed_at = self._append_claim(
            trail, effect, people_hash, resolved, stops=stops.number, recent=recent, asks_only=bool(barred)
        )
        return Claim(
            effect=effect,
            earlier=earlier,
            began_at=began_at(trail, self._key) if earlier is EarlierState.BEGUN else claimed_at,
            arguments={**arguments, **resolved},
            receipt=state.steps[step - 1].receipt if self._task.undo else None,
            receipts=receipts,
            unmet=unmet,
            barred=barred,
        )

    def is_unclaimed(self, trail: OpenTrail) -> bool:
        """Return whether it is certain that no attempt has done anything yet."""
        found = find_effect(trail, self._key)
        return found is None or found.state in (EffectState.RELEASED, EffectState.IN_DOUBT)

    def wait_if_stopped(self, trail: OpenTrail, stops: StopsCache) -> StepResult | None:
        """Return None if no stop prevents the claim; otherwise the result that `claim` would return.

        Raises:
            StepStopped: a stop is in effect for every step, or for this tool.
            TrailDamaged: the links of the run's trail are broken.
        """
        trail.check()
        found = find_effect(trail, self._key)
        if found is not None and found.state in (EffectState.DONE, EffectState.IN_DOUBT):
            return None
        is_beginning = found is None or found.state is not EffectState.BEGUN
        return self._result_unless_executing(trail, trail.state(), stops, is_beginning=is_beginning)

    def finish(
        self, trail: OpenTrail, receipt: Receipt, settles_within: timedelta | None = None
    ) -> StepResult:
        """Store the receipt; the last step's receipt also closes the run, in the same transaction.

        ``settles_within`` is the period during which the tool can look up the final result, if it can.

        Raises:
            InDoubt, OutcomePending: another attempt took over the step, and stored no receipt.
        """
        if not settle_effect(trail, self._key, self._holder, EffectState.DONE, receipt):
            return self._result_of_another(trail)
        until = self._clock.now() + settles_within if settles_within and not receipt.final else None
        # Without a resolution, nothing was skipped, so there is no need to read the trail.
        result = self._result(receipt, trail.state() if self._task.resolutions else None, until)
        notes = [self._note("done", result.undone or self._done(receipt, until))]
        if result.closed:
            notes.append(Note(key="closed", at=self._clock.now(), actor=this_worker(), event=result.closed))
        trail.append(*notes)
        return result

    def settle(self, trail: OpenTrail, claim: Claim, state: EffectState, failure: ToolError) -> bool:
        """Release the claim, for another attempt or permanently, or put the step in doubt.

        Return False, without changing anything, if another attempt holds the claim.
        """
        step, reason = self._task.step, recordable(str(failure), _LONGEST_REASON)
        if not settle_effect(trail, self._key, self._holder, state):
            return False
        if state is EffectState.IN_DOUBT:
            note = self._note("in_doubt", StepInDoubt(step=step, reason=reason, undo=self._task.undo))
        elif isinstance(failure, ToolRefused):
            note = self._note("failed", StepFailed(step=step, reason=reason, undo=self._task.undo))
        else:
            number = claim.effect.attempts
            released = Released(step=step, attempt=number, reason=reason, undo=self._task.undo)
            note = self._note(f"released:{number}", released)
        trail.append(note)
        return True

    def time_until_certain(self, claim: Claim, limit: timedelta) -> timedelta | None:
        """Return how much longer the effect of an ended attempt may still happen; None if it cannot."""
        left = claim.began_at + limit - self._clock.now()
        return left if left > timedelta() and claim.unmet is None else None

    def age(self, claim: Claim) -> timedelta:
        """Return how long ago the first attempt without a known result began."""
        return self._clock.now() - claim.began_at

    def with_call_time(self, claim: Claim, error: EffectUnknown) -> EffectUnknown:
        """Add the time of the call, so that a person can look for its effect."""
        if claim.unmet is not None:
            return error
        began, now = claim.began_at.astimezone(UTC), self._clock.now().astimezone(UTC)
        until = f"{now:%H:%M:%S}" if now.date() == began.date() else f"{now:%Y-%m-%d %H:%M:%S}"
        return EffectUnknown(
            f"{error} If it happened, it was between {began:%Y-%m-%d %H:%M:%S} and {until} UTC."
        )

    # ---- after the commit -----------------------------------------------------------------------

    def log_claim(self, claim: Claim) -> None:
        """Log that the step is claimed."""
        self._log.debug("The step is claimed.", action="claimed", attempt=claim.effect.attempts)

    def log_failure(self, state: EffectState, failure: ToolError) -> None:
        """Log that the step was not done."""
        is_final = not isinstance(failure, ToolUnavailable)
        self._log.warning("The step was not done.", action=state.value, final=is_final)

    def log_result(self, result: StepResult) -> None:
        """Log the result that the workflow is about to receive."""
        if result.closed:
            outcome = result.closed.outcome.value
            self._log.info("The last step is done, and the run is closed.", action="closed", outcome=outcome)
        elif result.done:
            self._log.info("The step is done.", action="done")
        elif result.reopened:
            why = _NEEDS_MORE if result.reopened.requirement else _REOPENED
            self._log.info(why, action="reopened")

    # ---- parts ----------------------------------------------------------------------------------

    def _is_stale(self, found: Effect | None) -> bool:
        """Return whether a newer attempt holds the claim, or the server has timed out this one."""
        return self._heartbeats.are_missed or (found is not None and is_newer(found.holder, self._holder))

    def _result_unless_executing(
        self, trail: OpenTrail, state: RunState, stops: StopsCache, *, is_beginning: bool
    ) -> StepResult | None:
        """Return the recorded state if the record is no longer executing the plan, otherwise None.

        Nothing is claimed if the stop trail cannot be read.

        Raises:
            StepStopped: a stop makes the step wait, according to the stop trail as read in this transaction.
        """
        task = self._task
        is_no_longer_executed = _is_no_longer_executed(state, task.fingerprint) and not trail.is_closed
        if is_beginning and not task.undo and is_no_longer_executed:
            return StepResult(record=state)
        try:
            stop = stops.read(trail.connection).of(task.plan.steps[task.step - 1].tool)
        except TrailDamaged as error:
            raise StepStopped(str(error)) from None
        if stop is not None:
            raise step_stopped(stop)
        return None

    def _result_without_beginning(
        self, trail: OpenTrail, state: RunState, people: People | None
    ) -> StepResult | None:
        task = self._task
        if state.drafted is not None and state.fingerprint == task.fingerprint:
            self._requiring.require_valid_plan(trail, task.requested_at, state.drafted)
        if task.undo:
            return None
        if state.fingerprint == task.fingerprint and missed_start_times(state, self._clock.now()):
            return StepResult(record=state)  # the run expires as if the step had not been tried
        reopened = self._reopened(trail, state, people)
        if reopened is None and state.fingerprint == task.fingerprint:
            self._wait_until_start(state)
        return reopened

    def _reopened(self, trail: OpenTrail, state: RunState, people: People | None) -> StepResult | None:
        """Reopen the review if an approval is no longer valid according to the current list of people."""
        now = self._clock.now()
        lost = invalid_approvals(state, people, now)
        if not lost or state.phase is not Phase.EXECUTING or state.fingerprint != self._task.fingerprint:
            return None
        assert state.drafted is not None
        times = reopened_times(state.requested, state.drafted, now)
        event = Reopened(
            fingerprint=self._task.fingerprint,
            step=self._task.step,
            lost=lost,
            people=people.hash if people else "",
            reopened_at=now,
            deadline=times.deadline,
            facts=times.facts,
            starts=times.starts,
        )
        return self._reopen(trail, event)

    def _reopen(self, trail: OpenTrail, event: Reopened) -> StepResult:
        at = event.reopened_at
        trail.append(Note(key=f"reopened:{at.isoformat()}", at=at, actor=this_worker(), event=event))
        return StepResult(reopened=event)

    def _reserve(
        self,
        trail: OpenTrail,
        state: RunState,
        arguments: dict[str, JsonValue],
        people: People | None,
        *,
        is_beginning: bool,
    ) -> tuple[RecentSum, ...] | StepResult:
        """Reserve the amounts that the plan adds to rolling totals, and return the sums that were checked.

        If the plan then needs more approvals, return the reopened review. A step that has begun only renews
        the reservation.
        """
        task, now = self._task, self._clock.now()
        if task.undo:
            return ()
        if not is_beginning:
            trail.renew(task.fingerprint, now)
            return ()
        reserved = reserve_unless_stricter(
            trail, state, self._requiring, step=task.step, arguments=arguments, now=now
        )
        if isinstance(reserved, StricterRequirement):
            return self._reopen(trail, reopened_for(state, reserved, task.step, people, now))
        return reserved.recent

    def _raise_recorded_failure(self, state: RunState) -> None:
        """Refuse a step that is recorded as failed; its worker died before it could report the failure.

        Raises:
            ToolRefused: it failed; a person has to resolve it.
        """
        stopped = self._progress_in(state)
        if stopped is not None and stopped.state is StepState.FAILED:
            raise ToolRefused(stopped.reason)

    def _is_retried(self, state: RunState) -> bool:
        """Return whether a person asked to retry an effect in doubt, which is then recorded as pending."""
        progress = self._progress_in(state)
        return progress is not None and progress.state is StepState.PENDING

    def _progress_in(self, state: RunState) -> StepProgress | UndoProgress | None:
        """Return the recorded progress of the step, or of its undo; None if it belongs to another plan."""
        if state.fingerprint != self._task.fingerprint or not 1 <= self._task.step <= len(state.steps):
            return None
        progress = state.steps[self._task.step - 1]
        return progress.part(undo=self._task.undo)

    def _authorise(self, state: RunState) -> None:
        """Check that the record allows this step, or its undo, under this idempotency key.

        Raises:
            NotApproved: the record does not allow it.
        """
        task = self._task
        if task.undo:
            authorise_undo(state, task.fingerprint, task.step)
        else:
            authorise(state, task.fingerprint, task.step)
        if key_of(state, task.step, undo=task.undo) != self._key:
            raise NotApproved(f"Step {task.step} has another idempotency key in the records.")

    def _wait_until_start(self, state: RunState) -> None:
        """Refuse a step that may not begin yet; the run itself only waits for the server's timer.

        Raises:
            StepTooEarly: according to the record, it may not begin yet.
        """
        now = self._clock.now()
        first = state.waits_until(now)
        if first is not None:
            raise StepTooEarly(f"{_sentence(why_too_early(state, now))}; nothing was done.", first - now)

    def _is_too_late_to_begin(self, state: RunState, people: People | None) -> str | None:
        """Return the reason why a step may no longer begin: it is too late, or its resolution is invalid."""
        now = self._clock.now()
        if not self._task.undo and state.beginning.first(now) is None:
            return f"{_sentence(why_too_late(state))}."
        return invalid_resolution(state, people, now) if people is not None else None

    def _barred(self, state: RunState, people: People | None) -> str:
        """Return the reason why an earlier attempt's effect must not be repeated now, or an empty string."""
        why: str | None
        if self._task.undo:
            why = self._is_too_late_to_begin(state, people)
        else:
            now = self._clock.now()
            lost = [f"{one.reason}." for one in invalid_approvals(state, people, now)]
            early = why_too_early(state, now)
            why = next(iter(lost), None) or (f"{_sentence(early)}." if early else None)
            why = why or self._is_too_late_to_begin(state, people)
        return f"An earlier attempt may have done it, and it must not be repeated now. {why}" if why else ""

    def _append_unready(self, trail: OpenTrail, reason: str, found: Effect | None) -> Unready:
        """Record why the step cannot begin; an effect in doubt stays in doubt."""
        step, undo, reason = self._task.step, self._task.undo, recordable(reason, _LONGEST_REASON)
        if found is not None and found.state is EffectState.IN_DOUBT:
            note = self._note("in_doubt", StepInDoubt(step=step, reason=reason, undo=undo))
        else:
            note = self._note("failed", StepFailed(step=step, reason=reason, undo=undo))
        trail.append(note)
        return Unready(reason=reason)

    def _append_claim(
        self,
        trail: OpenTrail,
        effect: Effect,
        people_hash: str,
        resolved: dict[str, JsonValue],
        *,
        stops: int,
        recent: tuple[RecentSum, ...],
        asks_only: bool,
    ) -> datetime:
        """Record the claim; return when it was made."""
        event = Claimed(
            step=self._task.step,
            idempotency_key=self._key,
            fingerprint=self._task.fingerprint,
            attempt=effect.attempts,
            people=people_hash,
            undo=self._task.undo,
            resolved=resolved,
            stops=stops,
            recent=recent,
            asks_only=asks_only,
        )
        (entry,) = trail.append(self._note(f"claimed:{effect.attempts}", event))
        if entry.event != event:
            raise TrailDamaged(
                f"The claim of step {self._task.step} differs between the trail and the ledger; check the "
                f"run with: starter.py audit verify {self.run.workflow_id}"
            )
        return entry.at

    def _result_of_another(self, trail: OpenTrail) -> StepResult:
        """Return the result stored by another attempt that took over the step."""
        step, effect = self._task.step, find_effect(trail, self._key)
        if effect is not None and effect.receipt is not None:
            return self._recorded_result(effect.receipt, trail.state())
        if effect is not None and effect.state is EffectState.IN_DOUBT:
            raise InDoubt(f"Step {step} is in doubt: another attempt took it over while it was being done.")
        raise OutcomePending(f"Step {step} was taken over by another attempt while it was being done.")

    def _recorded_result(self, receipt: Receipt, record: RunState) -> StepResult:
        """Return the result that an earlier attempt stored."""
        progress = self._progress_in(record)
        until = progress.settles_until if isinstance(progress, StepProgress) else None
        return self._result(receipt, record, until)

    def _result(
        self, receipt: Receipt, record: RunState | None, settles_until: datetime | None
    ) -> StepResult:
        """Return the result; ``record`` is the recorded state if steps were skipped, otherwise None."""
        if self._task.undo:
            return StepResult(undone=StepUndone(step=self._task.step, receipt=receipt))
        is_last = self._task.step == len(self._task.plan.steps)
        reason = executed_because(record) if record is not None else ""
        return StepResult(
            done=self._done(receipt, settles_until),
            closed=Closed(outcome=Outcome.EXECUTED, reason=reason) if is_last else None,
        )

    def _done(self, receipt: Receipt, settles_until: datetime | None) -> StepDone:
        return StepDone(step=self._task.step, receipt=receipt, settles_until=settles_until)

    def _new_claim(self) -> Effect:
        return Effect(
            idempotency_key=self._key,
            workflow_id=self.run.workflow_id,
            fingerprint=self._task.fingerprint,
            step=self._task.step,
            state=EffectState.BEGUN,
            holder=self._holder,
            attempts=1,
        )

    def _note(self, what: str, event: Event) -> Note:
        task = self._task
        key = step_result_key(task.fingerprint, task.step, what, undo=task.undo, resolutions=task.resolutions)
        return Note(key=key, at=self._clock.now(), actor=this_worker(), event=event)


def _is_ahead(record: RunState, task: StepTask) -> bool:
    """Return whether the record has a hold or a resolution that the run does not have, e.g. after a reset."""
    return record.fingerprint == task.fingerprint and (
        record.phase is Phase.HELD or record.resolutions > task.resolutions
    )


def _receipts(plan: Plan, state: RunState) -> tuple[StepReceipt, ...]:
    return tuple(
        StepReceipt(**dict(progress.receipt), tool=step.tool)
        for step, progress in zip(plan.steps, state.steps, strict=False)
        if progress.receipt is not None
    )


def _is_no_longer_executed(record: RunState, fingerprint: str) -> bool:
    """Return whether this plan was approved, but is no longer being executed according to the records."""
    if record.fingerprint != fingerprint or record.phase is Phase.EXECUTING:
        return False
    return record.reopened is not None or approval_was_withdrawn(record)


def _sentence(clause: str) -> str:
    return clause[:1].upper() + clause[1:]
