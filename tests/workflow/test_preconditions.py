"""Tools observe again before a step: nothing is done if the approved observation is no longer valid (P1)."""

import pytest

from activities.step_attempt import StepAttempt
from plangate.domain.errors import ToolRefused, ToolUnavailable
from plangate.domain.runs.status import Status
from plangate.records.trail import OpenTrail
from tests.support.account_tool import Account, bookings
from tests.support.gate import Gate
from tests.support.holds import found, in_review, keys, lost, refused, resolve


@pytest.fixture
def gate(idle_gate: Gate, account: Account) -> Gate:
    """A test instance whose tool is the account."""
    del account
    return idle_gate


async def held_before_its_first_step(gate: Gate, account: Account) -> Status:
    """Return the status of an approved run whose first step is refused when it observes again."""
    account.balance = 1
    status = await in_review(gate, "1")
    account.observe_failures = [ToolRefused("There is no such account any more.")]
    await gate.decide(status)
    return await gate.held(status.workflow_id)


@pytest.mark.parametrize(
    ("seen", "now", "holds"),
    [
        (100, 100, True),
        (100, 99, False),
        ({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1}, True),
        ({"a": 1, "b": [1, 2]}, {"a": 1, "b": [2, 1]}, False),
        ("open", "Open", False),
        (100, None, False),
        (None, {"ticket": 7}, False),
        (None, None, True),
    ],
)
async def test_a_step_is_held_if_and_only_if_the_approved_state_is_no_longer_valid(
    gate: Gate, account: Account, seen: object, now: object, holds: bool
) -> None:
    account.balance = seen  # type: ignore[assignment]
    status = await in_review(gate, "1")
    account.balance = now  # type: ignore[assignment]
    await gate.decide(status)
    if holds:
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        return
    held = (await gate.held(status.workflow_id)).held
    assert held is not None
    assert held.why.startswith("What book relies on has changed since the plan was drafted: ")
    assert account.texts() == []
    account.balance = seen  # type: ignore[assignment]
    await resolve(gate, status.workflow_id, "retry")
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert found(gate, status.workflow_id) == []


async def test_a_permanently_failed_observation_holds_the_run_with_the_tools_reason(
    gate: Gate, account: Account
) -> None:
    held = await held_before_its_first_step(gate, account)
    assert held.held is not None
    assert held.held.why == "There is no such account any more."
    assert (held.steps[0].state, account.texts()) == ("failed", [])
    assert found(gate, held.workflow_id) == []


async def test_while_a_run_is_held_before_its_first_step_no_refusal_says_that_steps_have_begun(
    gate: Gate, account: Account
) -> None:
    held = await held_before_its_first_step(gate, account)
    for decision in ("approve", "reject", "request_changes", "withdraw_approval"):
        by = "erik" if decision == "approve" else "dana"
        answer = await gate.decide(held, decision, by, comment="the account is closed")
        assert not answer.accepted
        assert "held at step 1" in answer.reason, answer.reason
        assert "begun" not in answer.reason


async def test_a_persistent_failure_to_observe_also_holds_the_run(
    gate: Gate, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.execution.STEP_TRIES", 1)
    account.balance = 1
    status = await in_review(gate, "1")
    account.observe_failures = [ToolUnavailable("The bank is closed.")]
    await gate.decide(status)
    held = (await gate.held(status.workflow_id)).held
    assert held is not None
    assert held.why == "The bank is closed. It was tried 1 times."
    assert account.texts() == []


async def test_a_changed_state_does_not_turn_a_step_in_doubt_into_a_failure(
    gate: Gate, account: Account
) -> None:
    """Otherwise the next retry would be a new effect, although the first one may have happened."""
    account.balance = 1
    status = await in_review(gate, "1")
    account.failures, account.acts_before_failing = [lost()], True
    await gate.decide(status)
    await gate.held(status.workflow_id)
    account.balance = 2
    await resolve(gate, status.workflow_id, "retry")
    held = await gate.until(
        "held", status.workflow_id, lambda now: now.held is not None and "relies on" in now.held.why
    )
    assert held.steps[0].state == "in_doubt"
    await resolve(gate, status.workflow_id, "mark_done")
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert keys(gate, status.workflow_id) == ["1", "1"]
    assert account.texts() == ["booked 1"]
    assert found(gate, status.workflow_id) == []


async def test_a_lookup_precedes_the_comparison_of_the_state(gate: Gate, account: Account) -> None:
    account.balance = 1
    status = await in_review(gate, "1")
    account.failures, account.acts_before_failing = [lost()], True
    await gate.decide(status)
    await gate.held(status.workflow_id)
    account.balance, account.remembers = 2, True
    await resolve(gate, status.workflow_id, "retry")
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert account.texts() == ["booked 1"]


async def test_a_reference_takes_its_value_from_the_receipt_and_is_recorded(
    gate: Gate, account: Account
) -> None:
    status = await in_review(gate, "1", "2", follows={"from_step": 1, "field": "number"})
    await gate.decide(status)
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert account.texts() == ["booked 1", "booked 2 after 101"]
    claims = [entry.event for entry in gate.api.trail(status.workflow_id) if entry.event.kind == "claimed"]
    assert [claim.resolved for claim in claims] == [{}, {"follows": 101}]
    assert found(gate, status.workflow_id) == []


async def test_a_reference_to_a_skipped_step_holds_the_run(gate: Gate, account: Account) -> None:
    account.fails_at["1"] = refused()
    status = await in_review(gate, "1", "2", follows={"from_step": 1, "field": "number"})
    await gate.decide(status)
    await resolve(gate, status.workflow_id, "skip")
    held = await gate.until("held", status.workflow_id, lambda now: bool(now.held and now.held.step == 2))
    assert held.held is not None
    assert held.held.why == "It needs the number of step 1, but that step was skipped."
    await resolve(gate, status.workflow_id, "skip")
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert account.texts() == []
    assert found(gate, status.workflow_id) == []


async def test_an_attempt_that_ends_meanwhile_does_not_skip_the_next_observation(
    gate: Gate, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt finds an earlier attempt's claim, which is released before the attempt makes its own."""
    account.balance = 1
    status = await in_review(gate, "1")
    account.balance = 2
    is_unclaimed, looks = StepAttempt.is_unclaimed, []

    def as_before_the_release(self: StepAttempt, trail: OpenTrail) -> bool:
        looks.append(trail)
        return len(looks) > 1 and is_unclaimed(self, trail)

    monkeypatch.setattr(StepAttempt, "is_unclaimed", as_before_the_release)
    await gate.decide(status)
    held = (await gate.held(status.workflow_id)).held
    assert held is not None
    assert "relies on has changed" in held.why
    assert account.texts() == []


async def test_a_plan_with_too_many_observations_for_a_status_is_refused(
    gate: Gate, account: Account
) -> None:
    account.balance = "o" * 16_000
    too_large = await gate.submit(plan=bookings(*("t" * 6_000 + str(number) for number in range(20))))
    result = await gate.result(too_large)
    assert result.outcome == "failed"
    assert "with 320,040 bytes that its tools observed, more than the limit of 393,216" in result.reason
    assert "split it into smaller plans" in result.reason


async def test_the_largest_plan_and_its_predecessor_fit_into_a_status(gate: Gate, account: Account) -> None:
    account.balance = "o" * 16_000
    first = await in_review(gate, *("t" * 1_100 + str(number) for number in range(20)))
    other = bookings(*("u" * 1_100 + str(number) for number in range(20)))
    assert (await gate.decide(first, "edit", by="erik", new_plan=other)).accepted
    edited = await gate.until("in_review", first.workflow_id, lambda now: now.revision == 2)
    assert 380_000 < len(edited.plan.model_dump_json()) < 393_216  # type: ignore[union-attr]
    assert 1_100_000 < len(edited.model_dump_json()) < 1_300_000
    assert (await gate.decide(edited, "reject")).accepted
