"""Show a held run: what happened and what did not, why it stopped, its deadline, and who may resolve it.

The page begins with the state of the run, and ends with the effect of each choice.
"""

import json
from datetime import datetime
from typing import Final, assert_never

from plangate.domain.decisions.decision import PLACEHOLDER, Resolution
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import same_person
from plangate.domain.plans.plan import short
from plangate.domain.plurals import step_or_undo
from plangate.domain.runs.audit import OUTCOMES
from plangate.domain.runs.run import Phase, StepState
from plangate.domain.runs.status import Status, StepStatus, current_step
from plangate.presentation.clock import moment
from plangate.presentation.durations import from_now
from plangate.presentation.page import Page
from plangate.presentation.resolutions import preview_of, would_be_undone
from plangate.presentation.step_page import STEP_STYLES, step_words

AT_THE_DEADLINE: Final = "the run is aborted: no further steps run, and completed steps are not undone"
UNDOING: Final = "the done steps are being undone, the last one first; then the run ends as failed"
COMMENTS: Final = {
    Resolution.RETRY: "",
    Resolution.SKIP: "YOUR-REASON",
    Resolution.MARK_DONE: "YOUR-EVIDENCE",
    Resolution.UNDO: "",
    Resolution.ABORT: "",
}
"""The placeholder for the comment that a resolution needs; empty if it needs none."""
_PROOFS: Final = {
    Assurance.TYPED: "",
    Assurance.LOGIN: ", by a login or a signature",
    Assurance.SIGNED: ", by a signed decision",
}


def add_hold(page: Page, status: Status, now: datetime) -> None:
    """Add why and since when the run is held, its deadline, and who may resolve it."""
    add_stopped_at(page, status)
    add_hold_times(page, status, now)


def add_stopped_at(page: Page, status: Status) -> None:
    """Add where and why the run is held."""
    if status.held is not None:
        page.field("stopped at", stopped_at(status), "bold red")
        page.words("because", status.held.why)


def add_hold_times(page: Page, status: Status, now: datetime) -> None:
    """Add the start and the deadline of the hold, and who may resolve it."""
    held = status.held
    if held is None:
        return
    again = f"; hold {held.number} of this run" if held.number > 1 else ""
    page.field("since", f"{moment(held.since)}, {from_now(held.since, now)}{again}")
    if status.deadline:
        until = f"{moment(status.deadline)}, {from_now(status.deadline, now)}; then {AT_THE_DEADLINE}"
        page.field("until", until, "bold yellow")
    page.field("may resolve", resolvers_words(status))


def add_what_happened(page: Page, status: Status) -> None:
    """Add a line for each step: done, not done, in doubt, skipped, or undone."""
    page.gap()
    page.note("What happened, and what did not", "bold")
    for step in status.steps:
        sign, word = outcome_of(status, step)
        said = f"step {step.number}, {step.tool}: {what_happened(status, step)}"
        page.field(f"{sign} {word}", said, STEP_STYLES[step.state].removeprefix("bold"), indent=4)
    page.gap()


def is_partly_done(status: Status) -> bool:
    """Return whether steps have different outcomes, so that the page must list done and not done steps."""
    if status.state in (Phase.HELD, Phase.UNDOING):
        return True
    states = {step.state for step in status.steps}
    return status.state in OUTCOMES and not states <= {StepState.DONE} and states != {StepState.PENDING}


def outcome_of(status: Status, step: StepStatus) -> tuple[str, str]:
    """Return a symbol and a word for the state of a step."""
    match step.state:
        case StepState.DONE if status.state == Phase.UNDOING and step.number == current_step(status):
            return "…", "undoing"
        case StepState.DONE:
            return "✓", "done"
        case StepState.IN_DOUBT:
            return "?", "in doubt"
        case StepState.FAILED:
            return "✗", "failed"
        case StepState.PENDING if step.is_begun:
            return "…", "begun"
        case StepState.PENDING:
            return "·", "not done"
        case StepState.SKIPPED:
            return "-", "skipped"
        case StepState.UNDONE:
            return "↶", "undone"
        case _:
            assert_never(step.state)


def what_happened(status: Status, step: StepStatus) -> str:
    """Return the state of a step in one line: its result if it has one, else its preview."""
    preview = preview_of(step).rstrip(".") or "it has no preview"
    match step.state:
        case StepState.DONE | StepState.UNDONE:
            said = step_words(step).removeprefix("done: ").removeprefix("undone: ")
            if said == "done" and step.receipt:  # the result of the undo may be empty
                said = step.receipt.summary
            return f"{said}{_undo_note(status, step)}"
        case StepState.FAILED:
            return f"{preview}. It had no effect."
        case StepState.IN_DOUBT:
            return f"{preview}. It may or may not have happened."
        case StepState.SKIPPED:
            return f"{preview} ({step.failure})"
        case StepState.PENDING:
            return preview
        case _:
            assert_never(step.state)


def _undo_note(status: Status, step: StepStatus) -> str:
    """Describe whether a done step can be undone, if the run can still undo steps."""
    is_possible = would_be_undone(status, step)
    if is_possible is None:
        return ""
    return " (can be undone)" if is_possible else " (cannot be undone)"


def stopped_at(status: Status) -> str:
    """Return where a run is held: the step, or its undo, and whether it is in doubt."""
    held = status.held
    if held is None or not 1 <= held.step <= len(status.steps):
        return ""
    step = status.steps[held.step - 1]
    name = f"{step_or_undo(held.step, undo=held.undo)} of {len(status.steps)}, {step.tool}"
    state = step.undo.state if held.undo and step.undo else step.state
    how = ""
    if state is StepState.IN_DOUBT:
        how = "in doubt: it may or may not have happened"
    elif state is StepState.FAILED:
        how = "failed: it had no effect"
    return name + (f"; {how}" if how else "")


def resolvers_words(status: Status) -> str:
    """Return who may resolve a held run, by role and with the required proof, and who may not."""
    requirement = status.requirement
    if requirement is None:
        return ""
    groups = [" or ".join(roles) for roles in requirement.resolving.any_of]
    who = " and ".join(f"({one})" if " or " in one and len(groups) > 1 else one for one in groups)
    proof = _PROOFS[requirement.resolving.assurance]
    return f"{who}, but not {excluded_words(status, ' or ')}{proof}"


def excluded_words(status: Status, between: str = ", ") -> str:
    """Return who may neither approve nor resolve, and why."""
    is_also_requester = [one for one in status.authors if same_person(one, status.requester)]
    editors = [one for one in status.authors if one not in is_also_requester]
    return between.join([f"{status.requester} (the requester)", *(f"{one} (an editor)" for one in editors)])


def requires_proof(status: Status) -> bool:
    """Return whether a resolution must be signed or made in the inbox, because a typed name is not enough."""
    requirement = status.requirement
    if requirement is None:
        return False
    return requirement.resolving.assurance > Assurance.TYPED


def hold_option(status: Status) -> str:
    """Return the option for the hold, which follows ``--step``; empty at the first hold, the default."""
    return f" --hold {status.held.number}" if status.held is not None and status.held.number > 1 else ""


def resolution_message(status: Status, resolution: Resolution) -> str:
    """Return the message of the signal that resolves the run, as one JSON object to copy."""
    held = status.held
    assert held is not None
    message: dict[str, str | int] = {
        "by": PLACEHOLDER,
        "plan": short(status.fingerprint or ""),
        "step": held.step,
        "hold": held.number,
        "resolution": resolution.value,
    }
    if COMMENTS[resolution]:
        message["comment"] = COMMENTS[resolution]
    return json.dumps(message)
