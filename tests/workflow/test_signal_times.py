"""A decision's time on the trail is when the server received it, not when a worker processed it."""

import asyncio
from datetime import datetime, timedelta

import pytest

from plangate.domain.people.people import People
from plangate.domain.policies.escalation import Escalation
from plangate.domain.runs.audit import Decided
from plangate.policy.people_file import people_in
from plangate.presentation.clock import now
from tests.support.cut import client_behind_network
from tests.support.gate import Gate
from tests.support.policies import wants


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
    times = await sent(gate, status.workflow_id)
    assert [round(at, 3) for at in received(gate, status.workflow_id)] == [round(at, 3) for at in times]


async def test_a_decision_on_a_run_in_the_workers_cache_has_the_time_of_its_receipt(gate: Gate) -> None:
    status = await gate.in_review("one")
    await gate.signal(status)
    await gate.result(status.workflow_id)
    (at,), (was_sent,) = received(gate, status.workflow_id), await sent(gate, status.workflow_id)
    assert 0 <= at - was_sent < 2


@pytest.mark.parametrize("what", ["escalation", "delegation"])
async def test_a_late_signal_to_a_disconnected_worker_is_checked_at_its_time_at_the_server(
    idle_gate: Gate, what: str
) -> None:
    """The sender got the right to decide in the meantime, and the worker has the run in its cache."""
    gate = idle_gate
    begins = now() + timedelta(seconds=6)
    gate.directory = _Listed(begins if what == "delegation" else None)
    escalations = (Escalation(role="finance", after_seconds=6, to="board"),) if what == "escalation" else ()
    gate.policy = wants(("finance", 1), escalations=escalations)
    async with client_behind_network(gate.client) as (client, network), gate.worker(client):
        status = await gate.in_review("one")
        network.cut()
        await gate.signal(status, by="beth")
        sent_at = now()
        assert sent_at < (status.reliefs[0].at if status.reliefs else begins)
        while now() < max([begins, *(one.at for one in status.reliefs)]):
            await asyncio.sleep(0.1)
        network.restore()
        after = await gate.until("in_review", status.workflow_id, lambda one: bool(one.decisions))
        (decision,) = after.decisions
        assert not decision.accepted, decision.reason
        assert abs((decision.at - sent_at).total_seconds()) < 2
        await gate.signal(status, by="beth", comment="now it counts")
        assert (await gate.result(status.workflow_id)).outcome == "executed"


_LENDS = 'delegates = [{{ to = "beth", roles = ["finance"], from = {:%Y-%m-%dT%H:%M:%SZ} }}]\n'


class _Listed:
    """The list of people: dana (finance) delegates to beth (board) from a given time, if any."""

    def __init__(self, begins: datetime | None) -> None:
        lends = "" if begins is None else _LENDS.format(begins)
        self._people = people_in(
            f'[[person]]\nname = "rita"\n[[person]]\nname = "dana"\nroles = ["finance"]\n'
            f'{lends}[[person]]\nname = "beth"\nroles = ["board"]\n'
        )

    def people(self) -> People:
        return self._people
