"""Worker versioning: a waiting run moves to the new worker code, because nothing in the workflow pins it."""

import asyncio
from datetime import timedelta
from uuid import uuid4

from temporalio.api.enums.v1 import VersioningBehavior
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.service import RPCError

from tests.support.gate import Gate
from tests.support.wait_limit import WAIT_LIMIT


async def make_current(gate: Gate, build_id: str) -> None:
    """Do the same as `temporal worker deployment set-current-version`, once the worker is registered."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=gate.client.namespace,
        deployment_name="plangate",
        build_id=build_id,
        ignore_missing_task_queues=True,  # the deployments of other tests
    )
    async with asyncio.timeout(WAIT_LIMIT):
        while True:
            try:
                await gate.client.workflow_service.set_worker_deployment_current_version(
                    request, timeout=timedelta(seconds=10)
                )
            except RPCError:
                await asyncio.sleep(0.1)
            else:
                return


async def build_of(gate: Gate, workflow_id: str) -> str:
    """Return the build id under which the run's last task was completed."""
    description = await gate.handle(workflow_id).describe()
    versioning = description.raw_description.workflow_execution_info.versioning_info
    assert versioning.behavior == VersioningBehavior.VERSIONING_BEHAVIOR_AUTO_UPGRADE
    assert not versioning.HasField("versioning_override")
    return versioning.deployment_version.build_id


async def test_a_run_that_waits_under_one_build_is_approved_and_executed_under_the_next(
    idle_gate: Gate,
) -> None:
    gate = idle_gate
    first, second = (f"{name}-{uuid4().hex[:8]}" for name in ("v1", "v2"))
    async with gate.worker(build_id=first):
        await make_current(gate, first)
        status = await gate.in_review("one")
        assert await build_of(gate, status.workflow_id) == first
    async with gate.worker(build_id=second):
        await make_current(gate, second)
        assert (await gate.decide(status)).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert await build_of(gate, status.workflow_id) == second
    assert gate.notebook.texts() == ["one"]


async def test_a_signal_sent_while_no_build_ran_is_handled_by_the_next_build(idle_gate: Gate) -> None:
    gate = idle_gate
    first, second = (f"{name}-{uuid4().hex[:8]}" for name in ("v1", "v2"))
    async with gate.worker(build_id=first):
        await make_current(gate, first)
        status = await gate.in_review("one", "two")
    await gate.signal(status)
    async with gate.worker(build_id=second):
        await make_current(gate, second)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one", "two"]


async def test_an_unversioned_waiting_run_moves_on_when_versioning_is_enabled(
    idle_gate: Gate,
) -> None:
    gate, build_id = idle_gate, f"v1-{uuid4().hex[:8]}"
    async with gate.worker():
        status = await gate.in_review("one")
    async with gate.worker(build_id=build_id):
        await make_current(gate, build_id)
        assert (await gate.decide(status)).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert await build_of(gate, status.workflow_id) == build_id
