"""Send a message that does not belong to a run: start a short workflow, and wait briefly for its result.

`workflows/stop.py` and `workflows/delegation.py` process such messages.
"""

import asyncio
import secrets
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.common import Priority
from temporalio.service import RPCError

from plangate.client.offline_status import error_of
from plangate.client.reads import limited_read
from plangate.domain.errors import NotAnswered
from plangate.temporal.contract import STATUS

Result = TypeVar("Result")
REQUEST_SECONDS: Final = 8.0
QUERY_SECONDS: Final = 4.0
_QUERY_TIMEOUT: Final = timedelta(seconds=3)
INTERACTIVE: Final = Priority(priority_key=1)
"""A priority above that of the runs' tasks, on servers that support priorities, because a person waits."""


@dataclass(frozen=True, slots=True)
class ShortWorkflow(Generic[Result]):
    """A short workflow that processes one message.

    Attributes:
        workflow_type: its type.
        message: its input, with its ``action``.
        result: the type of its result.
        summary: its description in Temporal's Web UI.
        is_kept: whether the server keeps it until a worker is running.
    """

    workflow_type: str
    message: dict[str, Any]
    result: type[Result]
    summary: str
    is_kept: bool = True


async def run_short_workflow(
    client: TemporalClient, task_queue: str, workflow: ShortWorkflow[Result], seconds: float
) -> Result | None:
    """Start a short workflow and return its result; None if no worker is running.

    Raises:
        NotAnswered: the workflow failed in Temporal, for example because it was terminated.
        TemporalUnreachable: the server does not respond; nothing was sent.
    """
    try:
        async with nullcontext() if workflow.is_kept else limited_read():  # an unkept one only reads
            handle: WorkflowHandle[Any, Result] = await client.start_workflow(
                workflow.workflow_type,
                workflow.message,
                id=f"{workflow.message['action'].replace('_', '-')}-{secrets.token_hex(6)}",
                task_queue=task_queue,
                result_type=workflow.result,
                execution_timeout=None if workflow.is_kept else timedelta(seconds=seconds),
                priority=INTERACTIVE,
                static_summary=workflow.summary,
            )
    except RPCError as error:
        raise error_of(error) from error
    try:
        async with asyncio.timeout(seconds):
            return await handle.result()
    except TimeoutError:
        return await _why_not_yet(handle, workflow.result)
    except WorkflowFailureError as error:
        if not workflow.is_kept:
            return None
        raise NotAnswered(
            f"The request was not processed: its workflow was ended in Temporal ({error.cause})."
        ) from error
    except RPCError as error:
        raise error_of(error) from error


async def _why_not_yet(handle: WorkflowHandle[Any, Result], answer_type: type[Result]) -> Result | None:
    with suppress(RPCError):
        answer: Result = await handle.query(STATUS, result_type=answer_type, rpc_timeout=_QUERY_TIMEOUT)
        return answer
    return None
