"""Show a step: its preview, every argument in full, its tool's observation, and its state."""

from typing import Final, assert_never

from plangate.domain.escaping import is_reordered
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.run import StepState
from plangate.domain.runs.status import StepStatus
from plangate.presentation.page import EXACT, REORDERED, Page
from plangate.presentation.settlement_words import settlement_style, settlement_words
from plangate.presentation.words import RETRIED_IN_DOUBT, spelled, step_name

_BEGUN: Final = "begun, not recorded as done"
LONGEST_AFTERWARDS: Final = 300  # characters of a receipt's detail, or of unreadable content
STEP_STYLES: Final = {
    StepState.PENDING: "bold",
    StepState.DONE: "green",
    StepState.FAILED: "bold red",
    StepState.IN_DOUBT: "bold red",
    StepState.SKIPPED: "yellow",
    StepState.UNDONE: "yellow",
}


def add_step(page: Page, step: StepStatus, count: int, exact: str) -> None:
    """Add one of the ``count`` steps of a plan; the command ``exact`` prints it unchanged."""
    page.gap()
    state = "" if step.state is StepState.PENDING else f"  {spelled(step.state)}"
    if step.is_begun:
        state = f"  {_BEGUN}"
    if step.is_retried_in_doubt:
        state = f"  {RETRIED_IN_DOUBT}"
    style = STEP_STYLES[StepState.IN_DOUBT if step.is_retried_in_doubt else step.state]
    page.note(f"{step_name(step.number, count)}: {step.tool}{state}", style)
    if step.preview:
        page.field("preview", step.preview, "bold", indent=4)
        if is_reordered(step.preview):
            page.note(REORDERED.format(exact), "yellow", 6)
    page.arguments(step.arguments, exact=exact, has_references=True)
    add_observation(page, step, exact)
    if step.why:
        page.words("why", step.why, indent=4, exact=exact)
    if step.undoable and step.state is StepState.PENDING:
        page.field("undo", "its tool can undo this step, once it is done", "dim", indent=4)
    _add_result(page, step)


def add_observation(page: Page, step: StepStatus, exact: str = EXACT) -> None:
    """Add everything that the tool observed when the plan was drafted; the approver relies on it."""
    if step.observation is None:
        return
    page.note("When the plan was drafted:", "", indent=4)
    seen = step.observation
    page.arguments(seen if isinstance(seen, dict) and seen else {"observed": seen}, indent=6, exact=exact)


def _add_result(page: Page, step: StepStatus) -> None:
    if step.failure:
        label = "reason" if step.state in (StepState.SKIPPED, StepState.DONE) else "failure"
        page.field(label, step.failure, "red" if label == "failure" else "yellow", indent=4)
    if step.receipt:
        page.field("receipt", step.receipt.summary, "green", indent=4)
        _add_details(page, step.receipt)
    if settlement_words(step):
        style = settlement_style(step.settlement.state) if step.settlement else "yellow"
        page.field("end", settlement_words(step), style, indent=4)
    if step.undo is not None:
        style = "yellow" if step.undo.state is StepState.DONE else "bold red"
        page.field("undo", _undo_words(step), style, indent=4)
        if step.undo.receipt:
            _add_details(page, step.undo.receipt)


def _add_details(page: Page, receipt: Receipt) -> None:
    if receipt.details:
        page.arguments(receipt.details, indent=6, limit=LONGEST_AFTERWARDS)


def step_words(step: StepStatus) -> str:
    """Return the state of a step in one line."""
    match step.state:
        case StepState.PENDING:
            if step.is_retried_in_doubt:
                return f"{RETRIED_IN_DOUBT}: {step.failure}"
            return _BEGUN if step.is_begun else spelled(step.state)
        case StepState.SKIPPED:
            return step.failure or spelled(step.state)
        case StepState.DONE:
            said = f"done: {step.receipt.summary}" if step.receipt else step.failure or "done"
            said = f"{said}; {settlement_words(step)}" if settlement_words(step) else said
            return f"{said}; undo {_undo_words(step)}" if step.undo is not None else said
        case StepState.UNDONE:
            undone = _undo_words(step).removeprefix("done: ")
            return f"undone: {undone}" if undone else "undone"
        case StepState.FAILED | StepState.IN_DOUBT:
            return spelled(step.state) + (f": {step.failure}" if step.failure else "")
        case _:
            assert_never(step.state)


def _undo_words(step: StepStatus) -> str:
    """Return the progress of a step's undo in one line."""
    undo = step.undo
    if undo is None:
        return ""
    if undo.receipt is not None:
        return f"done: {undo.receipt.summary}"
    if undo.state in (StepState.SKIPPED, StepState.DONE):
        return undo.reason
    return spelled(undo.state) + (f": {undo.reason}" if undo.reason else "")
