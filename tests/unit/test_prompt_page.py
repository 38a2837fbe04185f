"""The lines above the question at the terminal."""

from datetime import timedelta

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


def test_the_prompt_shows_when_the_plan_runs() -> None:
    status = status_of(state_after(requested(), drafted(requirement=TWO)), source="records")
    assert status.plan is not None
    later = status.plan.model_copy(update={"not_before": NOON + timedelta(days=1)})
    status = status.model_copy(update={"plan": later})
    assert "as the plan specifies" in printed(prompt_page(status, NOON), terminal=False)
