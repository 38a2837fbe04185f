"""Parse a decision that was typed at a terminal, and print its result."""

from typing import Final, assert_never

from pydantic import JsonValue, ValidationError

from plangate.cli.exits import WrongUsage
from plangate.domain.decisions.decision import (
    MAX_COMMENT,
    Choice,
    Decision,
    DecisionAnswer,
    Resolution,
    is_empty_comment,
    is_placeholder,
    needed_comment,
)
from plangate.domain.escaping import one_line
from plangate.domain.plans.plan import FINGERPRINT_LENGTH, MIN_PREFIX
from plangate.domain.validation import faults_in

SENT_LATER: Final = (
    "No worker answered: the decision is stored on the Temporal server, and will be checked once a worker "
    "runs. Check the result with the status command."
)
WAYS_TO_RESOLVE: Final = f"{', '.join(list(Resolution)[:-1])} or {list(Resolution)[-1]}"
_ANY_PLAN: Final = "0" * FINGERPRINT_LENGTH
_UNNAMED: Final = ""  # no one can type this as a plan, and no worker accepts it
_WRONG: Final = {
    "by": "The name after --by must be your own, with 1 to 100 visible characters.",
    "plan": f"Give {MIN_PREFIX} or more of the digits 0-9 and a-f of the plan's fingerprint; "
    "copy them from the status command.",
    "comment": f"The comment is longer than {MAX_COMMENT:,} characters; shorten it.",
    "step": "Give a step by its number, starting at 1.",
}
_AT_A_PROMPT: Final = {_WRONG["by"]: "Type your own name, with 1 to 100 visible characters."}


def made_decision(
    choice: Choice,
    *,
    by: str,
    plan: str | None,
    comment: str,
    new_plan: JsonValue = None,
    step: int | None = None,
    resolution: Resolution | None = None,
    hold: int | None = None,
) -> Decision:
    """Return the decision that was typed.

    If no plan is given, the decision applies to the plan that will be shown; `KeyChain.signed` sets its
    fingerprint.

    Raises:
        WrongUsage: a part of it is missing or malformed.
    """
    if choice is Choice.REQUEST_CHANGES and not comment.strip():
        raise WrongUsage("Describe the changes with --comment; the planner reads it.")
    if plan and len(plan) < MIN_PREFIX:
        raise WrongUsage(_WRONG["plan"])
    if is_placeholder(by):
        raise WrongUsage(_WRONG["by"])
    try:
        decision = Decision(
            decision=choice,
            by=by,
            plan=plan or _ANY_PLAN,
            comment=comment,
            new_plan=new_plan,
            step=step,
            resolution=resolution,
            hold=hold,
        )
    except ValidationError as error:
        raise WrongUsage(_WRONG[str(faults_in(error)[0].path[0])]) from None
    if comment.strip() and needed_comment(decision) and is_empty_comment(comment):
        raise WrongUsage(placeholder_words(decision))
    return decision if plan else decision.model_copy(update={"plan": _UNNAMED})


def placeholder_words(decision: Decision) -> str:
    """Return the error message for a comment that is only a placeholder."""
    typed = one_line(decision.comment.strip())
    return f"The comment is only a placeholder, {typed}; write {needed_comment(decision)}."


def resolution_named(typed: str) -> Resolution | None:
    """Return the resolution that was typed, or None if it was omitted.

    Raises:
        WrongUsage: no resolution has that name.
    """
    if not typed:
        return None
    try:
        return Resolution(typed.replace("-", "_"))
    except ValueError:
        raise WrongUsage(f"There is no resolution {typed!r}; type {WAYS_TO_RESOLVE}.") from None


def is_whole_resolution(decision: Decision) -> bool:
    """Return whether a resolution is complete: its choice, its step, and the comment if one is needed."""
    has_comment = bool(decision.comment.strip())
    is_chosen = decision.resolution is not None and (has_comment or not decision.resolution.needs_comment)
    return is_chosen and decision.step is not None


def require_whole_resolution(decision: Decision, workflow_id: str) -> None:
    """Check that a resolution is complete, if there is no terminal to ask for the missing parts.

    Raises:
        WrongUsage: a part is missing.
    """
    if decision.resolution is None:
        raise WrongUsage(f"Choose a resolution for {one_line(workflow_id)}: {WAYS_TO_RESOLVE}.")
    if decision.step is None:
        raise WrongUsage("Name the held step with --step and its number; the status command shows it.")
    if decision.resolution.needs_comment and not decision.comment.strip():
        raise WrongUsage(_comment_needed(decision.resolution))


def names_a_plan(decision: Decision) -> bool:
    """Return whether the person specified a plan on the command line, so that none must be shown."""
    return decision.plan != _UNNAMED


def at_a_prompt(sentence: str) -> str:
    """Return an error of `made_decision`, reworded for a prompt."""
    return _AT_A_PROMPT.get(sentence, sentence)


def verdict_words(answer: DecisionAnswer | None) -> str:
    """Return the result of a sent decision as a sentence; None if no worker has checked it yet."""
    if answer is None:
        return SENT_LATER
    verdict = {True: "Accepted", False: "Refused", None: "No result yet"}[answer.accepted]
    return one_line(f"{verdict}: {answer.reason.rstrip('.')}.")


def _comment_needed(resolution: Resolution) -> str:
    """Return what to write into the comment of a resolution that needs one."""
    match resolution:
        case Resolution.SKIP:
            return "Give the reason for skipping the step with --comment; it is recorded."
        case Resolution.MARK_DONE:
            return "Give your evidence that the step happened with --comment; it is recorded."
        case Resolution.RETRY | Resolution.UNDO | Resolution.ABORT:
            return "Give the reason with --comment; it is recorded."
        case _:
            assert_never(resolution)
