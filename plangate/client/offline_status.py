"""Find the status of a run whose workflow cannot be queried: no worker runs, or Temporal ended or deleted it.

The status is read from the records, or from the workflow's input if no worker has started the run yet. Its
``source`` shows which.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Final

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from plangate.client.attempts import UnpauseCommand, attempts_of
from plangate.client.reads import limited_read
from plangate.domain.decisions.decision import Choice, Via, read_arrival, who_withdrew
from plangate.domain.errors import (
    NotAnswered,
    RequestInvalid,
    RunNotFound,
    TemporalDenied,
    TemporalUnreachable,
)
from plangate.domain.escaping import cut, one_line
from plangate.domain.runs.audit import OUTCOMES, Outcome
from plangate.domain.runs.request import read_request
from plangate.domain.runs.run import Phase, RunState
from plangate.domain.runs.status import GONE, RunResult, Status, UnreadDecision, status_of, unread_of
from plangate.records.database import Database
from plangate.records.queries import status_on_record
from plangate.temporal.search_attributes import PLANGATE_STATE

NO_WORKER: Final = " (no worker answers)"
"""The end of a status's source if no worker responded."""
_PAGE: Final = 1_000
_LISTED_UNREAD: Final = 20
_LONGEST_NAME: Final = 100
_LONGEST_CAUSE: Final = 300
_DESCRIBE_TIMEOUT: Final = timedelta(seconds=1.5)  # the user has already waited for the query of the workflow
_ENDED_FROM_OUTSIDE: Final[Mapping[WorkflowExecutionStatus | None, str]] = {
    WorkflowExecutionStatus.TERMINATED: "it was terminated in Temporal, from outside Plangate",
    WorkflowExecutionStatus.TIMED_OUT: "Temporal's own execution timeout ended it",
    WorkflowExecutionStatus.FAILED: "its workflow failed in Temporal",
    WorkflowExecutionStatus.CANCELED: "it was cancelled in Temporal",
}


async def status_without_workflow(
    client: TemporalClient, database: Database | None, workflow_id: str, unpause_command: UnpauseCommand
) -> Status:
    """Return the status of a run without querying its workflow.

    Raises:
        RunNotFound: neither Temporal nor the records contain the id.
        NotAnswered: Temporal has the run, but the available records do not.
        RecordsUnavailable: the records do not respond.
        TemporalUnreachable: the server does not respond.
    """
    recorded = await asyncio.to_thread(status_on_record, database, workflow_id) if database else None
    handle = client.get_workflow_handle(workflow_id)
    try:
        async with limited_read(_DESCRIBE_TIMEOUT):
            description = await handle.describe(rpc_timeout=_DESCRIBE_TIMEOUT)
        if recorded is None and description.typed_search_attributes.get(PLANGATE_STATE) == Phase.DRAFTING:
            recorded = await _undrafted(client, handle)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return _dropped(workflow_id, recorded)
        raise error_of(error) from error
    if recorded is None:
        raise NotAnswered(
            f"No worker responds for {one_line(workflow_id)}, and there are no records of it here; "
            "start a worker."
        )
    ended = _ENDED_FROM_OUTSIDE.get(description.status)
    if ended is None:
        unread = await _unread(client, handle)
        recorded = attempts_of(description, recorded, unpause_command)
        return recorded.model_copy(
            update={
                "source": f"{recorded.source}{NO_WORKER}",
                "unread": tuple(unread[:_LISTED_UNREAD]),
                "unread_not_listed": max(0, len(unread) - _LISTED_UNREAD),
            }
        )
    changes = {} if recorded.state in OUTCOMES else {"state": Outcome.FAILED.value, "reason": ended}
    return recorded.model_copy(update={"source": f"{recorded.source} and the Temporal server", **changes})


def error_of(error: RPCError) -> TemporalUnreachable | RequestInvalid:
    """Return the error for a call that failed on the server; `RequestInvalid` if a retry would fail too."""
    cause = cut(one_line(error.message or error.status.name), _LONGEST_CAUSE).rstrip(".")
    if error.status is RPCStatusCode.INVALID_ARGUMENT:
        return RequestInvalid(
            f"The Temporal server refused the request: {cause}. Correct the request, and try again."
        )
    if error.status in (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED):
        return TemporalDenied(
            f"The Temporal server denied the request ({cause}); check TEMPORAL_API_KEY, TEMPORAL_NAMESPACE "
            "and the client certificate."
        )
    return TemporalUnreachable(f"The Temporal server did not carry out the request: {cause}; try again.")


def result_of(status: Status) -> RunResult:
    """Return how a run ended, according to its status.

    Raises:
        RunNotFound: it has not ended, and this Temporal server does not have it.
    """
    if status.state not in OUTCOMES:
        raise RunNotFound(
            f"The Temporal server does not have {one_line(status.workflow_id)}, so there is no result to "
            "wait for: the run was deleted there, or another server now has this address."
        )
    return RunResult(
        workflow_id=status.workflow_id,
        outcome=Outcome(status.state),
        reason=status.reason,
        revision=status.revision,
        fingerprint=status.fingerprint,
        plan=status.plan,
        receipts=tuple(step.receipt for step in status.steps),
        approved_by=status.approved_by,
        unverified=status.unverified,
    )


def _dropped(workflow_id: str, recorded: Status | None) -> Status:
    if recorded is None:
        raise RunNotFound(
            f"There is no run called {one_line(workflow_id)}; `pending` lists the waiting runs."
        )
    if recorded.state in OUTCOMES:
        return recorded.model_copy(update={"source": "records (the run's retention in Temporal has ended)"})
    return recorded.model_copy(
        update={
            "source": "records and the Temporal server",
            "state": GONE,
            "reason": f"the run is recorded as {recorded.state.replace('_', ' ')}, but this Temporal server "
            "does not have it: it was deleted there, or TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE point to "
            "another server",
            "still_needed": (),
            "missing": (),
        }
    )


async def _unread(client: TemporalClient, handle: WorkflowHandle[object, object]) -> list[UnreadDecision]:
    """Return the decisions that no worker has processed yet, oldest first."""
    waiting: list[HistoryEvent] = []
    try:
        async for event in handle.fetch_history_events(page_size=_PAGE):
            if event.HasField("workflow_task_completed_event_attributes"):
                waiting.clear()
            elif event.HasField("workflow_execution_signaled_event_attributes") or event.HasField(
                "workflow_execution_cancel_requested_event_attributes"
            ):
                waiting.append(event)
    except RPCError:
        return []  # the status is useful without them
    return [await _unread_decision(client, event) for event in waiting]


async def _unread_decision(client: TemporalClient, event: HistoryEvent) -> UnreadDecision:
    sent_at = event.event_time.ToDatetime(UTC)
    if event.HasField("workflow_execution_cancel_requested_event_attributes"):
        asked = event.workflow_execution_cancel_requested_event_attributes
        return UnreadDecision(decision="withdraw", by=who_withdrew(asked.cause), sent_at=sent_at)
    signal = event.workflow_execution_signaled_event_attributes
    name = cut(signal.signal_name, _LONGEST_NAME)
    if name not in set(Choice):
        return UnreadDecision(decision=name, sent_at=sent_at)
    try:
        inputs = await client.data_converter.decode(signal.input.payloads)
    except (RuntimeError, ValueError, KeyError):
        inputs = []
    arrival = read_arrival(
        key="", via=Via.SIGNAL, name=name, choice=Choice(name), inputs=inputs, received_at=sent_at
    )
    return unread_of(arrival)


async def _undrafted(client: TemporalClient, handle: WorkflowHandle[object, object]) -> Status | None:
    """Return the status of a run that no worker has started yet, from its input."""
    first = await anext(handle.fetch_history_events(page_size=1))
    started = first.workflow_execution_started_event_attributes
    try:
        request = read_request(await client.data_converter.decode(started.input.payloads))
    except (RequestInvalid, RuntimeError, ValueError, KeyError):
        return None  # the worker will report the errors in the request
    requested = request.requested(first.event_time.ToDatetime(UTC))
    return status_of(RunState(workflow_id=handle.id, requested=requested), source="Temporal server")
