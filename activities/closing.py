"""The local activity that closes a run on the record, unless its last step did.

The last step closes an executed run, in the same transaction as its receipt.
"""

from datetime import datetime
from functools import reduce
from typing import Final, assert_never

import structlog
from temporalio import activity

from activities.caller import check_caller
from activities.failures import told_to_temporal
from activities.heartbeat import this_worker
from activities.tasks import CloseResult, CloseTask
from activities.waiting import write_soon
from plangate.domain.audit import Closed, Outcome, StepDone, StepFailed, StepInDoubt, step_key
from plangate.domain.errors import IdInUse, RequestInvalid
from plangate.domain.fold import apply
from plangate.domain.lifecycle import every_step_is_done, may_end
from plangate.domain.plan import idempotency_key
from plangate.domain.run import RunState
from plangate.records.database import Database
from plangate.records.ledger import EffectState, find_effect, settle_effect
from plangate.records.trail import Note, OpenTrail, open_trail

_NOT_BEGUN: Final = "it was not begun; the outcome of the run says why"
_log = structlog.get_logger(__name__)


class Closing:
    """Closes runs on the record."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn
    async def close_run(self, task: CloseTask) -> CloseResult:
        """Record the outcome, and what is known of the step that did not get done.

        Raises:
            ApplicationError: the records do not answer.
        """
        with told_to_temporal():
            check_caller(task.run, self._database, is_local=True)
            return await write_soon(self._database, self._close, task)

    def _close(self, task: CloseTask) -> CloseResult:
        closed = Closed(outcome=task.outcome, reason=task.reason)
        try:
            with self._database.write() as connection:
                trail = open_trail(connection, task.run)
                if trail.is_closed:  # by its last step, or before a reset: return what is recorded
                    notes = self._step_notes(trail, task)
                    known = trail.find([note.key for note in notes])
                    notes = [note for note in notes if note.key in known]
                else:
                    task = _dated(trail, task)
                    notes = self._step_notes(trail, task)
                    record = reduce(apply, (note.event for note in notes), trail.state())
                    closed = ending(record, task.outcome, task.reason, task.at)
                entries = trail.append(
                    *notes,
                    Note(key="closed", at=task.at, actor=this_worker(), event=closed),
                )
        except (IdInUse, RequestInvalid):
            # This run cannot be recorded; the recorded run with this id must not be closed by it.
            return CloseResult(events=(closed,))
        recorded = entries[-1].event
        if isinstance(recorded, Closed):  # may differ from what the run reported
            _log.info(
                "The run is closed.",
                action="closed",
                workflow_id=task.run.workflow_id,
                outcome=recorded.outcome.value,
                reason=recorded.reason,
            )
        return CloseResult(events=tuple(entry.event for entry in entries))

    def _step_notes(self, trail: OpenTrail, task: CloseTask) -> list[Note]:
        """Return what became of the step at which the run stopped, by the ledger of effects."""
        if task.step is None or task.fingerprint is None:
            return []
        key = idempotency_key(task.run.workflow_id, task.fingerprint, task.step)
        effect = find_effect(trail, key)
        if effect is None:
            # The step was never claimed. The reason that the run gives may be forged, so it is left out.
            record = trail.state()
            if record.fingerprint != task.fingerprint or not 1 <= task.step <= len(record.steps):
                return []
            failed = StepFailed(step=task.step, reason=_NOT_BEGUN)
            return [_note(task, task.fingerprint, "failed", failed)]
        if effect.receipt is not None:  # its worker died before Temporal had the result
            done = StepDone(step=task.step, receipt=effect.receipt)
            return [_note(task, task.fingerprint, "done", done)]
        if effect.state is EffectState.BEGUN:
            settle_effect(trail, key, effect.holder, EffectState.IN_DOUBT)
        match effect.state:
            case EffectState.BEGUN | EffectState.IN_DOUBT:
                doubt = StepInDoubt(step=task.step, reason=task.reason)
                return [_note(task, task.fingerprint, "in_doubt", doubt)]
            case EffectState.RELEASED | EffectState.DONE:
                failed = StepFailed(step=task.step, reason=task.reason)
                return [_note(task, task.fingerprint, "failed", failed)]
            case _:
                assert_never(effect.state)


def _dated(trail: OpenTrail, task: CloseTask) -> CloseTask:
    """Return the task with a time no earlier than the last entry on the record."""
    return task.model_copy(update={"at": max(task.at, trail.entries()[-1].at)})


def ending(record: RunState, outcome: Outcome, reason: str, at: datetime) -> Closed:
    """Return the end that goes on the record: what the run reports, unless its record contradicts it.

    The state of a run may have been forged, see docs/decisions/0020.
    """
    contradiction = may_end(record, outcome, at)
    if contradiction is None:
        return Closed(outcome=outcome, reason=reason)
    return Closed(
        outcome=Outcome.EXECUTED if every_step_is_done(record) else Outcome.FAILED,
        reason=f"the run reported the outcome {outcome}, but {contradiction}",
    )


def _note(task: CloseTask, fingerprint: str, what: str, event: StepDone | StepFailed | StepInDoubt) -> Note:
    assert task.step is not None
    key = step_key(fingerprint, task.step, what)
    return Note(key=key, at=task.at, actor=this_worker(), event=event)
