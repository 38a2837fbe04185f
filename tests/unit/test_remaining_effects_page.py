"""Before a run is withdrawn, the page lists the steps that will stay done."""

from plangate.domain.runs.status import Attempt, status_of, with_step_attempt
from plangate.presentation.remaining_effects_page import remaining_effects_page
from tests.support.held_runs import edited, held, running, undone
from tests.unit.test_run_page import printed


def said(page: str) -> str:
    return " ".join(page.split())


def test_done_steps_and_steps_in_doubt_are_listed() -> None:
    text = said(printed(remaining_effects_page(status_of(held(), source="workflow"))))
    assert "stays done step 1, refund: Refunded 42.50 EUR (re_9)" in text
    assert "stays done step 2, create_ticket: OPS-17" in text
    assert "in doubt step 3, send_email: it may or may not have happened" in text
    assert "step 4" not in text
    assert "Plangate cannot undo completed steps once the run has ended." in text
    assert "Only a held run can be undone" in text


def test_a_step_in_progress_is_finished_first() -> None:
    tried = with_step_attempt(status_of(running(), source="workflow"), Attempt(attempt=2))
    assert "begun step 3, send_email: a call in progress is finished first" in said(
        printed(remaining_effects_page(tried))
    )


def test_a_run_without_done_steps_has_no_remaining_effects() -> None:
    assert not remaining_effects_page(status_of(edited(), source="workflow")).rows
    assert "step 2" not in printed(remaining_effects_page(status_of(undone(), source="workflow")))
