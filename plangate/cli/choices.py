"""The wording of each decision at a terminal: one table for prompts, questions and commands."""

from dataclasses import dataclass
from typing import assert_never

from plangate.domain.decision import Choice

_WHY = "Why? (may be empty)"


@dataclass(frozen=True, slots=True)
class Wording:
    """How one decision is offered at a prompt.

    Attributes:
        letter: what is typed for it.
        word: what may be typed instead.
        offer: how the prompt names it.
        verb: what it does, before the name of a plan.
        question: what is asked for its comment; None if no comment is asked for.
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
            return Wording("e", "edit", "[e]dit the plan", "Edit", _WHY)
        case Choice.RESOLVE:
            return Wording("s", "resolve", "re[s]olve the held step of", "Resolve", _WHY)
        case _:
            assert_never(choice)


def command_of(choice: Choice) -> str:
    """Return the command that makes a decision: ``request-changes``."""
    return choice.replace("_", "-")
