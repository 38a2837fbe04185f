"""Record that a person reads the records as an auditor, or downloads a copy."""

import asyncio
import secrets
from typing import Final

from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from plangate.client.messages import message_of
from plangate.client.offline_status import error_of
from plangate.client.short_workflows import INTERACTIVE
from plangate.domain.decisions.accesses import Access, AccessAnswer
from plangate.domain.errors import NotAnswered
from plangate.temporal.contract import LOOK_TYPE

_SECONDS: Final = 8.0


async def record_access(client: TemporalClient, task_queue: str, look: Access) -> AccessAnswer:
    """Return whether the access is recorded; None if no worker is running, and the server keeps it for one.

    Raises:
        NotAnswered: its workflow failed in Temporal, for example because it was terminated.
        TemporalUnreachable: the server does not respond; nothing was sent.
    """
    try:
        handle = await client.start_workflow(
            LOOK_TYPE,
            message_of(look),
            id=f"look-{secrets.token_hex(6)}",
            task_queue=task_queue,
            result_type=AccessAnswer,
            priority=INTERACTIVE,
            static_summary=f"{look.what} by {look.by}",
        )
        async with asyncio.timeout(_SECONDS):
            answer: AccessAnswer = await handle.result()
            return answer
    except TimeoutError:
        return AccessAnswer(reason="the Temporal server keeps it until a worker can record it")
    except WorkflowFailureError as error:
        raise NotAnswered(
            f"The access was not recorded: its workflow was ended in Temporal ({error.cause})."
        ) from error
    except RPCError as error:
        raise error_of(error) from error
