"""A decision's time on the trail is when the server received it, not when a worker processed it."""

import asyncio
from datetime import datetime, timedelta

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.enums.v1.event_type_pb2 import (
    EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    EVENT_TYPE_WORKFLOW_TASK_STARTED,
)

from plangate.domain.people.people import People
from plangate.domain.policies.escalation import Escalation
from plangate.domain.runs.audit import Decided
from plangate.policy.people_file import people_in
from plangate.presentation.clock import now
from tests.support.clock import until_passed
from tests.support.cut import client_behind_network
from tests.support.gate import Gate
from tests.support.policies import wants


def received(gate: Gate, workflow_id: str) -> list[float]:
    return [
        entry.event.arrival.received_at.timestamp()
        for entry in gate.api.trail(workflow_id)
        if isinstance(entry.event, Decided)
    ]


async def times(
    gate: Gate, workflow_id: str, kind: EventType.ValueType = EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
) -> list[float]:
    events = (await gate.handle(workflow_id).fetch_history()).events
    return [event.event_time.ToNanoseconds() / 1e9 for event in events if event.event_type == kind]


async def test_a_queued_decision_has_the_time_at_which_it_was_sent(
    idle_gate: Gate,
) -> None:
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one")
    await gate.signal(status, by="rita")
    await gate.signal(status)
    await asyncio.sleep(0.2)  # so that a later time would differ below
    async with gate.worker():
        await gate.result(status.workflow_id)
    sent = await times(gate, status.workflow_id)
    assert [round(at, 3) for at in received(gate, status.workflow_id)] == [round(at, 3) for at in sent]


async def test_a_decision_on_a_run_in_the_workers_cache_has_the_time_of_its_receipt(gate: Gate) -> None:
    status = await gate.in_review("one")
    await gate.signal(status)
    await gate.result(status.workflow_id)
    (at,), (sent,) = received(gate, status.workflow_id), await times(gate, status.workflow_id)
    tasks = await times(gate, status.workflow_id, EVENT_TYPE_WORKFLOW_TASK_STARTED)
    assert sent <= at <= min(one for one in tasks if one > sent) + 0.001  # it is rounded


@pytest.mark.parametrize("what", ["escalation", "delegation"])
async def test_a_late_signal_to_a_disconnected_worker_is_checked_at_its_time_at_the_server(
    idle_gate: Gate, what: str
) -> None:
    """The sender got the right to decide in the meantime, and the worker has the run in its cache."""
    gate = idle_gate
    gate.directory = people = _Listed()
    escalations = (Escalation(role="finance", after_seconds=20, to="board"),) if what == "escalation" else ()
    gate.policy = wants(("finance", 1), escalations=escalations)
    async with client_behind_network(gate.client) as (client, network), gate.worker(client):
        status = await gate.in_review("one")
        network.cut()
        before = now()
        await gate.signal(status, by="beth")
        after_it = now()
        begins = status.reliefs[0].at if status.reliefs else after_it + timedelta(seconds=2)
        assert after_it < begins
        if what == "delegation":
            people.lends_from(begins)
        await until_passed(begins)
        network.restore()
        after = await gate.until("in_review", status.workflow_id, lambda one: bool(one.decisions))
        (decision,) = after.decisions
        assert not decision.accepted, decision.reason
        assert before <= decision.at <= after_it
        await gate.signal(status, by="beth", comment="now it counts")
        assert (await gate.result(status.workflow_id)).outcome == "executed"


_LENDS = 'delegates = [{{ to = "beth", roles = ["finance"], from = {:%Y-%m-%dT%H:%M:%SZ} }}]\n'


class _Listed:
    """The list of people: dana (finance) may delegate to beth (board)."""

    def __init__(self) -> None:
        self.lends_from(None)

    def lends_from(self, begins: datetime | None) -> None:
        lends = "" if begins is None else _LENDS.format(begins)
        self._people = people_in(
            f'[[person]]\nname = "rita"\n[[person]]\nname = "dana"\nroles = ["finance"]\n'
            f'{lends}[[person]]\nname = "beth"\nroles = ["board"]\n'
        )

    def people(self) -> People:
        return self._people
