"""The local activity that closes a run on the record, whatever its outcome but 'executed'.

A run that executes is closed by its last step, in the same transaction as that step's receipt.
"""

from datetime import datetime
from typing import Final

import structlog
from temporalio import activity

from activities.caller import check_caller
from activities.failures import told_to_temporal
from activities.heartbeat import this_worker
from activities.tasks import CloseResult, CloseTask
from activities.waiting import write_soon
from plangate.domain.audit import Closed, Outcome, StepDone, StepFailed, StepInDoubt, step_key
from plangate.domain.errors import IdInUse, RequestInvalid
from plangate.domain.plan import idempotency_key
from plangate.domain.run import RunState, StepState
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
        """Write down the outcome, and what is known of the step that did not get done.

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
                if not trail.is_closed:
                    task = _dated(trail, task)
                if not trail.is_closed and not _can_end_so(trail.state(), task.outcome, task.at):
                    reason = f"the run calls itself {task.outcome}, and its record does not"
                    closed = Closed(outcome=Outcome.FAILED, reason=reason)
                notes = self._step_notes(trail, task)
                if trail.is_closed:  # behind a reset, or by the last step: what is there is told, and no more
                    known = trail.find([note.key for note in notes])
                    notes = [note for note in notes if note.key in known]
                entries = trail.append(
                    *notes,
                    Note(key="closed", at=task.at, actor=this_worker(), event=closed),
                )
        except (IdInUse, RequestInvalid):
            # This run never was on the record, nor can it be; the one that is must not be closed by it.
            return CloseResult(events=(closed,))
        recorded = entries[-1].event
        if isinstance(recorded, Closed):  # which may be another end than the run's
            _log.info(
                "The run is closed.",
                action="closed",
                workflow_id=task.run.workflow_id,
                outcome=recorded.outcome.value,
                reason=recorded.reason,
            )
        return CloseResult(events=tuple(entry.event for entry in entries))

    def _step_notes(self, trail: OpenTrail, task: CloseTask) -> list[Note]:
        """Say what became of the step at which the run stopped; the ledger knows better than an error."""
        if task.step is None or task.fingerprint is None:
            return []
        key = idempotency_key(task.run.workflow_id, task.fingerprint, task.step)
        effect = find_effect(trail, key)
        if effect is None:
            # No worker has a word on it, and a state may have been handed to the run: its words are not ours.
            record = trail.state()
            if record.fingerprint != task.fingerprint or not 1 <= task.step <= len(record.steps):
                return []
            failed = StepFailed(step=task.step, reason=_NOT_BEGUN)
            return [_note(task, task.fingerprint, "failed", failed)]
        if effect.receipt is not None:  # its worker died before it could say so
            done = StepDone(step=task.step, receipt=effect.receipt)
            return [_note(task, task.fingerprint, "done", done)]
        if effect.state is EffectState.BEGUN:
            settle_effect(trail, key, effect.holder, EffectState.IN_DOUBT)
        in_doubt = effect.state in (EffectState.BEGUN, EffectState.IN_DOUBT)
        event = (StepInDoubt if in_doubt else StepFailed)(step=task.step, reason=task.reason)
        return [_note(task, task.fingerprint, "in_doubt" if in_doubt else "failed", event)]


def _dated(trail: OpenTrail, task: CloseTask) -> CloseTask:
    """Let no run end before what is on its record already, whatever it says; it never says later than now."""
    return task.model_copy(update={"at": max(task.at, trail.entries()[-1].at)})


def _can_end_so(record: RunState, outcome: Outcome, at: datetime) -> bool:
    """Whether the record bears out what the run says of its end; a state may have been handed to it."""
    match outcome:
        case Outcome.EXECUTED:
            return bool(record.steps) and all(step.state is StepState.DONE for step in record.steps)
        case Outcome.REJECTED:
            return record.closed is not None and record.closed.outcome is Outcome.REJECTED
        case Outcome.EXPIRED:
            return record.deadline is not None and at >= record.deadline
        case _:
            return True


def _note(task: CloseTask, fingerprint: str, what: str, event: StepDone | StepFailed | StepInDoubt) -> Note:
    assert task.step is not None
    key = step_key(fingerprint, task.step, what)
    return Note(key=key, at=task.at, actor=this_worker(), event=event)
