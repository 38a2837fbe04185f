"""Send stop requests and requests about keys, and query the active stops."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from temporalio.client import Client as TemporalClient
from temporalio.service import RPCError

from plangate.client.messages import message_of
from plangate.client.offline_status import NO_WORKER, error_of
from plangate.client.short_workflows import QUERY_SECONDS, REQUEST_SECONDS, ShortWorkflow, run_short_workflow
from plangate.domain.decisions.key_requests import KeyRequest
from plangate.domain.errors import NotAnswered, RecordsMissing, RecordsUnavailable
from plangate.domain.plans.plan import Audience
from plangate.domain.runs.stops import StopAction, StopAnswer, StopRequest
from plangate.records.database import Database
from plangate.records.queries import stops_on_record
from plangate.temporal.contract import STOP_TYPE

WORKER: Final = "worker"
_OTHERS: Final = re.compile(r"(list|confirm-key|revoke-key)-[0-9a-f]{12}")
"""The ids of the workflows that `run_short_workflow` starts for messages other than a stop or a release."""


async def send_stop_request(client: TemporalClient, task_queue: str, order: StopRequest) -> StopAnswer | None:
    """Send a request and return the result; None if the server keeps it until a worker is running.

    The result has ``accepted`` None if a worker received the request but cannot record it yet; its ``reason``
    explains why.

    Raises:
        NotAnswered: the workflow of the request failed in Temporal, for example because it was terminated.
        TemporalUnreachable: the server does not respond; nothing was sent.
    """
    message = message_of(order, exclude_none=True)
    workflow = ShortWorkflow(STOP_TYPE, message, StopAnswer, _summary(message))
    return await run_short_workflow(client, task_queue, workflow, REQUEST_SECONDS)


async def send_key_request(client: TemporalClient, task_queue: str, order: KeyRequest) -> StopAnswer | None:
    """Send a request about a key and return the result; None if the server keeps it until a worker runs.

    Raises:
        NotAnswered, TemporalUnreachable: as `send_stop_request`.
    """
    message = message_of(order)
    workflow = ShortWorkflow(STOP_TYPE, message, StopAnswer, _summary(message))
    return await run_short_workflow(client, task_queue, workflow, REQUEST_SECONDS)


async def query_stops(client: TemporalClient, task_queue: str) -> StopAnswer | None:
    """Query a worker for the active stops; return None if no worker is running.

    Raises:
        NotAnswered: the query failed in Temporal.
        TemporalUnreachable: the server does not respond.
    """
    message = {"action": StopAction.LIST.value}
    workflow = ShortWorkflow(STOP_TYPE, message, StopAnswer, _summary(message), is_kept=False)
    answer = await run_short_workflow(client, task_queue, workflow, QUERY_SECONDS)
    return answer if answer and answer.audience else None


async def waiting_stop_requests(client: TemporalClient, task_queue: str) -> int:
    """Return how many stop and release requests the server keeps until a worker processes them.

    Raises:
        TemporalUnreachable: the server does not respond.
    """
    query = f"WorkflowType = '{STOP_TYPE}' AND ExecutionStatus = 'Running'"
    try:
        found = [one async for one in client.list_workflows(query) if one.task_queue == task_queue]
    except RPCError as error:
        raise error_of(error) from error
    return sum(not _OTHERS.fullmatch(one.id) for one in found)


@dataclass(frozen=True, slots=True)
class KnownStops:
    """The known active stops.

    Attributes:
        answer: the stops.
        source: what they were read from; `WORKER` if a worker responded.
        waiting: how many requests wait for a worker, if none responded.
    """

    answer: StopAnswer
    source: str
    waiting: int = 0


async def known_stops(client: TemporalClient, task_queue: str, database: Database | None) -> KnownStops:
    """Return the active stops, from a worker or the records, and how many requests wait for a worker.

    Raises:
        NotAnswered: no worker is running, and no records are available.
        TemporalUnreachable: the server does not respond.
    """
    answer = await query_stops(client, task_queue)
    if answer is not None:
        return KnownStops(answer, WORKER)
    if database is not None:
        with suppress(RecordsMissing, RecordsUnavailable):
            stops = await asyncio.to_thread(stops_on_record, database)
            installation = database.installation
            audience = Audience(installation=installation, namespace=client.namespace)
            waiting = await waiting_stop_requests(client, task_queue)
            return KnownStops(StopAnswer(stops=stops, audience=audience), f"records{NO_WORKER}", waiting)
    raise NotAnswered(
        "No worker responds, and there are no records here, so the active stops are not known; "
        "start a worker."
    )


def _summary(message: dict[str, Any]) -> str:
    what = str(message.get("tool", "everything"))
    key = f"a key of {message.get('person')}"
    summaries = {
        "stop": f"stop {what}",
        "go": f"release {what}",
        "confirm_key": f"confirm {key}",
        "revoke_key": f"revoke {key}",
    }
    return summaries.get(message["action"], "list stops")
