"""P2: any revision has a new fingerprint, and decisions on the old one are void."""

from plangate.domain.decisions.decision import Choice, Decision, Verdict, Via, read_arrival
from plangate.domain.runs.audit import Decided, Requested, RunRef
from plangate.records.trail import Note, open_trail
from tests.support.gate import Gate


async def test_requested_changes_reach_the_planner_and_make_a_new_revision(gate: Gate) -> None:
    first = await gate.in_review(request="one")
    answer = await gate.decide(first, "request_changes", comment="two, please")
    assert answer.accepted
    second = await gate.until("in_review", first.workflow_id, lambda now: now.revision == 2)
    assert gate.planner.briefs[-1].feedback == "two, please"
    assert gate.planner.briefs[-1].previous == first.plan
    assert second.fingerprint != first.fingerprint
    await gate.decide(second)
    await gate.result(first.workflow_id)
    assert gate.notebook.texts() == ["one", "two, please"]


async def test_the_same_steps_have_a_different_fingerprint_in_another_revision(gate: Gate) -> None:
    first = await gate.in_review(request="one")
    assert first.plan is not None
    gate.planner.plans.append(first.plan)
    await gate.decide(first, "request_changes", comment="think again")
    second = await gate.until("in_review", first.workflow_id, lambda now: now.revision == 2)
    assert second.plan == first.plan
    assert second.fingerprint != first.fingerprint


async def test_an_approval_of_the_replaced_revision_is_refused_and_the_reason_contains_the_new_one(
    gate: Gate,
) -> None:
    first = await gate.in_review(request="one")
    await gate.decide(first, "request_changes", comment="two")
    second = await gate.until("in_review", first.workflow_id, lambda now: now.revision == 2)
    answer = await gate.decide(first)
    assert not answer.accepted
    assert second.short_fingerprint is not None
    assert second.short_fingerprint in answer.reason
    assert (await gate.api.status(first.workflow_id)).state == "in_review"


async def test_an_approval_that_arrives_while_the_new_revision_is_drafted_is_refused(gate: Gate) -> None:
    first = await gate.in_review(request="one")
    gate.planner.gate.clear()
    await gate.decide(first, "request_changes", comment="two")
    answer = await gate.decide(first)
    assert not answer.accepted
    assert "being drafted" in answer.reason
    gate.planner.gate.set()
    second = await gate.until("in_review", first.workflow_id, lambda now: now.revision == 2)
    assert second.approved_by == ()


async def test_each_revision_voids_the_previous_one(gate: Gate) -> None:
    seen = [await gate.in_review(request="one")]
    for number in range(2, 5):
        await gate.decide(seen[-1], "request_changes", comment=f"revision {number}")
        seen.append(
            await gate.until("in_review", seen[0].workflow_id, lambda now, n=number: now.revision == n)  # type: ignore[misc]
        )
    for old in seen[:-1]:
        assert "was replaced by" in (await gate.decide(old)).reason
    await gate.decide(seen[-1])
    result = await gate.result(seen[0].workflow_id)
    assert result.revision == 4
    assert gate.notebook.texts() == ["one", "revision 4"]


async def test_a_new_revision_has_the_full_time_for_its_review(gate: Gate) -> None:
    first = await gate.in_review(request="one")
    await gate.decide(first, "request_changes", comment="two")
    second = await gate.until("in_review", first.workflow_id, lambda now: now.revision == 2)
    assert first.deadline is not None
    assert second.deadline is not None
    assert second.deadline > first.deadline


async def test_a_result_recorded_late_does_not_approve_the_new_revision(
    gate: Gate,
) -> None:
    """Two workers may consider each other dead; an old result is then recorded after the new plan."""
    first = await gate.in_review(request="one")
    assert first.fingerprint is not None
    await gate.decide(first, "request_changes", comment="two")
    second = await gate.until("in_review", first.workflow_id, lambda now: now.revision == 2)
    description = await gate.handle(first.workflow_id).describe()
    opened = gate.api.trail(first.workflow_id)[0].event
    assert isinstance(opened, Requested)
    run = RunRef(workflow_id=first.workflow_id, chain_id=description.run_id, requested=opened)
    said = Decision(decision=Choice.APPROVE, by="dana", plan=first.fingerprint).model_dump(mode="json")
    at = opened.requested_at
    late = Decided(
        arrival=read_arrival(
            key="late", via=Via.UPDATE, name="decide", choice=None, inputs=[said], received_at=at
        ),
        verdict=Verdict(accepted=True, reason="approved; the plan can run now"),
    )
    with gate.database.write() as connection:
        open_trail(connection, run).append(Note(key="late", at=at, actor="dana", event=late))
    recorded = gate.recorded(first.workflow_id)
    assert recorded is not None
    assert (recorded.state, recorded.revision, recorded.approved_by) == ("in_review", 2, ())
    assert (await gate.decide(second)).accepted
    await gate.result(first.workflow_id)
    assert gate.notebook.texts() == ["one", "two"]
