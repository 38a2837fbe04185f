"""The history is read for the time of a signal only if a result depends on it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from temporalio.api.history.v1 import HistoryEvent, WorkflowExecutionSignaledEventAttributes
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.signal_times import SignalTimes
from plangate.domain.decisions.decision import Arrival, Via, signal_key

NOON = datetime(2026, 5, 3, 12, tzinfo=UTC)
SEEN = NOON + timedelta(hours=3)


class Server:
    """A Temporal server with one signal in its history."""

    def __init__(self) -> None:
        self.asked = 0

    def get_workflow_handle(self, workflow_id: str, *, run_id: str | None) -> SimpleNamespace:
        del workflow_id, run_id
        return SimpleNamespace(fetch_history_events=self._events)

    async def _events(self) -> AsyncIterator[HistoryEvent]:
        self.asked += 1
        attributes = WorkflowExecutionSignaledEventAttributes(signal_name="approve")
        event = HistoryEvent(workflow_execution_signaled_event_attributes=attributes)
        event.event_time.FromDatetime(NOON)
        yield event


async def received(times: SignalTimes, *, must_be: bool, via: Via = Via.SIGNAL) -> Any:
    environment = ActivityEnvironment()
    key = signal_key(environment.info.workflow_run_id or "", 1)
    arrival = Arrival(key=key, via=via, name="approve", received_at=SEEN)

    async def corrected() -> datetime:
        (found,) = await times.corrected([arrival], must_be=must_be)
        return found.received_at

    return await environment.run(corrected)


async def test_the_history_is_read_only_if_a_signal_may_have_waited_or_its_time_matters() -> None:
    server = Server()
    times = SignalTimes(cast("Client", server))
    assert await received(times, must_be=False) == NOON  # it may have waited for this process
    assert await received(times, must_be=False) == SEEN
    assert server.asked == 1
    assert await received(times, must_be=True) == NOON
    assert server.asked == 2


async def test_the_time_of_an_update_is_never_corrected() -> None:
    server = Server()
    assert await received(SignalTimes(cast("Client", server)), must_be=True, via=Via.UPDATE) == SEEN
    assert server.asked == 0
