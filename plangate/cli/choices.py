"""The wording of each decision at a terminal: one table for prompts, questions and commands."""

from dataclasses import dataclass
from typing import assert_never

from plangate.domain.decisions.decision import Choice, Resolution

_WHY = "Why? (may be empty)"
NOT_YET_ASKED = "This is recorded as the reason, so it cannot be yes or no; type the reason."
"""The reply to a 'y' that was typed as a reason, by a person who expected a yes-or-no question."""


@dataclass(frozen=True, slots=True)
class Wording:
    """How one decision is offered at a prompt.

    Attributes:
        letter: the letter to type.
        word: the word that can be typed instead.
        offer: the text for the decision in the prompt.
        verb: the words for its effect, which precede the name of a plan.
        question: the question that asks for its comment; None if it takes no comment.
    """

    letter: str
    word: str
    offer: str
    verb: str
    question: str | None


def wording_of(choice: Choice) -> Wording:
    """Return how ``choice`` is offered."""
    match choice:
        case Choice.APPROVE:
            return Wording("a", "approve", "[a]pprove", "Approve", None)
        case Choice.REJECT:
            return Wording("r", "reject", "[r]eject", "Reject", _WHY)
        case Choice.REQUEST_CHANGES:
            question = "What should change?"
            return Wording("c", "changes", "request [c]hanges", "Request changes to", question)
        case Choice.WITHDRAW_APPROVAL:
            verb = "Withdraw your approval of"
            return Wording("w", "withdraw", "[w]ithdraw your approval", verb, _WHY)
        case Choice.EDIT:
            return Wording("e", "edit", "[e]dit", "Edit", "Why is it edited? (may be empty)")
        case Choice.RESOLVE:
            return Wording("s", "resolve", "re[s]olve", "Resolve the held step of", _WHY)
        case _:
            assert_never(choice)


def wording_of_resolution(resolution: Resolution, step: str) -> Wording:
    """Return how ``resolution`` is offered for ``step``, such as 'step 2' or 'the undo of step 2'."""
    match resolution:
        case Resolution.RETRY:
            return Wording("r", "retry", "[r]etry", f"Try {step} again", _WHY)
        case Resolution.SKIP:
            return Wording("s", "skip", "[s]kip", f"Skip {step}", "Why is it skipped?")
        case Resolution.MARK_DONE:
            question = "How do you know that it happened?"
            return Wording("m", "mark_done", "[m]ark as done", f"Mark {step} as done", question)
        case Resolution.UNDO:
            return Wording("u", "undo", "[u]ndo the done steps", "Undo the done steps", _WHY)
        case Resolution.ABORT:
            return Wording("a", "abort", "[a]bort", "End the run and undo nothing", _WHY)
        case _:
            assert_never(resolution)


def is_yes_or_no(reason: str) -> bool:
    """Return whether the text that was typed as a reason looks like an answer to a yes-or-no question."""
    return reason.strip().lower() in ("y", "yes", "n", "no")


def command_of(choice: Choice) -> str:
    """Return the command that makes a decision: ``request-changes``."""
    return choice.replace("_", "-")
