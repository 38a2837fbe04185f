"""An approver can withdraw their own approval until the first step begins."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from plangate.audit.inspection import inspect_all
from plangate.audit.trust_anchors import Trust
from plangate.domain.decisions.decision import Choice
from plangate.domain.policies.requirement import ONE_APPROVAL
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from tests.support.gate import Gate
from tests.support.lost_decisions import record_only
from tests.support.policies import Wants, wants
from tests.support.sealed_records import FixedPeople
from tests.support.transactions import hook_transactions
from tests.workflow.test_audit_no_false_positives import reset
from tests.workflow.test_revocation import needs, people, signed

__all__ = ["people"]
TWO = wants(("anyone", 2))


def findings(gate: Gate) -> list[str]:
    people = gate.directory.people() if gate.directory else None
    with gate.database.read() as connection:
        inspection = inspect_all(connection, Trust(people=people, now=now()), lambda *_: None)
    return [str(one) for one in (*inspection.findings, *inspection.notes)]


async def withdraw(gate: Gate, status: Status, by: str = "dana", **more: Any) -> tuple[bool | None, str]:
    answer = await gate.decide(status, "withdraw_approval", by, **more)
    return answer.accepted, answer.reason


class Held:
    """Delays the claim of the first step until it is released, like a busy worker."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.released, self.reached = asyncio.Event(), asyncio.Event()
        hook_transactions(monkeypatch, "execute_step", before=self._wait)

    async def _wait(self) -> None:
        self.reached.set()
        await self.released.wait()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    return Held(monkeypatch)


async def test_a_withdrawn_approval_is_not_valid_and_can_be_given_again(idle_gate: Gate) -> None:
    idle_gate.policy = TWO
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
        assert (await idle_gate.decide(status)).accepted
        withdrawn = await withdraw(idle_gate, status)
        assert withdrawn == (
            True,
            "approval withdrawn; still needed: 2 approvals by anyone but the requester",
        )
        assert (await idle_gate.api.status(status.workflow_id)).approved_by == ()
        assert (await idle_gate.decide(status, by="erik")).accepted
        assert "may be a replay of it" in (await idle_gate.decide(status)).reason
        assert (await idle_gate.decide(status, comment="now I am sure")).accepted
        assert (await idle_gate.result(status.workflow_id)).approved_by == ("erik", "dana")
    assert findings(idle_gate) == []


async def test_an_approved_plan_that_has_not_begun_returns_to_review(gate: Gate, held: Held) -> None:
    status = await gate.in_review("one")
    await gate.decide(status)
    await held.reached.wait()
    accepted, reason = await withdraw(gate, status)
    assert accepted, reason
    assert (await gate.api.status(status.workflow_id)).state == "in_review"
    held.released.set()
    await asyncio.sleep(0.3)
    assert gate.notebook.texts() == []
    assert (await gate.decide(status, by="erik")).accepted
    assert (await gate.result(status.workflow_id)).approved_by == ("erik",)
    assert gate.notebook.texts() == ["one"]
    assert findings(gate) == []


@pytest.mark.parametrize("end", ["reject", "withdraw", "expire"])
async def test_decisions_after_a_withdrawal_take_effect_even_if_a_step_was_about_to_begin(
    gate: Gate, held: Held, end: str
) -> None:
    status = await gate.in_review("one", timeout=timedelta(seconds=2 if end == "expire" else 3600))
    await gate.decide(status)
    await held.reached.wait()
    assert (await withdraw(gate, status))[0]
    if end == "reject":
        assert (await gate.decide(status, "reject", "erik")).accepted
    elif end == "withdraw":
        await gate.api.withdraw(status.workflow_id, "withdrawn by rita")
    held.released.set()
    outcome = (await gate.result(status.workflow_id)).outcome
    assert outcome == {"reject": "rejected", "withdraw": "withdrawn", "expire": "expired"}[end]
    assert gate.notebook.texts() == []
    assert findings(gate) == []


async def test_an_approval_may_be_given_again_before_the_scheduled_step_checks(
    gate: Gate, held: Held
) -> None:
    status = await gate.in_review("one")
    await gate.decide(status)
    await held.reached.wait()
    assert (await withdraw(gate, status))[0]
    assert (await gate.decide(status, by="erik")).accepted
    held.released.set()
    assert (await gate.result(status.workflow_id)).approved_by == ("erik",)
    assert gate.notebook.texts() == ["one"]


async def test_once_a_step_has_begun_a_withdrawal_is_refused_with_the_alternatives(gate: Gate) -> None:
    status = await gate.in_review("one", "two")
    gate.notebook.gate.clear()
    await gate.decide(status)
    await gate.notebook.entered.wait()
    accepted, reason = await withdraw(gate, status)
    gate.notebook.gate.set()
    assert not accepted
    assert "step 1 has begun" in reason
    assert f"starter.py withdraw {status.workflow_id}" in reason
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert "has ended" in (await withdraw(gate, status))[1]
    assert findings(gate) == []


@pytest.mark.usefixtures("people")
async def test_people_can_withdraw_only_their_own_approvals(idle_gate: Gate) -> None:
    idle_gate.policy = needs("legal", "ops")
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
        assert "no approval of this plan to withdraw" in (await withdraw(idle_gate, status, "gina"))[1]
        assert (await idle_gate.decide(status, by="gina")).accepted
        for other in ("fred", "erik", "rita"):
            accepted, reason = await withdraw(idle_gate, status, other)
            assert (accepted, "no approval of this plan to withdraw" in reason) == (False, True)
        assert not (await withdraw(idle_gate, status, "gina", plan="0" * 12))[0]
        assert (await withdraw(idle_gate, status, "GINA"))[0]
        assert "no approval of this plan to withdraw" in (await withdraw(idle_gate, status, "gina"))[1]


@pytest.mark.usefixtures("people")
async def test_a_withdrawal_is_checked_and_signed_like_an_approval(idle_gate: Gate) -> None:
    gate = idle_gate
    gate.policy = needs("finance", "ops", signed=True)
    gate.directory = FixedPeople()  # its list of people has a text, which the auditor needs
    async with gate.worker():
        status = await gate.in_review("one")
        early = signed(status, "dana", "dana-0009")
        token = signed(status, "dana", "dana-0001")
        assert (await gate.decide(status, signature=token)).accepted
        assert "signed decisions only" in (await withdraw(gate, status))[1]
        as_approval = signed(status, "dana", "dana-0002")
        assert "signed for 'approve'" in (await withdraw(gate, status, signature=as_approval))[1]
        later = now() + timedelta(seconds=2)
        withdrawal = signed(status, "dana", "dana-0003", Choice.WITHDRAW_APPROVAL, at=later)
        assert (await withdraw(gate, status, signature=withdrawal))[0]
        assert "used before" in (await gate.decide(status, signature=token)).reason
        assert "before that approval was withdrawn" in (await gate.decide(status, signature=early)).reason
        fresh = signed(status, "dana", "dana-0004", at=later)
        assert (await gate.decide(status, signature=fresh)).accepted
        assert (await gate.decide(status, by="erik", signature=signed(status, "erik", "erik-0001"))).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert findings(gate) == []


async def test_an_approval_and_its_withdrawal_queued_for_a_worker_leave_nothing_approved(
    idle_gate: Gate,
) -> None:
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one")
    for name in ("approve", "withdraw_approval", "approve"):  # the last approval arrived late
        await gate.signal(status, name)
    async with gate.worker():
        after = await gate.until("in_review", status.workflow_id, lambda found: len(found.decisions) == 3)
        assert [one.accepted for one in after.decisions] == [True, True, False]
        assert "a replay of it" in after.decisions[-1].reason
        assert gate.notebook.texts() == []
    assert findings(gate) == []


@pytest.mark.parametrize("word", ["approve", "withdraw_approval"])
async def test_a_reset_does_not_restore_a_withdrawn_approval(idle_gate: Gate, word: str) -> None:
    gate = idle_gate
    gate.policy = TWO
    async with gate.worker():
        status = await gate.in_review("one")
        for by, name in (("dana", "approve"), ("dana", "withdraw_approval"), ("erik", "approve")):
            seen = len((await gate.api.status(status.workflow_id)).decisions)
            await gate.signal(status, name, by=by)
            while len((await gate.api.status(status.workflow_id)).decisions) == seen:
                await asyncio.sleep(0.02)
        which = 0 if word == "approve" else 1
        await reset(gate, status.workflow_id, "workflow_execution_signaled_event_attributes", which)
        await asyncio.sleep(0.5)
        after = await gate.api.status(status.workflow_id)
        assert (after.state, gate.notebook.texts()) == ("in_review", [])
        assert "dana" not in after.approved_by
        assert (await gate.decide(after, by="fred")).accepted
        if (await gate.api.status(status.workflow_id)).state == "in_review":
            assert (await gate.decide(after, by="gina")).accepted
        assert "dana" not in (await gate.result(status.workflow_id)).approved_by
    assert findings(gate) == []


async def test_a_run_that_missed_a_withdrawal_is_notified_by_its_step(idle_gate: Gate, held: Held) -> None:
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one")
        await gate.decide(status)
        await held.reached.wait()
        record_only(gate, status, Choice.WITHDRAW_APPROVAL)
        assert (await gate.api.status(status.workflow_id)).state == "executing"
        held.released.set()
        after = await gate.until("in_review", status.workflow_id)
        assert after.approved_by == ()
        assert (await gate.decide(after, by="erik")).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert findings(gate) == []


async def test_a_plan_that_needs_no_approval_has_none_to_withdraw(idle_gate: Gate, held: Held) -> None:
    idle_gate.policy = Wants(ONE_APPROVAL.model_copy(update={"needs": ()}))
    async with idle_gate.worker():
        workflow_id = await idle_gate.submit("one")
        await held.reached.wait()
        status = await idle_gate.api.status(workflow_id)
        assert "no approval of this plan to withdraw" in (await withdraw(idle_gate, status))[1]
        held.released.set()
        assert (await idle_gate.result(workflow_id)).outcome == "executed"
