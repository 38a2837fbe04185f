"""Read the accepted, signed changes to keys from the rules trail."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, select

from plangate.domain.decisions.key_requests import KeyDecided
from plangate.domain.errors import TrailDamaged
from plangate.domain.runs.audit import RULES_TRAIL, AuditEntry, Event, read_event
from plangate.records.tables import audit_entries, runs
from plangate.signing.enrolment import KeyStatement, statement_of

_HEAD: Final = select(runs.c.head_hash).where(runs.c.workflow_id == RULES_TRAIL)
_EVENTS: Final = (
    select(audit_entries.c.event)
    .where(audit_entries.c.workflow_id == RULES_TRAIL, audit_entries.c.kind == "key_decided")
    .order_by(audit_entries.c.number)
)


def head_of_rules(connection: Connection) -> str:
    """Return the hash of the last entry of the rules trail; empty if there is none."""
    return connection.execute(_HEAD).scalar() or ""


def key_statements(connection: Connection) -> tuple[KeyStatement, ...]:
    """Return the accepted changes to keys, in order; the caller must verify their signatures.

    Raises:
        TrailDamaged: an entry cannot be read.
    """
    try:
        return _accepted(map(read_event, connection.scalars(_EVENTS)))
    except (ValueError, TypeError):
        raise TrailDamaged(
            "A request about a key cannot be read, so no one can be identified by a key; check it with: "
            f"starter.py audit verify {RULES_TRAIL}"
        ) from None


def statements_on(entries: Iterable[AuditEntry]) -> tuple[KeyStatement, ...]:
    """Return the accepted changes to keys among these entries of the rules trail."""
    return _accepted(entry.event for entry in entries)


def _accepted(events: Iterable[Event]) -> tuple[KeyStatement, ...]:
    return tuple(
        statement_of(event.arrival.order)
        for event in events
        if isinstance(event, KeyDecided) and event.verdict.accepted and event.arrival.order is not None
    )
