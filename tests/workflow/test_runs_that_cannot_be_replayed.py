"""A run whose history cannot be replayed is logged, and can be started again from its record."""

import asyncio
import logging
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from plangate.temporal.contract import WORKFLOW_TYPE
from tests.support.gate import Gate
from tests.support.wait_limit import WAIT_LIMIT


@workflow.defn(name=WORKFLOW_TYPE)
class _OtherVersion:
    """Writes a history that no version of Plangate writes."""

    @workflow.run
    async def run(self, _request: object) -> None:
        for _ in range(3):
            await workflow.sleep(timedelta(milliseconds=1))
        await workflow.sleep(timedelta(days=1))


async def test_a_run_that_cannot_be_replayed_is_logged_and_a_reset_starts_it_again(
    idle_gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    gate = idle_gate
    async with Worker(
        gate.client,
        task_queue=gate.settings.task_queue,
        workflows=[_OtherVersion],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        workflow_id = await gate.submit("one")
        handle = gate.handle(workflow_id)
        async with asyncio.timeout(WAIT_LIMIT):
            while (await handle.describe()).history_length < 17:
                await asyncio.sleep(0.02)
    await handle.signal("approve", {"by": "dana", "plan": "000000000000"})
    with caplog.at_level(logging.ERROR, "workflows.runner"):
        async with gate.worker():
            async with asyncio.timeout(WAIT_LIMIT):
                while not (logged := [one for one in caplog.records if one.name == "workflows.runner"]):
                    await asyncio.sleep(0.02)
            assert logged[0].__dict__["action"] == "not_replayable"
            assert (
                f"temporal workflow reset -w {workflow_id} --type FirstWorkflowTask" in logged[0].getMessage()
            )
            await gate.client.workflow_service.reset_workflow_execution(
                ResetWorkflowExecutionRequest(
                    namespace=gate.client.namespace,
                    workflow_execution=WorkflowExecution(workflow_id=workflow_id),
                    reason="no worker can replay it",
                    workflow_task_finish_event_id=4,
                    request_id="again",
                )
            )
            status = await gate.until("in_review", workflow_id)
            await gate.decide(status)
            assert (await gate.result(workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one"]
