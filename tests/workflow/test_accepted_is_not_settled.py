"""An effect that was only accepted is looked up once its run has ended, until its end is on the record."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from plangate.domain.status import Status
from tests.support.bank_tool import Bank, transfers
from tests.support.gate import Gate
from tests.support.holds import found, kinds


@pytest.fixture
def bank(idle_gate: Gate) -> Bank:
    """The bank of a gate without a worker yet."""
    bank = Bank(idle_gate.settings.var_dir)
    idle_gate.tools["transfer"] = bank
    return bank


@pytest_asyncio.fixture(loop_scope="session")
async def paying(idle_gate: Gate, bank: Bank) -> AsyncIterator[Gate]:
    """A gate with a bank and one worker."""
    del bank
    async with idle_gate.worker():
        yield idle_gate


async def executed(gate: Gate, *to: str, **more: bool) -> Status:
    """Let a run transfer to these people; return its status when it has ended."""
    status = await gate.until("in_review", await gate.submit(plan=transfers(*to, **more)))
    assert (await gate.decide(status)).accepted
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    return await gate.api.status(status.workflow_id)


async def after(gate: Gate, workflow_id: str, **duration: float) -> Status:
    """Let time pass for the look-up of a run; return the run's status."""
    handle = gate.handle(f"{workflow_id}:settlement")
    await gate.env.fast_forward(handle, timedelta(**duration))
    return await gate.api.status(workflow_id)


def states(status: Status) -> list[str | None]:
    return [step.settlement.state if step.settlement else None for step in status.steps]


async def test_an_accepted_transfer_is_open_until_the_bank_says_that_it_is_settled(
    paying: Gate, bank: Bank
) -> None:
    status = await executed(paying, "ann")
    assert states(status) == ["open"]
    bank.ends("ann", "settled", "credited on 3 May")
    status = await after(paying, status.workflow_id, hours=1)
    (step,) = status.steps
    assert step.settlement is not None
    assert (step.settlement.state, step.settlement.summary) == ("settled", "credited on 3 May")
    assert kinds(paying, status.workflow_id)[-2:] == ["closed", "settled"]
    assert found(paying, status.workflow_id) == []
    result = await paying.handle(f"{status.workflow_id}:settlement").result()
    assert result["still_open"] == []
