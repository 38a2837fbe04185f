"""During the cooling-off time between the last approval and the first step, approvals can be withdrawn."""

import asyncio
from datetime import datetime, timedelta

import pytest

from plangate.audit.rules import rule_violations
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.presentation.run_page import run_page
from plangate.temporal.contract import STATUS
from tests.support.clock import until_passed
from tests.support.gate import Gate
from tests.support.orders import go, stop
from tests.support.policies import wants
from tests.support.skip_waiting import skip_waiting
from tests.unit.test_run_page import printed

COOLING = timedelta(hours=1)
LONG = wants(("anyone", 1), cooling_seconds=3600)


async def approved(gate: Gate, by: str = "dana", **more: timedelta) -> Status:
    """Return the run of an approved plan, while the approval can be withdrawn."""
    status = await gate.in_review("one", "two", **more)
    answer = await gate.decide(status, by=by)
    assert answer.accepted
    assert "until then the approval can be withdrawn" in answer.reason
    return await gate.until("executing", status.workflow_id)


async def advance(gate: Gate, status: Status, after: timedelta = COOLING) -> None:
    await gate.env.fast_forward(gate.handle(status.workflow_id), after)


def begins(status: Status) -> datetime:
    assert status.cooling_until is not None
    return status.cooling_until


def kinds(gate: Gate, status: Status) -> list[str]:
    return [entry.event.kind for entry in gate.api.trail(status.workflow_id)]


def broken(gate: Gate, status: Status) -> list[str]:
    """Return an auditor's findings in the trail; the checkpoints use this machine's time."""
    return [one.what for one in rule_violations(status.workflow_id, gate.api.trail(status.workflow_id))]


@pytest.fixture
def cooling_gate(idle_gate: Gate) -> Gate:
    """A test instance whose plans begin an hour after their approval."""
    idle_gate.policy = LONG
    return idle_gate


async def test_no_step_runs_until_it_ends_and_then_all_of_them_do(cooling_gate: Gate) -> None:
    gate = cooling_gate
    async with gate.worker():
        status = await approved(gate)
        (decision,) = status.decisions
        assert begins(status) == decision.at + COOLING
        await advance(gate, status, COOLING - timedelta(minutes=1))
        await asyncio.sleep(0.2)
        assert gate.notebook.texts() == []
        assert kinds(gate, status) == ["requested", "drafted", "decided"]
        await advance(gate, status, timedelta(minutes=1))
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        assert gate.notebook.texts() == ["one", "two"]
    assert not broken(gate, status)


async def test_an_approval_is_withdrawn_and_another_one_restarts_the_time(cooling_gate: Gate) -> None:
    gate = cooling_gate
    async with gate.worker():
        status = await approved(gate)
        await advance(gate, status, COOLING / 2)
        assert (await gate.decide(status, "withdraw_approval")).accepted
        again = await gate.until("in_review", status.workflow_id)
        assert (again.cooling_until, again.approved_by) == (None, ())
        await advance(gate, status)
        assert gate.notebook.texts() == []
        assert (await gate.decide(again, by="erik")).accepted
        second = await gate.until("executing", status.workflow_id)
        assert begins(second) >= begins(status) + COOLING
        await advance(gate, status, COOLING / 2)
        assert gate.notebook.texts() == []
        await advance(gate, status, COOLING / 2)
        assert (await gate.result(status.workflow_id)).approved_by == ("erik",)
    assert not broken(gate, status)


async def test_an_unchanged_plan_is_approved_and_withdrawn_in_one_task(
    cooling_gate: Gate,
) -> None:
    """All three signals wait for the worker; the run gets only the last approval."""
    gate = cooling_gate
    async with gate.worker():
        status = await approved(gate)
    for name, by in (("withdraw_approval", "dana"), ("approve", "erik")):
        await gate.signal(status, name, by=by)
    async with gate.worker():
        after = await gate.until("executing", status.workflow_id, lambda now: now.approved_by == ("erik",))
        assert begins(after) > begins(status)
        assert gate.notebook.texts() == []
        await advance(gate, status)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert not broken(gate, status)


async def test_a_worker_that_dies_meanwhile_changes_nothing(cooling_gate: Gate) -> None:
    gate = cooling_gate
    async with gate.worker():
        status = await approved(gate)
    async with gate.worker():
        await advance(gate, status, COOLING / 2)
        assert gate.notebook.texts() == []
    async with gate.worker():
        assert (await gate.api.status(status.workflow_id)).cooling_until == begins(status)
        await advance(gate, status, COOLING / 2)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert not broken(gate, status)


async def test_the_deadline_of_the_review_has_no_effect_until_an_approval_is_withdrawn(
    cooling_gate: Gate,
) -> None:
    gate, short = cooling_gate, timedelta(minutes=10)
    async with gate.worker():
        runs = await approved(gate, timeout=short)
        await advance(gate, runs)
        assert (await gate.result(runs.workflow_id)).outcome == "executed"
        expires = await approved(gate, timeout=short)
        await advance(gate, expires, 2 * short)
        assert (await gate.decide(expires, "withdraw_approval")).accepted
        assert (await gate.result(expires.workflow_id)).outcome == "expired"
        assert gate.notebook.texts() == ["one", "two"]
    assert not broken(gate, expires)


async def test_the_run_is_withdrawn_immediately(cooling_gate: Gate) -> None:
    gate = cooling_gate
    async with gate.worker():
        status = await approved(gate)
        await gate.api.withdraw(status.workflow_id, "by rita")
        assert (await gate.result(status.workflow_id)).outcome == "withdrawn"
        assert gate.notebook.texts() == []
    assert not broken(gate, status)


async def test_other_decisions_are_refused_with_the_alternatives(cooling_gate: Gate) -> None:
    gate = cooling_gate
    async with gate.worker():
        status = await approved(gate)
        refused = await gate.decide(status, "reject", by="erik")
        assert not refused.accepted
        assert "until then its approvers can withdraw their approvals" in refused.reason


async def test_it_also_waits_for_a_stop_and_approvals_are_withdrawn_meanwhile(cooling_gate: Gate) -> None:
    gate = cooling_gate
    async with gate.worker():
        status, other = await approved(gate), await approved(gate)
        number = await stop(gate)
        await advance(gate, status)
        await gate.until(
            "executing", status.workflow_id, lambda now: any(one.is_stopped for one in now.steps)
        )
        assert gate.notebook.texts() == []
        assert (await gate.decide(other, "withdraw_approval")).accepted
        assert (await gate.decide(status, "withdraw_approval")).accepted  # nothing has begun
        again = await gate.until("in_review", status.workflow_id)
        assert (await gate.decide(again, by="erik")).accepted
        await go(gate, number, "dana")
        await advance(gate, status)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert not broken(gate, status)


async def test_the_claiming_worker_checks_the_record_and_waits_if_the_run_did_not(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = idle_gate
    gate.policy = wants(("anyone", 1), cooling_seconds=2)

    skip_waiting(monkeypatch)
    async with gate.worker():
        status = await gate.in_review("one")
        assert (await gate.decide(status)).accepted
        waiting = await gate.until("executing", status.workflow_id, lambda now: bool(now.steps[0].last_error))
        assert "Approvals can be withdrawn until" in waiting.steps[0].last_error
        assert gate.notebook.texts() == []
        await until_passed(begins(waiting))
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert not broken(gate, status)


async def test_the_pages_say_until_when_and_how_an_approval_can_be_withdrawn(cooling_gate: Gate) -> None:
    gate = cooling_gate
    async with gate.worker():
        status = await approved(gate)
        shown = " ".join(printed(run_page(status, now())).split())
        assert "begins at " in shown
        assert f"withdraw-approval {status.workflow_id} --by YOUR-NAME" in shown
        assert "it begins 1 h after the last approval" in shown
        in_json = await gate.handle(status.workflow_id).query(STATUS)
        assert datetime.fromisoformat(in_json["cooling_until"]) == begins(status)
