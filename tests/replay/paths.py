"""The paths of which golden histories are kept, walked once each on a real server."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from plangate.domain.errors import EffectUnknown, NoModel, ToolRefused
from plangate.domain.policy import Policy
from tests.support.gate import Gate
from tests.support.policies import one_approval
from tests.workflow.test_stale_approvals import VALID, stale_behind_step_one
from tests.workflow.test_what_cannot_be_recorded_waits_outside import away, waiting

Path = Callable[[Gate], Awaitable[str]]


async def approved_by_signal(gate: Gate) -> str:
    status = await gate.in_review("one", "two")
    await gate.signal(status)
    return await _ended(gate, status.workflow_id)


async def approved_by_update(gate: Gate) -> str:
    status = await gate.in_review("one")
    await gate.decide(status)
    return await _ended(gate, status.workflow_id)


async def rejected(gate: Gate) -> str:
    status = await gate.in_review("one")
    await gate.signal(status, "reject", comment="no")
    return await _ended(gate, status.workflow_id)


async def changed_then_approved(gate: Gate) -> str:
    first = await gate.in_review(request="one")
    await gate.signal(first, "request_changes", comment="two")
    second = await gate.until("in_review", first.workflow_id, lambda now: now.revision == 2)
    await gate.decide(second)
    return await _ended(gate, first.workflow_id)


async def expired(gate: Gate) -> str:
    status = await gate.in_review("one", timeout=timedelta(seconds=1))
    return await _ended(gate, status.workflow_id)


async def reopened_then_approved(gate: Gate) -> str:
    again = await stale_behind_step_one(gate)
    await gate.signal(again)
    return await _ended(gate, again.workflow_id)


async def withdrawn_in_review(gate: Gate) -> str:
    status = await gate.in_review("one")
    await gate.api.withdraw(status.workflow_id, "by rita")
    return await _ended(gate, status.workflow_id)


async def withdrawn_while_drafting(gate: Gate) -> str:
    gate.planner.gate.clear()
    workflow_id = await gate.submit(request="one")
    async with asyncio.timeout(10):
        while not gate.planner.briefs:
            await asyncio.sleep(0.02)
    await gate.api.withdraw(workflow_id, "by rita")
    gate.planner.gate.set()
    return await _ended(gate, workflow_id)


async def withdrawn_while_executing(gate: Gate) -> str:
    gate.notebook.gate.clear()
    status = await gate.in_review("one", "two")
    await gate.signal(status)
    await gate.notebook.entered.wait()
    await gate.api.withdraw(status.workflow_id, "by rita")
    await asyncio.sleep(0.3)
    gate.notebook.gate.set()
    return await _ended(gate, status.workflow_id)


async def failed_without_a_model(gate: Gate) -> str:
    gate.planner.failures = [NoModel("No model is set.")]
    return await _ended(gate, await gate.submit(request="one"))


async def failed_by_a_tool(gate: Gate) -> str:
    status = await gate.in_review("one", "two")
    gate.notebook.failures = [ToolRefused("full")]
    await gate.signal(status)
    return await _ended(gate, status.workflow_id)


async def failed_in_doubt(gate: Gate) -> str:
    status = await gate.in_review("one")
    gate.notebook.failures = [EffectUnknown("lost")]
    await gate.signal(status)
    return await _ended(gate, status.workflow_id)


async def junk_then_approved(gate: Gate) -> str:
    status = await gate.in_review("one")
    handle = gate.handle(status.workflow_id)
    await handle.signal("approve")
    await handle.signal("approve", args=[1, 2])
    await handle.signal("approve", "yes")
    await handle.signal("aprove", {"by": "dana"})
    await gate.signal(status, by="rita")
    await gate.decide(status, by="rita")
    await gate.signal(status)
    return await _ended(gate, status.workflow_id)


async def waited_for_the_records(gate: Gate) -> str:
    status = await gate.in_review("one")
    with away(gate):
        await gate.signal(status)
        await waiting(gate, status)
        answer = await gate.decide(status, by="erik")
        assert answer.accepted is None
    return await _ended(gate, status.workflow_id)


async def started_with_nonsense(gate: Gate) -> str:
    handle = await gate.client.start_workflow(
        "PlanApproval", args=[1, 2], id="nonsense", task_queue=gate.settings.task_queue
    )
    return await _ended(gate, handle.id)


async def _ended(gate: Gate, workflow_id: str) -> str:
    await gate.handle(workflow_id).result()
    return workflow_id


PATHS: tuple[Path, ...] = (
    approved_by_signal,
    approved_by_update,
    rejected,
    changed_then_approved,
    expired,
    reopened_then_approved,
    withdrawn_in_review,
    withdrawn_while_drafting,
    withdrawn_while_executing,
    failed_without_a_model,
    failed_by_a_tool,
    failed_in_doubt,
    junk_then_approved,
    waited_for_the_records,
    started_with_nonsense,
)

POLICIES: Mapping[Path, Policy] = {reopened_then_approved: one_approval(valid_for=VALID)}
"""The policy of the worker that walks a path, where it has one."""
