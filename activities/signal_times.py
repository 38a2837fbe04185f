"""When the server received each signal of a run; the workflow itself is not told.

The n-th signal that a workflow's handlers saw is the n-th signal event of its history: each one reaches
them, decodable or not (`plangate.payloads`).
"""

from datetime import UTC, datetime

from temporalio import activity
from temporalio.client import Client

from plangate.domain.decision import signal_key


async def times_of_signals(client: Client, info: activity.Info) -> dict[str, datetime]:
    """Return the server's time of receipt for each arrival key of this run's signals."""
    handle = client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
    times: dict[str, datetime] = {}
    async for event in handle.fetch_history_events():
        if event.HasField("workflow_execution_signaled_event_attributes"):
            key = signal_key(info.workflow_run_id or "", len(times) + 1)
            times[key] = event.event_time.ToDatetime(tzinfo=UTC)
    return times
