"""A worker's machine sleeps during an attempt: Plangate detects that the server's clock advanced."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity

from activities import heartbeat
from activities.pacing import Pacing, Turn
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.audit import Drafted, Requested
from plangate.elapsed import elapsed
from tests.support.gate import Gate
from tests.support.policies import one_approval


class Machine:
    """A machine that can be put to sleep, simulated by a clock that includes the time asleep."""

    def __init__(self) -> None:
        self.slept = 0.0

    def elapsed(self) -> float:
        return elapsed() + self.slept


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(heartbeat, "elapsed", machine.elapsed)
    return machine


def sleep_before_the_claim(machine: Machine, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the machine sleep once between the start of a step's attempt and its claim."""
    turn, sleeps = Pacing.turn, [seconds]

    @asynccontextmanager
    async def begin_after_suspend(self: Pacing) -> AsyncIterator[Turn]:
        async with turn(self) as mine:
            machine.slept += sleeps.pop() if sleeps else 0
            yield mine

    monkeypatch.setattr(Pacing, "turn", begin_after_suspend)


async def test_a_plan_drafted_meanwhile_is_dated_by_the_servers_time(
    idle_gate: Gate, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, draft = idle_gate, idle_gate.planner.draft

    async def draft_after_suspend(*brief: Any) -> Any:
        machine.slept += 3_600
        return await draft(*brief)

    monkeypatch.setattr(gate.planner, "draft", draft_after_suspend)
    async with gate.worker():
        status = await gate.until("in_review", await gate.submit(request="write", timeout=timedelta(hours=1)))
        first, second = (entry.event for entry in gate.api.trail(status.workflow_id)[:2])
        assert isinstance(first, Requested)
        assert isinstance(second, Drafted)
        assert status.deadline is not None
        assert second.drafted_at - first.requested_at >= timedelta(hours=1)
        assert status.deadline - first.requested_at >= timedelta(hours=2)
        await gate.api.withdraw(status.workflow_id, "withdrawn by rita")


async def test_a_step_does_not_begin_under_an_approval_that_became_stale_meanwhile(
    idle_gate: Gate, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = idle_gate
    gate.policy = one_approval(valid_for=timedelta(minutes=10))
    sleep_before_the_claim(machine, 601, monkeypatch)
    monkeypatch.setattr(
        heartbeat.Heartbeats, "are_missed", False
    )  # as without a limit on the time between heartbeats
    async with gate.worker():
        status = await gate.in_review("one")
        await gate.decide(status)
        again = await gate.until("in_review", status.workflow_id, lambda status: not status.approved_by)
        assert [entry.event.kind for entry in gate.api.trail(again.workflow_id)][-1] == "reopened"
        assert gate.notebook.texts() == []


async def test_an_attempt_that_missed_its_heartbeats_does_not_begin_and_the_next_one_does(
    gate: Gate, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    act, began = gate.notebook.act, list[int]()

    async def record_attempt(arguments: Any, idempotency_key: str) -> Receipt:
        began.append(activity.info().attempt)
        return await act(arguments, idempotency_key)

    monkeypatch.setattr(gate.notebook, "act", record_attempt)
    sleep_before_the_claim(machine, 5, monkeypatch)
    status = await gate.in_review("one")
    await gate.decide(status)

    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert began == [2]
    assert gate.notebook.texts() == ["one"]
