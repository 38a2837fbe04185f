"""The local activity that records the end of a run.

An executed run is closed by its last step instead, in the same transaction as the receipt.
"""

from datetime import datetime
from functools import reduce
from typing import Final, assert_never

import structlog
from temporalio import activity

from activities.caller import check_caller
from activities.failures import as_application_errors
from activities.heartbeat import this_worker
from activities.tasks import CloseResult, CloseTask
from activities.waiting import soon
from plangate.domain.audit import Closed, Event, Outcome, StepDone, StepFailed, StepInDoubt, step_key
from plangate.domain.errors import IdInUse, RequestInvalid
from plangate.domain.fold import apply
from plangate.domain.lifecycle import every_step_is_done, may_end, was_rejected
from plangate.domain.plan import idempotency_key
from plangate.domain.run import RunState
from plangate.records.ledger import EffectState, find_effect, settle_effect
from plangate.records.records import Records
from plangate.records.trail import Note, OpenTrail

_NOT_BEGUN: Final = "it was not begun; the outcome of the run says why"
_log = structlog.get_logger(__name__)


class Closing:
    """Records how runs end."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @activity.defn
    async def close_run(self, task: CloseTask) -> CloseResult:
        """Record the outcome, and the state of the step that was not done.

        Raises:
            ApplicationError: the records do not answer.
        """
        with as_application_errors():
            check_caller(task.run, self._records, is_local=True)
            writing = self._records.transact(task.run, lambda trail: self._close(trail, task))
            try:
                events = await soon(self._records, writing)
            except (IdInUse, RequestInvalid):
                # This run was never recorded and cannot be; it must not close the run that has its id.
                return CloseResult(events=(_closed(task),))
            _log_end(task, events[-1])
            return CloseResult(events=events)

    def _close(self, trail: OpenTrail, task: CloseTask) -> tuple[Event, ...]:
        if trail.is_closed:  # by its last step, or before a reset: return what is recorded
            closed, notes = _closed(task), self._step_notes(trail, task)
            known = trail.find([note.key for note in notes])
            notes = [note for note in notes if note.key in known]
        else:
            task = _dated(trail, task)
            notes = self._step_notes(trail, task)
            record = reduce(apply, (note.event for note in notes), trail.state())
            closed = ending(record, task.outcome, task.reason, task.at)
        entries = trail.append(*notes, Note(key="closed", at=task.at, actor=this_worker(), event=closed))
        return tuple(entry.event for entry in entries)

    def _step_notes(self, trail: OpenTrail, task: CloseTask) -> list[Note]:
        """Return how the step ended at which the run stopped, according to the effects ledger."""
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


def _closed(task: CloseTask) -> Closed:
    return Closed(outcome=task.outcome, reason=task.reason)


def _log_end(task: CloseTask, recorded: Event) -> None:
    if isinstance(recorded, Closed):  # its outcome may differ from the run's
        _log.info(
            "The run is closed.",
            action="closed",
            workflow_id=task.run.workflow_id,
            outcome=recorded.outcome.value,
            reason=recorded.reason,
        )


def _dated(trail: OpenTrail, task: CloseTask) -> CloseTask:
    """Return the task with a time no earlier than the last entry on the record."""
    return task.model_copy(update={"at": max(task.at, trail.entries()[-1].at)})


def ending(record: RunState, outcome: Outcome, reason: str, at: datetime) -> Closed:
    """Return the end to record: the one that the run reports, unless its record contradicts it.

    The state of a run may be forged, see docs/decisions/0020.
    """
    contradiction = may_end(record, outcome, at)
    if contradiction is None:
        return Closed(outcome=outcome, reason=reason)
    if record.closed is not None and was_rejected(record):
        return record.closed  # the worker that admitted the rejection died before the run had it
    return Closed(
        outcome=Outcome.EXECUTED if every_step_is_done(record) else Outcome.FAILED,
        reason=f"the run reported the outcome {outcome}, but {contradiction}",
    )


def _note(task: CloseTask, fingerprint: str, what: str, event: StepDone | StepFailed | StepInDoubt) -> Note:
    assert task.step is not None
    key = step_key(fingerprint, task.step, what)
    return Note(key=key, at=task.at, actor=this_worker(), event=event)
