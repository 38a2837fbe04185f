"""P5: a plan expires at its deadline. The Temporal test server skips the waiting time."""

from datetime import timedelta

import pytest

from plangate.domain.policies.requirement import ONE_APPROVAL
from tests.support.clock import until_passed
from tests.support.gate import Gate
from tests.support.policies import Wants


async def test_an_undecided_plan_expires_at_its_deadline(gate: Gate) -> None:
    status = await gate.in_review("one", timeout=timedelta(days=3))
    await gate.env.fast_forward(gate.handle(status.workflow_id), timedelta(days=3, minutes=1))
    assert (await gate.result(status.workflow_id)).outcome == "expired"
    assert gate.notebook.texts() == []
    assert gate.api.trail(status.workflow_id)[-1].event.kind == "closed"


async def test_a_plan_waits_thirty_days_and_runs_once_it_is_approved(gate: Gate) -> None:
    status = await gate.in_review("one", timeout=timedelta(days=31))
    assert await gate.env.fast_forward(gate.handle(status.workflow_id), timedelta(days=30))
    assert (await gate.api.status(status.workflow_id)).state == "in_review"
    assert (await gate.decide(status)).accepted
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one"]


async def test_just_before_the_deadline_nothing_has_expired(gate: Gate) -> None:
    status = await gate.in_review("one", timeout=timedelta(days=3))
    await gate.env.fast_forward(gate.handle(status.workflow_id), timedelta(days=2, hours=23, minutes=58))
    assert (await gate.api.status(status.workflow_id)).state == "in_review"


async def test_refused_decisions_do_not_extend_the_deadline(gate: Gate) -> None:
    status = await gate.in_review("one", timeout=timedelta(days=3))
    await gate.env.fast_forward(gate.handle(status.workflow_id), timedelta(days=2))
    await gate.decide(status, by="rita")
    await gate.env.fast_forward(gate.handle(status.workflow_id), timedelta(days=1, minutes=1))
    assert (await gate.result(status.workflow_id)).outcome == "expired"


async def test_each_revision_expires_at_its_own_deadline(gate: Gate) -> None:
    first = await gate.in_review(request="one", timeout=timedelta(days=3))
    await gate.env.fast_forward(gate.handle(first.workflow_id), timedelta(days=2))
    await gate.decide(first, "request_changes", comment="two")
    await gate.until("in_review", first.workflow_id, lambda now: now.revision == 2)
    await gate.env.fast_forward(gate.handle(first.workflow_id), timedelta(days=2))
    assert (await gate.api.status(first.workflow_id)).state == "in_review"
    await gate.env.fast_forward(gate.handle(first.workflow_id), timedelta(days=1, minutes=1))
    assert (await gate.result(first.workflow_id)).outcome == "expired"


async def test_an_approval_sent_in_time_is_valid_even_if_the_worker_returns_after_the_deadline(
    idle_gate: Gate,
) -> None:
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one", timeout=timedelta(seconds=2))
    await gate.signal(status)
    await until_passed(status.deadline)
    async with gate.worker():
        assert (await gate.result(status.workflow_id)).outcome == "executed"


async def test_an_approval_sent_after_the_deadline_is_not_valid_even_if_no_worker_ran_then(
    idle_gate: Gate,
) -> None:
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one", timeout=timedelta(seconds=1))
    await until_passed(status.deadline)
    await gate.signal(status)
    async with gate.worker():
        assert (await gate.result(status.workflow_id)).outcome == "expired"
        after = await gate.api.status(status.workflow_id)
    assert "the deadline" in after.decisions[0].reason
    assert gate.notebook.texts() == []


@pytest.mark.parametrize(("policy", "request_"), [(7 * 86400, 3600), (3600, 7 * 86400), (None, 3600)])
async def test_the_shorter_time_of_policy_and_request_applies(
    idle_gate: Gate, policy: int | None, request_: int
) -> None:
    idle_gate.policy = Wants(ONE_APPROVAL.model_copy(update={"timeout_seconds": policy}))
    async with idle_gate.worker():
        status = await idle_gate.in_review("one", timeout=timedelta(seconds=request_))
        (drafted,) = [
            entry.event for entry in idle_gate.api.trail(status.workflow_id) if entry.event.kind == "drafted"
        ]
        assert drafted.deadline - drafted.drafted_at == timedelta(hours=1)
        assert status.deadline == drafted.deadline
        await idle_gate.api.withdraw(status.workflow_id, "no longer needed")
