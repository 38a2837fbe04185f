"""Pages show the retries, pauses and resets in Temporal, and no step is executed twice."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    ResetActivityRequest,
    UnpauseActivityRequest,
)
from temporalio.testing import ActivityEnvironment

from activities.claims import holder_of, is_newer
from plangate.cli.commands.start import drafted
from plangate.cli.console import Console as CommandConsole
from plangate.cli.console import Session
from plangate.cli.key_chain import KeyChain
from plangate.cli.screen import Screen
from plangate.client import Client
from plangate.domain.errors import ModelUnavailable
from plangate.domain.runs.run import StepState
from plangate.domain.runs.status import Status, StepStatus
from plangate.presentation.console import Console
from plangate.presentation.deciding_page import TemporalAccess
from plangate.presentation.problems import problems
from plangate.records.queries import status_on_record
from tests.support.fakes import TRANSIENT
from tests.support.gate import Gate
from tests.support.wait_limit import WAIT_LIMIT


async def seen(gate: Gate, workflow_id: str, condition: Callable[[Status], object]) -> Status:
    async with asyncio.timeout(WAIT_LIMIT):
        while not condition(status := await gate.api.status(workflow_id)):
            await asyncio.sleep(0.05)
    return status


async def retried_step(gate: Gate, failures: int, attempt: int) -> tuple[Status, StepStatus]:
    """Start a step that fails repeatedly, and return it once it waits for this attempt."""
    gate.notebook.failures = [TRANSIENT] * failures
    status = await gate.in_review("one")
    await gate.signal(status)
    status = await seen(
        gate, status.workflow_id, lambda now: now.steps[0].attempt == attempt and now.steps[0].next_try
    )
    return status, status.steps[0]


def execution(status: Status) -> WorkflowExecution:
    return WorkflowExecution(workflow_id=status.workflow_id)


async def test_a_retried_step_shows_its_attempt_its_failure_and_its_next_attempt(gate: Gate) -> None:
    status, step = await retried_step(gate, failures=2, attempt=3)
    assert step.state is StepState.PENDING
    assert step.last_error == str(TRANSIENT)
    assert step.next_try is not None
    assert timedelta() < step.next_try - datetime.now(UTC) < timedelta(seconds=4)
    (problem,) = problems(status)
    assert problem.startswith("Step 1 of 1, note, is being retried: attempt 3 begins at ")
    assert f"The attempt before it failed: {TRANSIENT} A tool that fails is tried 12 times" in problem
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    after = await gate.api.status(status.workflow_id)
    assert (after.steps[0].attempt, list(problems(after))) == (None, [])


async def test_the_next_attempt_is_shown_while_no_worker_runs(idle_gate: Gate) -> None:
    async with idle_gate.worker():
        status, _ = await retried_step(idle_gate, failures=2, attempt=3)
    after = await idle_gate.api.status(status.workflow_id)
    assert "no worker answers" in after.source
    assert (after.steps[0].attempt, after.steps[0].last_error) == (3, str(TRANSIENT))


async def test_only_the_record_marks_a_step_as_begun(gate: Gate) -> None:
    """Even if no worker or Temporal is available, the status must show that the step may have acted."""
    gate.notebook.gate.clear()
    status = await gate.in_review("one", "two")
    await gate.signal(status)
    await gate.notebook.entered.wait()
    recorded = status_on_record(gate.database, status.workflow_id)
    assert recorded is not None
    assert [step.is_begun for step in recorded.steps] == [True, False]
    gate.notebook.gate.set()
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    recorded = status_on_record(gate.database, status.workflow_id)
    assert recorded is not None
    assert [step.is_begun for step in recorded.steps] == [False, False]


async def test_a_retried_draft_shows_its_attempt_and_its_failure(gate: Gate) -> None:
    gate.planner.failures = [ModelUnavailable("The model is unavailable.")]
    workflow_id = await gate.submit(request="one")
    status = await seen(gate, workflow_id, lambda now: now.drafting)
    assert status.drafting is not None
    assert (status.drafting.attempt, status.drafting.last_error) == (2, "The model is unavailable.")
    (problem,) = problems(status)
    assert problem.startswith("The draft of revision 1 is being retried: attempt 2 ")
    assert (await gate.until("in_review", workflow_id)).drafting is None


async def test_start_reports_each_cause_of_a_missing_plan_once(gate: Gate) -> None:
    unavailable, overloaded = (
        ModelUnavailable("The model is unavailable."),
        ModelUnavailable("The model is overloaded."),
    )
    gate.planner.failures = [unavailable, unavailable, overloaded]
    workflow_id = await gate.submit(request="one")
    screen = Screen(Console(StringIO()), Console(StringIO()), False, False)
    console = CommandConsole(gate.settings, screen, KeyChain(gate.settings, screen))
    session = Session(console, gate.database, gate.api, TemporalAccess())
    status = await drafted(session, workflow_id, is_supplied=False)
    assert status.state == "in_review"
    said = screen.err.stream.getvalue()  # type: ignore[attr-defined]
    assert f"{workflow_id}: a plan is being drafted (revision 1)" in said
    assert said.count("The model is unavailable. Ctrl-C exits; the run continues.") == 1


async def test_a_paused_step_is_shown_with_the_command_that_resumes_it(gate: Gate) -> None:
    status, _ = await retried_step(gate, failures=2, attempt=3)
    service, namespace = gate.client.workflow_service, gate.client.namespace
    await service.pause_activity(
        PauseActivityRequest(
            namespace=namespace,
            execution=execution(status),
            type="execute_step",
            identity="olga",
            reason="wait",
        )
    )
    status = await seen(gate, status.workflow_id, lambda now: now.steps[0].paused)
    (problem,) = problems(status)
    assert problem.startswith("Step 1 of 1, note, is paused in Temporal by olga (wait); to continue it: ")
    assert f"temporal activity unpause --workflow-id {status.workflow_id} --activity-id " in problem
    access = TemporalAccess(("--address", "127.0.0.1:1"), program="bin/temporal")
    asked = Client(gate.client, gate.settings.task_queue, None, unpause_command=access.unpause_command)
    (problem,) = problems(await asked.status(status.workflow_id))
    assert f"continue it: bin/temporal activity unpause --workflow-id {status.workflow_id} " in problem
    assert " --address 127.0.0.1:1. The attempt before it failed: " in problem
    await service.unpause_activity(
        UnpauseActivityRequest(namespace=namespace, execution=execution(status), type="execute_step")
    )
    assert (await gate.result(status.workflow_id)).outcome == "executed"


async def test_a_reset_activity_resumes_its_step_immediately(gate: Gate) -> None:
    """Its attempts are numbered from one again, and are not refused because of earlier, higher numbers."""
    status, _ = await retried_step(gate, failures=2, attempt=3)
    await gate.client.workflow_service.reset_activity(
        ResetActivityRequest(
            namespace=gate.client.namespace, execution=execution(status), type="execute_step"
        )
    )
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one"]
    history = await gate.handle(status.workflow_id).fetch_history()
    failures = [
        event.activity_task_started_event_attributes.last_failure.message
        for event in history.events
        if event.HasField("activity_task_started_event_attributes")
    ]
    assert not any("newer attempt" in failure for failure in failures)


def test_no_two_attempts_hold_a_claim_under_the_same_name() -> None:
    """After a reset, a frozen attempt has the same number as its replacement."""
    info = ActivityEnvironment().info
    assert holder_of(info) != holder_of(info)


def test_only_a_later_attempt_at_the_same_activity_is_newer() -> None:
    info = ActivityEnvironment().info
    first, same_start = holder_of(info), holder_of(info)
    later = holder_of(replace(info, started_time=info.started_time + timedelta(milliseconds=1)))
    other = holder_of(replace(info, activity_id="other", started_time=info.started_time + timedelta(hours=1)))
    assert is_newer(later, first)
    assert not any(is_newer(one, first) for one in (first, same_start, other))
    assert not is_newer(first, later)
