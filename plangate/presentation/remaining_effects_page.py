"""Show what a run leaves behind if it ends now: steps that are done, in doubt, or being done."""

from typing import assert_never

from plangate.domain.runs.run import StepState
from plangate.domain.runs.status import Status, StepStatus
from plangate.presentation.page import Page
from plangate.presentation.step_page import STEP_STYLES, step_words


def remaining_effects_page(status: Status) -> Page:
    """Return a line for each step that would remain; empty if no step has begun."""
    page = Page()
    for step in status.steps:
        label, words = _remaining_effect(step)
        if label:
            page.field(label, f"step {step.number}, {step.tool}: {words}", STEP_STYLES[step.state])
    if any(step.state is StepState.DONE for step in status.steps):
        page.note("Plangate cannot undo completed steps once the run has ended.", "bold")
        if any(step.state is StepState.DONE and step.undoable for step in status.steps):
            page.note("Only a held run can be undone, with the resolution 'undo'.", "")
    return page


def _remaining_effect(step: StepStatus) -> tuple[str, str]:
    match step.state:
        case StepState.DONE:
            return "stays done", step_words(step).removeprefix("done: ")
        case StepState.IN_DOUBT:
            return "in doubt", "it may or may not have happened"
        case StepState.PENDING if step.is_retried_in_doubt:
            return "in doubt", "it may or may not have happened; a call in progress is finished first"
        case StepState.PENDING if step.is_begun or step.attempt is not None:
            return "begun", "a call in progress is finished first"
        case StepState.PENDING | StepState.FAILED | StepState.SKIPPED | StepState.UNDONE:
            return "", ""
        case _:
            assert_never(step.state)
