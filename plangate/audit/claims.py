"""Find the claims after which a step may run, so that its times and approvals are checked again.

A step may run after every claim, except one that takes over an unfinished claim and only asks the tool for
the result. After a released claim or a hold, the step starts again. An undo needs no approval, but it may
start only while the resolution that requested it is valid.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final, assert_never

from plangate.domain.base import OutsideRun
from plangate.domain.runs.audit import (
    AuditEntry,
    Claimed,
    Closed,
    Decided,
    Drafted,
    Held,
    Released,
    Reopened,
    Requested,
    StepDone,
    StepFailed,
    StepInDoubt,
    StepReversed,
    StepSettled,
    StepUndone,
    StepUnsettled,
)

SLOW_CLAIM: Final = timedelta(minutes=1)
"""The longest time between checking the approvals and recording the claim."""


def beginnings(trail: Sequence[AuditEntry]) -> frozenset[int]:
    """Return the numbers of the entries after which a step or its undo may run."""
    return frozenset(_beginnings(trail))


def _beginnings(trail: Sequence[AuditEntry]) -> Iterator[int]:
    begun: set[tuple[int, bool]] = set()
    for entry in trail:
        match entry.event:
            case Claimed(step=step, undo=undo, asks_only=asks_only):
                if not asks_only or (step, undo) not in begun:
                    yield entry.number
                begun.add((step, undo))
            case Released(step=step, undo=undo) | StepFailed(step=step, undo=undo):
                begun.discard((step, undo))
            case Drafted() | Held():
                begun.clear()  # a new plan starts over, and so does a step that a person retries
            case (
                Requested()
                | Decided()
                | Reopened()
                | StepDone()
                | StepUndone()
                | StepInDoubt()
                | Closed()
                | StepSettled()
                | StepReversed()
                | StepUnsettled()
                | OutsideRun()
            ):
                pass
            case _:
                assert_never(entry.event)
