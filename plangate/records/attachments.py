"""Store the bytes that plans refer to, such as attachments, under their SHA-256; they never change."""

import asyncio
import hashlib
from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, insert, select, type_coerce
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import NullType

from plangate.records.records import Records
from plangate.records.tables import attachments

# As in `plangate.records.rule_texts`: several PostgreSQL writers may store the same bytes at the same time.
_INSERT: Final = {
    "sqlite": insert(attachments),
    "postgresql": postgresql.insert(attachments).on_conflict_do_nothing(),
}


class StoredAttachments:
    """Stores bytes in the records; implements `plangate.tool.Blobs`."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def keep(self, content: bytes) -> str:
        """Store the bytes and return their digest.

        Raises:
            RecordsUnavailable: the database did not respond.
        """
        return await self._records.write(lambda connection: keep(connection, content))

    async def read(self, digest: str) -> bytes | None:
        """Return the bytes with this digest, or None if they are missing or were changed.

        Raises:
            RecordsUnavailable: the database did not respond.
        """
        content = await asyncio.to_thread(self._read, digest)
        return content if content is not None and _digest(content) == digest else None

    def _read(self, digest: str) -> bytes | None:
        with self._records.database.read() as connection:
            return dict(contents_of(connection, (digest,))).get(digest)


def keep(connection: Connection, content: bytes) -> str:
    """Store the bytes in an open write transaction, and return their digest."""
    digest = _digest(content)
    found = connection.execute(select(attachments.c.sha256).where(attachments.c.sha256 == digest)).first()
    if found is None:
        connection.execute(_INSERT[connection.dialect.name], {"sha256": digest, "content": content})
    return digest


def contents_of(connection: Connection, digests: Iterable[str]) -> tuple[tuple[str, bytes], ...]:
    """Return each stored digest with its bytes, ordered by digest, without checking them.

    A text value in the bytes column, which Plangate never writes, is returned as empty.
    """
    rows = connection.execute(
        select(attachments.c.sha256, type_coerce(attachments.c.content, NullType()).label("content"))
        .where(attachments.c.sha256.in_(set(digests)))
        .order_by(attachments.c.sha256)
    )
    return tuple((row.sha256, row.content if isinstance(row.content, bytes) else b"") for row in rows)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
