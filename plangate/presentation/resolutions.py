"""Describe what each resolution of a held run will do.

Every view of a held run uses these sentences: terminal, Markdown and HTML. Workflows may import this module.
`plangate.domain.policies.approvers` defines who may resolve, `plangate.domain.runs.lifecycle` which
resolutions are possible.
"""

from collections.abc import Sequence
from typing import Final, assert_never

from plangate.domain.decisions.decision import Resolution
from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.references import references_in
from plangate.domain.plurals import counted, joined
from plangate.domain.runs.run import Phase, StepState
from plangate.domain.runs.status import Status, StepStatus

_MOST_NAMED: Final = 4
_LONGEST_PREVIEW: Final = 120
_CANNOT_LOOK: Final = ("cannot look it up", "Plangate cannot tell")
"""Phrases for tools that cannot find out whether their effect happened."""


def resolution_words(status: Status, *, is_short: bool = False) -> dict[Resolution, str]:
    """Return what each possible resolution of a held run will do, in the order in which they are offered.

    Empty if the run is not held. ``is_short`` leaves out the preview of the step that follows.
    """
    if status.held is None:
        return {}
    if status.held.undo:
        return {one: _of_an_undo(status, one) for one in status.held.resolutions}
    return {one: _of_a_step(status, one, is_short=is_short) for one in status.held.resolutions}


def without_needs(words: str) -> str:
    """Return the effect of a resolution, but do not ask for a reason or evidence that it already has."""
    return words.removesuffix(" Needs a reason.").removesuffix(" Needs your evidence.")


def to_be_undone(status: Status) -> tuple[StepStatus, ...]:
    """Return the done steps that `undo` will undo, in that order."""
    return tuple(step for step in reversed(status.steps) if _can_be_undone(step))


def would_be_undone(status: Status, step: StepStatus) -> bool | None:
    """Return whether `undo` would undo a done step of a held run; None for any other step."""
    if step.state is not StepState.DONE or step.undo is not None or status.state != Phase.HELD:
        return None
    return any(one.number == step.number for one in to_be_undone(status))


def not_undoable(status: Status) -> tuple[StepStatus, ...]:
    """Return the steps that `undo` leaves unchanged: steps in doubt, and done steps that cannot be undone."""
    return tuple(
        step
        for step in status.steps
        if step.state is StepState.IN_DOUBT or (step.state is StepState.DONE and not _can_be_undone(step))
    )


def why_not_undoable(step: StepStatus) -> str:
    """Return the reason why `undo` leaves a step of `not_undoable` unchanged."""
    if step.state is StepState.IN_DOUBT:
        return "it is in doubt"
    return "a person marked it as done, so there is no receipt" if step.undoable else "its tool cannot undo"


def _can_be_undone(step: StepStatus) -> bool:
    return step.undoable and step.state is StepState.DONE and step.receipt is not None


def _of_a_step(status: Status, resolution: Resolution, *, is_short: bool) -> str:
    assert status.held is not None
    step = status.steps[status.held.step - 1]
    is_in_doubt = step.state is StepState.IN_DOUBT
    then = _then(step, status, is_short=is_short)
    match resolution:
        case Resolution.RETRY if is_in_doubt:
            tried = _tried_in_doubt(status.held.why)
            return f"You state that {_name(step)} did not happen. {tried} {_if_done(then)}"
        case Resolution.RETRY:
            again = f"{_upper(_name(step))}, which had no effect, is tried again."
            return f"{again}{_looked_at_again(step)} {_if_done(then)}"
        case Resolution.SKIP:
            doubt = "; whether it happened remains unknown" if is_in_doubt else ""
            return f"{_upper(_name(step))} is skipped{doubt}. {then}{_missed(step, status)} Needs a reason."
        case Resolution.MARK_DONE:
            needs = "Needs your evidence."
            return f"You state that {_name(step)} happened. {then}{_missed(step, status)} {needs}"
        case Resolution.UNDO:
            return _undo_words(status)
        case Resolution.ABORT:
            return f"The run ends as failed. {_remaining_effects(status)}"
        case _:
            assert_never(resolution)


def _of_an_undo(status: Status, resolution: Resolution) -> str:
    assert status.held is not None
    step = status.steps[status.held.step - 1]
    is_in_doubt = Resolution.MARK_DONE in status.held.resolutions
    left = [one for one in to_be_undone(status) if one.number < step.number]
    then = f"Then {_undone(left)}, and the run ends as failed." if left else "Then the run ends as failed."
    match resolution:
        case Resolution.RETRY if is_in_doubt:
            return (
                f"You state that the undo of {_name(step)} did not happen. It is tried again, after its tool "
                f"has checked again. {then}"
            )
        case Resolution.RETRY:
            return f"The undo of {_name(step)} is tried again. {then}"
        case Resolution.SKIP:
            return f"{_upper(_name(step))} is not undone. {then} Needs a reason."
        case Resolution.MARK_DONE:
            return f"You state that {_name(step)} was undone. {then} Needs your evidence."
        case Resolution.UNDO:
            return then
        case Resolution.ABORT:
            return f"Nothing more is undone, and the run ends as failed. {_remaining_effects(status)}"
        case _:
            assert_never(resolution)


def _tried_in_doubt(why: str) -> str:
    """Return what retrying a step in doubt does; ``why`` states whether its tool can look up its effect."""
    if any(said in why for said in _CANNOT_LOOK):
        return (
            "It is tried again. Its tool cannot check whether it happened; if it did, the retry repeats it."
        )
    return (
        "Its tool looks it up again; if it is not found, the step is tried again. If it did "
        "happen and the tool does not find it, the retry repeats it."
    )


def _looked_at_again(step: StepStatus) -> str:
    """State that the precondition is checked first, if the step has one."""
    if step.observation is None:
        return ""
    return (
        " First, its tool checks again what the plan relies on; if that is no longer true, nothing is done."
    )


def _then(step: StepStatus, status: Status, *, is_short: bool) -> str:
    if step.number == len(status.steps):
        return "Then the run ends as executed, since no step follows."
    follows = status.steps[step.number]
    preview = "" if is_short else cut(one_line(preview_of(follows)), _LONGEST_PREVIEW)
    named = f"step {follows.number} of {len(status.steps)}{f': {preview}' if preview else ''}"
    return f"Then the run continues with {named.rstrip('.')}."


def preview_of(step: StepStatus) -> str:
    """Return the preview of a step without its leading tool name."""
    return step.preview.removeprefix(f"{step.tool}: ")


def _if_done(then: str) -> str:
    """Return what follows a retry, which may fail again, or find that a precondition is no longer met."""
    return f"{then.replace('Then', 'If that succeeds,', 1)} If not, you are asked again."


def _missed(step: StepStatus, status: Status) -> str:
    """List the later steps that need the receipt of this step, which will have none."""
    users = [
        later
        for later in status.steps[step.number :]
        if any(one.from_step == step.number for one in references_in(later.arguments).values())
    ]
    if not users:
        return ""
    verb = "need its result and are held too" if len(users) > 1 else "needs its result and is held"
    return f" {_upper(_listed(users))} {verb}."


def _undo_words(status: Status) -> str:
    kept = not_undoable(status)
    first = f"{_upper(_undone(to_be_undone(status)))}, and the run ends as failed."
    if not kept:
        return first
    reasons = "; ".join(f"{_name(step)}, because {why_not_undoable(step)}" for step in kept)
    return f"{first} Not undone: {reasons}."


def _undone(steps: Sequence[StepStatus]) -> str:
    return f"{_listed(steps)} {'are undone, in this order' if len(steps) > 1 else 'is undone'}"


def _remaining_effects(status: Status) -> str:
    """Describe which effects remain if the run ends now."""
    done = [step for step in status.steps if step.state is StepState.DONE]
    doubtful = [step for step in status.steps if step.state is StepState.IN_DOUBT]
    not_done = [step for step in status.steps if step.state in (StepState.PENDING, StepState.FAILED)]
    parts = [f"{_listed(done)} {'stay' if len(done) > 1 else 'stays'} done" if done else "no step is done"]
    if doubtful:
        parts.append(f"{_listed(doubtful)} stays in doubt")
    if not_done:
        named = _listed(not_done) if len(not_done) <= _MOST_NAMED else counted(len(not_done), "step")
        parts.append(f"{named} {'are' if len(not_done) > 1 else 'is'} not done")
    return f"{_upper('; '.join(parts))}.{' The done steps can no longer be undone.' if done else ''}"


def _name(step: StepStatus) -> str:
    return f"step {step.number} ({step.tool})"


def _listed(steps: Sequence[StepStatus]) -> str:
    return joined([_name(step) for step in steps])


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
