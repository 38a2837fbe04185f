"""The attempts of a run's activities: their number, the last error, and the time of the next one.

A workflow has no access to the attempts of its activities, or to their pauses. The Temporal server returns
both to clients.
"""

import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowExecutionDescription
from temporalio.service import RPCError

from plangate.client.reads import READ_TIMEOUT, limited_read
from plangate.domain.errors import StepStopped
from plangate.domain.escaping import cut, one_line
from plangate.domain.runs.run import Phase
from plangate.domain.runs.status import Attempt, Status, with_step_attempt

UnpauseCommand = Callable[[str, str], str]
"""Returns the command that unpauses an activity, from its workflow id and its activity id."""
_MAX_ERROR: Final = 1_000
_PHASES_AT_WORK: Final = frozenset(phase.value for phase in Phase if phase.is_at_work)


def plain_unpause_command(workflow_id: str, activity_id: str) -> str:
    """Return the command for a server that Temporal's command line finds with its own settings."""
    words = ("temporal", "activity", "unpause", "--workflow-id", workflow_id, "--activity-id", activity_id)
    return shlex.join(words)


async def with_attempts(client: TemporalClient, status: Status, unpause_command: UnpauseCommand) -> Status:
    """Return ``status`` with the attempts of the running activity, if there is one."""
    if status.state not in _PHASES_AT_WORK and status.unrecorded is None:
        return status
    try:
        handle = client.get_workflow_handle(status.workflow_id)
        async with limited_read():
            description = await handle.describe(rpc_timeout=READ_TIMEOUT)
        return attempts_of(description, status, unpause_command)
    except RPCError:
        return status  # the status is useful without them


def attempts_of(
    description: WorkflowExecutionDescription, status: Status, unpause_command: UnpauseCommand
) -> Status:
    """Return ``status`` with the attempts from this description of its run."""
    for pending in description.raw_description.pending_activities:
        attempt = _attempt(status.workflow_id, pending, unpause_command)
        if attempt is None:
            continue
        match pending.activity_type.name:
            case "draft_plan":
                status = status.model_copy(update={"drafting": attempt})
            case "execute_step":
                status = with_step_attempt(status, attempt)
            case "wait_for_records" if status.unrecorded and attempt.last_error:
                newest = status.unrecorded.model_copy(update={"cause": attempt.last_error})
                status = status.model_copy(update={"unrecorded": newest})
            case _:
                pass
    return status


def _attempt(
    workflow_id: str, pending: PendingActivityInfo, unpause_command: UnpauseCommand
) -> Attempt | None:
    """Return the attempt of an activity that failed or is paused; None for any other."""
    is_failing = pending.HasField("last_failure")
    if not (is_failing or pending.paused):
        return None
    waits = pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED and not pending.paused
    next_try = pending.next_attempt_schedule_time.ToDatetime(UTC)
    has_next = pending.HasField("next_attempt_schedule_time")  # only until the attempt is due
    return Attempt(
        attempt=pending.attempt,
        last_error=cut(one_line(pending.last_failure.message[: 2 * _MAX_ERROR]), _MAX_ERROR),
        next_try=next_try if waits and has_next else None,
        is_stopped=pending.last_failure.application_failure_info.type == StepStopped.__name__,
        lost_since=_lost_since(pending),
        waits_for_worker=waits and not has_next,
        paused=_paused(pending, unpause_command(workflow_id, pending.activity_id)) if pending.paused else "",
    )


def _lost_since(pending: PendingActivityInfo) -> datetime | None:
    """Return the time of the last heartbeat of an attempt whose worker stopped responding."""
    if not pending.last_failure.HasField("timeout_failure_info"):
        return None
    for name in ("last_heartbeat_time", "last_started_time"):
        if pending.HasField(name):
            seen: datetime = getattr(pending, name).ToDatetime(UTC)
            return seen
    return None


def _paused(pending: PendingActivityInfo, command: str) -> str:
    manual = pending.pause_info.manual
    by = f" by {cut(one_line(manual.identity), 100)}" if manual.identity else ""
    why = f" ({cut(one_line(manual.reason), 200)})" if manual.reason else ""
    return f"paused in Temporal{by}{why}; to continue it: {one_line(command)}"
