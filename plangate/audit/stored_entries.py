"""Read the entries of a trail as they are stored, without assuming that they are well-formed.

Anyone may have changed the stored values, and SQLite stores any value in any column.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Select, String, Table, select, type_coerce

from plangate.audit.cross_checks import moment
from plangate.domain.escaping import one_line
from plangate.domain.runs.audit import AuditEntry, WrittenEntry
from plangate.domain.runs.findings import Finding, readable
from plangate.records.tables import Moment, audit_entries


def written_entries(connection: Connection, workflow_id: str) -> Iterator[WrittenEntry | Finding]:
    """Yield every entry of a run as it is stored, or a finding if it is malformed."""
    rows = connection.execute(
        as_stored(connection, audit_entries)
        .where(audit_entries.c.workflow_id == workflow_id)
        .order_by(audit_entries.c.number)
    )
    for row in rows:
        try:
            entry = WrittenEntry.model_validate(
                {**row._asdict(), "written": row.event, "at": moment(row.at)}, strict=True
            )
        except (ValidationError, ValueError, TypeError):
            number = row.number if isinstance(row.number, int) else None
            yield Finding(workflow_id=workflow_id, entry=number, what="is malformed")
            continue
        yield entry
        kind = next((one.event.kind for one in readable([entry]) if isinstance(one, AuditEntry)), row.kind)
        if kind != row.kind:
            yield Finding(
                workflow_id=workflow_id, entry=entry.number, what=f"is listed as {one_line(str(row.kind))!r}"
            )


def own_trail(connection: Connection, name: str) -> list[AuditEntry]:
    """Return the readable entries of one of Plangate's own trails."""
    read = [one for one in written_entries(connection, name) if isinstance(one, WrittenEntry)]
    return [one for one in readable(read) if isinstance(one, AuditEntry)]


def as_stored(connection: Connection, table: Table) -> Select[Any]:
    """Select all columns as they are stored: SQLite keeps times as text, which may be malformed."""
    if connection.dialect.name != "sqlite":
        return select(table)
    return select(
        *(
            type_coerce(column, String).label(column.name) if isinstance(column.type, Moment) else column
            for column in table.c
        )
    )


@contextmanager
def replacing_invalid_utf8(connection: Connection) -> Iterator[None]:
    """Replace bytes that are not UTF-8: SQLite stores them, but the driver cannot read them."""
    if connection.dialect.name != "sqlite":
        yield
        return
    raw: Any = connection.connection.driver_connection
    before, raw.text_factory = raw.text_factory, lambda stored: stored.decode(errors="replace")
    try:
        yield
    finally:
        raw.text_factory = before
