"""Send requests to start and end delegations of roles, and query the delegations."""

from typing import Any

from temporalio.client import Client as TemporalClient

from plangate.client.messages import message_of
from plangate.client.short_workflows import QUERY_SECONDS, REQUEST_SECONDS, ShortWorkflow, run_short_workflow
from plangate.domain.decisions.delegations import DelegationAction, DelegationAnswer, DelegationRequest
from plangate.temporal.contract import DELEGATION_TYPE


async def send_delegation(
    client: TemporalClient, task_queue: str, order: DelegationRequest
) -> DelegationAnswer | None:
    """Send a request and return the result; None if the server keeps it until a worker is running.

    The result has ``accepted`` None if a worker received the request but cannot record it yet; its ``reason``
    explains why.

    Raises:
        NotAnswered: the workflow of the request failed in Temporal, for example because it was terminated.
        TemporalUnreachable: the server does not respond; nothing was sent.
    """
    message = message_of(order, exclude_none=True)
    return await run_short_workflow(
        client, task_queue, _workflow(message, f"{order.action} to {order.to}"), REQUEST_SECONDS
    )


async def query_delegations(client: TemporalClient, task_queue: str) -> DelegationAnswer | None:
    """Query a worker for the current delegations; return None if no worker is running.

    Raises:
        NotAnswered: the query failed in Temporal.
        TemporalUnreachable: the server does not respond.
    """
    message = {"action": DelegationAction.LIST.value}
    workflow = _workflow(message, "list delegations", is_kept=False)
    answer = await run_short_workflow(client, task_queue, workflow, QUERY_SECONDS)
    return answer if answer and answer.audience else None


def _workflow(
    message: dict[str, Any], summary: str, *, is_kept: bool = True
) -> ShortWorkflow[DelegationAnswer]:
    return ShortWorkflow(DELEGATION_TYPE, message, DelegationAnswer, summary, is_kept)
