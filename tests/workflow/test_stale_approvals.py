"""If an approval is too old when a step should start, the review is reopened."""

from datetime import timedelta

import pytest

from activities.tasks import StepResult
from plangate.domain.runs.status import Status
from tests.support.clock import clock_ahead
from tests.support.gate import Gate
from tests.support.policies import one_approval
from tests.support.transactions import hook_transactions

VALID = timedelta(days=1)
TOO_OLD = timedelta(days=2)


async def reopened(gate: Gate, workflow_id: str) -> Status:
    """Wait until the run is in review for the second time."""
    return await gate.until("in_review", workflow_id, lambda _: "reopened" in kinds(gate, workflow_id))


async def reopened_too_late(gate: Gate, status: Status) -> Status:
    """Advance the time until no approval is valid for the next step; return the next review."""
    with clock_ahead(TOO_OLD):
        await reopened(gate, status.workflow_id)
    await gate.env.fast_forward(gate.handle(status.workflow_id), TOO_OLD)
    return await reopened(gate, status.workflow_id)


def kinds(gate: Gate, workflow_id: str) -> list[str]:
    return [entry.event.kind for entry in gate.api.trail(workflow_id)]


async def approved_without_a_worker(gate: Gate) -> Status:
    """Approve a plan by a signal that waits for a worker."""
    gate.policy = one_approval(valid_for=VALID)
    async with gate.worker():
        status = await gate.in_review("one")
    await gate.signal(status)
    return status


async def stale_behind_step_one(gate: Gate) -> Status:
    """Make the first of two steps take longer than the approval is valid."""
    status = await gate.in_review("one", "two")
    gate.notebook.gate.clear()
    await gate.decide(status)
    await gate.notebook.entered.wait()
    gate.notebook.gate.set()
    return await reopened_too_late(gate, status)


async def test_an_approval_that_became_stale_without_a_worker_is_not_valid(idle_gate: Gate) -> None:
    gate = idle_gate
    status = await approved_without_a_worker(gate)
    async with gate.worker():
        again = await reopened_too_late(gate, status)
        assert gate.notebook.texts() == []
        assert again.approved_by == ()
        assert again.fingerprint == status.fingerprint
        assert again.deadline is not None
        assert status.deadline is not None
        assert again.deadline > status.deadline
        assert (await gate.decide(again)).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        assert gate.notebook.texts() == ["one"]


async def test_a_reopened_review_expires_at_its_own_deadline(idle_gate: Gate) -> None:
    gate = idle_gate
    status = await approved_without_a_worker(gate)
    async with gate.worker():
        await reopened_too_late(gate, status)
        await gate.env.fast_forward(gate.handle(status.workflow_id), timedelta(hours=71))
        assert (await gate.api.status(status.workflow_id)).state == "in_review"
        await gate.env.fast_forward(gate.handle(status.workflow_id), timedelta(hours=2))
        assert (await gate.result(status.workflow_id)).outcome == "expired"
        assert gate.notebook.texts() == []


async def test_done_steps_stay_done_and_only_the_remaining_ones_are_executed(idle_gate: Gate) -> None:
    idle_gate.policy = one_approval(valid_for=VALID)
    async with idle_gate.worker():
        again = await stale_behind_step_one(idle_gate)
        assert [step.state for step in again.steps] == ["done", "pending"]
        refused = await idle_gate.decide(again, "request_changes", comment="in another way")
        assert "would do it again" in refused.reason
        assert (await idle_gate.decide(again)).accepted
        result = await idle_gate.result(again.workflow_id)
        assert result.outcome == "executed"
        assert idle_gate.notebook.texts() == ["one", "two"]


@pytest.mark.parametrize("choice", ["reject", "withdraw"])
async def test_the_remaining_steps_can_be_rejected_or_withdrawn(idle_gate: Gate, choice: str) -> None:
    idle_gate.policy = one_approval(valid_for=VALID)
    async with idle_gate.worker():
        again = await stale_behind_step_one(idle_gate)
        if choice == "reject":
            await idle_gate.decide(again, "reject")
        else:
            await idle_gate.api.withdraw(again.workflow_id, "withdrawn by rita")
        await idle_gate.result(again.workflow_id)
        after = await idle_gate.api.status(again.workflow_id)
        assert after.state == ("rejected" if choice == "reject" else "withdrawn")
        assert [step.state for step in after.steps] == ["done", "pending"]
        assert idle_gate.notebook.texts() == ["one"]


async def test_a_worker_that_dies_before_reporting_reopens_the_review_once(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, crashes = idle_gate, [1]

    async def die_after_reopening(result: object, is_receipt: bool) -> None:
        del is_receipt
        if crashes[0] and isinstance(result, StepResult) and result.reopened:
            crashes[0] -= 1
            raise RuntimeError("killed between the commit and the report")

    hook_transactions(monkeypatch, "execute_step", after=die_after_reopening)
    status = await approved_without_a_worker(gate)
    async with gate.worker():
        again = await reopened_too_late(gate, status)
        assert again.source == "workflow"
        assert (await gate.decide(again)).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        assert kinds(gate, status.workflow_id).count("reopened") == 1
        assert gate.notebook.texts() == ["one"]
    assert crashes == [0]


async def test_a_fresh_approval_does_not_reopen_the_review(idle_gate: Gate) -> None:
    idle_gate.policy = one_approval(valid_for=VALID)
    async with idle_gate.worker():
        status = await idle_gate.in_review("one", "two")
        await idle_gate.decide(status)
        assert (await idle_gate.result(status.workflow_id)).outcome == "executed"
        assert "reopened" not in kinds(idle_gate, status.workflow_id)
