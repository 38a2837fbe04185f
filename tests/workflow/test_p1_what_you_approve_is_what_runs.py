"""P1: a decision names the fingerprint that was seen; execution recomputes it and runs nothing else."""

from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.client import WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.execution import Execution
from activities.tasks import StepTask
from plangate.domain.audit import Requested, RunRef
from plangate.domain.plan import Plan, fingerprint_of
from tests.fakes import NoteArguments, notes
from tests.gate import Gate


async def test_the_approved_plan_runs_step_by_step_and_its_receipts_are_returned(gate: Gate) -> None:
    status = await gate.in_review("one", "two")
    await gate.signal(status)
    result = await gate.result(status.workflow_id)
    assert result.outcome == "executed"
    assert gate.notebook.texts() == ["one", "two"]
    assert [receipt and receipt.summary for receipt in result.receipts] == ["noted 'one'", "noted 'two'"]
    assert result.approved_by == ("dana",)
    assert result.fingerprint == status.fingerprint


async def test_the_fingerprint_can_be_recomputed_from_what_the_status_shows(gate: Gate) -> None:
    status = await gate.in_review("one")
    assert status.plan is not None
    assert status.fingerprint == fingerprint_of(status.plan, status.revision, status.workflow_id)


async def test_an_approval_of_another_run_with_the_same_plan_does_not_count_here(gate: Gate) -> None:
    here, there = await gate.in_review("same"), await gate.in_review("same")
    answer = await gate.decide(here, plan=there.fingerprint)
    assert not answer.accepted
    assert (await gate.gateway.status(here.workflow_id)).state == "in_review"
    assert gate.notebook.texts() == []


@pytest.mark.parametrize("length", [8, 12, 64])
async def test_any_prefix_of_at_least_eight_digits_names_the_plan(gate: Gate, length: int) -> None:
    status = await gate.in_review("one")
    assert status.fingerprint is not None
    answer = await gate.decide(status, plan=status.fingerprint[:length].upper())
    assert answer.accepted, answer.reason


async def test_a_prefix_of_seven_digits_is_refused_with_that_reason(gate: Gate) -> None:
    status = await gate.in_review("one")
    assert status.fingerprint is not None
    await gate.signal(status, plan=status.fingerprint[:7])
    after = await gate.until("in_review", status.workflow_id, lambda now: len(now.decisions) == 1)
    assert not after.decisions[0].accepted
    assert "at least 8" in after.decisions[0].reason


class TwoFieldNote(NoteArguments):
    """The note of a newer release, in which something is done that no approver saw."""

    copies: int = 100


async def test_a_tool_that_takes_other_arguments_than_were_approved_does_nothing(gate: Gate) -> None:
    status = await gate.in_review("one")
    newer = replace(gate.notebook.declaration, arguments=TwoFieldNote)
    gate.notebook.declaration = newer
    await gate.decide(status)
    result = await gate.result(status.workflow_id)
    assert result.outcome == "failed"
    assert "takes other arguments now" in result.reason
    assert gate.notebook.texts() == []


@workflow.defn(name="Intruder", sandboxed=False)
class Intruder:
    """A workflow of somebody else's that asks for a step to be executed."""

    @workflow.run
    async def run(self, task: StepTask) -> None:
        await workflow.execute_activity_method(
            Execution.execute_step,
            task,
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


def _step_task(workflow_id: str, plan: Plan, fingerprint: str, chain: str = "x") -> StepTask:
    requested = Requested(
        request="", requester="mallory", timeout_seconds=1, requested_at="2026-01-01T00:00:00Z"
    )
    run = RunRef(workflow_id=workflow_id, chain_id=chain, requested=requested)
    return StepTask(run=run, plan=plan, revision=1, fingerprint=fingerprint, step=1, tries=1)


async def _intrude(gate: Gate, workflow_id: str, task: StepTask) -> str:
    execution = Execution(gate.database, gate.tools)
    worker = Worker(
        gate.client,
        task_queue=f"{gate.settings.task_queue}-intruder",
        workflows=[Intruder],
        activities=[execution.execute_step],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        with pytest.raises(WorkflowFailureError) as caught:
            await gate.client.execute_workflow(
                Intruder.run, task, id=workflow_id, task_queue=f"{gate.settings.task_queue}-intruder"
            )
    return str(caught.value.cause.__cause__)


async def test_a_step_that_any_workflow_asks_for_is_refused_without_an_approval_on_record(gate: Gate) -> None:
    plan = Plan.model_validate_json(
        '{"summary": "x", "steps": [{"tool": "note", "arguments": {"text": "evil"}}]}'
    )
    task = _step_task("intruder-1", plan, fingerprint_of(plan, 1, "intruder-1"))
    assert "nothing of it may run" in await _intrude(gate, "intruder-1", task)
    assert gate.notebook.texts() == []


async def test_a_step_of_another_plan_under_the_approved_fingerprint_is_refused(gate: Gate) -> None:
    status = await gate.in_review("good")
    assert status.fingerprint is not None
    plan = Plan.model_validate({**notes("evil"), "steps": tuple(notes("evil")["steps"])})  # type: ignore[arg-type]
    task = _step_task(status.workflow_id, plan, status.fingerprint)
    said = await _intrude(gate, f"{status.workflow_id}-intruder", task)
    assert "not " + status.fingerprint[:12] in said
    assert gate.notebook.texts() == []


async def test_a_workflow_that_claims_the_id_of_an_approved_run_still_executes_nothing(gate: Gate) -> None:
    status = await gate.in_review("good")
    await gate.decide(status)
    await gate.result(status.workflow_id)
    assert status.plan is not None
    assert status.fingerprint is not None
    task = _step_task(status.workflow_id, status.plan, status.fingerprint)
    said = await _intrude(gate, "intruder-2", task)
    assert "nothing of it may run" in said
    assert gate.notebook.texts() == ["good"]
