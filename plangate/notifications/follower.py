"""Follow the trails: record the notices that runs need, and cancel those that they no longer need.

A run is read when its trail has changed (`plangate.records.changed_runs`). When rights have changed, all open
runs are read again, in batches. The transaction that records the notices also stores how far the trails have
been read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from plangate.domain.errors import StatusContradicts, TrailDamaged
from plangate.domain.runs.audit import AuditEntry, Closed
from plangate.domain.runs.fold import fold
from plangate.domain.runs.status import status_of
from plangate.domain.runs.status_consistency import checked
from plangate.notifications.audience import Audience
from plangate.notifications.due import notices_due
from plangate.notifications.followed_run import Followed
from plangate.notifications.notice import ASKING, Notice
from plangate.records.changed_runs import changed_since
from plangate.records.lists import IS_A_RUN
from plangate.records.notices import (
    KEPT_FOR,
    Change,
    EarlierNotice,
    NoticeEntry,
    SendTimes,
    bring_up_to_date,
    earlier_notices,
)
from plangate.records.notifier_lease import Lease, move_cursor, move_sweep
from plangate.records.tables import IS_OPEN, runs
from plangate.records.trail import read_intact_trails

BATCH_SIZE: Final = 100
"""The maximum number of runs that are read in one transaction."""
_REPORTED_WITHIN: Final = KEPT_FOR / 2
"""After this time, no notices about the end of a run are sent: earlier ones may have been deleted."""


@dataclass(frozen=True, slots=True)
class TrailsRead:
    """The result of one read of the records.

    Attributes:
        followed: the runs to bring up to date.
        heads: the head hashes of the runs that changed.
        checkpoint: the checkpoint to store once their notices are recorded; None if more runs have changed.
        swept_to: the last open run that was checked against the current audience; None if all were.
        is_sweeping: whether this read continues to check all open runs.
        damaged: the runs whose trail is damaged, or cannot be read, each with the reason.
    """

    followed: tuple[Followed, ...] = ()
    heads: dict[str, str] = field(default_factory=dict)
    checkpoint: int | None = None
    swept_to: str | None = None
    is_sweeping: bool = False
    damaged: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_more(self) -> bool:
        """Whether there are more runs to read now."""
        return self.checkpoint is None or self.swept_to is not None

    def has_checked(self, workflow_id: str) -> bool:
        """Return whether the notices about a run are certainly correct for the audience of this read.

        While all open runs are being read again, this is true only for the runs of this read.
        """
        if self.swept_to is None or not workflow_id:
            return True
        return any(one.run.workflow_id == workflow_id for one in self.followed)

    def needs_recording(self, lease: Lease) -> bool:
        """Return whether there is anything to record."""
        return bool(self.followed) or self.is_sweeping or self.checkpoint not in (None, lease.checkpoint)


class Follower:
    """Reads the trails of runs, and records their notices.

    Args:
        gather: how long a notice waits for others to the same address, to be sent with them.
    """

    def __init__(self, gather: timedelta) -> None:
        self._gather = gather
        self._known: dict[str, str] = {}

    def read_all_again(self) -> None:
        """Read every unsealed run again, because another process may have recorded its notices."""
        self._known.clear()

    def read_changes(
        self, connection: Connection, lease: Lease, audience: Audience, again: Sequence[str] = ()
    ) -> TrailsRead:
        """Read the runs that are due, in batches.

        The first pass over these records reads only open runs: there are no notices about runs that ended
        before.

        Args:
            connection: a connection that sees one consistent state of the records.
            lease: the lease of this process.
            audience: who can be notified.
            again: more runs to read.
        """
        is_changed = lease.audience != audience.key
        is_sweeping = is_changed or lease.swept_to is not None
        moved = changed_since(connection, lease.checkpoint or 0)
        if lease.checkpoint is None:
            self._known |= moved.heads
        new = {one: head for one, head in moved.heads.items() if self._known.get(one) != head}
        has_anyone = bool(audience.known or (lease.audience and is_changed) or lease.swept_to)
        ids = list(new)[: BATCH_SIZE if has_anyone else len(new)]
        checkpoint = moved.checkpoint if len(ids) == len(new) else None
        if checkpoint is not None:  # do not read runs again that have been sealed in the meantime
            self._known = {one: head for one, head in self._known.items() if one in moved.heads}
        swept_to, swept = lease.swept_to, []
        if is_sweeping:
            after = "" if is_changed else lease.swept_to or ""
            swept = _open_after(connection, after)
            swept_to = swept[-1] if len(swept) == BATCH_SIZE else None
        wanted = dict.fromkeys([*ids, *swept, *again]) if has_anyone else ()
        followed, damaged = _read(connection, list(wanted))
        return TrailsRead(
            followed, {one: new[one] for one in ids}, checkpoint, swept_to, is_sweeping, damaged
        )

    def record(
        self, connection: Connection, read: TrailsRead, lease: Lease, audience: Audience, now: datetime
    ) -> tuple[Change, dict[str, str]]:
        """Record the notices that these runs need, and the checkpoint; call `mark_read` after the commit.

        Return what changed, and why runs were omitted. A run whose notices cannot be computed must not block
        the notices of others. It is read again when it or the audience changes.
        """
        recent = [
            one for one in read.followed if one.ended_at is None or one.ended_at >= now - _REPORTED_WITHIN
        ]
        wanted, left_out = {}, {}
        for one in recent:
            try:
                entries = [entry_of(notice) for notice in notices_due(one, audience, now)]
            except Exception as error:  # noqa: BLE001  one run must not stop the notices about all others
                left_out[one.run.workflow_id] = _cannot_be_followed(one.run.workflow_id, error)
                continue
            keep_until = None if one.ended_at is None else one.ended_at + KEPT_FOR
            wanted[one.run.workflow_id] = entries, keep_until
        times = SendTimes(now=now, gather=self._gather)
        change = bring_up_to_date(connection, wanted, audience.addresses_of, times)
        if read.checkpoint is not None and read.checkpoint != lease.checkpoint:
            move_cursor(connection, read.checkpoint)
        if read.is_sweeping:
            move_sweep(connection, audience.key, read.swept_to)
        return change, left_out

    def mark_read(self, read: TrailsRead) -> None:
        """Mark the runs of a read as processed, so that they are not read again."""
        self._known |= read.heads


def entry_of(notice: Notice) -> NoticeEntry:
    """Return a notice as a record; limit how long a request for a decision waits for other notices."""
    deadline = notice.facts.deadline if notice.kind in ASKING else None
    soon = None if deadline is None else notice.due_at + max(timedelta(), deadline - notice.due_at) / 4
    return NoticeEntry(
        person=notice.person,
        event=notice.event,
        kind=notice.kind.value,
        due_at=notice.due_at,
        facts=notice.facts.model_dump_json(exclude_defaults=True),
        gather_until=soon,
    )


def _open_after(connection: Connection, workflow_id: str) -> list[str]:
    query = select(runs.c.workflow_id).where(IS_OPEN, IS_A_RUN, runs.c.workflow_id > workflow_id)
    return list(connection.scalars(query.order_by(runs.c.workflow_id).limit(BATCH_SIZE)))


def _read(connection: Connection, ids: Sequence[str]) -> tuple[tuple[Followed, ...], dict[str, str]]:
    if not ids:
        return (), {}
    earlier = earlier_notices(connection, ids)
    found, damaged = [], {}
    for workflow_id, entries in read_intact_trails(connection, ids):
        if isinstance(entries, TrailDamaged):
            damaged[workflow_id] = str(entries)
            continue
        try:
            found.append(_followed(workflow_id, entries, earlier[workflow_id]))
        except StatusContradicts as error:
            damaged[workflow_id] = str(error)
        except Exception as error:  # noqa: BLE001  a forged trail may cause any error
            damaged[workflow_id] = _cannot_be_followed(workflow_id, error)
    return tuple(found), damaged


def _cannot_be_followed(workflow_id: str, error: Exception) -> str:
    return f"The run {workflow_id!r} cannot be followed ({type(error).__name__}); check its trail."


def _followed(workflow_id: str, entries: Sequence[AuditEntry], earlier: Sequence[EarlierNotice]) -> Followed:
    """Return a run according to its trail.

    Raises:
        StatusContradicts: its plan does not match its fingerprint.
    """
    run = fold(workflow_id, (entry.event for entry in entries))
    checked(status_of(run, source="records"), workflow_id=workflow_id)
    moved_at = entries[-1].at
    closed_at = next((entry.at for entry in entries if isinstance(entry.event, Closed)), moved_at)
    return Followed(run, moved_at, closed_at if run.closed else None, earlier)
