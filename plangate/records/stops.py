"""Read the active stops from the stop trail; every claim of a step checks them in its transaction.

A row in the table ``stops`` identifies the last entry that changed them, so a claim reads the trail only
after a change. No claim is committed after a stop that it has not seen. SQLite allows one writer at a time.
In PostgreSQL a change waits for the claims in progress, and later claims wait for the change. It locks the
table, because table locks are granted in the order of the requests. With many claims in progress, a lock on
the row might never be granted. Backups and readers of the trail do not conflict with it.
"""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection, select, text, update

from plangate.domain.errors import TrailDamaged
from plangate.domain.people.people import Identified
from plangate.domain.runs.audit import FIRST_HASH, STOPS_TRAIL, AuditEntry
from plangate.domain.runs.findings import broken_links
from plangate.domain.runs.stops import ActiveStops, StopDecided, StopRequestArrival, apply
from plangate.records.prepared_statements import Prepared
from plangate.records.rule_texts import times_before
from plangate.records.tables import NOW, stops
from plangate.records.trail import Note, open_own_trail, read_trail
from plangate.records.used_signatures import use_token

NOTHING_STOPPED: Final = ActiveStops()
_HEAD: Final = Prepared(select(stops.c.number, stops.c.hash).with_for_update(read=True, key_share=True))
_BLOCK_CLAIMS: Final = text("LOCK TABLE stops IN EXCLUSIVE MODE")
_DAMAGED: Final = TrailDamaged(
    f"The stop trail was changed, so no step may begin; check it with: starter.py audit verify {STOPS_TRAIL}"
)


class StopsCache:
    """Caches the active stops, for all claims of a worker."""

    def __init__(self) -> None:
        self.number = 0
        self.stops = NOTHING_STOPPED
        self._hash = FIRST_HASH

    def read(self, connection: Connection) -> ActiveStops:
        """Return the active stops, in a write transaction.

        Raises:
            TrailDamaged: the stop trail was changed.
        """
        head = _HEAD(connection, {}).one_or_none()
        if head is None:
            raise _DAMAGED
        if (head.number, head.hash) != (self.number, self._hash):
            self.stops = folded(_up_to(connection, head.number, head.hash))
            self.number, self._hash = head.number, head.hash
        return self.stops


def active_stops(connection: Connection) -> ActiveStops:
    """Return the active stops according to the trail, to show them to people.

    Raises:
        TrailDamaged: an entry cannot be read.
    """
    return folded(read_trail(connection, STOPS_TRAIL))


def folded(entries: Sequence[AuditEntry]) -> ActiveStops:
    """Return the active stops after these entries of the stop trail."""
    active = NOTHING_STOPPED
    for entry in entries:
        if isinstance(entry.event, StopDecided):
            active = apply(active, entry.event)
    return active


def record_stop_request(
    connection: Connection,
    arrival: StopRequestArrival,
    sender: Identified,
    judge: Callable[[ActiveStops, Identified], StopDecided],
) -> tuple[StopDecided, ActiveStops]:
    """Record a request with the result of ``judge``, only once; return it with the active stops.

    Raises:
        TrailDamaged: the stop trail was changed.
    """
    actor = arrival.actor(sender.approver)
    now = connection.execute(NOW).scalar_one()
    trail = open_own_trail(connection, STOPS_TRAIL, actor, now)
    trail.check()
    before = folded(trail.entries())
    known = trail.find([arrival.key]).get(arrival.key)
    if known is not None and isinstance(known.event, StopDecided):
        return known.event, before
    event = judge(before, use_token(trail, arrival.key, sender))
    if event.verdict.accepted and connection.dialect.name != "sqlite":
        connection.execute(_BLOCK_CLAIMS)
    at = max([now, *times_before(connection, trail)])
    (entry,) = trail.append(Note(key=arrival.key, at=at, actor=actor, event=event))
    if event.verdict.accepted:
        connection.execute(update(stops).values(number=entry.number, hash=entry.hash))
    return event, folded(trail.entries())


def _up_to(connection: Connection, number: int, hash_then: str) -> Sequence[AuditEntry]:
    """Return the first ``number`` entries of the stop trail.

    Raises:
        TrailDamaged: their links are broken, or they do not end with this hash.
    """
    entries = read_trail(connection, STOPS_TRAIL)[:number]
    last = entries[-1].hash if entries else FIRST_HASH
    if (len(entries), last) != (number, hash_then) or next(broken_links(STOPS_TRAIL, entries), None):
        raise _DAMAGED
    return entries
