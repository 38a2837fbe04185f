"""A vendor discards an idempotency key: a step is repeated only while the key is valid (P3)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from plangate.presentation.clock import now
from plangate.tool import EffectStatus, NotFound, Repeatable, Unknown
from tests.support.account_tool import Account, BookingArguments
from tests.support.gate import Gate
from tests.support.holds import approved, found, kinds, lost

STILL_VALID, EXPIRED = timedelta(hours=23), timedelta()
NO_TRACE, NOT_KNOWN = NotFound(None, "Check the vendor's list."), Unknown("Check the vendor's list.")


class ExpiringKeys(Account):
    """An account whose vendor keeps a key for a limited time; its effects may be searchable afterwards."""

    status: EffectStatus = Repeatable()

    async def find_out(self, arguments: BookingArguments, idempotency_key: str) -> EffectStatus:
        del arguments
        self.asked.append(idempotency_key)
        return self.status


def expiring_keys(gate: Gate, status: EffectStatus) -> ExpiringKeys:
    account = ExpiringKeys(gate.settings.var_dir / "account.tsv")
    account.declaration = replace(account.declaration, seconds=1)
    account.status = status
    account.failures = [lost()]
    gate.tools["book"] = account
    return account


@pytest.mark.parametrize(
    "status", [Repeatable(), Repeatable(STILL_VALID, NOT_KNOWN)], ids=["without a limit", "for hours"]
)
async def test_a_step_is_repeated_under_its_key_while_the_vendor_keeps_it(idle_gate: Gate, status) -> None:
    account = expiring_keys(idle_gate, status)
    async with idle_gate.worker():
        run = await approved(idle_gate, "1")
        assert (await idle_gate.result(run.workflow_id)).outcome == "executed"
        assert account.texts() == ["booked 1"]
        assert found(idle_gate, run.workflow_id) == []


async def test_a_step_is_in_doubt_once_its_key_has_expired_unless_it_can_be_looked_up(
    idle_gate: Gate,
) -> None:
    account = expiring_keys(idle_gate, Repeatable(EXPIRED, NOT_KNOWN))
    async with idle_gate.worker():
        run = await approved(idle_gate, "1")
        held = await idle_gate.held(run.workflow_id)
        assert held.steps[0].state == "in_doubt"
        assert held.held is not None
        assert "Check the vendor's list." in held.held.why
        assert account.texts() == []


async def test_an_effect_missing_from_a_complete_lookup_did_not_happen(idle_gate: Gate) -> None:
    account = expiring_keys(idle_gate, Repeatable(EXPIRED, NO_TRACE))
    async with idle_gate.worker():
        run = await approved(idle_gate, "1")
        assert (await idle_gate.result(run.workflow_id)).outcome == "executed"
        assert account.texts() == ["booked 1"]
        assert "in_doubt" not in kinds(idle_gate, run.workflow_id)
        assert "released" in kinds(idle_gate, run.workflow_id)
        assert found(idle_gate, run.workflow_id) == []


@pytest.mark.parametrize(("minutes", "is_ruled_out"), [(10, True), (6, True), (4, False), (0, False)])
async def test_a_list_must_begin_before_the_call_by_at_least_the_clock_tolerance(
    idle_gate: Gate, minutes: int, is_ruled_out: bool
) -> None:
    account = expiring_keys(
        idle_gate, NotFound(now() - timedelta(minutes=minutes), "Check the vendor's list.")
    )
    async with idle_gate.worker():
        run = await approved(idle_gate, "1")
        if is_ruled_out:
            assert (await idle_gate.result(run.workflow_id)).outcome == "executed"
        else:
            assert (await idle_gate.held(run.workflow_id)).steps[0].state == "in_doubt"
    assert account.texts() == ["booked 1"] * is_ruled_out
