"""Send orders to stop and to go and orders about keys, and ask which stops are in force."""

import asyncio
import secrets
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.common import Priority
from temporalio.service import RPCError

from plangate.client.offline_status import unreachable
from plangate.domain.errors import NotAnswered
from plangate.domain.key_orders import KeyAction, KeyOrder
from plangate.domain.stops import Action, Order, StopAnswer
from plangate.temporal.contract import STATUS, STOP_TYPE

ANSWER_SECONDS: Final = 8.0
_QUESTION_SECONDS: Final = 4.0
_QUERY_TIMEOUT: Final = timedelta(seconds=3)
_FIRST: Final = Priority(priority_key=1)
"""Ahead of the tasks of runs, on servers that know priorities: many runs may be active."""


async def send_order(client: TemporalClient, task_queue: str, order: Order) -> StopAnswer | None:
    """Send an order and return its verdict; None if no worker runs, and the server keeps it for one.

    The answer has ``accepted`` None if a worker took it and cannot record it yet; its ``reason`` says why.

    Raises:
        NotAnswered: the workflow of the order failed in Temporal, for example because it was terminated.
        TemporalUnreachable: the server does not answer; nothing was sent.
    """
    message = order.model_dump(mode="json", exclude_none=True)
    return await _answer(client, task_queue, message, order.action, ANSWER_SECONDS)


async def send_key_order(client: TemporalClient, task_queue: str, order: KeyOrder) -> StopAnswer | None:
    """Send an order about a key and return its verdict; None if the server keeps it for a worker.

    Raises:
        NotAnswered, TemporalUnreachable: as `send_order`.
    """
    return await _answer(client, task_queue, order.model_dump(mode="json"), order.action, ANSWER_SECONDS)


async def ask_what_stands(client: TemporalClient, task_queue: str) -> StopAnswer | None:
    """Return the stops in force, by a worker; None if no worker runs.

    Raises:
        NotAnswered: the question failed in Temporal.
        TemporalUnreachable: the server does not answer.
    """
    question = {"action": Action.LIST.value}
    answer = await _answer(client, task_queue, question, Action.LIST, _QUESTION_SECONDS)
    return answer if answer and answer.audience else None


async def _answer(
    client: TemporalClient,
    task_queue: str,
    message: dict[str, Any],
    action: Action | KeyAction,
    seconds: float,
) -> StopAnswer | None:
    limit = timedelta(seconds=seconds) if action is Action.LIST else None  # a question is not kept
    try:
        handle: WorkflowHandle[Any, StopAnswer] = await client.start_workflow(
            STOP_TYPE,
            message,
            id=f"{action.replace('_', '-')}-{secrets.token_hex(6)}",
            task_queue=task_queue,
            result_type=StopAnswer,
            execution_timeout=limit,
            priority=_FIRST,
            static_summary=_summary(message),
        )
    except RPCError as error:
        raise unreachable(error) from error
    try:
        async with asyncio.timeout(seconds):
            return await handle.result()
    except TimeoutError:
        return await _why_not_yet(handle)
    except WorkflowFailureError as error:
        if action is Action.LIST:
            return None
        raise NotAnswered(f"The order was not judged: it was ended in Temporal ({error.cause}).") from error
    except RPCError as error:
        raise unreachable(error) from error


async def _why_not_yet(handle: WorkflowHandle[Any, StopAnswer]) -> StopAnswer | None:
    with suppress(RPCError):
        answer: StopAnswer = await handle.query(STATUS, result_type=StopAnswer, rpc_timeout=_QUERY_TIMEOUT)
        return answer
    return None


def _summary(message: dict[str, Any]) -> str:
    what = str(message.get("tool", "everything"))
    whose = f"a key of {message.get('person')}"
    said = {
        "stop": f"stop {what}",
        "go": f"release {what}",
        "confirm_key": f"confirm {whose}",
        "revoke_key": f"revoke {whose}",
    }
    return said.get(message["action"], "what is stopped")
