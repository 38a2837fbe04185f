"""Record auditors' access on the access trail, which `audit show plangate:looks` prints."""

from datetime import datetime

from sqlalchemy import Connection

from plangate.domain.decisions.accesses import Access, AccessRecorded
from plangate.domain.runs.audit import ACCESS_TRAIL
from plangate.records.rule_texts import times_before
from plangate.records.tables import NOW
from plangate.records.trail import Note, open_own_trail


def record_access(connection: Connection, key: str, access: Access, said_at: datetime | None = None) -> None:
    """Record an access, unless it is already recorded; ``said_at`` is None for the current time.

    Raises:
        TrailDamaged: the access trail was changed.
    """
    now = connection.execute(NOW).scalar_one()
    trail = open_own_trail(connection, ACCESS_TRAIL, access.by, now)
    trail.check()
    event = AccessRecorded(look=access, said_at=said_at or now)
    at = max([now, *times_before(connection, trail)])
    trail.append(Note(key=key, at=at, actor=access.by, event=event))
