"""An effect may happen after its attempt has ended: until then, no person is asked (P3)."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from plangate.domain.plans.tool import Receipt
from plangate.tool import EffectStatus
from tests.support.account_tool import Account, BookingArguments
from tests.support.gate import Gate
from tests.support.holds import approved, booking_gate, found, kinds, lost
from tests.support.wait_limit import WAIT_LIMIT

LIMIT = 2


class Late(Account):
    """An account that shows bookings only at the second look-up."""

    async def find_out(self, arguments: BookingArguments, idempotency_key: str) -> EffectStatus:
        found_out = await super().find_out(arguments, idempotency_key)
        self.remembers = True
        return found_out


def waiting_account(gate: Gate) -> Account:
    """Add the account to the test instance, and make it wait for late effects."""
    gate.settings = gate.settings.model_copy(update={"late_effect_seconds": LIMIT})
    return booking_gate(gate)


async def looked_at(account: Account, times: int) -> None:
    async with asyncio.timeout(WAIT_LIMIT):
        while len(account.asked) < times:
            await asyncio.sleep(0.02)


async def test_a_person_is_not_asked_about_a_late_effect(idle_gate: Gate) -> None:
    gate = idle_gate
    waiting_account(gate)
    account = gate.tools["book"] = Late(gate.settings.var_dir / "account.tsv")
    async with gate.worker():
        account.failures, account.acts_before_failing = [lost()], True
        status = await approved(gate, "1")
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        assert not {"in_doubt", "held"} & set(kinds(gate, status.workflow_id))
        assert account.texts() == ["booked 1"]
        assert found(gate, status.workflow_id) == []


async def test_a_person_is_asked_if_the_tool_cannot_find_out_in_time(idle_gate: Gate) -> None:
    gate, account = idle_gate, waiting_account(idle_gate)
    async with gate.worker():
        account.failures = [lost()]
        status = await approved(gate, "1")
        await looked_at(account, 1)
        assert (await gate.api.status(status.workflow_id)).state == "executing"
        held = await gate.held(status.workflow_id)
        assert held.steps[0].state == "in_doubt"
        assert held.held is not None
        assert held.held.why.startswith(f"{lost()} Look into the account. If it happened, it was between ")
        at = {entry.event.kind: entry.at for entry in reversed(gate.api.trail(status.workflow_id))}
        assert at["in_doubt"] - at["claimed"] >= timedelta(seconds=LIMIT - 0.1)
        assert len(account.asked) == 2
        assert account.texts() == []
        assert found(gate, status.workflow_id) == []


async def test_a_withdrawn_run_does_not_wait_for_late_effects(idle_gate: Gate) -> None:
    gate, account = idle_gate, waiting_account(idle_gate)
    gate.settings = gate.settings.model_copy(update={"late_effect_seconds": 3600})
    async with gate.worker():
        account.failures = [lost()]
        status = await approved(gate, "1")
        await looked_at(account, 1)
        await gate.api.withdraw(status.workflow_id, "by rita")
        assert (await gate.result(status.workflow_id)).outcome == "withdrawn"
        assert (await gate.api.status(status.workflow_id)).steps[0].state == "in_doubt"
        assert found(gate, status.workflow_id) == []


class Elsewhere(Account):
    """An account that another program changes just when a call is interrupted."""

    def defined_by(self) -> str:
        return "the other program"

    async def act(self, arguments: BookingArguments, idempotency_key: str) -> Receipt:
        try:
            return await super().act(arguments, idempotency_key)
        finally:
            self.declaration = replace(self.declaration, description="Book one line.")


async def test_a_tool_that_changed_after_an_interrupted_call_leaves_its_effect_in_doubt(
    idle_gate: Gate,
) -> None:
    """If it were recorded as failed, it would be repeated under a new key, and happen twice."""
    gate = idle_gate
    waiting_account(gate)
    account = gate.tools["book"] = Elsewhere(gate.settings.var_dir / "account.tsv")
    approved_as = account.declaration
    async with gate.worker():
        account.failures, account.acts_before_failing = [lost()], True
        status = await approved(gate, "1")
        held = await gate.held(status.workflow_id)
        assert held.steps[0].state == "in_doubt"
        assert held.held is not None
        assert "has changed its description" in held.held.why
        account.declaration, account.remembers = approved_as, True
        assert (await gate.resolve(status.workflow_id, "retry")).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        assert account.texts() == ["booked 1"]
        assert found(gate, status.workflow_id) == []


class Dropped(Account):
    """An account that its server no longer lists after the first call."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate.settings.var_dir / "account.tsv")
        self._tools = gate.tools

    async def act(self, arguments: BookingArguments, idempotency_key: str) -> Receipt:
        try:
            return await super().act(arguments, idempotency_key)
        finally:
            del self._tools["book"]


async def test_the_receipt_of_a_removed_tool_is_kept(idle_gate: Gate) -> None:
    gate = idle_gate
    account = gate.tools["book"] = Dropped(gate)
    async with gate.worker():
        status = await approved(gate, "1")
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        assert account.texts() == ["booked 1"]
        assert not {"in_doubt", "released"} & set(kinds(gate, status.workflow_id))
        assert found(gate, status.workflow_id) == []


async def test_a_person_is_asked_about_the_effect_of_a_removed_tool(idle_gate: Gate) -> None:
    gate = idle_gate
    account = gate.tools["book"] = Dropped(gate)
    async with gate.worker():
        account.failures, account.acts_before_failing = [lost()], True
        held = await gate.held((await approved(gate, "1")).workflow_id)
        assert held.steps[0].state == "in_doubt"
        assert held.held is not None
        assert str(lost()) in held.held.why
