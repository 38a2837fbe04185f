"""Write the entries of a step: its claim, and its receipt or failure.

Each method works on the run's open trail, inside one transaction. The entry and the effect in the ledger are
recorded once that transaction is committed (`plangate.records.records.Records.transact`).
"""

from datetime import datetime, timedelta
from typing import Final

from pydantic import JsonValue

from activities.claims import Claim, Unready
from activities.heartbeat import ServerClock, this_worker
from activities.step_permission import progress_in
from activities.tasks import StepResult, StepTask
from plangate.domain.errors import InDoubt, OutcomePending, ToolError, ToolRefused, TrailDamaged
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.rolling_totals import RecentSum
from plangate.domain.runs.audit import (
    Claimed,
    Closed,
    Event,
    Outcome,
    Released,
    RunRef,
    StepDone,
    StepFailed,
    StepInDoubt,
    StepUndone,
    step_result_key,
)
from plangate.domain.runs.lifecycle import executed_because
from plangate.domain.runs.run import RunState, StepProgress
from plangate.logs.redaction import recordable
from plangate.records.ledger import Effect, EffectState, end_claim, find_effect
from plangate.records.trail import Note, OpenTrail

_LONGEST_REASON: Final = 2_000


class StepEntries:
    """Writes the entries of one attempt of a step, or of its undo."""

    def __init__(self, task: StepTask, run: RunRef, key: str, holder: str, clock: ServerClock) -> None:
        """Create the object; ``key`` is the effect's idempotency key, ``holder`` identifies the attempt."""
        self._task = task
        self._run = run
        self._key = key
        self._holder = holder
        self._clock = clock

    def new_claim(self) -> Effect:
        """Return the effect as this attempt claims it."""
        return Effect(
            idempotency_key=self._key,
            workflow_id=self._run.workflow_id,
            fingerprint=self._task.fingerprint,
            step=self._task.step,
            state=EffectState.BEGUN,
            holder=self._holder,
            attempts=1,
        )

    def append_claim(
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
                f"run with: starter.py audit verify {self._run.workflow_id}"
            )
        return entry.at

    def append_unready(self, trail: OpenTrail, reason: str, found: Effect | None) -> Unready:
        """Record why the step cannot begin; an effect in doubt stays in doubt."""
        reason = recordable(reason, _LONGEST_REASON)
        is_in_doubt = found is not None and found.state is EffectState.IN_DOUBT
        trail.append(self._stopped(reason, is_in_doubt=is_in_doubt))
        return Unready(reason=reason)

    def finish(
        self, trail: OpenTrail, receipt: Receipt, settles_within: timedelta | None = None
    ) -> StepResult:
        """Store the receipt; the last step's receipt also closes the run, in the same transaction.

        ``settles_within`` is the period during which the tool can look up the final result, if it can.

        Raises:
            InDoubt, OutcomePending: another attempt took over the step, and stored no receipt.
        """
        if not end_claim(trail, self._key, self._holder, EffectState.DONE, receipt):
            return self._result_of_another(trail)
        until = self._clock.now() + settles_within if settles_within and not receipt.final else None
        # Without a resolution, nothing was skipped, so there is no need to read the trail.
        result = self._result(receipt, trail.state() if self._task.resolutions else None, until)
        notes = [self._note("done", result.undone or self._done(receipt, until))]
        if result.closed:
            notes.append(Note(key="closed", at=self._clock.now(), actor=this_worker(), event=result.closed))
        trail.append(*notes)
        return result

    def record_failure(self, trail: OpenTrail, claim: Claim, state: EffectState, failure: ToolError) -> bool:
        """Release the claim, for another attempt or permanently, or put the step in doubt.

        Return False, without changing anything, if another attempt holds the claim.
        """
        if not end_claim(trail, self._key, self._holder, state):
            return False
        reason, is_in_doubt = recordable(str(failure), _LONGEST_REASON), state is EffectState.IN_DOUBT
        if is_in_doubt or isinstance(failure, ToolRefused):
            trail.append(self._stopped(reason, is_in_doubt=is_in_doubt))
        else:
            number, task = claim.effect.attempts, self._task
            released = Released(step=task.step, attempt=number, reason=reason, undo=task.undo)
            trail.append(self._note(f"released:{number}", released))
        return True

    def recorded_result(self, receipt: Receipt, record: RunState) -> StepResult:
        """Return the result that an earlier attempt stored."""
        progress = progress_in(record, self._task)
        until = progress.settles_until if isinstance(progress, StepProgress) else None
        return self._result(receipt, record, until)

    def _result_of_another(self, trail: OpenTrail) -> StepResult:
        """Return the result stored by another attempt that took over the step."""
        step, effect = self._task.step, find_effect(trail, self._key)
        if effect is not None and effect.receipt is not None:
            return self.recorded_result(effect.receipt, trail.state())
        if effect is not None and effect.state is EffectState.IN_DOUBT:
            raise InDoubt(f"Step {step} is in doubt: another attempt took it over while it was being done.")
        raise OutcomePending(f"Step {step} was taken over by another attempt while it was being done.")

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

    def _stopped(self, reason: str, *, is_in_doubt: bool) -> Note:
        what, kind = ("in_doubt", StepInDoubt) if is_in_doubt else ("failed", StepFailed)
        return self._note(what, kind(step=self._task.step, reason=reason, undo=self._task.undo))

    def _note(self, what: str, event: Event) -> Note:
        task = self._task
        key = step_result_key(task.fingerprint, task.step, what, undo=task.undo, resolutions=task.resolutions)
        return Note(key=key, at=self._clock.now(), actor=this_worker(), event=event)
