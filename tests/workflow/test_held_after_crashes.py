"""If a held run is reset or continued as new, or its worker dies, it continues from its record (P3)."""

import asyncio

import pytest
from temporalio import workflow

from activities.tasks import HoldResult
from plangate.domain.decisions.decision import Choice, Resolution
from tests.support.account_tool import Account
from tests.support.gate import Gate
from tests.support.holds import (
    approved,
    booking_gate,
    found,
    in_review,
    kinds,
    lost,
    refused,
    resolution,
    resolve,
    signed,
)
from tests.support.lost_decisions import record_only
from tests.support.sealed_records import ByFirstWord, FixedPeople, people
from tests.support.transactions import hook_transactions
from tests.support.wait_limit import WAIT_LIMIT
from tests.workflow.test_audit_no_false_positives import reset
from tests.workflow.test_retention import drop


@pytest.fixture
def gate(idle_gate: Gate, account: Account) -> Gate:
    """A test instance whose tool is the account."""
    del account
    return idle_gate


@pytest.mark.parametrize("chosen", ["retry", "skip", "abort"])
async def test_a_resolution_that_arrives_before_the_run_learns_that_it_is_held_takes_effect(
    gate: Gate,
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    chosen: str,
) -> None:
    held_on_record, died = asyncio.Event(), asyncio.Event()

    async def die_after_hold(result: object, is_receipt: bool) -> None:
        del is_receipt
        if isinstance(result, HoldResult) and not died.is_set():
            held_on_record.set()
            raise RuntimeError("killed between the commit and the report")

    hook_transactions(monkeypatch, "hold_run", after=die_after_hold)
    account.failures = [refused()]
    status = await approved(gate, "1")
    await held_on_record.wait()
    answer = await gate.decide(status, "resolve", step=1, resolution=Resolution(chosen), comment="agreed")
    assert (answer.accepted, answer.state) == (True, "executing")
    died.set()
    result = await gate.result(status.workflow_id)
    assert result.outcome == ("failed" if chosen == "abort" else "executed")
    assert account.texts() == (["booked 1"] if chosen == "retry" else [])
    assert found(gate, status.workflow_id) == []


@pytest.mark.parametrize("failure", [refused, lost])
async def test_a_held_run_reset_to_its_review_is_held_as_recorded(
    gate: Gate,
    account: Account,
    failure: object,
) -> None:
    assert callable(failure)
    account.fails_at["2"] = failure()
    status = await in_review(gate, "1", "2")
    await gate.signal(status)
    await gate.held(status.workflow_id)
    await reset(gate, status.workflow_id, "workflow_execution_signaled_event_attributes")
    await resolve(gate, status.workflow_id, "retry")
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert account.texts() == ["booked 1", "booked 2"]
    assert kinds(gate, status.workflow_id).count("held") == 1
    assert found(gate, status.workflow_id) == []


@pytest.mark.parametrize("chosen", ["retry", "skip", "undo", "abort"])
async def test_a_resolved_run_that_is_reset_ends_as_recorded_and_repeats_nothing(
    gate: Gate,
    account: Account,
    chosen: str,
) -> None:
    account.fails_at["2"] = refused()
    status = await in_review(gate, "1", "2", "3")
    await gate.signal(status)
    await resolve(gate, status.workflow_id, chosen, via="signal")
    result, effects = await gate.result(status.workflow_id), account.texts()
    await reset(gate, status.workflow_id, "workflow_execution_signaled_event_attributes")
    again = await gate.result(status.workflow_id)
    assert (again.outcome, again.reason, again.receipts) == (result.outcome, result.reason, result.receipts)
    assert account.texts() == effects
    assert found(gate, status.workflow_id) == []


async def test_a_run_reset_to_before_its_resolution_continues_from_its_record(
    gate: Gate,
    account: Account,
) -> None:
    account.fails_at["1"] = refused()
    status = await in_review(gate, "1", "2")
    await gate.signal(status)
    await gate.held(status.workflow_id)
    account.fails_at["2"] = refused()
    await resolve(gate, status.workflow_id, "retry")
    held = await gate.until("held", status.workflow_id, lambda now: bool(now.held and now.held.step == 2))
    await reset(gate, status.workflow_id, "workflow_execution_signaled_event_attributes")
    again = await gate.until("held", held.workflow_id, lambda now: bool(now.held and now.held.step == 2))
    assert [step.state for step in again.steps] == ["done", "failed"]
    await resolve(gate, status.workflow_id, "skip")
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert account.texts() == ["booked 1"]
    assert found(gate, status.workflow_id) == []


@pytest.mark.parametrize("undo", [False, True], ids=["a step", "an undo"])
async def test_a_held_run_continues_as_new_and_is_still_held(
    gate: Gate,
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    undo: bool,
) -> None:
    is_long = asyncio.Event()
    monkeypatch.setattr(
        workflow.Info,
        "is_continue_as_new_suggested",
        lambda info: is_long.is_set() and info.continued_run_id is None,
    )
    account.fails_at["2"] = refused()
    status = await approved(gate, "1", "2")
    if undo:
        account.undo_failures = [lost()]
        await resolve(gate, status.workflow_id, "undo")
    held = await gate.until(
        "held", status.workflow_id, lambda now: now.held is not None and now.held.undo is undo
    )
    first = (await gate.handle(status.workflow_id).describe()).run_id
    is_long.set()
    await gate.decide(held, "approve", by="rita")
    async with asyncio.timeout(WAIT_LIMIT):
        while (await gate.handle(status.workflow_id).describe()).run_id == first:
            await asyncio.sleep(0.05)
    after = await gate.held(status.workflow_id)
    assert (after.held, after.deadline) == (held.held, held.deadline)
    await resolve(gate, status.workflow_id, "mark_done" if undo else "retry")
    assert (await gate.result(status.workflow_id)).outcome == ("failed" if undo else "executed")
    assert account.texts() == (["booked 1"] if undo else ["booked 1", "booked 2"])
    assert found(gate, status.workflow_id) == []


async def test_a_run_whose_last_step_was_marked_as_done_may_continue_as_new_before_its_end(
    gate: Gate,
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        workflow.Info, "is_continue_as_new_suggested", lambda info: info.continued_run_id is None
    )
    account.failures = [lost()]
    status = await approved(gate, "1")
    await resolve(gate, status.workflow_id, "mark_done")
    result = await gate.result(status.workflow_id)
    assert (result.outcome, result.reason) == ("executed", "step 1 was marked as done by dana: mark_done it")
    assert found(gate, status.workflow_id) == []


async def test_a_held_run_dropped_by_temporal_is_shown_from_its_record(
    gate: Gate,
    account: Account,
) -> None:
    account.fails_at["2"] = lost()
    status = await approved(gate, "1", "2")
    held = await gate.held(status.workflow_id)
    await gate.handle(status.workflow_id).terminate()
    await drop(gate, status.workflow_id)
    recorded = gate.recorded(status.workflow_id)
    assert recorded is not None
    assert (recorded.state, recorded.held, recorded.deadline) == ("held", held.held, held.deadline)
    assert [step.state for step in recorded.steps] == ["done", "in_doubt"]
    assert found(gate, status.workflow_id) == []


@pytest.mark.parametrize("sign_it", [False, True], ids=["unsigned", "signed"])
async def test_a_resolution_that_only_the_record_has_takes_effect_when_it_is_sent_again(
    idle_gate: Gate, sign_it: bool
) -> None:
    """A server that dies may lose an update that its worker has recorded; the client then sends a signal."""
    gate, account = idle_gate, booking_gate(idle_gate)
    gate.policy, gate.directory = ByFirstWord(), FixedPeople()
    async with gate.worker():
        account.failures = [refused()]
        status = await in_review(gate, "signed 1" if sign_it else "1")
        for by in ("dana", "erik")[: 2 if sign_it else 1]:
            token = {"signature": signed(status, by, "approve")} if sign_it else {}
            await gate.decide(status, by=by, **token)
        held = await gate.held(status.workflow_id)
        message = resolution(held, "retry", "dana", sign_it=sign_it)
        more = {name: value for name, value in message.items() if name not in ("by", "plan")}
        record_only(gate, held, Choice.RESOLVE, people=people(), **more)
        await gate.handle(status.workflow_id).signal("resolve", message)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        assert len(account.texts()) == 1
        assert found(gate, status.workflow_id) == []
