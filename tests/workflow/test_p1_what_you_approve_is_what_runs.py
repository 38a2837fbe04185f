"""P1: a decision has the fingerprint that the approver saw; it is recomputed, and only that plan runs."""

from dataclasses import replace

import pytest
from pydantic import Field

from activities.tasks import AdmitTask, CloseTask, DraftTask, HoldTask, KeepTask
from plangate.domain.base import Frozen
from plangate.domain.decisions.decision import Choice, Via, read_arrival
from plangate.domain.plans.plan import Audience, Plan, fingerprint_of
from plangate.domain.runs.audit import Outcome, RunRef
from plangate.domain.runs.fold import fold
from plangate.domain.runs.status import Status
from tests.support.fakes import NoteArguments, notes
from tests.support.foreign_workflows import OtherName, SameName, refusal, step_task
from tests.support.gate import Gate


async def test_the_approved_plan_runs_step_by_step_and_its_receipts_are_returned(gate: Gate) -> None:
    status = await gate.in_review("one", "two")
    await gate.signal(status)
    result = await gate.result(status.workflow_id)
    assert result.outcome == "executed"
    assert gate.notebook.texts() == ["one", "two"]
    assert [receipt and receipt.summary for receipt in result.receipts] == ["noted 'one'", "noted 'two'"]
    assert result.approved_by == ("dana",)
    assert result.fingerprint == status.fingerprint


async def test_the_fingerprint_can_be_recomputed_from_the_status(gate: Gate) -> None:
    status = await gate.in_review("one")
    assert status.plan is not None
    audience = Audience(installation=gate.database.installation, namespace=gate.client.namespace)
    assert (status.installation, status.namespace) == (audience.installation, audience.namespace)
    assert status.fingerprint == fingerprint_of(status.plan, status.revision, status.workflow_id, audience)


async def test_an_approval_of_another_run_with_the_same_plan_is_not_valid_here(gate: Gate) -> None:
    here, there = await gate.in_review("same"), await gate.in_review("same")
    answer = await gate.decide(here, plan=there.fingerprint)
    assert not answer.accepted
    assert (await gate.api.status(here.workflow_id)).state == "in_review"
    assert gate.notebook.texts() == []


@pytest.mark.parametrize("length", [8, 12, 64])
async def test_any_prefix_of_at_least_eight_digits_identifies_the_plan(gate: Gate, length: int) -> None:
    status = await gate.in_review("one")
    assert status.fingerprint is not None
    answer = await gate.decide(status, plan=status.fingerprint[:length].upper())
    assert answer.accepted, answer.reason


async def test_a_prefix_of_seven_digits_is_refused_with_that_reason(gate: Gate) -> None:
    status = await gate.in_review("one")
    assert status.fingerprint is not None
    await gate.signal(status, plan=status.fingerprint[:7])
    after = await gate.until("in_review", status.workflow_id, lambda now: len(now.decisions) == 1)
    assert not after.decisions[0].accepted
    assert "at least 8" in after.decisions[0].reason


class TwoFieldNote(NoteArguments):
    """The note of a newer release, with an argument that no approver saw."""

    copies: int = 100


class LongNote(NoteArguments):
    """The note of a newer release, which does not accept the approved text."""

    text: str = Field(min_length=100)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (TwoFieldNote, "is not the one that the plan was made for"),
        (LongNote, "is not the one that the plan was made for"),
        (None, "has no tool"),
    ],
)
async def test_a_worker_that_cannot_run_a_step_exactly_leaves_it_to_another(
    gate: Gate, arguments: type[NoteArguments] | None, said: str
) -> None:
    """This happens during an update, when old and new workers take steps of each other's plans."""
    status = await gate.in_review("one")
    known = gate.notebook.declaration
    if arguments is None:
        del gate.tools["note"]
    else:
        gate.notebook.declaration = replace(known, arguments=arguments)
    await gate.decide(status)

    def has_error(now: Status) -> bool:
        return said in (now.steps[0].last_error or "")

    await gate.until("executing", status.workflow_id, has_error)
    assert gate.notebook.texts() == []
    gate.notebook.declaration = known
    gate.tools["note"] = gate.notebook
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one"]


async def test_a_step_requested_by_any_workflow_is_refused_without_a_recorded_approval(gate: Gate) -> None:
    plan = Plan.model_validate_json(
        '{"summary": "x", "steps": [{"tool": "note", "arguments": {"text": "evil"}}]}'
    )
    audience = Audience(installation=gate.database.installation, namespace=gate.client.namespace)
    task = step_task("intruder-1", plan, fingerprint_of(plan, 1, "intruder-1", audience))
    assert "none of its steps may run" in await refusal(gate, SameName, "execute_step", task, "intruder-1")
    assert gate.notebook.texts() == []


async def test_a_step_of_another_plan_under_the_approved_fingerprint_is_refused(gate: Gate) -> None:
    status = await gate.in_review("good")
    assert status.fingerprint is not None
    plan = Plan.model_validate({**notes("evil"), "steps": tuple(notes("evil")["steps"])})  # type: ignore[arg-type]
    intruder = f"{status.workflow_id}-intruder"
    task = step_task(intruder, plan, status.fingerprint)
    assert f"not {status.fingerprint[:12]}" in await refusal(gate, SameName, "execute_step", task, intruder)
    assert gate.notebook.texts() == []


async def test_a_workflow_that_claims_the_id_of_an_approved_run_still_executes_nothing(gate: Gate) -> None:
    status = await gate.in_review("good")
    await gate.decide(status)
    await gate.result(status.workflow_id)
    assert status.plan is not None
    assert status.fingerprint is not None
    task = step_task(status.workflow_id, status.plan, status.fingerprint)
    assert "none of its steps may run" in await refusal(gate, SameName, "execute_step", task, "intruder-2")
    assert gate.notebook.texts() == ["good"]


LOCAL = ("draft_at_once", "keep_plan", "admit_decisions", "hold_run", "close_run")


@pytest.mark.parametrize(
    ("kind", "id_of", "name"),
    [
        *(
            (OtherName, id_of, name)
            for id_of in ("its own", "the run's")
            for name in ("draft_plan", "execute_step", *LOCAL)
        ),
        *((SameName, "the run's", name) for name in LOCAL),
    ],
)
async def test_only_the_run_itself_may_write_to_its_record(
    gate: Gate, kind: type[OtherName | SameName], id_of: str, name: str
) -> None:
    status = await gate.in_review("good")
    assert status.fingerprint is not None
    state = fold(status.workflow_id, (entry.event for entry in gate.api.trail(status.workflow_id)))
    described = await gate.handle(status.workflow_id).describe()
    assert state.requested is not None
    at = state.requested.requested_at
    ref = RunRef(workflow_id=status.workflow_id, chain_id=described.run_id, requested=state.requested)
    approval = read_arrival(
        key="forged",
        via=Via.SIGNAL,
        name="approve",
        choice=Choice.APPROVE,
        inputs=[{"by": "dana", "plan": status.fingerprint}],
        received_at=at,
    )
    tasks: dict[str, Frozen] = {
        "draft_plan": DraftTask(run=ref, revision=2, supplied=notes("evil")),
        "draft_at_once": DraftTask(run=ref, revision=2, supplied=notes("evil"), at=at),
        "keep_plan": KeepTask(run=ref, revision=2, reason="", at=at),
        "hold_run": HoldTask(
            run=ref, fingerprint=status.fingerprint, step=1, reason="", at=at, resolutions=0
        ),
        "admit_decisions": AdmitTask(run=ref, state=state, arrivals=(approval,)),
        "execute_step": step_task(status.workflow_id, state.drafted.plan, status.fingerprint).model_copy(  # type: ignore[union-attr]
            update={"run": ref}
        ),
        "close_run": CloseTask(run=ref, outcome=Outcome.EXECUTED, reason="", at=at),
    }
    before = gate.api.trail(status.workflow_id)
    foreign_id = f"foreign-{name}-{status.workflow_id}"
    if id_of != "its own":
        await gate.handle(status.workflow_id).terminate()
        foreign_id = status.workflow_id
    reason = await refusal(gate, kind, name, tasks[name], foreign_id)
    assert ("may schedule this activity" in reason) is (name != "draft_at_once")  # it only drafts nothing
    assert gate.api.trail(status.workflow_id) == before
    assert gate.notebook.texts() == []
