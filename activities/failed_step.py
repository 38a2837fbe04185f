"""What happens after a step has failed: the local activity that holds the run, and records the reason.

The run is held if a step, or its undo, failed for good, or if its effect is in doubt. Later steps stay
pending, and done steps stay done. A person whom the requirement allows then resolves the run: they retry or
skip the step, mark it as done, undo the done steps, or abort the run. If no one does so before the deadline
of the hold (`plangate.domain.runs.deadlines`), the run is aborted. `workflows.plan_approval` waits for the
resolution; `activities.temporal_failures` defines which failures are retried first, without holding the run.
For people: docs/howto-handle-a-failed-step.md.
"""

import structlog
from temporalio import activity

from activities.calling_workflow import check_caller
from activities.heartbeat import this_worker
from activities.requirement_check import Requiring
from activities.tasks import HoldResult, HoldTask
from activities.temporal_failures import as_application_errors
from activities.unfinished_step import Unfinished, notes_of
from activities.waiting_for_records import with_time_limit
from plangate.domain.errors import NotApproved
from plangate.domain.plans.plan import short
from plangate.domain.runs.audit import Held
from plangate.domain.runs.deadlines import hold_deadline
from plangate.domain.runs.run import Phase, RunState, StepState
from plangate.records.records import Records
from plangate.records.trail import Note, OpenTrail

_log = structlog.get_logger(__name__)


class Holding:
    """Records the holds of runs."""

    def __init__(self, records: Records, requiring: Requiring) -> None:
        self._records = records
        self._requiring = requiring

    @activity.defn
    async def hold_run(self, task: HoldTask) -> HoldResult:
        """Record that the run is held, unless the record does not allow it; return the recorded state.

        The record is authoritative. The step may be done if its worker died before it reported that; the run
        may be in review again, already held, resolved, or closed. A run whose requirement is weaker than its
        policy ends as failed, because the requirement would define the hold's deadline and resolvers.

        Raises:
            ApplicationError: the records are unavailable.
        """
        with as_application_errors():
            check_caller(task.run, self._records, is_local=True)
            writing = self._records.transact(task.run, lambda trail: self.hold(trail, task))
            result = await with_time_limit(self._records, writing)
        record = result.record
        if record.held is not None:
            _log.warning(
                "The run is held; a person has to resolve it.",
                action="held",
                workflow_id=record.workflow_id,
                fingerprint=short(record.held.fingerprint),
                step=record.held.step,
                undo=record.held.undo,
            )
        return result

    def hold(self, trail: OpenTrail, task: HoldTask) -> HoldResult:
        """Record the hold on the open trail, if the plan's requirement meets its policy."""
        record = trail.state()
        if record.drafted is not None and record.requested is not None:
            requested_at = task.requested_at or record.requested.requested_at
            try:
                self._requiring.require_valid_plan(trail, requested_at, record.drafted)
            except NotApproved as error:
                return HoldResult(record=record, refusal=str(error))
        return HoldResult(record=_held(trail, task))


def _held(trail: OpenTrail, task: HoldTask) -> RunState:
    record = trail.state()
    phase = Phase.UNDOING if task.undo else Phase.EXECUTING
    is_current = record.phase is phase and record.fingerprint == task.fingerprint
    # A person may already have resolved the hold that an earlier attempt recorded.
    if not is_current or record.resolutions != task.resolutions or not 1 <= task.step <= len(record.steps):
        return record
    at = max(task.at, trail.entries()[-1].at)
    trail.append(*notes_of(trail, record, Unfinished(task.step, task.undo, task.reason, at)))
    record = trail.state()
    progress = record.steps[task.step - 1]
    stopped = progress.part(undo=task.undo)
    if stopped.state not in (StepState.FAILED, StepState.IN_DOUBT):
        return record
    assert record.drafted is not None
    held = Held(
        number=record.next_hold,
        step=task.step,
        undo=task.undo,
        fingerprint=task.fingerprint,
        why=stopped.reason,
        held_at=at,
        deadline=hold_deadline(record.drafted.requirement, at),
    )
    trail.append(Note(key=f"held:{record.resolutions}", at=at, actor=this_worker(), event=held))
    return trail.state()
