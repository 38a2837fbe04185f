"""A query does not change the order in which a run processes messages and results, so the run replays.

While a local activity runs, the SDK would answer a query at once, by ending the workflow task. The history
would then contain the result of an activity that ended during the query, but not what the workflow did next.
With a query that waited for a worker, the SDK would process news before the workflow task that brings them.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Literal

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.client import Interceptor as ClientInterceptor
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    HandleQueryInput,
    Interceptor,
    Replayer,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from plangate.domain.decisions.decision import DecisionAnswer
from plangate.temporal.connection import DATA_CONVERTER
from tests.support.gate import Gate
from workflows.plan_approval import PlanApproval

_LONGEST = 1.0  # seconds; a workflow that blocks for two is considered deadlocked
_ON_THE_WAY = 0.2  # until a message has reached the server, or a result the workflow


@dataclass
class Meeting(ClientInterceptor, Interceptor):
    """Makes the first query and the first local activity overlap, in the workers of a client."""

    ends: Literal["during the query", "after the query"]
    failing: int = 0  # how many workflow tasks fail first
    recorded: Event = field(default_factory=Event)
    asked: Event = field(default_factory=Event)
    sent: Event = field(default_factory=Event)
    ended: Event = field(default_factory=Event)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _LateResult(next, self)

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type:  # noqa: A002
        del input
        meeting = self

        class SlowQuery(WorkflowInboundInterceptor):
            async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
                if meeting.failing:
                    meeting.failing -= 1
                    raise RuntimeError("This workflow task fails.")
                return await super().execute_workflow(input)

            async def handle_query(self, input: HandleQueryInput) -> Any:  # noqa: A002
                answer = await super().handle_query(input)
                meeting.asked.set()
                meeting.sent.wait(_LONGEST)
                if meeting.ends == "during the query":
                    meeting.ended.wait(_LONGEST)
                    time.sleep(_ON_THE_WAY)  # in which the result reaches the workflow
                return answer

        return SlowQuery


class _LateResult(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, meeting: Meeting) -> None:  # noqa: A002
        super().__init__(next)
        self._meeting = meeting

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        result = await super().execute_activity(input)
        if not self._meeting.recorded.is_set():
            self._meeting.recorded.set()
            await asyncio.to_thread(self._meeting.sent.wait, _LONGEST * 10)
            if self._meeting.ends == "after the query":
                await asyncio.sleep(2 * _ON_THE_WAY)
            self._meeting.ended.set()
        return result


async def _approve_by_update(
    gate: Gate, workflow_id: str, plan: str | None = None
) -> "asyncio.Task[DecisionAnswer]":
    status = gate.recorded(workflow_id)
    assert status is not None
    message = {"decision": "approve", "by": "dana", "plan": plan or status.fingerprint}
    updating = asyncio.create_task(
        gate.handle(workflow_id).execute_update("decide", message, result_type=DecisionAnswer)
    )
    await asyncio.sleep(_ON_THE_WAY)
    return updating


async def _approve_by_signal(gate: Gate, workflow_id: str) -> None:
    status = gate.recorded(workflow_id)
    assert status is not None
    await gate.signal(status)


async def _withdraw(gate: Gate, workflow_id: str) -> None:
    await gate.handle(workflow_id).cancel()


async def _overlap(gate: Gate, workflow_id: str, meeting: Meeting, send: Callable[[Gate, str], Any]) -> str:
    """Start a worker on a run with a waiting query, and send a message during its first local activity."""
    query = asyncio.create_task(gate.handle(workflow_id).query("status"))
    await asyncio.sleep(_ON_THE_WAY)
    config = gate.client.config()
    config["interceptors"] = [*config["interceptors"], meeting]
    async with gate.worker(Client(**config)):
        await asyncio.to_thread(meeting.recorded.wait, 10)
        assert not await asyncio.to_thread(meeting.asked.wait, _ON_THE_WAY)
        answer = await send(gate, workflow_id)
        meeting.sent.set()
        await query
        if answer is not None:
            assert (await answer).accepted
        result = await gate.result(workflow_id)
    return result.outcome


async def _check_history(gate: Gate, workflow_id: str, failed: int = 0) -> None:
    """Check that the run replays, and how many of its workflow tasks were repeated."""
    history = await gate.handle(workflow_id).fetch_history()
    await Replayer(workflows=[PlanApproval], data_converter=DATA_CONVERTER).replay_workflow(history)
    types = [event.event_type for event in history.events]
    assert types.count(EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED) == failed
    assert EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT not in types


@pytest.mark.parametrize("ends", ["during the query", "after the query"])
@pytest.mark.parametrize(
    ("send", "outcome"),
    [(_approve_by_update, "executed"), (_approve_by_signal, "executed"), (_withdraw, "withdrawn")],
)
async def test_a_message_during_the_draft_is_processed_and_the_run_replays(
    idle_gate: Gate, send: Any, outcome: str, ends: Any
) -> None:
    workflow_id = await idle_gate.submit("one")
    assert await _overlap(idle_gate, workflow_id, Meeting(ends), send) == outcome
    await _check_history(idle_gate, workflow_id)
    assert idle_gate.notebook.texts() == (["one"] if outcome == "executed" else [])


@pytest.mark.parametrize("ends", ["during the query", "after the query"])
@pytest.mark.parametrize("admitted", ["signal", "update"])
@pytest.mark.parametrize("send", [_approve_by_update, _approve_by_signal])
async def test_a_message_during_an_admission_is_processed_and_the_run_replays(
    idle_gate: Gate, send: Any, admitted: str, ends: Any
) -> None:
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
    await idle_gate.signal(status, plan="0" * 12)
    if admitted == "update":
        refused = await _approve_by_update(idle_gate, status.workflow_id, plan="1" * 12)
    assert await _overlap(idle_gate, status.workflow_id, Meeting(ends), send) == "executed"
    if admitted == "update":
        assert not (await refused).accepted
    await _check_history(idle_gate, status.workflow_id)
    assert idle_gate.notebook.texts() == ["one"]


async def test_a_query_that_brings_news_fails_and_the_workflow_task_processes_them(idle_gate: Gate) -> None:
    gate, texts = idle_gate, [f"note {number}" for number in range(10)]
    async with gate.worker():
        runs = [await gate.in_review(text) for text in texts]
    queries = [asyncio.create_task(gate.handle(run.workflow_id).query("status")) for run in runs]
    await asyncio.sleep(_ON_THE_WAY)
    for run in runs:
        await gate.signal(run, plan="0" * 12)
    answers = [await _approve_by_update(gate, run.workflow_id) for run in runs]
    async with gate.worker():
        assert all(answer.accepted for answer in await asyncio.gather(*answers))
        for run in runs:
            assert (await gate.result(run.workflow_id)).outcome == "executed"
        replies = await asyncio.gather(*queries, return_exceptions=True)
    assert any("Query it again" in str(reply) for reply in replies)
    for run in runs:
        await _check_history(gate, run.workflow_id)
    assert sorted(gate.notebook.texts()) == texts


async def test_the_task_after_a_repeated_task_is_not_taken_for_a_query_with_news(idle_gate: Gate) -> None:
    """The server reports the same size of the history with both, as it stored nothing between them."""
    workflow_id = await idle_gate.submit("one")
    meeting = Meeting("after the query", failing=1)
    assert await _overlap(idle_gate, workflow_id, meeting, _approve_by_signal) == "executed"
    history = await idle_gate.handle(workflow_id).fetch_history()
    sizes = [
        event.workflow_task_started_event_attributes.history_size_bytes
        for event in history.events
        if event.HasField("workflow_task_started_event_attributes")
    ]
    assert len(set(sizes)) < len(sizes)
    await _check_history(idle_gate, workflow_id, failed=1)
