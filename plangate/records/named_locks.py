"""Locks on names until the end of a transaction, for rows that other transactions have not written yet."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final
from zlib import crc32

from sqlalchemy import Connection, text

_LOCK: Final = text("SELECT pg_advisory_xact_lock(:kind, :name)")


class Locked(IntEnum):
    """What a lock protects. The numbers are arbitrary, and the same for every worker."""

    TOTALS_OF_TOOL = 7_240_116
    EQUAL_STEPS = 7_240_117


def lock_names(connection: Connection, kind: Locked, names: Iterable[str]) -> None:
    """Wait for other transactions that locked one of these names, and lock them; SQLite has one writer."""
    if connection.dialect.name == "sqlite":
        return
    for number in sorted({crc32(name.encode()) - 2**31 for name in names}):
        connection.execute(_LOCK, {"kind": kind.value, "name": number})
