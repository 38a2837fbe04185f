"""The lines above the question at the terminal."""

from datetime import timedelta

from plangate.domain.plans.duplicates import Duplicate
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.status import status_of
from plangate.presentation.prompt_page import prompt_page
from tests.support.build import NOON, drafted, requested, state_after
from tests.unit.test_run_page import printed

TWO = Requirement(needs=(Need(role="finance", count=2),))


def test_the_prompt_shows_the_essentials_and_the_deadline_right_above_it() -> None:
    status = status_of(state_after(requested(), drafted(requirement=TWO)), source="records")
    said = printed(prompt_page(status, NOON), terminal=False)
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert lines[0].startswith("This plan:")
    assert "needs 2 approvals by finance" in " ".join(lines)
    assert any(line.startswith("decide until ") for line in lines)


def test_the_prompt_repeats_the_warnings_that_have_scrolled_away() -> None:
    step = Step(tool="refund", arguments={"amount": 425.0, "currency": "EUR"})
    plan = Plan(summary="Refund 42.50 EUR", steps=(step,))
    status = status_of(state_after(requested(), drafted(plan)), source="records")
    same = Duplicate(step=1, tool="refund", its_step=1, state="executed", at=NOON)
    status = status.model_copy(update={"duplicates": (same,)})
    lines = [" ".join(line.split()) for line in printed(prompt_page(status, NOON), width=300).splitlines()]
    assert lines[0] == "CHECK The summary mentions 42.50 EUR, but the steps have 425.00 EUR."
    assert lines[1].startswith("DUPLICATE ")


def test_the_prompt_shows_when_the_plan_runs() -> None:
    status = status_of(state_after(requested(), drafted(requirement=TWO)), source="records")
    assert status.plan is not None
    later = status.plan.model_copy(update={"not_before": NOON + timedelta(days=1)})
    status = status.model_copy(update={"plan": later})
    assert "as the plan specifies" in printed(prompt_page(status, NOON), terminal=False)
