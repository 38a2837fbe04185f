"""Whether the times of a trail can be: each behind what it follows from, and near the checkpoints.

Entries have the Temporal server's time, carried on by the worker from the start of its attempt. A host that
was suspended counts on too slowly, so that an entry may be dated too early by that long; none is too late.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, assert_never

from plangate.domain.audit import (
    AuditEntry,
    Claimed,
    Closed,
    Decided,
    Drafted,
    Released,
    Reopened,
    Requested,
    RulesInForce,
    StepDone,
    StepFailed,
    StepInDoubt,
    WrittenEntry,
)
from plangate.domain.fold import changes
from plangate.domain.review import CLOCK_LEEWAY
from plangate.domain.run import RunState

TWO_CLOCKS: Final = timedelta(hours=1)
"""How far the clocks of the Temporal server and of the records' database may be apart."""

SUSPENDED: Final = timedelta(days=7)
"""The longest time for which a host may have been suspended in the middle of its work."""


def other_time_than_said(entry: AuditEntry) -> str | None:
    """Say so where the event tells another time than its entry is listed under."""
    match entry.event:
        case Requested(requested_at=at) | Drafted(drafted_at=at) | Reopened(reopened_at=at):
            return None if at == entry.at else "is listed at another time than it says"
        case (
            Decided()
            | Claimed()
            | Released()
            | StepDone()
            | StepFailed()
            | StepInDoubt()
            | Closed()
            | RulesInForce()
        ):
            return None
        case _:
            assert_never(entry.event)


class Order:
    """The times of one trail, entry by entry: what a worker writes follows from all that it found there.

    A decision has the time at which it arrived, which may be long before it could be judged. One that
    changed nothing is no measure either: it may have come while a step's host was suspended.
    """

    def __init__(self) -> None:
        self._latest: AuditEntry | None = None

    def objection(self, entry: AuditEntry) -> str | None:
        """Say so where the entry is dated well before what it follows from."""
        latest = self._latest
        if latest is None or isinstance(entry.event, Decided) or entry.at >= latest.at - CLOCK_LEEWAY:
            return None
        return f"is dated before entry {latest.number} ({latest.event.kind}), which it follows from"

    def follow(self, state: RunState, entry: AuditEntry) -> None:
        """Remember an entry as what others follow from; ``state`` is the run's ahead of it.

        One that is dated too early is the measure from there on: it is named, and not the ones behind it.
        """
        if isinstance(entry.event, Decided):
            if not changes(state, entry.event):
                return
            entry = entry.model_copy(update={"at": entry.event.arrival.received_at})
        if self._latest is None or entry.at > self._latest.at or self.objection(entry):
            self._latest = entry


def dated_ahead(entries: Sequence[WrittenEntry], sealed_at: datetime) -> WrittenEntry | None:
    """Return the first of these that is dated well after the checkpoint which seals it."""
    return next((entry for entry in entries if entry.at > sealed_at + TWO_CLOCKS), None)


def dated_back(entries: Sequence[AuditEntry], made_without: datetime, *, is_new: bool) -> AuditEntry | None:
    """Return the first of these plans and claims that is dated well before a checkpoint made without it.

    The request, decisions and ends are left out: they may wait long to be written down, with their own time.

    Args:
        entries: what one checkpoint sealed of a trail.
        made_without: when a checkpoint was made before that one, so that these were not there yet.
        is_new: whether nothing of the trail was sealed before. Then its first plan was made at once, and
            no host was suspended in the middle.
    """
    for entry in entries:
        if isinstance(entry.event, Drafted | Claimed):
            is_first = is_new and isinstance(entry.event, Drafted)
            if entry.at < made_without - (TWO_CLOCKS if is_first else SUSPENDED):
                return entry
    return None
