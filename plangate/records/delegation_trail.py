"""Read the accepted entries of the delegation trail: role delegations, and when they end."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, bindparam, select

from plangate.domain.decisions.delegations import DelegationDecided
from plangate.domain.errors import TrailDamaged
from plangate.domain.runs.audit import DELEGATIONS_TRAIL, FIRST_HASH, AuditEntry
from plangate.domain.runs.findings import broken_links
from plangate.records.prepared_statements import Prepared
from plangate.records.tables import runs
from plangate.records.trail import read_trail

_HEAD: Final = Prepared(
    select(runs.c.entry_count, runs.c.head_hash).where(runs.c.workflow_id == bindparam("run"))
)


class DelegationsCache:
    """Caches the accepted entries; the trail is read again only after a change."""

    def __init__(self) -> None:
        # One value, because several threads may read it at the same time.
        self._seen: tuple[tuple[int, str], tuple[AuditEntry, ...]] = ((0, FIRST_HASH), ())

    def read(self, connection: Connection) -> tuple[AuditEntry, ...]:
        """Return the accepted entries, in order.

        Raises:
            TrailDamaged: the trail was changed.
        """
        row = _HEAD(connection, {"run": DELEGATIONS_TRAIL}).one_or_none()
        head = (row.entry_count, row.head_hash) if row is not None else (0, FIRST_HASH)
        seen = self._seen
        if head != seen[0]:
            entries = read_trail(connection, DELEGATIONS_TRAIL)
            last = entries[-1].hash if entries else FIRST_HASH
            if (len(entries), last) != head or next(broken_links(DELEGATIONS_TRAIL, entries), None):
                raise TrailDamaged(
                    "The delegation trail was changed, so no delegation can be trusted; check it "
                    f"with: starter.py audit verify {DELEGATIONS_TRAIL}"
                )
            seen = self._seen = (head, tuple(filter(_is_accepted, entries)))
        return seen[1]


def decisions_in(entries: Iterable[AuditEntry]) -> list[DelegationDecided]:
    """Return the requests in these entries of the delegation trail, accepted or not."""
    return [entry.event for entry in entries if isinstance(entry.event, DelegationDecided)]


def _is_accepted(entry: AuditEntry) -> bool:
    return isinstance(entry.event, DelegationDecided) and entry.event.verdict.accepted
