"""The trail says when a decision was received by the server, and not when a worker woke up for it."""

import asyncio

from plangate.domain.audit import Decided
from tests.support.gate import Gate


def received(gate: Gate, workflow_id: str) -> list[float]:
    return [
        entry.event.arrival.received_at.timestamp()
        for entry in gate.api.trail(workflow_id)
        if isinstance(entry.event, Decided)
    ]


async def sent(gate: Gate, workflow_id: str) -> list[float]:
    events = (await gate.handle(workflow_id).fetch_history()).events
    return [
        event.event_time.ToNanoseconds() / 1e9
        for event in events
        if event.HasField("workflow_execution_signaled_event_attributes")
    ]


async def test_a_decision_that_lay_waiting_for_a_worker_has_the_time_at_which_it_was_sent(
    idle_gate: Gate,
) -> None:
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one")
    await gate.signal(status, by="rita")
    await gate.signal(status)
    await asyncio.sleep(0.2)  # compared to the millisecond below
    async with gate.worker():
        await gate.result(status.workflow_id)
    times = await sent(gate, status.workflow_id)
    assert [round(at, 3) for at in received(gate, status.workflow_id)] == [round(at, 3) for at in times]


async def test_a_decision_on_a_run_that_the_worker_follows_is_timed_as_it_comes(gate: Gate) -> None:
    status = await gate.in_review("one")
    await gate.signal(status)
    await gate.result(status.workflow_id)
    (at,), (was_sent,) = received(gate, status.workflow_id), await sent(gate, status.workflow_id)
    assert 0 <= at - was_sent < 2
