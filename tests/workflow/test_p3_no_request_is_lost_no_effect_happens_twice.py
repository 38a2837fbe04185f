"""P3: no crash loses a request or a decision, or repeats an effect; an unknown effect is in doubt.

The crashes by kill -9 are in tests/acceptance and `make chaos`; here, each point between two writes is
tested.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.execution import Execution
from activities.plan_check import PlanCheck
from activities.requirement_check import Requiring
from activities.tasks import StepResult, StepTask
from plangate.domain.errors import EffectUnknown, IdInUse, RecordsUnavailable, ToolRefused, ToolUnavailable
from plangate.domain.people.people import NoDirectory
from plangate.domain.policies.policy import OneApproval
from plangate.domain.runs.audit import Requested, RunRef
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.status import Status
from plangate.records.records import Records
from plangate.records.rule_texts import RecordedPeople
from tests.support.fakes import NoteArguments, Notebook, notes
from tests.support.gate import Gate
from tests.support.transactions import hook_transactions
from tests.support.wait_limit import WAIT_LIMIT


async def test_a_transient_failure_of_a_tool_is_retried_and_the_effect_happens_once(gate: Gate) -> None:
    gate.notebook.failures = [ToolUnavailable("busy"), ToolUnavailable("busy")]
    status = await gate.in_review("one")
    await gate.decide(status)
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one"]


async def test_steps_after_a_failed_one_are_not_executed(gate: Gate) -> None:
    status = await gate.in_review("one", "two")
    gate.notebook.failures = [ToolRefused("The notebook is full.")]
    await gate.decide(status)
    after = await gate.held(status.workflow_id)
    assert [step.state for step in after.steps] == ["failed", "pending"]
    assert after.held is not None
    assert "The notebook is full" in after.held.why
    await gate.resolve(status.workflow_id, "abort")
    assert (await gate.result(status.workflow_id)).outcome == "failed"
    assert gate.notebook.texts() == []


async def test_an_effect_with_an_unknown_result_is_in_doubt_and_not_repeated(gate: Gate) -> None:
    gate.notebook.failures = [EffectUnknown("The connection broke.")]
    gate.notebook.writes_before_failing = True
    status = await gate.in_review("one", "two")
    await gate.decide(status)
    after = await gate.held(status.workflow_id)
    assert [step.state for step in after.steps] == ["in_doubt", "pending"]
    assert after.held is not None
    assert "The connection broke" in after.held.why
    await gate.resolve(status.workflow_id, "abort")
    assert (await gate.result(status.workflow_id)).outcome == "failed"
    assert gate.notebook.texts() == ["one"]


async def test_a_bug_in_a_tool_leaves_the_step_in_doubt_too(gate: Gate) -> None:
    gate.notebook.failures = [ZeroDivisionError("oops")]
    status = await gate.in_review("one")
    await gate.decide(status)
    after = await gate.held(status.workflow_id)
    assert after.steps[0].state == "in_doubt"


@pytest.mark.parametrize("happened", [True, False])
async def test_a_tool_with_a_lookup_is_queried_and_the_effect_happens_once(
    gate: Gate, happened: bool
) -> None:
    gate.notebook.remembers = True
    gate.notebook.failures = [EffectUnknown("The connection broke.")]
    gate.notebook.writes_before_failing = happened
    status = await gate.in_review("one")
    await gate.decide(status)
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one"]


async def test_a_receipt_that_cannot_be_stored_immediately_is_stored_later_and_nothing_is_repeated(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, refusals = gate.database.write, [2]

    def refuse_after_the_act(**options: bool) -> object:
        if gate.notebook.texts() and refusals[0]:
            refusals[0] -= 1
            raise RecordsUnavailable("The records are unavailable.")
        return write(**options)

    monkeypatch.setattr(gate.database, "write", refuse_after_the_act)
    status = await gate.in_review("one")
    await gate.decide(status)
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one"]
    assert refusals == [0]


async def test_a_decision_waits_while_the_records_are_unavailable_and_then_takes_effect(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = await gate.in_review("one")
    write, tried = gate.database.write, asyncio.Event()

    def unavailable(**_: object) -> object:
        tried.set()
        raise RecordsUnavailable("The records are unavailable.")

    monkeypatch.setattr(gate.database, "write", unavailable)
    await gate.signal(status)
    await tried.wait()
    await asyncio.sleep(0.1)
    assert gate.notebook.texts() == []
    monkeypatch.setattr(gate.database, "write", write)
    assert (await gate.result(status.workflow_id)).outcome == "executed"


@pytest.mark.parametrize("by_update", [False, True])
async def test_an_approval_of_a_plan_that_only_the_record_has_takes_effect_once_the_run_has_it(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, by_update: bool
) -> None:
    """The worker may die after it records the plan and before the run gets it; approvers already see it."""
    reported = asyncio.Event()

    async def wait_before_report(written: object, is_receipt: bool) -> None:
        del written, is_receipt
        await reported.wait()

    monkeypatch.setattr(PlanCheck, "observes", lambda *_: True)  # so that a separate activity drafts it
    hook_transactions(monkeypatch, "draft_plan", after=wait_before_report)
    workflow_id = await gate.submit("one")
    async with asyncio.timeout(WAIT_LIMIT):
        while (seen := gate.recorded(workflow_id)) is None or seen.state != "in_review":
            await asyncio.sleep(0.02)
    deciding = asyncio.create_task(gate.decide(seen) if by_update else gate.signal(seen))
    await asyncio.sleep(0.5)
    assert (await gate.api.status(workflow_id)).decisions == ()
    reported.set()
    await deciding
    assert (await gate.result(workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one"]


async def test_a_run_waits_while_no_worker_runs_and_continues_with_the_next_one(idle_gate: Gate) -> None:
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one")
    await gate.signal(status)
    async with gate.worker():
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one"]


async def test_a_stopping_worker_leaves_its_draft_to_the_next_one_immediately(
    idle_gate: Gate,
) -> None:
    gate = idle_gate
    gate.planner.gate.clear()
    async with gate.worker():
        workflow_id = await gate.submit(request="one")
        while not gate.planner.briefs:
            await asyncio.sleep(0.02)
    gate.planner.gate.set()
    async with gate.worker():
        await gate.until("in_review", workflow_id)
    assert len(gate.planner.briefs) == 2


async def test_a_reset_run_repeats_no_effect(gate: Gate) -> None:
    status = await gate.in_review("one")
    await gate.signal(status)
    await gate.result(status.workflow_id)
    handle = gate.handle(status.workflow_id)
    run_id = (await handle.describe()).run_id
    reset = await gate.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=gate.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=status.workflow_id, run_id=run_id),
            reason="a test",
            workflow_task_finish_event_id=4,
            request_id="reset-1",
        )
    )
    assert reset.run_id != run_id
    # The server delivers the old signal again; it is for the plan on the record, so it is valid.
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one"]


async def test_the_id_of_a_running_or_closed_run_is_refused(gate: Gate) -> None:
    request = PlanRequest(requester="rita", plan=notes("one"))
    await gate.api.submit(request, f"mine-{gate.settings.task_queue}")
    with pytest.raises(IdInUse):
        await gate.api.submit(request, f"mine-{gate.settings.task_queue}")


async def test_an_id_that_exists_only_in_the_records_starts_no_second_run(gate: Gate) -> None:
    status = await gate.in_review("one")
    await gate.decide(status)
    await gate.result(status.workflow_id)
    # Once Temporal allows the id again, a start without our client has no second effect.
    handle = await gate.client.start_workflow(
        "PlanApproval",
        {"requester": "rita", "plan": notes("one")},
        id=status.workflow_id,
        task_queue=gate.settings.task_queue,
    )
    result = await handle.result()
    assert result["outcome"] == "failed"
    assert "belongs to an earlier request" in result["reason"]
    recorded = gate.api.trail(status.workflow_id)
    assert [entry.event.kind for entry in recorded][-1] == "closed"
    assert gate.notebook.texts() == ["one"]


async def test_two_workers_on_one_file_of_records_share_the_work(idle_gate: Gate) -> None:
    gate = idle_gate
    other = await Client.connect(
        gate.client.service_client.config.target_host, data_converter=gate.client.data_converter
    )
    async with gate.worker(), gate.worker(other):
        waiting = [await gate.in_review(f"note {number}") for number in range(10)]
        await asyncio.gather(*(gate.signal(status) for status in waiting))
        results = await asyncio.gather(*(gate.result(status.workflow_id) for status in waiting))
    assert {result.outcome for result in results} == {"executed"}
    assert sorted(gate.notebook.texts()) == sorted(f"note {number}" for number in range(10))


class OnceNotebook(Notebook):
    """Never writes an effect twice, like the outbox."""

    def _write(self, arguments: NoteArguments, idempotency_key: str) -> None:
        if all(key != idempotency_key for key, _ in self.lines()):
            super()._write(arguments, idempotency_key)


async def _attempt_elsewhere(
    gate: Gate, status: Status, started: timedelta, execution: Execution | None = None
) -> StepResult:
    """Execute step 1 as an attempt that started this much later than that of Plangate's own worker."""
    assert status.plan is not None
    assert status.fingerprint is not None
    description = await gate.handle(status.workflow_id).describe()
    (pending,) = description.raw_description.pending_activities
    opened = gate.api.trail(status.workflow_id)[0].event
    assert isinstance(opened, Requested)
    elsewhere = ActivityEnvironment(gate.client)
    elsewhere.info = replace(
        elsewhere.info,
        workflow_id=status.workflow_id,
        workflow_run_id=description.run_id,
        workflow_type="PlanApproval",
        activity_id=pending.activity_id,
        started_time=pending.last_started_time.ToDatetime(UTC) + started,
    )
    task = StepTask(
        run=RunRef(workflow_id=status.workflow_id, chain_id=description.run_id),
        requested_at=opened.requested_at,
        plan=status.plan,
        revision=1,
        fingerprint=status.fingerprint,
        step=1,
    )
    notebook = OnceNotebook("note", gate.notebook.path, remembers=True)
    records = Records(gate.database)
    execution = execution or Execution(
        records,
        {"note": notebook},
        RecordedPeople(NoDirectory(), records, "elsewhere"),
        Requiring(OneApproval()),
        longest_wait=timedelta(0),
    )
    result: StepResult = await elsewhere.run(execution.execute_step, task)
    return result


async def test_an_attempt_presumed_dead_does_not_take_the_step_from_a_newer_one(
    gate: Gate,
) -> None:
    gate.notebook.gate.clear()
    status = await gate.in_review("one")
    await gate.signal(status)
    await gate.notebook.entered.wait()
    with pytest.raises(ApplicationError, match="claimed by a newer attempt"):
        await _attempt_elsewhere(gate, status, started=timedelta(seconds=-1))
    gate.notebook.gate.set()
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one"]


async def test_the_effect_of_a_slow_attempt_that_was_taken_over_is_found(gate: Gate) -> None:
    """The other attempt saw no effect, and released the claim; the next one looks again before it acts."""
    gate.tools["note"] = gate.notebook = OnceNotebook("note", gate.notebook.path, remembers=True)
    gate.notebook.gate.clear()
    status = await gate.in_review("one", "two")
    await gate.signal(status)
    await gate.notebook.entered.wait()
    with pytest.raises(ApplicationError, match="starts over"):
        await _attempt_elsewhere(gate, status, started=timedelta(seconds=1))
    gate.notebook.gate.set()
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one", "two"]


@pytest.fixture
def executions(monkeypatch: pytest.MonkeyPatch) -> list[Execution]:
    """The executions of the workers of this test."""
    made: list[Execution] = []

    def of_the_worker(*arguments: Any, **more: Any) -> Execution:
        made.append(Execution(*arguments, **more))
        return made[-1]

    monkeypatch.setattr("worker.Execution", of_the_worker)
    return made


async def test_a_suspended_worker_that_gets_its_own_step_again_continues_it(
    idle_gate: Gate, executions: list[Execution]
) -> None:
    """The worker still acts, but its tool could not look up the result."""
    gate = idle_gate
    gate.notebook.remembers = False
    gate.notebook.gate.clear()
    async with gate.worker():
        status = await gate.in_review("one")
        await gate.signal(status)
        await gate.notebook.entered.wait()
        again = asyncio.create_task(_attempt_elsewhere(gate, status, timedelta(seconds=1), executions[0]))
        await asyncio.sleep(0.1)
        gate.notebook.gate.set()
        assert (await again).done is not None
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one"]


async def test_a_step_withdrawn_while_it_waits_never_begins(
    idle_gate: Gate, executions: list[Execution]
) -> None:
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one")
        # The receipt of another step waits.
        with executions[0]._pacing.storing():  # noqa: SLF001  the pacing has no public method for it
            await gate.decide(status)
            await gate.api.withdraw(status.workflow_id, "not now")
            await asyncio.sleep(2.2)  # a heartbeat notifies the worker
        assert (await gate.result(status.workflow_id)).outcome == "withdrawn"
    assert gate.notebook.texts() == []


async def test_a_step_that_acts_when_its_run_is_withdrawn_is_finished_first(idle_gate: Gate) -> None:
    gate = idle_gate
    gate.notebook.gate.clear()
    async with gate.worker():
        status = await gate.in_review("one", "two")
        await gate.signal(status)
        await gate.notebook.entered.wait()
        await gate.api.withdraw(status.workflow_id, "not now")
        await asyncio.sleep(2.2)  # a heartbeat notifies the worker
        gate.notebook.gate.set()
        result = await gate.result(status.workflow_id)
    assert (result.outcome, gate.notebook.texts()) == ("withdrawn", ["one"])
    assert [receipt is not None for receipt in result.receipts] == [True, False]
