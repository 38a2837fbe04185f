"""The people in a test: each decides once, or does not decide. Imports only the standard library."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Approver:
    """A person, and their decision on the plan or the held step that waits for them.

    Attributes:
        by: the person's name.
        decision: the name of the decision's signal; empty for a person who does not decide.
        comment: the comment.
        new_plan: the new plan of an edit: the whole plan, its steps, or a function that gets the old plan and
            returns one of these.
        struck: the numbers, from 1, of the steps that an edit removes, if it changes nothing else.
        resolution: the resolution of a held run: retry, skip, mark_done, undo or abort.
    """

    by: str
    decision: str
    comment: str = ""
    new_plan: Any = None
    struck: tuple[int, ...] = ()
    resolution: str = ""


def approves(by: str, comment: str = "") -> Approver:
    """Return a person who approves the plan."""
    return Approver(by, "approve", comment)


def rejects(by: str, comment: str = "") -> Approver:
    """Return a person who rejects the plan."""
    return Approver(by, "reject", comment)


def requests_changes(by: str, comment: str) -> Approver:
    """Return a person who requests changes; ``comment`` says what to change."""
    return Approver(by, "request_changes", comment)


def edits(by: str, new_plan: Any, comment: str = "") -> Approver:
    """Return a person who edits the plan.

    Args:
        by: the person's name.
        new_plan: the whole new plan, its steps, or a function that gets the plan as JSON and returns one of
            these.
        comment: their comment.
    """
    return Approver(by, "edit", comment, new_plan=new_plan)


def strikes(by: str, *steps: int, comment: str = "") -> Approver:
    """Return a person who removes these steps (counted from 1), and changes nothing else."""
    return Approver(by, "edit", comment, struck=steps)


def resolves(by: str, resolution: str, comment: str = "resolved by the test") -> Approver:
    """Return a person who resolves a held run: retry, skip, mark_done, undo or abort."""
    return Approver(by, "resolve", comment, resolution=resolution)


def stays_silent(by: str) -> Approver:
    """Return a person who does not decide."""
    return Approver(by, "")
