"""Send requests to start and end delegations of roles, and query the delegations."""

from typing import Any

from temporalio.client import Client as TemporalClient

from plangate.client.stopping import ANSWER_SECONDS, QUESTION_SECONDS, Question, asked
from plangate.domain.delegations import DelegationAction, DelegationAnswer, DelegationRequest
from plangate.temporal.contract import DELEGATION_TYPE


async def send_delegation(
    client: TemporalClient, task_queue: str, order: DelegationRequest
) -> DelegationAnswer | None:
    """Send a request and return the result; None if no worker is running, and the server keeps it for one.

    The result has ``accepted`` None if a worker received the request but cannot record it yet; its ``reason``
    explains why.

    Raises:
        NotAnswered: the workflow of the request failed in Temporal, for example because it was terminated.
        TemporalUnreachable: the server does not respond; nothing was sent.
    """
    message = order.model_dump(mode="json", exclude_none=True)
    return await asked(
        client, task_queue, _question(message, f"{order.action} to {order.to}"), ANSWER_SECONDS
    )


async def query_delegations(client: TemporalClient, task_queue: str) -> DelegationAnswer | None:
    """Query a worker for the current delegations; return None if no worker is running.

    Raises:
        NotAnswered: the query failed in Temporal.
        TemporalUnreachable: the server does not respond.
    """
    message = {"action": DelegationAction.LIST.value}
    question = _question(message, "which roles are lent", is_kept=False)
    answer = await asked(client, task_queue, question, QUESTION_SECONDS)
    return answer if answer and answer.audience else None


def _question(message: dict[str, Any], summary: str, *, is_kept: bool = True) -> Question[DelegationAnswer]:
    return Question(DELEGATION_TYPE, message, DelegationAnswer, summary, is_kept)
