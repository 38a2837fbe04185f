"""Claim the effect of a step for one attempt, if the records allow it.

`claim` works on the run's open trail, inside one transaction, and its result is recorded once that
transaction is committed (`plangate.records.records.Records.transact`). `activities.step_permission` checks
whether the step may begin, and `activities.step_entries` writes its claim, and later its receipt or failure.
If an approval is no longer valid, or the plan now needs more approvals, the review is reopened instead; while
people have stopped the tool, the step waits.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, timedelta
from functools import cached_property
from typing import Final

import structlog
from pydantic import JsonValue
from temporalio import activity

from activities.claims import Claim, Unready, began_at, earlier_state_of, holder_of, is_newer
from activities.effect_once import EarlierState
from activities.heartbeat import Heartbeats, ServerClock, this_worker
from activities.requirement_check import Requiring
from activities.rolling_totals import StricterRequirement, reopened_for, reserve_unless_stricter
from activities.step_entries import StepEntries
from activities.step_permission import StepPermission, is_ahead, is_no_longer_executed
from activities.stopping import step_stopped
from activities.tasks import StepResult, StepTask
from plangate.domain.errors import (
    DirectoryUnavailable,
    EffectUnknown,
    InDoubt,
    NotApproved,
    OutcomePending,
    StepStopped,
    StepUnready,
    ToolError,
    ToolUnavailable,
    TrailDamaged,
)
from plangate.domain.people.people import People
from plangate.domain.plans.idempotency_key import idempotency_key
from plangate.domain.plans.plan import Audience, Plan, Step, fingerprint_of, short
from plangate.domain.plans.tool import StepReceipt
from plangate.domain.policies.rolling_totals import RecentSum
from plangate.domain.runs.audit import Reopened
from plangate.domain.runs.resolved_references import resolve_references
from plangate.domain.runs.revocation import invalid_approvals
from plangate.domain.runs.run import Phase, RunState
from plangate.domain.runs.starting import missed_start_times
from plangate.policy.review_times import reopened_times
from plangate.records.ledger import Effect, EffectState, claim_effect, find_effect
from plangate.records.stops import StopsCache
from plangate.records.trail import Note, OpenTrail

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
        self._permission = StepPermission(task, self._key, self._clock)
        self.entries = StepEntries(task, self.run, self._key, self._holder, self._clock)

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
        The step may act again only if it could begin now; otherwise the claim has a `why_not_repeat`.

        Raises:
            DirectoryUnavailable: the list of people cannot be read; nothing is claimed.
            InDoubt: an earlier attempt left the step in doubt.
            NotApproved: the record does not allow this step.
            StepStopped: a stop is in effect for every step, or for this tool.
            StepTooEarly: no step may begin yet.
            OutcomePending: a newer attempt has the claim, or will soon have it.
        """
        trail.check()
        step, permission = self._task.step, self._permission
        found, state = find_effect(trail, self._key), trail.state()
        if found is not None and found.receipt is not None:
            return self.entries.recorded_result(found.receipt, state)
        if is_ahead(state, self._task):
            return StepResult(record=state)
        if found is not None and found.state is EffectState.IN_DOUBT and not permission.is_retried(state):
            raise InDoubt(f"Step {step} has been in doubt since an earlier attempt; nothing was repeated.")
        if self._is_superseded(found):
            raise OutcomePending(f"Step {step} is claimed by a newer attempt, or will be soon.")
        permission.raise_recorded_failure(state)
        is_beginning = _is_beginning(found)
        instead = self._result_unless_executing(trail, state, stops, is_beginning=is_beginning)
        if instead is not None:
            return instead
        if isinstance(people, DirectoryUnavailable):
            raise people
        if is_beginning:
            instead = self._result_without_beginning(trail, state, people)
            if instead is not None:
                return instead
        permission.authorise(state)
        why_not = "" if is_beginning else permission.why_not_repeat(state, people)
        people_hash = "" if why_not or people is None else people.hash
        too_late = permission.why_too_late_to_begin(state, people) if is_beginning else None
        if too_late is not None:
            return self.entries.append_unready(trail, too_late, found)
        earlier, arguments = earlier_state_of(trail, found), self._task.plan.steps[step - 1].arguments
        receipts = _receipts(self._task.plan, state)
        try:
            resolved = resolve_references(arguments, state.steps)
            unmet = precondition(receipts) if is_beginning else None
        except StepUnready as error:
            resolved, unmet = {}, str(error)
        # If a person ruled out an earlier effect, the tool looks it up first.
        if unmet is not None and earlier is not EarlierState.RULED_OUT:
            return self.entries.append_unready(trail, unmet, found)
        recent = self._reserve(trail, state, {**arguments, **resolved}, people, is_beginning=is_beginning)
        if isinstance(recent, StepResult):
            return recent
        effect = claim_effect(trail, found, self.entries.new_claim())
        claimed_at = self.entries.append_claim(
            trail,
            effect,
            people_hash,
            resolved,
            stops=stops.number,
            recent=recent,
            asks_only=bool(why_not),
        )
        return Claim(
            effect=effect,
            earlier=earlier,
            began_at=began_at(trail, self._key) if earlier is EarlierState.BEGUN else claimed_at,
            arguments={**arguments, **resolved},
            receipt=state.steps[step - 1].receipt if self._task.undo else None,
            receipts=receipts,
            unmet=unmet,
            why_not_repeat=why_not,
        )

    def is_unclaimed(self, trail: OpenTrail) -> bool:
        """Return whether it is certain that no attempt has done anything yet."""
        found = find_effect(trail, self._key)
        return found is None or found.state in (EffectState.RELEASED, EffectState.IN_DOUBT)

    def check_stops(self, trail: OpenTrail, stops: StopsCache) -> StepResult | None:
        """Return None if no stop prevents the claim; otherwise the result that `claim` would return.

        Raises:
            StepStopped: a stop is in effect for every step, or for this tool.
            TrailDamaged: the links of the run's trail are broken.
        """
        trail.check()
        found = find_effect(trail, self._key)
        if found is not None and found.state in (EffectState.DONE, EffectState.IN_DOUBT):
            return None
        is_beginning = _is_beginning(found)
        return self._result_unless_executing(trail, trail.state(), stops, is_beginning=is_beginning)

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

    def _is_superseded(self, found: Effect | None) -> bool:
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
        is_overtaken = is_no_longer_executed(state, task.fingerprint) and not trail.is_closed
        if is_beginning and not task.undo and is_overtaken:
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
            self._permission.check_start_time(state)
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


def _receipts(plan: Plan, state: RunState) -> tuple[StepReceipt, ...]:
    return tuple(
        StepReceipt(**dict(progress.receipt), tool=step.tool)
        for step, progress in zip(plan.steps, state.steps, strict=False)
        if progress.receipt is not None
    )


def _is_beginning(found: Effect | None) -> bool:
    """Return whether the step begins, because no earlier attempt may still have an effect."""
    return found is None or found.state is not EffectState.BEGUN
