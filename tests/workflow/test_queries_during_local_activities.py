"""A run can be replayed even if a query was answered while one of its local activities was running.

The SDK then completes the workflow task early. The result of an activity that ended during the query is in
the history of that task, but the workflow gets it with the messages of the next one.
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


async def _approve_by_update(gate: Gate, workflow_id: str) -> "asyncio.Task[Any]":
    status = gate.recorded(workflow_id)
    assert status is not None
    message = {"decision": "approve", "by": "dana", "plan": status.fingerprint}
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
        await asyncio.to_thread(meeting.asked.wait, 10)
        await asyncio.to_thread(meeting.recorded.wait, 10)
        answer = await send(gate, workflow_id)
        meeting.sent.set()
        await query
        if answer is not None:
            assert (await answer).accepted
        result = await gate.result(workflow_id)
    return result.outcome


async def _replays(gate: Gate, workflow_id: str) -> bool:
    """Replay the history of the run; return whether one of its workflow tasks was repeated."""
    history = await gate.handle(workflow_id).fetch_history()
    await Replayer(workflows=[PlanApproval], data_converter=DATA_CONVERTER).replay_workflow(history)
    return any(event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED for event in history.events)


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
    assert await _replays(idle_gate, workflow_id) == (ends == "during the query")
    assert idle_gate.notebook.texts() == (["one"] if outcome == "executed" else [])


@pytest.mark.parametrize("ends", ["during the query", "after the query"])
@pytest.mark.parametrize("send", [_approve_by_update, _approve_by_signal])
async def test_a_message_during_an_admission_is_processed_and_the_run_replays(
    idle_gate: Gate, send: Any, ends: Any
) -> None:
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
    await idle_gate.signal(status, plan="0" * 12)
    assert await _overlap(idle_gate, status.workflow_id, Meeting(ends), send) == "executed"
    assert await _replays(idle_gate, status.workflow_id) == (ends == "during the query")
    assert idle_gate.notebook.texts() == ["one"]
