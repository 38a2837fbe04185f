"""A run that never yields is stopped by the SDK's deadlock detection, and does not block anything else."""

import asyncio

from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.integration.stuck_workflow import Stuck
from tests.support.gate import Gate
from tests.support.wait_limit import WAIT_LIMIT
from worker import build_worker


def test_the_worker_runs_with_deadlock_detection(idle_gate: Gate) -> None:
    gate = idle_gate
    worker = build_worker(
        gate.client, gate.settings, database=gate.database, tools=gate.tools, planner=gate.planner
    )
    assert not worker.config()["debug_mode"]


async def test_heartbeats_continue_while_a_run_never_yields_and_its_task_is_retried(
    env: WorkflowEnvironment,
) -> None:
    Stuck.tasks = 0
    async with (
        Worker(
            env.client, task_queue="stuck", workflows=[Stuck], workflow_runner=UnsandboxedWorkflowRunner()
        ),
        asyncio.timeout(WAIT_LIMIT),
    ):
        handle = await env.client.start_workflow(Stuck.run, id="stuck", task_queue="stuck")
        result, times = asyncio.create_task(handle.result()), 0
        while not result.done():
            await asyncio.sleep(0.02)
            times += Stuck.is_looping
        assert await result == 2
        events = [event async for event in handle.fetch_history_events()]
    failures = [
        event.workflow_task_failed_event_attributes.failure.message
        for event in events
        if event.HasField("workflow_task_failed_event_attributes")
    ]
    assert len(failures) == 1
    assert "deadlock" in failures[0]
    assert times > 3  # that the event loop ran in two seconds; about 100 on an idle machine
