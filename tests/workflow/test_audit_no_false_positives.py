"""The audit reports nothing for runs that follow the rules, however unusual they are."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from plangate.audit.inspection import inspect_all
from plangate.domain.decisions.decision import Choice
from plangate.domain.runs.audit import Claimed
from plangate.domain.runs.request import PlanRequest
from plangate.records.checkpoints import seal_changed_runs
from plangate.signing.checkpoints import checkpoint_after
from tests.support.fakes import LOST, PERMANENT, TRANSIENT, notes
from tests.support.gate import Gate
from tests.support.policies import one_approval
from tests.support.sealed_records import SEAL_KEY, ByFirstWord, FixedPeople, sealing, signature, trust
from tests.workflow.test_stale_approvals import TOO_OLD, VALID, reopened_too_late


def findings(gate: Gate, skipped: timedelta | None = None) -> list[str]:
    """Seal the changed trails and audit everything, with a clock that is `skipped` ahead, like the server."""
    if skipped is None:
        sealing(gate).seal()
    else:
        with gate.database.write() as connection:
            seal_changed_runs(
                connection, lambda last, seals, at: checkpoint_after(last, seals, at + skipped, SEAL_KEY)
            )
    with gate.database.read() as connection:
        return [str(one) for one in inspect_all(connection, trust(), lambda *_: None).findings]


async def reset(gate: Gate, workflow_id: str, event_type: str, which: int = 0) -> None:
    """Reset a run to the last workflow task that was completed before an event of this type."""
    handle = gate.handle(workflow_id)
    history = await handle.fetch_history()
    completed = [
        event for event in history.events if event.HasField("workflow_task_completed_event_attributes")
    ]
    marks = [event.event_id for event in history.events if event.HasField(event_type)]  # type: ignore[arg-type]
    point = max(event.event_id for event in completed if event.event_id < marks[which])
    await gate.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=gate.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            reason="a test of the audit",
            workflow_task_finish_event_id=point,
            request_id=f"reset-{workflow_id}-{point}",
        )
    )


async def test_a_step_begun_under_a_plan_that_was_then_replaced(idle_gate: Gate) -> None:
    gate = idle_gate
    gate.policy = one_approval(valid_for=VALID)
    async with gate.worker():
        status = await gate.in_review(request="one")
        gate.notebook.failures = [TRANSIENT] * 20
        await gate.decide(status)
        await gate.notebook.entered.wait()
        again = await reopened_too_late(gate, status)
        gate.notebook.failures = []
        assert (await gate.decide(again, "request_changes", comment="two")).accepted
        second = await gate.until("in_review", status.workflow_id, lambda now: now.revision == 2)
        assert (await gate.decide(second)).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    claims = [entry.event for entry in gate.api.trail(status.workflow_id) if isinstance(entry.event, Claimed)]
    assert {claim.fingerprint for claim in claims} == {status.fingerprint, second.fingerprint}
    assert [claim.step for claim in claims if claim.fingerprint == second.fingerprint] == [1, 2]
    assert findings(gate, TOO_OLD) == []


async def test_a_run_withdrawn_while_its_plan_is_drafted(gate: Gate) -> None:
    gate.planner.gate.clear()
    workflow_id = await gate.submit(request="one")
    await gate.until("drafting", workflow_id)
    while not gate.planner.briefs:
        await asyncio.sleep(0.02)
    await gate.api.withdraw(workflow_id, "no longer needed")
    gate.planner.gate.set()
    assert (await gate.result(workflow_id)).outcome == "withdrawn"
    await asyncio.sleep(0.5)  # a draft that ends after the end of its run
    kinds = [entry.event.kind for entry in gate.api.trail(workflow_id)]
    assert kinds[-1] == "closed"
    assert findings(gate) == []


async def test_tools_that_are_unavailable_refuse_or_are_in_doubt(gate: Gate) -> None:
    outcomes = []
    for failures in ([TRANSIENT, TRANSIENT], [PERMANENT], [LOST], [TRANSIENT, LOST]):
        gate.notebook.failures = list(failures)
        status = await gate.in_review("one", "two")
        await gate.decide(status)
        if failures != [TRANSIENT, TRANSIENT]:
            await gate.resolve(status.workflow_id, "abort")
        outcomes.append((await gate.result(status.workflow_id)).outcome)
    assert outcomes == ["executed", "failed", "failed", "failed"]
    assert findings(gate) == []


@pytest.mark.parametrize("decision", ["reject", "request_changes"])
async def test_a_reset_to_the_review_of_a_plan_with_a_done_step(gate: Gate, decision: str) -> None:
    status = await gate.in_review("one", "two")
    await gate.signal(status)
    await gate.result(status.workflow_id)
    await reset(gate, status.workflow_id, "workflow_execution_signaled_event_attributes")
    answer = await gate.decide(status, decision, by="erik", comment="in another way")
    assert not answer.accepted
    assert (await gate.result(status.workflow_id)).outcome in ("executed", "failed")
    assert gate.notebook.texts() == ["one", "two"]
    assert findings(gate) == []


async def test_a_signed_decision_repeated_for_another_run_or_too_late(idle_gate: Gate) -> None:
    gate = idle_gate
    gate.policy, gate.directory = ByFirstWord(), FixedPeople()
    async with gate.worker():
        status, other = await gate.in_review("signed one"), await gate.in_review("signed two")
        signed = signature(status, "dana")
        assert (await gate.decide(status, signature=signed)).accepted
        assert "counts once" in (await gate.decide(status, signature=signed)).reason
        assert "signed for the run" in (await gate.decide(other, signature=signed)).reason
        assert (await gate.decide(status, "reject", by="erik")).accepted is False  # unsigned
        no = signature(status, "erik", Choice.REJECT, "no")
        assert (await gate.decide(status, "reject", by="erik", comment="no", signature=no)).accepted
        assert not (await gate.decide(status, signature=signed)).accepted
    assert findings(gate) == []


async def test_an_undecided_plan_that_expired(gate: Gate) -> None:
    status = await gate.in_review("one", timeout=timedelta(days=2))
    await gate.env.fast_forward(gate.handle(status.workflow_id))
    assert (await gate.result(status.workflow_id)).outcome == "expired"
    assert findings(gate, timedelta(days=2)) == []


async def test_a_request_that_never_became_a_plan(gate: Gate) -> None:
    plan: Any = {"summary": "x", "steps": [{"tool": "none", "arguments": {}}]}
    workflow_id = await gate.api.submit(PlanRequest(requester="rita", plan=plan))
    assert (await gate.result(workflow_id)).outcome == "failed"
    assert findings(gate) == []


@pytest.mark.parametrize("is_finished", [False, True])
@pytest.mark.parametrize("choice", ["request_changes", "edit"])
async def test_a_reset_to_before_a_new_revision_follows_the_record(
    gate: Gate, choice: str, *, is_finished: bool
) -> None:
    first = await gate.in_review(request="one")
    more = {"new_plan": notes("two")} if choice == "edit" else {"comment": "two"}
    await gate.signal(first, choice, by="erik", **more)
    second = await gate.until("in_review", first.workflow_id, lambda now: now.revision == 2)
    if is_finished:
        await gate.signal(second)
        await gate.result(first.workflow_id)
    before = gate.notebook.texts()
    await reset(gate, first.workflow_id, "workflow_execution_signaled_event_attributes")
    await gate.until("in_review", first.workflow_id, lambda now: now.revision == 2)
    assert (await gate.decide(second, comment="again")).accepted
    assert (await gate.result(first.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == (before or (["two"] if choice == "edit" else ["one", "two"]))
    assert findings(gate) == []


async def test_a_reset_to_before_changes_were_requested(gate: Gate) -> None:
    status = await gate.in_review(request="one")
    await gate.handle(status.workflow_id).signal(
        "request_changes", {"by": "dana", "plan": status.short_fingerprint, "comment": "two"}
    )
    await gate.until("in_review", status.workflow_id, lambda now: now.revision == 2)
    await reset(gate, status.workflow_id, "workflow_execution_signaled_event_attributes")
    second = await gate.until("in_review", status.workflow_id, lambda now: now.revision == 2)
    assert (await gate.decide(second)).accepted
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one", "two"]
    assert findings(gate) == []
