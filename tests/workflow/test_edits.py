"""A person edits the plan: the new revision has an author and no approvals, and is fully checked (P1, P2)."""

import asyncio

import pytest

from plangate.domain.errors import ToolRefused
from plangate.domain.runs.status import Status
from plangate.policy.policy_file import policy_in
from plangate.presentation.run_page import run_page
from tests.support.account_tool import Account, bookings
from tests.support.gate import Gate
from tests.support.holds import booking_gate, found, in_review, signed
from tests.support.policies import wants
from tests.support.sealed_records import ByFirstWord, FixedPeople
from tests.unit.test_run_page import printed


@pytest.fixture
def gate(idle_gate: Gate, account: Account) -> Gate:
    """A test instance whose tool is the account."""
    del account
    return idle_gate


async def second(gate: Gate, status: Status) -> Status:
    return await gate.until("in_review", status.workflow_id, lambda now: now.revision == 2)


async def test_an_edited_plan_needs_new_approvals_by_other_people(
    idle_gate: Gate,
) -> None:
    gate, account = idle_gate, booking_gate(idle_gate)
    gate.policy = wants(("anyone", 2))
    async with gate.worker():
        first = await in_review(gate, "1", "2")
        assert (await gate.decide(first, by="gina")).accepted
        answer = await gate.decide(first, "edit", by="erik", new_plan=bookings("1", "other"))
        assert (answer.accepted, answer.reason) == (True, "a new revision is being drafted")
        edited = await second(gate, first)
        assert (edited.author, edited.approved_by) == ("erik", ())
        stale = await gate.decide(first, by="dana")
        assert "was replaced by revision 2" in stale.reason
        for by in ("erik", "rita"):
            refused = await gate.decide(edited, by=by)
            assert not refused.accepted
            assert refused.reason.endswith("another person must approve")
        for by in ("dana", "gina"):
            assert (await gate.decide(edited, by=by)).accepted
        assert (await gate.result(first.workflow_id)).outcome == "executed"
        assert account.texts() == ["booked 1", "booked other"]
        assert found(gate, first.workflow_id) == []


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"summary": "s", "steps": []}, "steps"),
        ({"summary": "s", "steps": [{"tool": "rob", "arguments": {}}]}, "rob"),
        ({"summary": "s", "steps": [{"tool": "book", "arguments": {"text": 7}}]}, "text"),
        ({**bookings("1"), "preview": "harmless"}, "preview"),
        (bookings("1"), "is the same as the plan in review"),
        (7, "must be"),
    ],
)
async def test_an_invalid_edit_is_refused_with_the_reason(gate: Gate, plan: object, reason: str) -> None:
    status = await in_review(gate, "1")
    answer = await gate.decide(status, "edit", by="erik", new_plan=plan)
    assert not answer.accepted
    assert reason in answer.reason
    assert (await gate.api.status(status.workflow_id)).revision == 1
    assert found(gate, status.workflow_id) == []


async def test_an_edit_that_cannot_be_drafted_leaves_the_old_plan_in_review(
    gate: Gate, account: Account
) -> None:
    account.balance = 1
    first = await in_review(gate, "1")
    account.observe_failures = [ToolRefused("There is no such account.")]
    answer = await gate.decide(first, "edit", by="erik", new_plan=bookings("2"))
    assert answer.accepted
    kept = await gate.until("in_review", first.workflow_id, lambda now: bool(now.edit_failed))
    assert (kept.fingerprint, kept.revision, kept.author, kept.authors) == (first.fingerprint, 1, "", ())
    assert kept.edit_failed == (
        "the edit by erik could not be drafted: The plan cannot be used (1 error): "
        "step 1: There is no such account."
    )
    assert "because the edit by erik could not be drafted" in " ".join(
        printed(run_page(kept, kept.decisions[0].at), terminal=False).split()
    )
    assert (await gate.decide(first, "edit", by="erik", new_plan=bookings("2"))).accepted
    edited = await second(gate, first)
    assert (edited.edit_failed, edited.author) == ("", "erik")
    assert (await gate.decide(edited)).accepted
    assert (await gate.result(first.workflow_id)).outcome == "executed"
    assert account.texts() == ["booked 2"]
    assert found(gate, first.workflow_id) == []


async def test_an_approval_from_before_a_failed_edit_must_be_given_again(idle_gate: Gate) -> None:
    gate, account = idle_gate, booking_gate(idle_gate)
    gate.policy = wants(("anyone", 2))
    async with gate.worker():
        first = await in_review(gate, "1")
        assert (await gate.decide(first, by="gina")).accepted
        account.observe_failures = [ToolRefused("There is no such account.")]
        await gate.decide(first, "edit", by="erik", new_plan=bookings("2"))
        kept = await gate.until("in_review", first.workflow_id, lambda now: bool(now.edit_failed))
        assert kept.approved_by == ()
        assert kept.decisions[0].void == "its plan was edited, though the edit could not be drafted"
        for by in ("gina", "erik"):  # erik's edit is not part of the plan
            assert (await gate.decide(kept, by=by)).accepted
        assert (await gate.result(first.workflow_id)).outcome == "executed"
        assert found(gate, first.workflow_id) == []


async def test_the_second_of_two_concurrent_edits_is_refused_with_the_new_plan(gate: Gate) -> None:
    status = await in_review(gate, "1")
    answers = await asyncio.gather(
        gate.decide(status, "edit", by="erik", new_plan=bookings("a")),
        gate.decide(status, "edit", by="dana", new_plan=bookings("b")),
    )
    assert sorted(answer.accepted or False for answer in answers) == [False, True]
    (refused,) = [answer.reason for answer in answers if not answer.accepted]
    assert "has just edited plan" in refused or "was replaced by revision 2" in refused
    edited = await second(gate, status)
    late = await gate.decide(status, "edit", by="gina", new_plan=bookings("c"))
    assert not late.accepted
    assert f"was replaced by revision 2, {edited.short_fingerprint}" in late.reason
    assert found(gate, status.workflow_id) == []


async def test_an_executed_held_or_partly_done_plan_cannot_be_edited(gate: Gate, account: Account) -> None:
    account.gate.clear()
    status = await in_review(gate, "1")
    await gate.decide(status)
    await account.entered.wait()
    answer = await gate.decide(status, "edit", by="erik", new_plan=bookings("a"))
    assert not answer.accepted
    account.gate.set()
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert account.texts() == ["booked 1"]


@pytest.mark.parametrize("keeps", [False, True])
async def test_a_person_who_only_removes_steps_may_approve_if_the_policy_allows_it(
    idle_gate: Gate, keeps: bool
) -> None:
    gate, account = idle_gate, booking_gate(idle_gate)
    gate.policy = policy_in(f"strike_keeps_approver = {str(keeps).lower()}\n")
    async with gate.worker():
        status = await in_review(gate, "1", "2", "3")
        removed = {**bookings("1", "3"), "summary": "Book 3 lines"}
        assert (await gate.decide(status, "edit", new_plan=removed)).accepted
        edited = await second(gate, status)
        answer = await gate.decide(edited)
        assert answer.accepted is keeps
        if not keeps:
            assert (await gate.decide(edited, by="erik")).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        assert account.texts() == ["booked 1", "booked 3"]
        assert found(gate, status.workflow_id) == []


async def test_a_removal_that_redirects_a_reference_is_an_edit(idle_gate: Gate) -> None:
    gate = idle_gate
    booking_gate(gate)
    gate.policy = policy_in("strike_keeps_approver = true\n")
    async with gate.worker():
        status = await in_review(gate, "1", "2", "3", "4", follows={"from_step": 2, "field": "number"})
        kept = bookings("2", "3", "4", follows={"from_step": 2, "field": "number"})
        assert (await gate.decide(status, "edit", new_plan={**kept, "summary": "Book 4 lines"})).accepted
        answer = await gate.decide(await second(gate, status))
        assert not answer.accepted
        assert answer.reason == "dana edited this plan; another person must approve"
        assert found(gate, status.workflow_id) == []


async def test_a_signed_edit_is_valid_only_for_the_signed_plan(idle_gate: Gate) -> None:
    gate = idle_gate
    booking_gate(gate)
    gate.policy, gate.directory = ByFirstWord(), FixedPeople()
    async with gate.worker():
        status = await in_review(gate, "signed 1")
        mine, other = bookings("signed mine"), bookings("signed other")
        token = signed(status, "dana", "edit", new_plan=mine)
        answer = await gate.decide(status, "edit", new_plan=other, signature=token)
        assert not answer.accepted
        assert "signed for another new plan" in answer.reason
        assert not (await gate.decide(status, "edit", new_plan=mine)).accepted
        assert (await gate.decide(status, "edit", new_plan=mine, signature=token)).accepted
        edited = await second(gate, status)
        assert edited.author == "dana"
        assert found(gate, status.workflow_id) == []


FREE_FOR_RITA = """
[[rule]]
name = "rita may book small amounts"
when = "request.requester == 'rita' && step.tool == 'book' && step.arguments.text == 'small'"
needs = []
"""


@pytest.mark.parametrize(("editor", "runs_without_approval"), [("erik", False), ("rita", True)])
async def test_an_editor_cannot_create_a_plan_that_only_the_requester_may_run_alone(
    idle_gate: Gate, editor: str, runs_without_approval: bool
) -> None:
    gate, account = idle_gate, booking_gate(idle_gate)
    gate.policy = policy_in(FREE_FOR_RITA)
    async with gate.worker():
        status = await in_review(gate, "large")
        answer = await gate.decide(status, "edit", by=editor, new_plan=bookings("small"))
        assert answer.accepted, answer.reason
        if not runs_without_approval:
            edited = await second(gate, status)
            assert account.texts() == []
            assert (await gate.decide(edited)).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        assert account.texts() == ["booked small"]
        assert found(gate, status.workflow_id) == []
