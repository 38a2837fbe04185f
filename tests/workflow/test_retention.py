"""If Temporal has deleted or ended a run, its status still comes from the records, and shows this."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.service import RPCError, RPCStatusCode

from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.errors import IdInUse, PlangateError, RunNotFound
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.status import Status
from plangate.presentation.run_page import is_over, run_page
from tests.support.fakes import notes
from tests.support.gate import Gate, build_gate
from tests.support.server import start_plain_server
from tests.support.wait_limit import WAIT_LIMIT


async def drop(gate: Gate, workflow_id: str) -> None:
    """Make Temporal delete a run, as it does after the retention period."""
    await gate.client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=gate.client.namespace, workflow_execution=WorkflowExecution(workflow_id=workflow_id)
        )
    )
    async with asyncio.timeout(WAIT_LIMIT):
        while await is_known(gate, workflow_id):
            await asyncio.sleep(0.05)


async def is_known(gate: Gate, workflow_id: str) -> bool:
    try:
        await gate.handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True


async def executed(gate: Gate, *texts: str) -> Status:
    status = await gate.in_review(*texts)
    await gate.decide(status)
    await gate.result(status.workflow_id)
    return await gate.api.status(status.workflow_id)


@pytest_asyncio.fixture(loop_scope="session")
async def separate_gate(tmp_path: Path) -> AsyncIterator[Gate]:
    """A test instance on a separate server, whose lists have no runs of other tests; no worker runs yet."""
    server = await start_plain_server()
    gate = build_gate(server.client, tmp_path, "alone")
    yield gate
    gate.database.close()
    await server.shutdown()


async def test_status_and_trail_of_a_dropped_run_come_from_the_records_and_report_this(gate: Gate) -> None:
    before = await executed(gate, "one", "two")
    trail = gate.api.trail(before.workflow_id)
    await drop(gate, before.workflow_id)
    after = await gate.api.status(before.workflow_id)
    assert after.source == "records (the run's retention in Temporal has ended)"
    assert after == before.model_copy(update={"source": after.source})
    assert gate.api.trail(before.workflow_id) == trail


async def test_a_decision_on_a_dropped_run_is_answered_with_its_outcome(
    gate: Gate,
) -> None:
    before = await executed(gate, "one")
    await drop(gate, before.workflow_id)
    answer = await gate.api.decide(
        before.workflow_id, Decision(decision=Choice.APPROVE, by="dana", plan=before.fingerprint or "")
    )
    assert answer is not None
    assert not answer.accepted
    assert "the run has ended (executed)" in answer.reason
    with pytest.raises(PlangateError, match=r"has ended \(executed\)"):
        await gate.api.withdraw(before.workflow_id, "too late")
    assert gate.notebook.texts() == ["one"]


async def test_the_client_refuses_the_id_of_a_dropped_run(gate: Gate) -> None:
    before = await executed(gate, "one")
    await drop(gate, before.workflow_id)
    with pytest.raises(IdInUse, match="is already in use"):
        await gate.api.submit(PlanRequest(requester="rita", plan=notes("one")), before.workflow_id)


async def test_starting_the_id_of_a_dropped_run_directly_fails_and_repeats_nothing(gate: Gate) -> None:
    before = await executed(gate, "one")
    trail = gate.api.trail(before.workflow_id)
    await drop(gate, before.workflow_id)
    handle = await gate.client.start_workflow(
        "PlanApproval",
        {"requester": "rita", "plan": notes("one")},
        id=before.workflow_id,
        task_queue=gate.settings.task_queue,
        result_type=dict,
    )
    result = await handle.result()
    assert result["outcome"] == "failed"
    assert "belongs to an earlier request" in result["reason"]
    assert gate.notebook.texts() == ["one"]
    assert gate.api.trail(before.workflow_id) == trail


async def test_an_approval_for_a_dropped_run_does_not_reach_a_new_run_with_its_id(gate: Gate) -> None:
    """The same plan and revision under the same id has the same fingerprint; the record refuses it."""
    status = await gate.in_review("one")
    await gate.api.withdraw(status.workflow_id, "not now")
    await gate.result(status.workflow_id)
    await drop(gate, status.workflow_id)
    handle = await gate.client.start_workflow(
        "PlanApproval",
        {"requester": "mallory", "plan": notes("one")},
        id=status.workflow_id,
        task_queue=gate.settings.task_queue,
        start_signal="approve",
        start_signal_args=[{"by": "dana", "plan": status.fingerprint}],
        result_type=dict,
    )
    assert (await handle.result())["outcome"] == "failed"
    (decision,) = (await gate.api.status(status.workflow_id)).decisions
    assert not decision.accepted
    assert gate.notebook.texts() == []
    assert gate.api.trail(status.workflow_id)[-1].event.kind == "closed"


async def test_an_open_run_that_was_dropped_is_not_listed_and_accepts_no_decisions(
    separate_gate: Gate,
) -> None:
    gate = separate_gate
    async with gate.worker():
        status = await gate.in_review("one")
        await drop(gate, status.workflow_id)
        after = await gate.api.status(status.workflow_id)
        assert (after.state, after.source) == ("gone", "records and the Temporal server")
        assert "the run is recorded as in review, but this Temporal server does not have it" in after.reason
        assert is_over(after)
        page = "\n".join(row.text for row in run_page(after, datetime.now(UTC)).rows)
        assert "was deleted there" in page
        assert await gate.api.pending() == []
        with pytest.raises(RunNotFound, match=r"no longer has .*; it accepts no more decisions"):
            await gate.decide(status)


async def test_a_terminated_run_is_shown_as_ended_with_and_without_a_worker(separate_gate: Gate) -> None:
    gate = separate_gate
    async with gate.worker():
        status = await gate.in_review("one")
        await gate.handle(status.workflow_id).terminate("by hand")
        with_worker = await gate.api.status(status.workflow_id)
        answer = await gate.decide(status)
    without_worker = await gate.api.status(status.workflow_id)
    for shown in (with_worker, without_worker):
        assert shown.state == "failed"
        assert shown.reason == "it was terminated in Temporal, from outside Plangate"
        assert shown.fingerprint == status.fingerprint
    assert not answer.accepted
    assert "the run has ended (failed)" in answer.reason
    assert await gate.api.pending() == []
    assert gate.notebook.texts() == []


async def test_a_run_terminated_before_its_draft_is_shown_as_ended_too(idle_gate: Gate) -> None:
    workflow_id = await idle_gate.submit("one")
    await idle_gate.handle(workflow_id).terminate("by hand")
    shown = await idle_gate.api.status(workflow_id)
    assert (shown.state, shown.requester) == ("failed", "rita")
    assert "terminated" in shown.reason


async def test_an_unknown_id_is_not_found(gate: Gate) -> None:
    with pytest.raises(RunNotFound):
        await gate.api.status("unknown-plan")
    with pytest.raises(RunNotFound):
        gate.api.trail("unknown-plan")
