"""Recurring requests: a Temporal schedule starts a new run each time; a cron schedule is refused."""

import asyncio
from datetime import timedelta

from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    ScheduleSpec,
)

from plangate.domain.runs.request import PlanRequest
from tests.support.fakes import notes
from tests.support.gate import Gate
from tests.support.wait_limit import WAIT_LIMIT
from workflows.plan_approval import PlanApproval


async def test_each_start_of_a_schedule_is_a_separate_run_with_its_own_approval(gate: Gate) -> None:
    request = PlanRequest(requester="rita", plan=notes("the rent"))
    name = f"rent-{gate.settings.task_queue}"
    action = ScheduleActionStartWorkflow(
        "PlanApproval", request.model_dump(mode="json"), id=name, task_queue=gate.settings.task_queue
    )
    spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(days=30))])
    handle = await gate.client.create_schedule(f"schedule-{name}", Schedule(action=action, spec=spec))
    try:
        seen: set[str] = set()
        for number in (1, 2):
            await handle.trigger(overlap=ScheduleOverlapPolicy.ALLOW_ALL)
            workflow_id = await _next_run(gate, name, seen)
            status = await gate.until("in_review", workflow_id)
            await gate.decide(status)
            assert (await gate.result(workflow_id)).outcome == "executed"
            assert gate.notebook.texts() == ["the rent"] * number
            await asyncio.sleep(1)  # the ids of scheduled runs contain the time in seconds
    finally:
        await handle.delete()


async def _next_run(gate: Gate, name: str, seen: set[str]) -> str:
    async with asyncio.timeout(WAIT_LIMIT):
        while True:
            async for run in gate.client.list_workflows(f"WorkflowId STARTS_WITH '{name}'"):
                if run.id not in seen:
                    seen.add(run.id)
                    return run.id
            await asyncio.sleep(0.1)


async def test_every_run_of_a_cron_is_refused_with_a_message_that_mentions_schedules(gate: Gate) -> None:
    request = PlanRequest(requester="rita", plan=notes("the rent"))
    handle = await gate.client.start_workflow(
        "PlanApproval",
        request.model_dump(mode="json"),
        id=f"cron-{gate.settings.task_queue}",
        task_queue=gate.settings.task_queue,
        cron_schedule="@every 1s",
    )
    first = handle.first_execution_run_id
    async with asyncio.timeout(WAIT_LIMIT):
        while len(runs := await _ended(gate, handle.id)) < 2:
            await asyncio.sleep(0.1)
    assert first in runs
    for run_id in runs[:2]:
        said = await gate.client.get_workflow_handle(handle.id, run_id=run_id).query(PlanApproval.status)
        assert (said.state, said.plan) == ("failed", None)
        assert "Use a Temporal schedule" in said.reason
        assert said.reason.endswith("End this cron with: temporal workflow terminate -w ID")
    await gate.handle(handle.id).terminate()
    recorded = gate.recorded(handle.id)
    assert recorded is not None
    assert recorded.state == "failed"
    assert "Use a Temporal schedule" in recorded.reason
    assert gate.notebook.texts() == []


async def _ended(gate: Gate, workflow_id: str) -> list[str | None]:
    runs = gate.client.list_workflows(f"WorkflowId = '{workflow_id}' AND ExecutionStatus <> 'Running'")
    return [run.run_id async for run in runs]
