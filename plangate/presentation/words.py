"""Phrases shared by the printed pages and the pages in Temporal's Web UI.

Workflows import this module: it is deterministic and needs no terminal.
"""

import shlex
from typing import Final

from plangate.presentation.program import program

UNKNOWN_SENDER: Final = "unknown sender"
NO_LONGER_COUNTS: Final = "no longer counts"
SUPPLIED: Final = "plan supplied by the requester"


def spelled(word: str) -> str:
    """Return an identifier as people read it: ``in_doubt`` is 'in doubt'."""
    return word.replace("_", " ")


def verdict_word(*, accepted: bool) -> str:
    """Return the verdict on a decision in one word."""
    return "accepted" if accepted else "refused"


def proof_words(*, verified: bool) -> str:
    """Return the suffix of a name that was only typed; empty if a signature proved it."""
    return "" if verified else " (not verified)"


def step_name(number: int, count: int) -> str:
    """Return the name of a step of a plan of ``count``."""
    return f"Step {number} of {count}"


def author_words(*, by_planner: bool) -> str:
    """Say who wrote the summary and the reasons."""
    author = "planner" if by_planner else "plan's author"
    return f"Summary and why are words of the {author}; what runs is the steps and their arguments."


def status_command(workflow_id: str, *, as_json: bool = False) -> str:
    """Return the command that shows a run, ready for a shell; an id like an option stands after ``--``."""
    run = shlex.quote(workflow_id)
    if not as_json:
        return f"{program()} status {run}"
    words = f"--json -- {run}" if run.startswith(("-", "'-")) else f"{run} --json"
    return f"{program()} status {words}"
