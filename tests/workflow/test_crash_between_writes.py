"""A worker crashes, a caller stops waiting or a run is reset between two writes (P3 and P4)."""

import asyncio
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from activities.tasks import StepResult
from plangate.audit.inspection import inspect_all
from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.errors import EffectUnknown, RecordsUnavailable, ToolUnavailable
from plangate.domain.plans.tool import Receipt
from tests.support.fakes import notes
from tests.support.gate import Gate
from tests.support.holds import signed
from tests.support.lost_decisions import record_only
from tests.support.sealed_records import ByFirstWord, FixedPeople, people, sealing, trust
from tests.support.transactions import hook_transactions


@pytest.mark.parametrize("texts", [("one",), ("one", "two")])
async def test_a_step_whose_worker_dies_after_storing_its_receipt_stays_done_when_the_run_is_withdrawn(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, texts: tuple[str, ...]
) -> None:
    kept = asyncio.Event()

    async def die_after_receipt(result: object, is_receipt: bool) -> None:
        if is_receipt or isinstance(result, StepResult):
            kept.set()
            raise RuntimeError("killed between the commit and the report")

    hook_transactions(monkeypatch, "execute_step", after=die_after_receipt)
    status = await gate.in_review(*texts)
    await gate.decide(status)
    await kept.wait()
    await gate.api.withdraw(status.workflow_id, "withdrawn by rita")
    result = await gate.result(status.workflow_id)
    after = await gate.api.status(status.workflow_id)
    assert after.steps[0].state == "done"
    assert result.receipts[0] is not None
    kinds = [entry.event.kind for entry in gate.api.trail(status.workflow_id)]
    assert "step_failed" not in kinds
    assert kinds[-1] == "closed"


async def test_a_step_whose_worker_dies_after_recording_it_as_in_doubt_is_not_repeated(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes = [1]

    async def die_after_doubt(result: object, is_receipt: bool) -> None:
        del result
        if is_receipt and crashes[0]:
            crashes[0] -= 1
            raise RuntimeError("killed between the commit and the report")

    hook_transactions(monkeypatch, "execute_step", after=die_after_doubt)
    gate.notebook.failures = [EffectUnknown("The result is unknown.")]
    gate.notebook.writes_before_failing = True
    status = await gate.in_review("one")
    await gate.decide(status)
    held = await gate.held(status.workflow_id)
    assert held.steps[0].state == "in_doubt"
    assert gate.notebook.texts() == ["one"]
    assert crashes == [0]


async def test_a_run_reset_to_a_point_after_an_update_continues(gate: Gate) -> None:
    status = await gate.in_review("one")
    await gate.decide(status, by="rita")
    await gate.signal(status, by="rita")
    await gate.until("in_review", status.workflow_id, lambda now: len(now.decisions) == 2)
    handle = gate.handle(status.workflow_id)
    run_id = (await handle.describe()).run_id
    events = (await handle.fetch_history()).events
    ends = [event.event_id for event in events if event.HasField("workflow_task_completed_event_attributes")]
    await gate.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=gate.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=status.workflow_id, run_id=run_id),
            reason="a test",
            workflow_task_finish_event_id=ends[-1],
            request_id=f"reset-{run_id}",
        )
    )
    assert (await gate.decide(status)).accepted
    assert (await gate.result(status.workflow_id)).outcome == "executed"


async def test_a_caller_that_stops_waiting_for_a_result_sends_nothing_more(idle_gate: Gate) -> None:
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one")
    assert status.fingerprint is not None
    decision = Decision(decision=Choice.APPROVE, by="dana", plan=status.fingerprint)
    deciding = asyncio.create_task(gate.api.decide(status.workflow_id, decision))
    await asyncio.sleep(0.7)
    deciding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deciding
    events = (await gate.handle(status.workflow_id).fetch_history()).events
    assert not any(event.HasField("workflow_execution_signaled_event_attributes") for event in events)


async def test_a_short_outage_of_the_records_after_a_definite_failure_does_not_hold_the_run(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.notebook.failures = [ToolUnavailable("busy")]
    write, outages = gate.database.write, [1]

    def fail_once_after_the_act(**options: Any) -> Any:
        if gate.notebook.entered.is_set() and outages[0]:
            outages[0] -= 1
            raise RecordsUnavailable("The records are unavailable.")
        return write(**options)

    monkeypatch.setattr(gate.database, "write", fail_once_after_the_act)
    status = await gate.in_review("one")
    await gate.decide(status)
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert outages == [0]
    assert gate.notebook.texts() == ["one"]


async def test_a_receipt_that_json_cannot_represent_is_stored_as_text(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = Receipt(summary="noted", details={"id": 2**60})
    monkeypatch.setattr(gate.notebook, "_receipt", lambda _: odd)
    status = await gate.in_review("one")
    await gate.decide(status)
    result = await gate.result(status.workflow_id)
    assert result.outcome == "executed"
    assert result.receipts[0] is not None
    assert result.receipts[0].details == {"id": str(2**60)}


@pytest.mark.parametrize("decision", ["approve", "reject", "request_changes"])
async def test_a_recorded_decision_that_the_run_never_received_takes_effect_when_it_is_sent_again(
    idle_gate: Gate, decision: str
) -> None:
    """An update enters the history only when its workflow task completes; a lost task loses the update."""
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review(request="one")
    assert status.fingerprint is not None
    record_only(gate, status, Choice(decision), comment="agreed")
    await gate.signal(status, decision, comment="agreed")
    async with gate.worker():
        if decision == "request_changes":
            await gate.until("in_review", status.workflow_id, lambda now: now.revision == 2)
        else:
            ended = "executed" if decision == "approve" else "rejected"
            assert (await gate.result(status.workflow_id)).outcome == ended
    sealing(gate).seal()
    with gate.database.read() as connection:
        assert inspect_all(connection, trust(), lambda *_: None).findings == ()


@pytest.mark.parametrize("choice", ["approve", "reject", "request_changes", "edit", "withdraw_approval"])
async def test_a_signed_decision_that_only_the_record_has_takes_effect_when_its_copy_arrives(
    idle_gate: Gate, choice: str
) -> None:
    """If its update is lost, the client sends the same token by signal, and the token is already used."""
    gate = idle_gate
    gate.policy, gate.directory = ByFirstWord(), FixedPeople()
    async with gate.worker():
        status = await gate.in_review("signed one")
        if choice == "withdraw_approval":
            assert (await gate.decide(status, signature=signed(status, "dana", "approve"))).accepted
        said: dict[str, Any] = {"comment": "agreed"}
        said |= {"new_plan": notes("signed two")} if choice == "edit" else {}
        said["signature"] = signed(status, "dana", choice, **said)
        record_only(gate, status, Choice(choice), people=people(), **said)
        await gate.signal(status, choice, **said)
        match choice:
            case "approve":
                shown = await gate.until("in_review", status.workflow_id, lambda now: bool(now.approved_by))
                await gate.decide(shown, by="erik", signature=signed(shown, "erik", "approve"))
                result = await gate.result(status.workflow_id)
                assert (result.outcome, result.unverified) == ("executed", ())
            case "reject":
                assert (await gate.result(status.workflow_id)).outcome == "rejected"
            case "withdraw_approval":
                await gate.until("in_review", status.workflow_id, lambda now: not now.approved_by)
            case _:
                await gate.until("in_review", status.workflow_id, lambda now: now.revision == 2)
    sealing(gate).seal()
    with gate.database.read() as connection:
        assert inspect_all(connection, trust(), lambda *_: None).findings == ()


async def test_a_copy_of_a_signed_approval_that_the_run_has_received_is_refused(idle_gate: Gate) -> None:
    gate = idle_gate
    gate.policy, gate.directory = ByFirstWord(), FixedPeople()
    async with gate.worker():
        status = await gate.in_review("signed one")
        token = signed(status, "dana", "approve")
        assert (await gate.decide(status, signature=token)).accepted
        copy = await gate.decide(status, signature=token)
        assert (copy.accepted, "approval counts once" in copy.reason) == (False, True)
        withdrawal = signed(status, "dana", "withdraw_approval")
        assert (await gate.decide(status, "withdraw_approval", signature=withdrawal)).accepted
        repeated = await gate.decide(status, signature=token)
        assert (repeated.accepted, "was used before" in repeated.reason) == (False, True)
