"""Accesses and copies by auditors are on a separate trail, sealed and verified like the others."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import WorkflowFailureError

from plangate.audit.inspection import inspect_all
from plangate.audit.trust_anchors import Trust
from plangate.domain.decisions.accesses import Access, AccessAnswer, AccessKind
from plangate.domain.runs.audit import ACCESS_TRAIL, AuditEntry
from plangate.records.trail import read_trail
from tests.support.audit_edits import disable_guards
from tests.support.gate import Gate
from tests.workflow.test_audit_of_stops import edited


def look(**more: str) -> Access:
    return Access.model_validate({"what": AccessKind.VIEWED, "by": "ada", "subject": "refund-4711", **more})


def looks(gate: Gate) -> list[AuditEntry]:
    with gate.database.read() as connection:
        return list(read_trail(connection, ACCESS_TRAIL))


def findings(gate: Gate) -> list[str]:
    with gate.database.read() as connection:
        return [str(one) for one in inspect_all(connection, Trust(), lambda *_: None).findings]


async def test_an_access_is_recorded_with_its_actor_object_time_and_reason(gate: Gate) -> None:
    assert (await gate.api.record_access(look(why="a complaint"))).recorded
    assert (await gate.api.record_access(look(what="exported"))).recorded
    first, second = looks(gate)
    assert (first.actor, first.event.kind, first.event.look) == ("ada", "looked", look(why="a complaint"))  # type: ignore[union-attr]
    assert second.event.look == look(what="exported")  # type: ignore[union-attr]
    assert findings(gate) == []


async def test_an_access_without_a_worker_is_recorded_later(idle_gate: Gate) -> None:
    gate = idle_gate
    recording = asyncio.create_task(gate.api.record_access(look()))
    await asyncio.sleep(0.3)
    async with gate.worker():
        assert (await recording).recorded
    assert len(looks(gate)) == 1


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([], "expected one JSON object, not 0"),
        ([1], "must be an object"),
        ([{"what": "viewed", "by": "ada"}], "subject: is missing"),
        ([{"what": "read", "by": "ada", "subject": "x"}], "what:"),
        ([{"what": "viewed", "by": "a\u202eda", "subject": "x"}], "invisible characters"),
    ],
)
async def test_an_invalid_access_is_refused_with_the_reason_and_not_recorded(
    gate: Gate, inputs: list[object], said: str
) -> None:
    answer = await gate.client.execute_workflow(
        "PlangateLook", args=inputs, id=f"look-{uuid4().hex}", task_queue=gate.settings.task_queue,
        result_type=AccessAnswer,
    )  # fmt: skip
    assert answer.recorded is False
    assert said in answer.reason
    assert looks(gate) == []


async def test_an_entry_under_another_name_is_detected(gate: Gate) -> None:
    await gate.api.record_access(look())
    with gate.database.write() as connection:
        disable_guards(connection)
        edited(connection, ACCESS_TRAIL, "looked", lambda event: event["look"].update(by="zoe"))
    assert any("has the actor ada, but the access is by zoe" in one for one in findings(gate))


@workflow.defn(name="PlangateLook", sandboxed=False)
class Foreign:
    """A foreign workflow with the same name as Plangate's."""

    @workflow.run
    async def run(self, queue: str) -> None:
        """Schedule Plangate's activity on its task queue."""
        now = "2026-05-03T00:00:00Z"
        task = {"key": "k", "inputs": [], "received_at": now, "at": now}
        await workflow.execute_activity(
            "record_look", task, task_queue=queue, start_to_close_timeout=timedelta(seconds=10)
        )


async def test_another_workflow_cannot_record_an_access(gate: Gate) -> None:
    async with gate.foreign_worker(Foreign) as queue:
        with pytest.raises(WorkflowFailureError) as caught:
            await gate.client.execute_workflow(
                Foreign.run, gate.settings.task_queue, id=f"foreign-{uuid4().hex}", task_queue=queue
            )
    assert "Only the workflow PlangateLook may schedule this activity" in str(caught.value.cause.__cause__)
    assert looks(gate) == []
