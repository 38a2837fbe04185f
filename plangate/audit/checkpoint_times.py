"""Check the times of entries against the checkpoints that seal them."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from plangate.audit.dates import dated_ahead, dated_back
from plangate.domain.runs.audit import AuditEntry
from plangate.domain.runs.checkpoint import MOST_RUNS, Seal
from plangate.domain.runs.findings import Finding
from plangate.records.checkpoints import checkpoint_of
from plangate.signing.checkpoints import claims_of, sealed_at

# SQLite's clock has a resolution of one second, and a writer may read it before waiting for another writer.
SLOW_WRITE: Final = timedelta(minutes=1)


class CheckpointTimes:
    """Compares the times of entries with the times of the checkpoints that seal them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._made: dict[int, tuple[datetime, bool] | None] = {}

    def wrong_times(
        self, workflow_id: str, trail: Sequence[AuditEntry], sealed: Sequence[tuple[Seal, int]]
    ) -> Iterator[Finding]:
        """Yield entries with a time after the checkpoint that seals them, or long before earlier checkpoints.

        Args:
            workflow_id: the run.
            trail: all of its entries.
            sealed: its seals with the numbers of their checkpoints, in order.
        """
        before = 0
        for seal, number in sealed:
            entries, is_new = trail[before : seal.number], not before
            before = max(before, seal.number)
            made, earlier = self._at(number), self._before(number)
            ahead = dated_ahead(entries, made[0]) if made else None
            if ahead is not None:
                what = f"is dated later than checkpoint {number}, which seals it"
                yield Finding(workflow_id=workflow_id, entry=ahead.number, what=what)
            back = dated_back(entries, earlier, is_new=is_new) if earlier else None
            if back is not None:
                what = (
                    f"is dated long before checkpoint {number}, the first to seal it, although earlier "
                    "checkpoints were made in between"
                )
                yield Finding(workflow_id=workflow_id, entry=back.number, what=what)

    def _before(self, number: int) -> datetime | None:
        """Return the time of the last earlier checkpoint that was not full.

        Such a checkpoint sealed every run that had changed. None if one of the checkpoints cannot be read, or
        if the database's clock was set back meanwhile.
        """
        own = self._at(number)
        for earlier in range(number - 1, 0, -1):
            made = self._at(earlier)
            if made is None or own is None or made[0] > own[0]:
                return None
            if not made[1]:
                return made[0]
        return None

    def _at(self, number: int) -> tuple[datetime, bool] | None:
        """Return when a checkpoint was made and whether it was full; None if it cannot be read."""
        if number not in self._made:
            try:
                checkpoint = checkpoint_of(self._connection, number)
                at = sealed_at(checkpoint) if checkpoint else None
                is_full = checkpoint is not None and claims_of(checkpoint).runs >= MOST_RUNS
            except ValueError:
                at, is_full = None, False
            self._made[number] = None if at is None else (at, is_full)
        return self._made[number]


def back_dated_rules(
    connection: Connection, trail: Sequence[AuditEntry], sealed: Sequence[tuple[Seal, int]]
) -> Iterator[Finding]:
    """Yield each entry of Plangate's own trails that is dated before a checkpoint that does not seal it."""
    for seal, number in sealed:
        checkpoint = checkpoint_of(connection, number)
        at = sealed_at(checkpoint) if checkpoint else None
        for entry in trail if at else ():
            if at and entry.number > seal.number and entry.at < at - SLOW_WRITE:
                what = f"is dated before checkpoint {number}, which sealed the trail without it"
                yield Finding(workflow_id=entry.workflow_id, entry=entry.number, what=what)
