"""Check that the times of a trail are plausible, compared with its earlier entries and the checkpoints.

The time of an entry is the Temporal server's time, extrapolated by the worker from the start of its attempt.
If the host was suspended, this clock is slow, so an entry may have a time that is too early, but never one
that is too late.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
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
    WrittenEntry,
)
from plangate.domain.runs.fold import changes_run
from plangate.domain.runs.review import CLOCK_LEEWAY
from plangate.domain.runs.run import RunState

CLOCK_DIFFERENCE: Final = timedelta(hours=1)
"""The maximum difference between the clocks of the Temporal server and of the records' database."""

MAX_SUSPENSION: Final = timedelta(days=7)
"""The maximum time for which a host may be suspended while it works."""


def differs_from_event_time(entry: AuditEntry) -> str | None:
    """Return an error if the time of an entry differs from the time in its event."""
    match entry.event:
        case (
            Requested(requested_at=at)
            | Drafted(drafted_at=at)
            | Reopened(reopened_at=at)
            | Held(held_at=at)
            | StepSettled(found_at=at)
            | StepReversed(found_at=at)
            | StepUnsettled(found_at=at)
        ):
            return None if at == entry.at else "has a time that differs from the time in its event"
        case (
            Decided()
            | Claimed()
            | Released()
            | StepDone()
            | StepFailed()
            | StepInDoubt()
            | StepUndone()
            | Closed()
            | OutsideRun()
        ):
            return None
        case _:
            assert_never(entry.event)


class DateOrder:
    """Checks the times of one trail, entry by entry: a worker's entry is later than all entries that it read.

    A decision has the time when it was received, which may be long before it was processed. Later entries are
    not compared with a decision that changed nothing: it may have been received while a step's host was
    suspended.
    """

    def __init__(self) -> None:
        self._latest: AuditEntry | None = None

    def objection(self, entry: AuditEntry) -> str | None:
        """Return an error if the entry's time is well before that of the entries it depends on."""
        latest = self._latest
        if latest is None or isinstance(entry.event, Decided) or entry.at >= latest.at - CLOCK_LEEWAY:
            return None
        return f"is dated before entry {latest.number} ({latest.event.kind}), on which it depends"

    def follow(self, state: RunState, entry: AuditEntry) -> None:
        """Store this entry's time, to compare later ones with it; ``state`` is the run's state before it.

        If an entry's time is too early, the following entries are compared with that time, so that only this
        entry is reported.
        """
        if isinstance(entry.event, Decided):
            if not changes_run(state, entry.event):
                return
            entry = entry.model_copy(update={"at": entry.event.arrival.received_at})
        if self._latest is None or entry.at > self._latest.at or self.objection(entry):
            self._latest = entry


def dated_ahead(entries: Sequence[WrittenEntry], sealed_at: datetime) -> WrittenEntry | None:
    """Return the first entry whose time is well after the checkpoint that seals it."""
    return next((entry for entry in entries if entry.at > sealed_at + CLOCK_DIFFERENCE), None)


def dated_back(
    entries: Sequence[AuditEntry], earlier_checkpoint_at: datetime, *, is_new: bool
) -> AuditEntry | None:
    """Return the first plan or claim whose time is well before a checkpoint that does not seal it.

    The request, the decisions and the end are not checked, because they may be recorded much later than their
    time.

    Args:
        entries: the entries of a trail that one checkpoint sealed.
        earlier_checkpoint_at: when an earlier checkpoint was made, before these entries existed.
        is_new: whether no entry of the trail was sealed before. If so, its first plan was recorded
            immediately, and no host was suspended in between.
    """
    for entry in entries:
        if isinstance(entry.event, Drafted | Claimed):
            is_first = is_new and isinstance(entry.event, Drafted)
            if entry.at < earlier_checkpoint_at - (CLOCK_DIFFERENCE if is_first else MAX_SUSPENSION):
                return entry
    return None
