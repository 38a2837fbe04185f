"""Sort the steps of a run by how they ended, each with its number and tool.

Each step is in exactly one list; there is a list for steps whose progress is not known.
"""

from enum import StrEnum
from typing import assert_never

from plangate.domain.runs.audit import StepReversed, StepUnsettled
from plangate.domain.runs.run import RunState, StepProgress, StepState


class End(StrEnum):
    """The lists of steps, by their names in `Facts`."""

    DONE = "done"
    NOT_KNOWN = "not_known"
    NOT_DONE = "not_done"
    SKIPPED = "skipped"
    UNDONE = "undone"


def steps_by_end(run: RunState, *, with_previews: bool = False) -> dict[End, tuple[str, ...]]:
    """Return the steps in each list, such as ``step 2: send_email (not begun)``.

    With ``with_previews``, a step is described by its preview, not its tool: ``step 2, Email 1 recipient``.
    """
    planned = run.drafted.plan.steps if run.drafted else ()
    found: dict[End, list[str]] = {end: [] for end in End}
    for number, (step, progress) in enumerate(zip(planned, run.shown_steps, strict=False), start=1):
        end, note = _end_of(progress, is_claimed=number == run.claimed)
        text = (
            f"step {number}, {step.preview}"
            if with_previews and step.preview
            else f"step {number}: {step.tool}"
        )
        found[end].append(text + (f" ({note})" if note else ""))
    return {end: tuple(steps) for end, steps in found.items()}


def _end_of(progress: StepProgress, *, is_claimed: bool) -> tuple[End, str]:
    """Return the list that a step belongs to, and a note about it."""
    match progress.state:
        case StepState.PENDING if is_claimed:
            return End.NOT_KNOWN, "begun"
        case StepState.PENDING:
            return End.NOT_DONE, "not begun"
        case StepState.DONE:
            return _end_of_done(progress)
        case StepState.FAILED:
            return End.NOT_DONE, "failed"
        case StepState.IN_DOUBT:
            return End.NOT_KNOWN, "in doubt"
        case StepState.SKIPPED:
            return End.SKIPPED, ""
        case StepState.UNDONE:
            return End.UNDONE, "as reported by a person" if progress.undo.reason else ""
        case _:
            assert_never(progress.state)


def _end_of_done(progress: StepProgress) -> tuple[End, str]:
    """Return the list and the note of a done step, whose undo may have begun or effect may not be final."""
    match progress.undo.state:
        case StepState.IN_DOUBT:
            return End.NOT_KNOWN, "done; whether it was undone is in doubt"
        case StepState.FAILED | StepState.SKIPPED:
            return End.DONE, "not undone"
        case StepState.PENDING | StepState.DONE | StepState.UNDONE:
            return _end_of_kept(progress)
        case _:
            assert_never(progress.undo.state)


def _end_of_kept(progress: StepProgress) -> tuple[End, str]:
    if isinstance(progress.settlement, StepReversed):
        return End.UNDONE, "reversed later"
    if isinstance(progress.settlement, StepUnsettled):
        return End.NOT_KNOWN, "accepted; how it ended is not known"
    if progress.is_unsettled:
        return End.DONE, "accepted, not final yet"
    return End.DONE, "as reported by a person" if progress.reason else ""
