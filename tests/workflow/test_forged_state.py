"""P1 against anyone with write access to the namespace: Plangate does not trust a state from a workflow.

The foreign workflows have the same name as Plangate's, but their own task queue, so they run other code. They
schedule Plangate's activities, or pass a forged state to its workers through continue-as-new.
"""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import WorkflowFailureError

from activities.tasks import AdmitTask, CloseTask, DraftTask, StepTask
from plangate.audit.inspection import inspect_all
from plangate.domain.decisions.decision import Arrival, Choice, Decision, Via
from plangate.domain.policies.requirement import Requirement
from plangate.domain.runs.audit import Closed, Drafted, Outcome, Requested, RunRef
from plangate.domain.runs.fold import apply
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.run import RunState
from tests.support.fakes import notes
from tests.support.gate import Gate
from tests.support.sealed_records import ByFirstWord, FixedPeople, trust
from workflows.plan_approval import Carried


def _ref(chain_id: str, seconds: int = 3600) -> RunRef:
    requested = Requested(
        request="", requester="rita", timeout_seconds=seconds, requested_at=workflow.now(), chain_id=chain_id
    )
    return RunRef(workflow_id=workflow.info().workflow_id, chain_id=chain_id, requested=requested)


def _begun(ref: RunRef) -> RunState:
    assert ref.requested is not None
    return apply(RunState(workflow_id=ref.workflow_id), ref.requested)


async def _act(name: str, task: Any, queue: str, result: type | None = None) -> Any:
    return await workflow.execute_activity(
        name, task, task_queue=queue, start_to_close_timeout=timedelta(seconds=20), result_type=result
    )


def _without_signatures(drafted: Drafted, ref: RunRef) -> RunState:
    """Return the state of the run, but without required signatures."""
    needs = drafted.requirement.needs
    unsigned = drafted.model_copy(update={"requirement": Requirement(needs=needs)})
    return apply(_begun(ref), unsigned)


def _with_an_approval(drafted: Drafted, ref: RunRef) -> Carried:
    """Return the state of the run, with an approval that supposedly arrived right after the draft."""
    approval = Arrival(
        key="run:signal:1",
        via=Via.SIGNAL,
        name="approve",
        received_at=drafted.drafted_at,
        decision=Decision(decision=Choice.APPROVE, by="dana", plan=drafted.fingerprint),
    )
    state = apply(_begun(ref), drafted)
    return Carried(carried=state, request=PlanRequest(requester="rita"), arrivals=(approval,))


@workflow.defn(name="PlanApproval", sandboxed=False)
class Foreign:
    """Attacks a plan that must be signed; its argument selects the attack."""

    @workflow.run
    async def run(self, queue: str, what: str) -> str:
        ref = _ref(workflow.info().first_execution_run_id, 1 if what == "backdate" else 3600)
        text = "one" if what in ("late", "backdate", "key", "unreadable") else "signed one"
        task = DraftTask(run=ref, revision=1, supplied=notes(text))
        drafted: Drafted = await _act("draft_plan", task, queue, Drafted)
        if what in ("carry", "late", "false outcome"):
            state = _without_signatures(drafted, ref)
            if what == "late":
                assert state.drafted is not None
                later = state.drafted.model_copy(update={"deadline": workflow.now() + timedelta(days=900)})
                state = state.model_copy(update={"drafted": later})
            if what == "false outcome":
                state = apply(state, Closed(outcome=Outcome.EXECUTED))
            carried = Carried(carried=state, request=PlanRequest(requester="rita"))
            workflow.continue_as_new(args=[carried.model_dump(mode="json")], task_queue=queue)
        if what.startswith("end "):
            _, outcome, days = what.split()
            state = apply(
                _without_signatures(drafted, ref), Closed(outcome=Outcome(outcome), reason="forged")
            )
            ended_at = workflow.now() + timedelta(days=int(days))
            carried = Carried(carried=state, request=PlanRequest(requester="rita"), ended_at=ended_at)
            workflow.continue_as_new(args=[carried.model_dump(mode="json")], task_queue=queue)
        if what == "backdate":
            await workflow.sleep(1.1)
        if what in ("backdate", "key", "unreadable"):
            forged: dict[str, Any] = _with_an_approval(drafted, ref).model_dump(mode="json")
            if what == "key":
                forged["arrivals"][0]["key"] = "closed"
            if what == "unreadable":
                forged = {"carried": 1, "request": 2}
            workflow.continue_as_new(args=[forged], task_queue=queue)
        if what == "admit":
            arrivals = tuple(
                Arrival(
                    key=f"{workflow.info().run_id}:signal:{number}",
                    via=Via.SIGNAL,
                    name="approve",
                    received_at=workflow.now(),
                    decision=Decision(decision=Choice.APPROVE, by=by, plan=drafted.fingerprint),
                )
                for number, by in enumerate(("dana", "erik"), start=1)
            )
            await _act(
                "admit_decisions",
                AdmitTask(run=ref, state=_without_signatures(drafted, ref), arrivals=arrivals),
                queue,
            )
        if what == "close":
            close = CloseTask(run=ref, outcome=Outcome.EXECUTED, reason="", at=workflow.now())
            await _act("close_run", close, queue)
        if what == "draft":
            again = DraftTask(run=ref, revision=2, supplied=notes("free one"))
            await _act("draft_plan", again, queue, Drafted)
        step = StepTask(
            run=ref,
            plan=drafted.plan,
            revision=1,
            fingerprint=drafted.fingerprint,
            step=1,
            requested_at=workflow.now(),
        )
        await _act("execute_step", step, queue)
        return "done"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("execute", "is not approved according to the records"),
        ("admit", "Only the run"),
        ("close", "Only the run"),
        ("draft", "is recorded as in_review"),
    ],
)
async def test_a_foreign_workflow_of_the_same_name_executes_nothing(
    idle_gate: Gate, what: str, said: str
) -> None:
    gate = idle_gate
    gate.policy, gate.directory = ByFirstWord(), FixedPeople()
    workflow_id = f"foreign-{uuid4().hex[:8]}"
    async with gate.worker(), gate.foreign_worker(Foreign) as queue:
        with pytest.raises(WorkflowFailureError) as caught:
            await gate.client.execute_workflow(
                "PlanApproval", args=[gate.settings.task_queue, what], id=workflow_id, task_queue=queue
            )
    assert said in str(caught.value.cause.__cause__)
    assert gate.notebook.texts() == []
    assert [entry.event.kind for entry in gate.api.trail(workflow_id)] == ["requested", "drafted"]


async def test_an_unsigned_approval_in_a_supplied_state_executes_nothing(idle_gate: Gate) -> None:
    gate = idle_gate
    gate.policy, gate.directory = ByFirstWord(), FixedPeople()
    workflow_id = f"foreign-{uuid4().hex[:8]}"
    async with gate.worker(), gate.foreign_worker(Foreign) as queue:
        await gate.client.start_workflow(
            "PlanApproval", args=[gate.settings.task_queue, "carry"], id=workflow_id, task_queue=queue
        )
        while (await gate.handle(workflow_id).describe()).task_queue != gate.settings.task_queue:
            await asyncio.sleep(0.05)
        status = await gate.until("in_review", workflow_id)
        assert status.requirement is not None
        assert status.requirement.assurance == "typed"  # according to the supplied state
        for by in ("dana", "erik"):
            await gate.signal(status, by=by)
        judged = await gate.until("in_review", workflow_id, lambda now: len(now.decisions) == 2)
    assert all("takes signed decisions only" in one.reason for one in judged.decisions)
    assert gate.notebook.texts() == []
    assert found(gate) == []


def found(gate: Gate) -> list[str]:
    with gate.database.read() as connection:
        return [str(one) for one in inspect_all(connection, trust(), lambda *_: None).findings]


async def start_with_forged_state(gate: Gate, what: str, queue: str) -> str:
    workflow_id = f"foreign-{uuid4().hex[:8]}"
    await gate.client.start_workflow(
        "PlanApproval", args=[gate.settings.task_queue, what], id=workflow_id, task_queue=queue
    )
    while (await gate.handle(workflow_id).describe()).task_queue != gate.settings.task_queue:
        await asyncio.sleep(0.05)
    return workflow_id


async def test_a_later_deadline_in_a_supplied_state_does_not_admit_a_late_approval(idle_gate: Gate) -> None:
    gate = idle_gate
    gate.policy = ByFirstWord()
    async with gate.worker(), gate.foreign_worker(Foreign) as queue:
        workflow_id = await start_with_forged_state(gate, "late", queue)
        status = await gate.until("in_review", workflow_id)
        await gate.env.fast_forward(gate.handle(workflow_id), timedelta(hours=2))
        await gate.signal(status)
        judged = await gate.until("in_review", workflow_id, lambda now: bool(now.decisions))
    assert [one.accepted for one in judged.decisions] == [False]
    assert "has passed" in judged.decisions[0].reason
    assert gate.notebook.texts() == []


async def test_a_supplied_end_does_not_override_the_record(idle_gate: Gate) -> None:
    gate = idle_gate
    gate.policy, gate.directory = ByFirstWord(), FixedPeople()
    async with gate.worker(), gate.foreign_worker(Foreign) as queue:
        workflow_id = await start_with_forged_state(gate, "false outcome", queue)
        await gate.result(workflow_id)
    recorded = gate.recorded(workflow_id)
    assert recorded is not None
    assert (recorded.state, gate.notebook.texts()) == ("failed", [])
    assert "the run reported the outcome executed" in recorded.reason


@pytest.mark.parametrize(
    ("what", "outcome", "said"),
    [
        ("backdate", "expired", "passed without the required approvals"),
        ("key", "failed", "with a state that this release cannot read"),
        ("unreadable", "failed", "with a state that this release cannot read"),
    ],
)
async def test_a_received_decision_in_a_carried_state_is_treated_as_received_now(
    idle_gate: Gate, what: str, outcome: str, said: str
) -> None:
    gate = idle_gate
    gate.policy = ByFirstWord()
    async with gate.worker(), gate.foreign_worker(Foreign) as queue:
        result = await gate.result(await start_with_forged_state(gate, what, queue))
    assert (result.outcome, gate.notebook.texts()) == (outcome, [])
    assert said in result.reason
    assert await gate.blocked() == 0


@pytest.mark.parametrize(
    ("outcome", "days", "recorded_as"),
    [
        (Outcome.EXPIRED, 900, "failed"),
        (Outcome.EXPIRED, -900, "failed"),
        (Outcome.WITHDRAWN, -900, "withdrawn"),
    ],
)
async def test_a_supplied_end_cannot_have_an_arbitrary_date(
    idle_gate: Gate, outcome: Outcome, days: int, recorded_as: str
) -> None:
    gate = idle_gate
    async with gate.worker(), gate.foreign_worker(Foreign) as queue:
        workflow_id = await start_with_forged_state(gate, f"end {outcome} {days}", queue)
        await gate.result(workflow_id)
    *_, before, closed = gate.api.trail(workflow_id)
    assert isinstance(closed.event, Closed)
    assert closed.event.outcome == recorded_as
    assert before.at <= closed.at < before.at + timedelta(minutes=1)
    assert found(gate) == []
