"""If another run has the same step, done or not, the plan's page shows this, and rules can use it."""

from plangate.audit.inspection import inspect_all
from plangate.audit.trust_anchors import Trust
from plangate.domain.runs.status import Status
from plangate.policy.policy_file import checked_policy, policy_in
from plangate.presentation.clock import now
from plangate.presentation.run_page import run_page
from tests.support.gate import Gate
from tests.support.sealed_records import FixedPeople
from tests.unit.test_run_page import printed

POLICY = """
[[rule]]
name = "notes"
when = "true"
needs = [{ role = "anyone" }]

[[rule]]
name = "twice"
when = "duplicates.exists(one, one.step == step.number && one.done)"
needs = [{ role = "anyone", count = 2 }]
"""


def findings(gate: Gate) -> list[str]:
    with gate.database.read() as connection:
        return [str(one) for one in inspect_all(connection, Trust(), lambda *_: None).findings]


def same(status: Status) -> list[tuple[int, str, int, str, bool]]:
    return [(one.step, one.workflow_id, one.its_step, one.state, one.done) for one in status.duplicates]


async def test_a_duplicate_of_an_executed_run_is_marked_and_needs_more_approvals(idle_gate: Gate) -> None:
    gate = idle_gate
    gate.policy = checked_policy(POLICY, {"note": gate.notebook.declaration}, None)
    async with gate.worker():
        first = await gate.in_review("pay kim", "tell kim")
        assert first.duplicates == ()
        open_one = await gate.in_review("tell kim")
        assert same(open_one) == [(1, first.workflow_id, 2, "in_review", False)]
        assert [need.count for need in open_one.requirement.needs] == [1]  # type: ignore[union-attr]
        await gate.decide(first)
        await gate.result(first.workflow_id)
        again = await gate.in_review("something else", "pay kim")
        assert same(again) == [(2, first.workflow_id, 1, "executed", True)]
        assert [need.count for need in again.requirement.needs] == [2]  # type: ignore[union-attr]
        said = " ".join(printed(run_page(again, now())).split())
        assert f"Step 2 is the same as step 1 of {first.workflow_id}, which was executed" in said
        for by in ("dana", "erik"):
            assert (await gate.decide(again, by=by)).accepted
        assert (await gate.result(again.workflow_id)).outcome == "executed"
    assert findings(gate) == []


async def test_an_edit_is_looked_up_again_and_no_longer_found_by_its_old_steps(gate: Gate) -> None:
    first = await gate.in_review("one")
    new_plan = {"summary": "s", "steps": [{"tool": "note", "arguments": {"text": "two"}, "reason": "r"}]}
    assert (await gate.decide(first, "edit", by="erik", new_plan=new_plan)).accepted
    await gate.until("in_review", first.workflow_id, lambda now: now.revision == 2)
    assert (await gate.in_review("one")).duplicates == ()
    assert same(await gate.in_review("two")) == [(1, first.workflow_id, 1, "in_review", False)]
    assert findings(gate) == []


async def test_a_plan_in_review_shows_duplicates_drafted_or_executed_since(gate: Gate) -> None:
    first = await gate.in_review("pay kim")
    assert printed(run_page(first, now())).count("DUPLICATE") == 0
    second = await gate.in_review("pay kim")
    shown = " ".join(printed(run_page(await gate.api.status(first.workflow_id), now())).split())
    assert f"Step 1 is the same as step 1 of {second.workflow_id}, which is in review now" in shown
    assert (await gate.decide(second)).accepted
    await gate.result(second.workflow_id)
    shown = " ".join(printed(run_page(await gate.api.status(first.workflow_id), now())).split())
    assert f"Step 1 is the same as step 1 of {second.workflow_id}, which was executed" in shown
    assert (await gate.api.status(first.workflow_id)).duplicates == ()  # rules get those found while drafting
    assert findings(gate) == []


async def test_a_run_that_not_everyone_may_see_is_not_shown_as_a_duplicate(idle_gate: Gate) -> None:
    gate = idle_gate
    seen = '[[see]]\nname = "salaries"\nwhen = "true"\nwho = ["requester"]\n'
    gate.policy, gate.directory = policy_in(POLICY + seen), FixedPeople()
    async with gate.worker():
        secret = await gate.in_review("pay kim")
        again = await gate.in_review("pay kim")
        assert same(again) == [(1, "", 1, "in_review", False)]
        assert secret.workflow_id not in again.model_dump_json()
        shown = await gate.api.status(again.workflow_id)
        assert [one.workflow_id for one in shown.duplicates_now or ()] == [""]


async def test_duplicates_are_looked_up_again_only_while_a_plan_is_in_review(gate: Gate) -> None:
    first = await gate.in_review("pay kim")
    second = await gate.in_review("pay kim")
    assert gate.recorded(first.workflow_id).duplicates_now != ()  # type: ignore[union-attr]
    assert (await gate.decide(first)).accepted
    await gate.result(first.workflow_id)
    for status in (gate.recorded(first.workflow_id), await gate.api.status(first.workflow_id)):
        assert status is not None
        assert status.duplicates_now is None
    assert (await gate.api.status(second.workflow_id)).duplicates_now
