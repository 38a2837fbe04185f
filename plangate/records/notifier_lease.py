"""Record which process sends notices, and how far it has read the trails.

One process sends at a time, and renews its lease regularly. If it does not do so for `HELD_FOR`, another
process takes over.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Connection, Row, insert, select, update

from plangate.domain.base import AwareDatetime, Frozen
from plangate.records.tables import EPOCH, notifier

HELD_FOR: Final = timedelta(seconds=8)
"""How long a lease lasts without renewal. After a kill -9, another process takes over after this time."""
_CLOCK_STEPS: Final = timedelta(seconds=8)
"""How far a clock may be set back before an existing lease is ignored because its clock was ahead."""


class Lease(Frozen):
    """The lease to send notices, and how far the trails have been read.

    Attributes:
        holder: the id of the process.
        held_until: when another process may take it.
        checkpoint: the newest checkpoint that was read; None before these records were first read.
        audience: the list of people and rules that were last used to compute the notices.
        swept_to: the last open run whose notices were computed with them; None if all were.
    """

    holder: str
    held_until: AwareDatetime
    checkpoint: int | None = None
    audience: str = ""
    swept_to: str | None = None

    def is_free(self, now: datetime) -> bool:
        """Return whether another process may take the lease: it has expired, or a clock was ahead."""
        return not now < self.held_until <= now + HELD_FOR + _CLOCK_STEPS


def current_lease(connection: Connection) -> Lease:
    """Return the current or last lease."""
    return _lease_of(connection.execute(_ROW).first())


def lock_lease(connection: Connection) -> Lease:
    """Return the lease, and keep other processes from taking it until the end of the transaction.

    Call it first in every transaction that writes notices, and read the clock afterwards. It waits for other
    processes' transactions, so a time read before the call may precede the lease that they took.
    """
    return current_lease(connection) if connection.dialect.name == "sqlite" else _locked(connection)


def take_lease(connection: Connection, before: Lease, holder: str, now: datetime) -> Lease | None:
    """Take the lease that `lock_lease` returned, or renew it; None if another process has it."""
    if before.holder != holder and not before.is_free(now):
        return None
    held = {"holder": holder, "held_until": now + HELD_FOR}
    if not connection.execute(update(notifier).values(**held)).rowcount:
        connection.execute(insert(notifier).values(id=1, audience="", **held))
    return before.model_copy(update=held)


def release_lease(connection: Connection, holder: str, now: datetime) -> None:
    """Release the lease of this holder, so that another process can take it immediately."""
    connection.execute(update(notifier).where(notifier.c.holder == holder).values(held_until=now))


def move_cursor(connection: Connection, checkpoint: int) -> None:
    """Record that all runs up to this checkpoint have been read."""
    connection.execute(update(notifier).values(checkpoint=checkpoint))


def move_sweep(connection: Connection, audience: str, swept_to: str | None) -> None:
    """Record the last open run whose notices were computed for the current audience; None for all runs."""
    connection.execute(update(notifier).values(audience=audience, swept_to=swept_to))


_ROW: Final = select(
    *(notifier.c[name] for name in ("holder", "held_until", "checkpoint", "audience", "swept_to"))
)
_FIRST: Final = Lease(holder="", held_until=EPOCH)


def _locked(connection: Connection) -> Lease:
    return _lease_of(connection.execute(_ROW.with_for_update()).first())


def _lease_of(row: Row[Any] | None) -> Lease:
    """Return the lease in a row; the initial lease if the row is missing or invalid."""
    try:
        return Lease(**row._asdict()) if row is not None else _FIRST
    except ValidationError:
        return _FIRST
