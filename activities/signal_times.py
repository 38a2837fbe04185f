"""Find the time at which the server received each signal of a run, which the workflow cannot see.

A workflow sees a signal only when a worker processes it, which may be days later. The n-th signal that its
handlers received is the n-th signal event of its history: handlers receive every signal, decodable or not
(`plangate.temporal.payloads`).
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from temporalio import activity
from temporalio.client import Client

from plangate.domain.decisions.decision import Arrival, Via, signal_key

_MAX_FOLLOWED: Final = 10_000


class SignalTimes:
    """Corrects the times of signals that may have waited for a worker.

    Reading a history takes as long as processing a decision, so it is read only for runs that this process
    has not followed so far, because their signals may have waited. If this process drafted the run or
    processed a decision before, signals do not wait: this worker processes them immediately, or another
    worker does, which then reads the history itself.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._followed: OrderedDict[str, None] = OrderedDict()

    def follow(self) -> None:
        """Remember that this process follows the current activity's run."""
        run_id = activity.info().workflow_run_id or ""
        self._followed[run_id] = None
        self._followed.move_to_end(run_id)
        if len(self._followed) > _MAX_FOLLOWED:
            self._followed.popitem(last=False)

    async def corrected(self, arrivals: Sequence[Arrival], *, must_be: bool) -> tuple[Arrival, ...]:
        """Return the received decisions with the server's time of receipt.

        Args:
            arrivals: the decisions that the current activity's run received.
            must_be: whether to read the history in any case, because a result depends on the time.
        """
        followed = (activity.info().workflow_run_id or "") in self._followed
        self.follow()
        if (followed and not must_be) or all(arrival.via is not Via.SIGNAL for arrival in arrivals):
            return tuple(arrivals)
        times = await self._times(activity.info())
        return tuple(
            arrival.model_copy(update={"received_at": times.get(arrival.key, arrival.received_at)})
            for arrival in arrivals
        )

    async def _times(self, info: activity.Info) -> dict[str, datetime]:
        handle = self._client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
        times: dict[str, datetime] = {}
        async for event in handle.fetch_history_events():
            if event.HasField("workflow_execution_signaled_event_attributes"):
                key = signal_key(info.workflow_run_id or "", len(times) + 1)
                times[key] = event.event_time.ToDatetime(tzinfo=UTC)
        return times
