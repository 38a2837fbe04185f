"""Foreign workflows, with their own code and task queue, that call Plangate's activities directly."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.client import WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.closing import Closing
from activities.decisions import Decisions
from activities.execution import Execution
from activities.failed_step import Holding
from activities.plan_check import PlanCheck
from activities.planning import Planning
from activities.requirement_check import Requiring
from activities.signal_times import SignalTimes
from activities.tasks import StepTask
from plangate.domain.base import Frozen
from plangate.domain.people.people import NoDirectory
from plangate.domain.plans.plan import Plan
from plangate.domain.policies.policy import OneApproval
from plangate.domain.runs.audit import Requested, RunRef
from plangate.records.records import Records
from plangate.records.rule_texts import RecordedPeople
from tests.support.gate import Gate


async def _call(name: str, task: dict[str, Any]) -> None:
    await workflow.execute_activity(
        name, task, start_to_close_timeout=timedelta(seconds=10), retry_policy=RetryPolicy(maximum_attempts=1)
    )


@workflow.defn(name="PlanApproval", sandboxed=False)
class SameName:
    """A foreign workflow with the name of Plangate's."""

    @workflow.run
    async def run(self, name: str, task: dict[str, Any]) -> None:
        await _call(name, task)


@workflow.defn(name="Foreigner", sandboxed=False)
class OtherName:
    """A workflow of another type."""

    @workflow.run
    async def run(self, name: str, task: dict[str, Any]) -> None:
        await _call(name, task)


async def refusal(
    gate: Gate, kind: type[SameName | OtherName], name: str, task: Frozen, workflow_id: str
) -> str:
    """Run the foreign workflow under this id; return why its only activity was refused, or nothing."""
    queue = f"{gate.settings.task_queue}-foreign"
    worker = Worker(
        gate.client,
        task_queue=queue,
        workflows=[kind],
        activities=_activities(gate),
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        try:
            await gate.client.execute_workflow(
                kind.run, args=[name, task.model_dump(mode="json")], id=workflow_id, task_queue=queue
            )
        except WorkflowFailureError as error:
            return str(error.cause.__cause__)
    return ""


def step_task(workflow_id: str, plan: Plan, fingerprint: str) -> StepTask:
    """Return the task of a first step, as an outsider can forge it."""
    requested = Requested(
        request="", requester="mallory", timeout_seconds=1, requested_at="2026-01-01T00:00:00Z"
    )
    run = RunRef(workflow_id=workflow_id, chain_id="x", requested=requested)
    return StepTask(
        run=run, plan=plan, revision=1, fingerprint=fingerprint, step=1, requested_at=requested.requested_at
    )


def _activities(gate: Gate) -> list[Callable[..., Any]]:
    times, requiring, records = SignalTimes(gate.client), Requiring(OneApproval()), Records(gate.database)
    directory = RecordedPeople(NoDirectory(), records, "foreigner")
    plans = PlanCheck(gate.tools, 20)
    planning = Planning(
        records,
        gate.planner,
        plans,
        requiring,
        directory=directory,
        times=times,
        outage_limit=timedelta(0),
    )
    return [
        planning.draft_plan,
        planning.draft_at_once,
        planning.keep_plan,
        Decisions(records, times, directory, plans, can_draft=True).admit_decisions,
        Execution(records, gate.tools, directory, requiring, longest_wait=timedelta(0)).execute_step,
        Holding(records, requiring).hold_run,
        Closing(records).close_run,
    ]
