"""One check of a tool, and its result."""

from enum import StrEnum

from plangate.domain.base import Frozen


class Result(StrEnum):
    """The result of a check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


class Check(Frozen):
    """One check.

    Attributes:
        name: the promise that was checked.
        result: its result.
        seen: the observed behaviour, or the reason why it was not checked.
    """

    name: str
    result: Result
    seen: str


def passed(name: str, seen: str) -> Check:
    """Return a check that passed."""
    return Check(name=name, result=Result.PASSED, seen=seen)


def failed(name: str, seen: str) -> Check:
    """Return a check that failed: the tool breaks a promise."""
    return Check(name=name, result=Result.FAILED, seen=seen)


def not_checked(name: str, why: str) -> Check:
    """Return a check that could not be run."""
    return Check(name=name, result=Result.NOT_CHECKED, seen=why)


def check_of(name: str, problem: str | None, seen: str) -> Check:
    """Return a check that failed if there is a problem, and otherwise passed."""
    return failed(name, problem) if problem else passed(name, seen)
