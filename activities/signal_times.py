"""When the server received each signal of a run; the workflow itself is not told.

The n-th signal that a workflow's handlers saw is the n-th signal event of its history, less those that the
SDK dropped before any handler because nothing could decode them. The same test is made here.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from plangate.domain.decision import Choice, signal_key


async def times_of_signals(client: Client, info: activity.Info) -> dict[str, datetime]:
    """Return the server's time of receipt for each arrival key of this run's signals."""
    handle = client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
    times: dict[str, datetime] = {}
    async for event in handle.fetch_history_events():
        if not event.HasField("workflow_execution_signaled_event_attributes"):
            continue
        signal = event.workflow_execution_signaled_event_attributes
        if signal.signal_name in set(Choice) and not await _is_readable(client, signal.input.payloads):
            continue
        key = signal_key(info.workflow_run_id or "", len(times) + 1)
        times[key] = event.event_time.ToDatetime(tzinfo=UTC)
    return times


async def _is_readable(client: Client, payloads: Sequence[Payload]) -> bool:
    try:
        await client.data_converter.decode(payloads)
    except Exception:  # noqa: BLE001  whatever a converter raises, the SDK drops the signal
        return False
    return True
