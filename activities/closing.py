"""The local activity that records the end of a run.

The last step of an executed run closes it instead, in the same transaction as the receipt.
"""

from datetime import datetime

import structlog
from temporalio import activity

from activities.calling_workflow import check_caller
from activities.heartbeat import this_worker
from activities.tasks import CloseResult, CloseTask
from activities.temporal_failures import as_application_errors
from activities.unfinished_step import Unfinished, notes_of
from activities.waiting_for_records import with_time_limit
from plangate.domain.errors import IdInUse, RequestInvalid
from plangate.domain.runs.audit import Closed, Event, Outcome, StepDone, StepFailed, StepInDoubt, StepUndone
from plangate.domain.runs.lifecycle import every_step_is_done_or_skipped, was_rejected, why_may_not_end
from plangate.domain.runs.run import RunState
from plangate.records.records import Records
from plangate.records.trail import Note, OpenTrail

_Result = StepDone | StepUndone | StepFailed | StepInDoubt
_log = structlog.get_logger(__name__)


class Closing:
    """Records the end of runs."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @activity.defn
    async def close_run(self, task: CloseTask) -> CloseResult:
        """Record the outcome, and the state of the step that was not completed.

        Raises:
            ApplicationError: the records are unavailable.
        """
        with as_application_errors():
            check_caller(task.run, self._records, is_local=True)
            writing = self._records.transact(task.run, lambda trail: self._close(trail, task))
            try:
                events = await with_time_limit(self._records, writing)
            except (IdInUse, RequestInvalid):
                # This run cannot be recorded, and it must not close the recorded run with the same id.
                return CloseResult(events=(_closed(task),))
            _log_end(task, events[-1])
            return CloseResult(events=events)

    def _close(self, trail: OpenTrail, task: CloseTask) -> tuple[Event, ...]:
        if not trail.is_closed:  # an executed run was closed by its last step, or ended before it was reset
            task = _dated(trail, task)
            trail.append(*self._step_notes(trail, task))
            closed = ending(trail.state(), task.outcome, task.reason, task.at)
            trail.append(Note(key="closed", at=task.at, actor=this_worker(), event=closed))
        return _recorded_end(trail, task.step)

    def _step_notes(self, trail: OpenTrail, task: CloseTask) -> list[Note]:
        """Return the result of the step at which the run stopped, according to the effects ledger."""
        record = trail.state()
        is_known = task.step is not None and 1 <= task.step <= len(record.steps)
        if task.step is None or not is_known or record.fingerprint != task.fingerprint:
            return []
        return notes_of(trail, record, Unfinished(task.step, task.undo, task.reason, task.at))


def _recorded_end(trail: OpenTrail, step: int | None) -> tuple[Event, ...]:
    """Return the recorded result of a step, if there is one, and the recorded end."""
    events = [entry.event for entry in trail.entries()]
    results = [one for one in events if isinstance(one, _Result) and one.step == step]
    return (*results[-1:], *(one for one in events if isinstance(one, Closed)))


def _closed(task: CloseTask) -> Closed:
    return Closed(outcome=task.outcome, reason=task.reason)


def _log_end(task: CloseTask, recorded: Event) -> None:
    if isinstance(recorded, Closed):  # its outcome may differ from that of the run
        _log.info(
            "The run is closed.",
            action="closed",
            workflow_id=task.run.workflow_id,
            outcome=recorded.outcome.value,
            reason=recorded.reason,
        )


def _dated(trail: OpenTrail, task: CloseTask) -> CloseTask:
    """Return the task with a time no earlier than that of the trail's last entry."""
    return task.model_copy(update={"at": max(task.at, trail.entries()[-1].at)})


def ending(record: RunState, outcome: Outcome, reason: str, at: datetime) -> Closed:
    """Return the end to record, which is the end that the run reports unless the record contradicts it.

    The state of a run may be forged (docs/decisions/0020).
    """
    contradiction = why_may_not_end(record, outcome, at)
    if contradiction is None:
        return Closed(outcome=outcome, reason=reason)
    if record.closed is not None and was_rejected(record):
        return record.closed  # the worker that admitted the rejection died before the run received it
    return Closed(
        outcome=Outcome.EXECUTED if every_step_is_done_or_skipped(record) else Outcome.FAILED,
        reason=f"the run reported the outcome {outcome}, but {contradiction}",
    )
