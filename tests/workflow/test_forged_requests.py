"""A request that the client would refuse is never recorded and blocks nothing, however it is sent."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowFailureError

from plangate.domain.errors import RequestInvalid
from plangate.domain.runs.audit import Closed, Drafted, Outcome, RunRef, StepFailed
from plangate.domain.runs.fold import apply
from plangate.domain.runs.request import MAX_REQUEST, PlanRequest, check_opening
from plangate.domain.runs.run import RunState
from plangate.domain.times.durations import LONGEST_TIMEOUT
from plangate.records.queries import runs_on_record
from tests.support.fakes import notes
from tests.support.gate import Gate
from tests.workflow.test_forged_state import found
from workflows.plan_approval import Carried

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BAD: dict[str, dict[str, Any]] = {
    "the year 1": {"requested_at": "0001-01-01T00:00:00+14:00"},
    "the year 9999": {"requested_at": "9999-12-31T23:59:59-14:00"},
    "no time to review": {"timeout_seconds": 0},
    "a negative time to review": {"timeout_seconds": -1},
    "95 years to review": {"timeout_seconds": 3_000_000_000},
    "10**30 seconds to review": {"timeout_seconds": 10**30},
    "an empty name": {"requester": ""},
    "blanks around a name": {"requester": " rita"},
    "a name with control characters": {"requester": "dana\nerik\x1b[2J"},
    "a name with NUL": {"requester": "a\0b"},
    "a huge name": {"requester": "r" * 1_000_000},
    "a huge request": {"request": "q" * 1_500_000},
    "a huge chain id": {"chain_id": "c" * 1_000_000},
    "a chain id with NUL": {"chain_id": "c\0"},
}


def ref(**more: Any) -> RunRef:
    said = {"request": "x", "requester": "rita", "timeout_seconds": 60, "requested_at": NOW, **more}
    return RunRef.model_validate(
        {"workflow_id": "w", "chain_id": more.get("chain_id", "c"), "requested": said}
    )


@workflow.defn(name="PlanApproval", sandboxed=False)
class Foreign:
    """Makes Plangate's worker draft for a forged request, or passes it a forged state."""

    @workflow.run
    async def run(self, queue: str, forged: dict[str, Any], state: dict[str, Any] | None = None) -> None:
        info = workflow.info()
        asked = PlanRequest(requester="rita")
        honest = asked.requested(workflow.now()).model_dump(mode="json")
        chain = forged.get("chain_id", info.first_execution_run_id)
        run = {"workflow_id": info.workflow_id, "chain_id": chain, "requested": {**honest, **forged}}
        drafted: Drafted = await workflow.execute_activity(
            "draft_plan",
            {"run": run, "revision": 1, "supplied": notes("one")},
            task_queue=queue,
            start_to_close_timeout=timedelta(seconds=20),
            result_type=Drafted,
        )
        if state is not None:
            forged_state = RunState(workflow_id=info.workflow_id)
            forged_state = apply(apply(forged_state, asked.requested(workflow.now())), drafted)
            carried = Carried(carried=forged_state, request=asked).model_dump(mode="json")
            carried["carried"] |= state.pop("carried", {})
            if "requested" in state:
                carried["carried"]["requested"] |= state.pop("requested")
            workflow.continue_as_new(args=[{**carried, **state}], task_queue=queue)


@pytest.mark.parametrize("forged", BAD.values(), ids=BAD)
def test_a_trail_starts_with_a_valid_request(forged: dict[str, Any]) -> None:
    check_opening(ref(), NOW)
    check_opening(ref(request="x" * MAX_REQUEST, timeout_seconds=int(LONGEST_TIMEOUT.total_seconds())), NOW)
    with pytest.raises(RequestInvalid) as caught:
        check_opening(ref(**forged), NOW)
    assert len(str(caught.value)) < 300


async def test_no_draft_records_an_invalid_request(idle_gate: Gate) -> None:
    gate = idle_gate

    async def refused(number: int, queue: str, forged: dict[str, Any]) -> str:
        with pytest.raises(WorkflowFailureError) as caught:
            await gate.client.execute_workflow(
                "PlanApproval", args=[gate.settings.task_queue, forged], id=f"bad-{number}", task_queue=queue
            )
        return str(caught.value.cause.__cause__)

    async with gate.worker(), gate.foreign_worker(Foreign) as queue:
        said = await asyncio.gather(
            *(refused(number, queue, forged) for number, forged in enumerate(BAD.values()))
        )
        await gate.client.execute_workflow(
            "PlanApproval", args=[gate.settings.task_queue, {}], id="good", task_queue=queue
        )
    assert [one for one in said if not one.startswith("RequestInvalid: The request cannot be used")] == []
    assert [run.workflow_id for run in runs_on_record(gate.database)] == ["good"]


FAILED = {"kind": "closed", "outcome": "failed", "reason": "account frozen by order of dana"}
UNREADABLE = "a state that this release cannot read"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"carried": {"phase": "closed", "closed": {**FAILED, "reason": "x" * 900_000}}}, UNREADABLE),
        ({"carried": {"phase": "closed", "closed": FAILED}, "stopped_at": 99}, UNREADABLE),
        ({"carried": {"phase": "closed", "closed": FAILED}, "stopped_at": 0}, UNREADABLE),
        ({"carried": {"requested": None}}, UNREADABLE),
        ({"carried": {"phase": "executing", "steps": [{"state": "done"}]}}, "not every step is done"),
        ({"carried": {"phase": "executing", "drafted": None, "steps": []}}, UNREADABLE),
        ({"carried": {"steps": []}}, UNREADABLE),
        ({"carried": {"phase": "closed"}}, UNREADABLE),
        ({"carried": {"closed": FAILED}}, UNREADABLE),
        ({"requested": BAD["the year 9999"]}, "requested_at"),
        ({"requested": BAD["a name with control characters"]}, "requester"),
        ({"requested": BAD["95 years to review"]}, "timeout_seconds"),
    ],
    ids=[
        *("long reason", "step 99", "step 0", "no request", "all done", "no plan", "no steps", "no end"),
        *("an end in review", "late", "name", "timeout"),
    ],
)
async def test_a_state_that_no_real_run_has_is_refused_and_its_run_ends(
    idle_gate: Gate, state: dict[str, Any], said: str
) -> None:
    gate = idle_gate
    async with gate.worker(), gate.foreign_worker(Foreign) as queue:
        await gate.client.start_workflow(
            "PlanApproval", args=[gate.settings.task_queue, {}, state], id="forged", task_queue=queue
        )
        ended = await gate.result("forged")
    assert (ended.outcome, said in ended.reason) == ("failed", True)
    assert [entry.event.kind for entry in gate.api.trail("forged")] == [
        "requested",
        "drafted",
        "closed",
    ]
    assert found(gate) == []


async def test_a_runs_report_about_an_unclaimed_step_is_not_attributed_to_a_worker(
    idle_gate: Gate,
) -> None:
    gate, state = idle_gate, {"carried": {"phase": "closed", "closed": FAILED}, "stopped_at": 1}
    async with gate.worker(), gate.foreign_worker(Foreign) as queue:
        await gate.client.start_workflow(
            "PlanApproval", args=[gate.settings.task_queue, {}, state], id="forged", task_queue=queue
        )
        await gate.result("forged")
    *_, step, closed = (entry.event for entry in gate.api.trail("forged"))
    assert step == StepFailed(step=1, reason="it was not begun; the outcome of the run says why")
    assert closed == Closed(outcome=Outcome.FAILED, reason=FAILED["reason"])
    assert found(gate) == []


async def test_an_invalid_request_is_closed_in_the_records(gate: Gate) -> None:
    handle = await gate.client.start_workflow(
        "PlanApproval", args=[{"nothing": 1}], id="no-request", task_queue=gate.settings.task_queue
    )
    assert (await gate.result(handle.id)).outcome == "failed"
    assert [entry.event.kind for entry in gate.api.trail(handle.id)] == ["requested", "closed"]
    assert found(gate) == []
