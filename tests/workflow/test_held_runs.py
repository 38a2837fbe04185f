"""A step that cannot continue holds its run until a person resolves it (P3, P4, P5)."""

import asyncio
from datetime import timedelta

import pytest

from plangate.domain.errors import ToolUnavailable
from plangate.domain.runs.status import RunResult
from tests.support.account_tool import Account, bookings
from tests.support.gate import Gate
from tests.support.holds import (
    Failure,
    approved,
    booking_gate,
    found,
    in_review,
    keys,
    kinds,
    lost,
    refused,
    resolve,
    signed,
    verdicts,
)
from tests.support.policies import one_approval
from tests.support.sealed_records import ByFirstWord, FixedPeople


@pytest.fixture
def gate(idle_gate: Gate, account: Account) -> Gate:
    """A test instance whose tool is the account."""
    del account
    return idle_gate


async def ended(gate: Gate, workflow_id: str) -> RunResult:
    """Wait for the end, and check that the auditor finds nothing."""
    result = await gate.result(workflow_id)
    assert found(gate, workflow_id) == []
    return result


ENDS: dict[str, tuple[str, str, list[str], list[str]]] = {
    "retry": ("executed", "", ["done", "done", "done"], ["booked 1", "booked 2", "booked 3"]),
    "skip": (
        "executed",
        "step 2 was skipped by dana: skip it",
        ["done", "skipped", "done"],
        ["booked 1", "booked 3"],
    ),
    "mark_done": (
        "executed",
        "step 2 was marked as done by dana: mark_done it",
        ["done", "done", "done"],
        ["booked 1", "booked 3"],
    ),
    "undo": (
        "failed",
        "dana chose undo at step 2: undo it; step 1 was undone; step 2 is in doubt; ",
        ["undone", "in_doubt", "pending"],
        ["booked 1", "cancelled 1"],
    ),
    "abort": (
        "failed",
        "aborted at step 2 by dana: abort it. It was held because: ",
        ["done", "in_doubt", "pending"],
        ["booked 1"],
    ),
}
"""For each resolution of step 2, which is in doubt: outcome, reason, the steps' states, and the effects."""


# ---- the five resolutions ---------------------------------------------------------------------------


@pytest.mark.parametrize("via", ["signal", "update"])
@pytest.mark.parametrize("sign_it", [False, True], ids=["unsigned", "signed"])
async def test_each_resolution_has_its_effect(idle_gate: Gate, via: str, sign_it: bool) -> None:
    gate, account = idle_gate, booking_gate(idle_gate)
    gate.policy, gate.directory = ByFirstWord(), FixedPeople()
    async with gate.worker():
        for chosen, (outcome, reason, states, effects) in ENDS.items():
            before = len(account.lines())
            status = await in_review(gate, "signed 1" if sign_it else "1", "2", "3")
            account.fails_at["2"] = lost()
            for by in ("dana", "erik")[: 2 if sign_it else 1]:
                token = {"signature": signed(status, by, "approve")} if sign_it else {}
                assert (await gate.decide(status, by=by, **token)).accepted
            await resolve(gate, status.workflow_id, chosen, via=via, sign_it=sign_it)
            result = await ended(gate, status.workflow_id)
            after = await gate.api.status(status.workflow_id)
            assert result.outcome == outcome
            assert result.reason.startswith(reason)
            assert bool(result.reason) is bool(reason)
            assert [step.state for step in after.steps] == states
            made = [line.replace("signed ", "") for line in account.texts()[before:]]
            assert made == effects
            (decided,) = [one for one in after.decisions if one.decision == "resolve"]
            assert (decided.by, decided.accepted) == ("dana", True)
            assert decided.assurance == ("signed" if sign_it else "typed")
            on_record = gate.recorded(status.workflow_id)
            assert on_record is not None
            assert on_record.model_copy(update={"source": after.source}) == after


async def test_an_unsigned_resolution_of_a_signed_plan_is_refused(idle_gate: Gate) -> None:
    gate, account = idle_gate, booking_gate(idle_gate)
    gate.policy, gate.directory = ByFirstWord(), FixedPeople()
    async with gate.worker():
        status = await in_review(gate, "signed 1")
        account.failures = [refused()]
        for by in ("dana", "erik"):
            await gate.decide(status, by=by, signature=signed(status, by, "approve"))
        held = await gate.held(status.workflow_id)
        answer = await gate.resolve(status.workflow_id, "retry")
        assert not answer.accepted
        assert "signed resolutions only" in answer.reason
        other = {"step": 1, "comment": "skip it", "resolution": "skip"}
        token = signed(held, "dana", "resolve", **other)
        answer = await gate.resolve(status.workflow_id, "retry", comment="skip it", signature=token)
        assert not answer.accepted
        assert "signed for 'skip' of step 1" in answer.reason
        assert (await gate.api.status(status.workflow_id)).state == "held"
        assert account.texts() == []


# ---- keys -------------------------------------------------------------------------------------------


async def test_a_retry_has_a_new_key_after_a_failure_and_the_same_key_in_doubt(
    gate: Gate, account: Account
) -> None:
    account.failures = [refused(), lost(), lost(), refused()]
    status = await approved(gate, "1")
    for number in range(4):
        await resolve(gate, status.workflow_id, "retry", comment=f"look {number}")
    assert (await ended(gate, status.workflow_id)).outcome == "executed"
    assert keys(gate, status.workflow_id) == ["1", "1:r1", "1:r1", "1:r1", "1:r4"]
    assert [key.rpartition(":")[2] for key, _ in account.lines()] == ["r4"]


async def test_an_effect_in_doubt_is_looked_up_again_before_a_retry(idle_gate: Gate) -> None:
    account = booking_gate(idle_gate)
    async with idle_gate.worker():
        account.failures, account.acts_before_failing = [lost()], True
        status = await approved(idle_gate, "1")
        await idle_gate.held(status.workflow_id)
        account.remembers = True
        await resolve(idle_gate, status.workflow_id, "retry")
        assert (await ended(idle_gate, status.workflow_id)).outcome == "executed"
        assert account.texts() == ["booked 1"]


async def test_exhausted_retries_hold_the_run(
    gate: Gate, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.execution.STEP_TRIES", 1)
    account.failures = [ToolUnavailable("The bank is closed.")]
    status = await approved(gate, "1")
    held = (await gate.held(status.workflow_id)).held
    assert held is not None
    assert held.why == "The bank is closed. It was tried once."
    assert held.resolutions == ("retry", "skip", "abort")
    await resolve(gate, status.workflow_id, "retry")
    assert (await ended(gate, status.workflow_id)).outcome == "executed"
    assert keys(gate, status.workflow_id) == ["1", "1:r1"]


async def test_a_statement_about_one_step_in_doubt_does_not_apply_to_the_next(
    gate: Gate, account: Account
) -> None:
    account.failures = [lost(), lost()]
    status = await approved(gate, "1")
    await resolve(gate, status.workflow_id, "retry")
    await gate.until("held", status.workflow_id, lambda _: kinds(gate, status.workflow_id).count("held") == 2)
    late = await gate.resolve(status.workflow_id, "retry", hold=1)
    assert (late.accepted, late.reason) == (
        False, "it is for hold 1 of this run, and this is hold 2; review the run again"
    )  # fmt: skip
    unnamed = await gate.resolve(status.workflow_id, "retry", hold=None)
    assert (unnamed.accepted, unnamed.reason) == (
        False,
        'the run was held before, and this is hold 2; review it, and add "hold": 2 to the resolution',
    )
    await resolve(gate, status.workflow_id, "retry")
    assert (await ended(gate, status.workflow_id)).outcome == "executed"


# ---- undo -------------------------------------------------------------------------------------------


async def test_steps_are_undone_in_reverse_each_with_its_own_key_and_its_receipt(
    gate: Gate, account: Account
) -> None:
    account.fails_at["3"] = refused()
    status = await approved(gate, "1", "2", "3")
    await resolve(gate, status.workflow_id, "undo")
    result = await ended(gate, status.workflow_id)
    assert result.reason.endswith(
        f"step 1 was undone; step 2 was undone; step 3 failed ({str(refused()).rstrip('.')})"
    )
    assert account.texts() == ["booked 1", "booked 2", "cancelled 2", "cancelled 1"]
    assert keys(gate, status.workflow_id) == ["1", "2", "3", "2:undo", "1:undo"]
    undone = [entry.event for entry in gate.api.trail(status.workflow_id) if entry.event.kind == "undone"]
    assert [(one.step, one.receipt.summary) for one in undone] == [(2, "cancelled 2"), (1, "cancelled 1")]


UNDOS: dict[str, tuple[str, Failure, str, list[str], list[str]]] = {
    "failed, retried": (
        "retry", refused, "step 2 was undone", ["cancelled 2", "cancelled 1"],
        ["2:undo", "2:undo:r2", "1:undo"],
    ),
    "in doubt, retried": (
        "retry", lost, "step 2 was undone", ["cancelled 2", "cancelled 1"], ["2:undo", "2:undo", "1:undo"]
    ),
    "failed, skipped": (
        "skip", refused, "step 2 was not undone (skipped by dana: skip it)", ["cancelled 1"],
        ["2:undo", "1:undo"],
    ),
    "in doubt, marked": (
        "mark_done", lost, "step 2 was undone", ["cancelled 1"], ["2:undo", "1:undo"]
    ),
    "in doubt, aborted": ("abort", lost, "aborted at the undo of step 2 by dana: abort it", [], ["2:undo"]),
}  # fmt: skip


@pytest.mark.parametrize("case", UNDOS)
async def test_a_failed_undo_is_held_too(gate: Gate, account: Account, case: str) -> None:
    chosen, failure, reason, effects, used = UNDOS[case]
    account.fails_at["3"] = refused()
    account.undo_failures = [failure()]
    status = await approved(gate, "1", "2", "3")
    await resolve(gate, status.workflow_id, "undo")
    held = await gate.until("held", status.workflow_id, lambda now: bool(now.held and now.held.undo))
    assert held.held is not None
    assert held.held.step == 2
    assert held.held.why.startswith(str(failure()))
    assert "undo" not in held.held.resolutions
    assert ("mark_done" in held.held.resolutions) is (failure is lost)
    await resolve(gate, status.workflow_id, chosen)
    result = await ended(gate, status.workflow_id)
    assert result.outcome == "failed"
    assert reason in result.reason
    assert account.texts() == ["booked 1", "booked 2", *effects]
    assert keys(gate, status.workflow_id)[3:] == used


async def test_the_undo_of_a_step_with_a_reference_gets_the_value_that_was_used(
    gate: Gate, account: Account
) -> None:
    account.fails_at["3"] = refused()
    status = await in_review(gate, "1", "2", "3", at=1, follows={"from_step": 1, "field": "number"})
    await gate.decide(status)
    await resolve(gate, status.workflow_id, "undo")
    assert (await ended(gate, status.workflow_id)).outcome == "failed"
    assert account.texts()[-2:] == ["cancelled 2 after 101", "cancelled 1"]


# ---- how a hold ends --------------------------------------------------------------------------------


@pytest.mark.parametrize("undo", [False, True], ids=["a step", "an undo"])
async def test_a_timeout_aborts_a_held_run_and_never_skips(gate: Gate, account: Account, undo: bool) -> None:
    account.fails_at["2"] = refused()
    status = await approved(gate, "1", "2", "3")
    if undo:
        account.undo_failures = [refused()]
        await resolve(gate, status.workflow_id, "undo")
    held = await gate.until(
        "held", status.workflow_id, lambda now: now.held is not None and now.held.undo is undo
    )
    assert held.deadline is not None
    assert held.held is not None
    assert held.deadline - held.held.since == timedelta(hours=72)
    await gate.env.fast_forward(gate.handle(status.workflow_id), timedelta(hours=71))
    assert (await gate.api.status(status.workflow_id)).state == "held"
    await gate.env.fast_forward(gate.handle(status.workflow_id), timedelta(hours=2))
    result = await gate.result(status.workflow_id)
    assert result.outcome == "failed"
    assert "not resolved until" in result.reason
    assert account.texts() == ["booked 1"]
    answer = await gate.decide(held, "resolve", step=held.held.step, resolution="retry")
    assert not answer.accepted


async def test_a_run_can_be_withdrawn_while_it_is_held(gate: Gate, account: Account) -> None:
    account.fails_at["2"] = lost()
    status = await approved(gate, "1", "2")
    await gate.held(status.workflow_id)
    await gate.api.withdraw(status.workflow_id, "by rita")
    result = await ended(gate, status.workflow_id)
    assert (result.outcome, result.reason) == ("withdrawn", "by rita")
    assert [step.state for step in (await gate.api.status(status.workflow_id)).steps] == ["done", "in_doubt"]


# ---- refused resolutions ---------------------------------------------------------------------------


async def test_a_resolution_is_valid_only_for_this_plan_step_and_hold_and_from_another_person(
    gate: Gate, account: Account
) -> None:
    account.fails_at["2"] = refused()
    status = await approved(gate, "1", "2")
    held = await gate.held(status.workflow_id)
    refusals = [
        (await gate.decide(held, "resolve", by="rita", step=2, resolution="retry"), "is the requester"),
        (await gate.decide(held, "resolve", step=1, resolution="retry"), "held at step 2, not at step 1"),
        (
            await gate.decide(held, "resolve", step=2, resolution="retry", plan="0" * 12),
            "no plan of this run",
        ),
        (
            await gate.decide(held, "resolve", step=2, resolution="mark_done", comment="seen"),
            "not possible here",
        ),
        (await gate.decide(held, "approve", by="erik"), "held at step 2"),
        (await gate.decide(held, "withdraw_approval"), "the run is held at step 2"),
    ]
    for answer, reason in refusals:
        assert not answer.accepted
        assert reason in answer.reason
    await resolve(gate, status.workflow_id, "skip")
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    again = await gate.decide(held, "resolve", step=2, resolution="skip", comment="again")
    assert not again.accepted
    assert found(gate, status.workflow_id) == []
    assert account.texts() == ["booked 1"]


async def test_a_retry_after_its_approval_expired_reopens_the_review(idle_gate: Gate) -> None:
    gate, account = idle_gate, booking_gate(idle_gate)
    gate.policy = one_approval(valid_for=timedelta(seconds=1))
    account.failures = [refused()]
    async with gate.worker():
        status = await approved(gate, "1")
        await gate.held(status.workflow_id)
        await asyncio.sleep(1)
        await resolve(gate, status.workflow_id, "retry")
        again = await gate.until("in_review", status.workflow_id)
        assert [one.name for one in again.lost] == ["dana"]
        assert account.texts() == []
        assert (await gate.decide(again, by="erik")).accepted
        assert (await ended(gate, status.workflow_id)).outcome == "executed"
        assert keys(gate, status.workflow_id) == ["1", "1:r1"]


async def test_every_decision_on_a_held_run_is_on_its_trail(gate: Gate, account: Account) -> None:
    account.failures = [refused()]
    status = await approved(gate, "1")
    held = await gate.held(status.workflow_id)
    for message in ({"by": "dana"}, {"by": "dana", "plan": held.fingerprint, "resolution": "skip"}, 7):
        await gate.handle(status.workflow_id).signal("resolve", message)
    await resolve(gate, status.workflow_id, "abort", via="signal")
    assert (await ended(gate, status.workflow_id)).outcome == "failed"
    assert [accepted for accepted, _ in verdicts(gate, status.workflow_id)] == [
        True,
        False,
        False,
        False,
        True,
    ]


async def test_no_new_plan_reuses_the_key_of_a_step_in_doubt(idle_gate: Gate) -> None:
    """The review reopens before the retry, which would have found the effect of the first attempt."""
    gate, account = idle_gate, booking_gate(idle_gate)
    gate.policy = one_approval(valid_for=timedelta(seconds=2))
    account.failures, account.acts_before_failing = [lost()], True
    async with gate.worker():
        status = await approved(gate, "1")
        await gate.held(status.workflow_id)
        await asyncio.sleep(2)
        await resolve(gate, status.workflow_id, "retry")
        again = await gate.until("in_review", status.workflow_id)
        for choice, more in (("edit", {"new_plan": bookings("1", "2")}), ("request_changes", {})):
            answer = await gate.decide(again, choice, by="erik", comment="more", **more)
            assert not answer.accepted
            assert "step 1 of this plan was in doubt" in answer.reason
        account.remembers = True
        assert (await gate.decide(again, by="erik")).accepted
        assert (await ended(gate, status.workflow_id)).outcome == "executed"
        assert account.texts() == ["booked 1"]


async def test_a_step_that_certainly_failed_may_be_edited_in_the_reopened_review(idle_gate: Gate) -> None:
    gate, account = idle_gate, booking_gate(idle_gate)
    gate.policy = one_approval(valid_for=timedelta(seconds=1))
    account.failures = [refused()]
    async with gate.worker():
        status = await approved(gate, "1")
        await gate.held(status.workflow_id)
        await asyncio.sleep(1)
        await resolve(gate, status.workflow_id, "retry")
        again = await gate.until("in_review", status.workflow_id)
        assert (await gate.decide(again, "edit", by="erik", new_plan=bookings("2"))).accepted
