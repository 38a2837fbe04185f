"""A failed run can be continued: its remaining steps become a new plan that refers to the done steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.errors import Refused
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.audit import Closed, Event, Outcome, StepDone, StepFailed, StepInDoubt
from plangate.domain.runs.remaining_steps import Remainder, continuation_id, remainder_of
from plangate.domain.runs.status import status_of
from tests.support.build import drafted, requested, state_after

NUMBER = {"from_step": 1, "field": "number"}
URL = {"from_step": 2, "field": "url"}
PLAN = Plan(
    summary="Refund 4711",
    steps=(
        Step(tool="ticket", arguments={"title": "charged twice"}),
        Step(tool="refund", arguments={"ticket": NUMBER}, reason="they paid twice"),
        Step(tool="mail", arguments={"ticket": NUMBER, "link": URL}),
    ),
)
DONE = StepDone(step=1, receipt=Receipt(summary="ticket 17 opened", details={"number": 17}))
FAILED = Closed(outcome=Outcome.FAILED, reason="aborted at step 2 by dana")


def left_after(*events: Event, plan: Plan = PLAN) -> Remainder:
    return remainder_of(status_of(state_after(requested(), drafted(plan), *events), source="records"))


def test_the_remaining_steps_are_proposed_with_values_of_done_steps_and_renumbered_references() -> None:
    left = left_after(DONE, StepFailed(step=2, reason="no money"), FAILED)
    refund, mail = left.plan.steps
    assert (refund.tool, refund.arguments) == ("refund", {"ticket": 17})
    assert refund.reason == "they paid twice From plan-1: ticket is the number of step 1."
    assert mail.arguments == {"ticket": 17, "link": {"from_step": 1, "field": "url"}}
    assert left.plan.summary == "The rest of plan-1 (steps 2 and 3 of 3): Refund 4711"
    assert "Continue plan-1" in left.request
    assert "failed: aborted at step 2 by dana. 2 steps of 3 left." in left.request
    assert "Done in that run: step 1 (ticket): ticket 17 opened" in left.request


def test_a_step_in_doubt_is_proposed_with_a_warning() -> None:
    left = left_after(DONE, StepInDoubt(step=2, reason="the connection was lost"), FAILED)
    assert left.plan.steps[0].reason.startswith("It is in doubt whether plan-1 has done this: check before")
    assert "In doubt in that run: step 2 (refund): the connection was lost" in left.request


def test_an_open_or_executed_run_or_one_with_a_missing_value_is_refused() -> None:
    with pytest.raises(Refused, match="is in review, so it cannot be continued"):
        left_after()
    with pytest.raises(Refused, match="was executed; nothing is left to do"):
        left_after(DONE, Closed(outcome=Outcome.EXECUTED))
    without = DONE.model_copy(update={"receipt": Receipt(summary="ticket 17 opened")})
    with pytest.raises(
        Refused, match="Step 2 of plan-1 needs the number of step 1, and no receipt contains it"
    ):
        left_after(without, FAILED)


def test_a_step_begun_before_a_termination_is_also_proposed_with_the_warning() -> None:
    """The run was terminated in Temporal, so the effect is not recorded as in doubt."""
    ended = status_of(
        state_after(requested(), drafted(PLAN), DONE, FAILED.model_copy(update={"reason": "terminated"})),
        source="records",
    )
    done, refund, mail = ended.steps
    begun = refund.model_copy(update={"is_begun": True})
    left = remainder_of(ended.model_copy(update={"steps": (done, begun, mail)}))
    assert left.plan.steps[0].reason.startswith("It is in doubt whether plan-1 has done this: check before")
    assert "In doubt in that run: step 2 (refund): it was begun, and no result is recorded" in left.request


def test_a_done_step_with_an_undo_in_doubt_is_described_as_such() -> None:
    doubt = StepInDoubt(step=1, reason="the connection was lost", undo=True)
    left = left_after(DONE, StepFailed(step=2, reason="no money"), doubt, FAILED)
    assert (
        "Done in that run: step 1 (ticket): ticket 17 opened (but it is in doubt whether it was undone: "
        "check before you approve)"
    ) in left.request


def test_each_run_has_its_own_id_for_its_continuation() -> None:
    ids = ["refund-4711", "refund-4711-rest", "refund-4711-rest-2", "refund-4711-rest-9", "rest", "a-rest-1"]
    assert [continuation_id(one) for one in ids] == [
        "refund-4711-rest", "refund-4711-rest-2", "refund-4711-rest-3", "refund-4711-rest-10", "rest-rest",
        "a-rest-1-rest",
    ]  # fmt: skip


PARTS = st.sampled_from(["a", "-rest", "-2", "-1", "-10", "x" * 150, "x" * 149])
IDS = st.lists(PARTS, min_size=1, max_size=4).map("".join).filter(lambda one: len(one) <= 200)


@given(IDS, IDS)
def test_no_two_continuations_have_the_same_id(one: str, other: str) -> None:
    assert (continuation_id(one) == continuation_id(other)) is (one == other)
    assert len(continuation_id(one)) <= 200
