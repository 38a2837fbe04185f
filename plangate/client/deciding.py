"""Send a decision on a run, or the request to withdraw it.

A decision is sent as an update if a worker responds, otherwise as a signal
(docs/decisions/0010-send-updates-and-fall-back-to-signals.md).
"""

import asyncio
from datetime import timedelta
from typing import Final

from temporalio.client import Client as TemporalClient
from temporalio.client import (
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.service import RPCError, RPCStatusCode

from plangate.client.messages import message_of, run_handle, sendable
from plangate.client.offline_status import error_of
from plangate.client.reads import limited_read
from plangate.client.run_status import QUERY_TIMEOUT, RunStatuses, not_a_run
from plangate.domain.decisions.decision import Decision, DecisionAnswer
from plangate.domain.errors import NotAnswered, Refused, RunNotFound
from plangate.domain.escaping import one_line
from plangate.domain.runs.audit import OUTCOMES
from plangate.temporal.contract import DECIDE, STATUS, WORKFLOW_TYPE

# A run tries for three seconds to record a decision, then responds with the reason of the failure.
DECIDE_TIMEOUT: Final = timedelta(seconds=8)
_NO_WORKER_CODES: Final = (
    RPCStatusCode.CANCELLED,  # the query reached its time limit
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.FAILED_PRECONDITION,  # the server has not seen a worker recently
)


async def send_decision(
    client: TemporalClient,
    statuses: RunStatuses,
    workflow_id: str,
    decision: Decision,
    *,
    update_id: str | None,
    query_timeout: timedelta,
) -> DecisionAnswer | None:
    """Send a decision and return the result; see `plangate.client.client.Client.decide`.

    The update returns a result immediately, but needs a worker. Without a worker, the decision is sent as
    a signal, which the server keeps. If a worker dies in between, both may be received; the second is
    refused.
    """
    message = message_of(decision, exclude_none=True)
    if not await _has_worker(client, workflow_id, query_timeout):
        return await _decide_by_signal(client, statuses, workflow_id, decision)
    try:
        answer: DecisionAnswer = await run_handle(client, workflow_id).execute_update(
            DECIDE, message, id=sendable(update_id), result_type=DecisionAnswer, rpc_timeout=DECIDE_TIMEOUT
        )
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        if isinstance(error.__cause__, asyncio.CancelledError):
            raise error.__cause__ from None  # the caller was cancelled: send nothing more
        return await _decide_by_signal(client, statuses, workflow_id, decision)
    except WorkflowUpdateFailedError as error:
        raise NotAnswered(f"The worker could not process the decision: {error.cause}") from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return await _answer_after_end(statuses, workflow_id)
        raise error_of(error) from error
    return answer


async def send_withdrawal(
    client: TemporalClient, statuses: RunStatuses, workflow_id: str, reason: str
) -> None:
    """Request that the run end as withdrawn; see `plangate.client.client.Client.withdraw`."""
    await _check_type(client, workflow_id)
    try:
        await run_handle(client, workflow_id).cancel(reason=sendable(reason))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            ended = (await statuses.status(workflow_id)).state
            raise Refused(
                f"{one_line(workflow_id)} has ended ({ended}); there is nothing to withdraw."
            ) from None
        raise error_of(error) from error


async def _has_worker(client: TemporalClient, workflow_id: str, query_timeout: timedelta) -> bool:
    """Return whether a worker responds for the run; the next call reports any other error."""
    try:
        await run_handle(client, workflow_id).query(STATUS, rpc_timeout=query_timeout)
    except RPCError as error:
        return error.status not in _NO_WORKER_CODES
    except WorkflowQueryFailedError:
        pass
    return True


async def _decide_by_signal(
    client: TemporalClient, statuses: RunStatuses, workflow_id: str, decision: Decision
) -> DecisionAnswer | None:
    await _check_type(client, workflow_id)
    message = message_of(decision, exclude_none=True, exclude={"decision"})
    try:
        await run_handle(client, workflow_id).signal(decision.decision.value, message)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return await _answer_after_end(statuses, workflow_id)
        raise error_of(error) from error
    return None


async def _answer_after_end(statuses: RunStatuses, workflow_id: str) -> DecisionAnswer:
    """Return the result of a decision on a run that is not open in Temporal."""
    status = await statuses.status(workflow_id)
    if status.state not in OUTCOMES:
        raise RunNotFound(
            f"The Temporal server no longer has {one_line(workflow_id)}; it accepts no more decisions."
        )
    return DecisionAnswer(
        accepted=False,
        reason=f"the run has ended ({status.state}); it accepts no more decisions",
        state=status.state,
    )


async def _check_type(client: TemporalClient, workflow_id: str) -> None:
    """Check that the workflow is a run, before a signal or a cancellation is sent to it."""
    try:
        async with limited_read(QUERY_TIMEOUT):
            description = await run_handle(client, workflow_id).describe(rpc_timeout=QUERY_TIMEOUT)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise error_of(error) from error
        return  # the next call reports why
    if description.workflow_type != WORKFLOW_TYPE:
        raise not_a_run(workflow_id)
