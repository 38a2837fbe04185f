"""Open the file of the run index: create it, update its tables, or replace a damaged one.

The index is written without fsync, so a machine crash can damage it. The next start then builds it again from
the records.
"""

import fcntl
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Inspector, Table, event, inspect
from sqlalchemy.engine import Engine

from plangate.domain.errors import OperatorError
from plangate.files.locks import open_lock, try_lock
from plangate.records.database import LOCK_WAIT_SECONDS
from plangate.records.database_errors import is_damaged
from plangate.records.sqlite_file import set_option
from plangate.web.database import create_tables, engine_for
from plangate.web.index_tables import metadata

_VERSIONS: Final = slice(18, 20)  # in SQLite's header: which versions may write and read the file
_NEWEST_VERSION: Final = 2
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class IndexFile:
    """An open file, which no other inbox removes.

    Attributes:
        engine: its connections.
        lock: the file descriptor of a shared lock.
    """

    engine: Engine
    lock: int

    @classmethod
    def open(cls, path: Path) -> "IndexFile":
        """Open the file; create it if it is missing or damaged.

        Raises:
            OperatorError: it cannot be used.
        """
        lock = _in_use(path)
        try:
            return cls(_created(path), lock)
        except OperatorError:
            os.close(lock)
            raise

    def close(self) -> None:
        """Close all connections, and release the lock."""
        self.engine.dispose()
        os.close(self.lock)


def _in_use(path: Path) -> int:
    """Remove a damaged file, unless another inbox uses it; return a lock that keeps others from removing it.

    Raises:
        OperatorError: the file is damaged, and another inbox uses it.
    """
    file = open_lock(path.with_suffix(".lock"))
    is_ours = try_lock(file, fcntl.LOCK_EX)
    if not is_ours:
        fcntl.flock(file, fcntl.LOCK_SH)  # another inbox may be removing the file
    if _is_damaged(path):
        if not is_ours:
            os.close(file)
            raise OperatorError(
                f"The inbox's file {path} cannot be used: it is damaged, and another inbox uses it; stop all "
                "inboxes, then start them again."
            )
        _log.warning("The index of the lists is damaged, so it is built again.", action="lists_rebuilt")
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def _is_damaged(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        if max(file.read(_VERSIONS.stop)[_VERSIONS], default=0) > _NEWEST_VERSION:
            return True  # SQLite would open it, but only for reading
    with closing(sqlite3.connect(path, timeout=LOCK_WAIT_SECONDS)) as connection:
        connection.text_factory = bytes  # the result about a damaged schema may not be text
        try:
            if list(connection.execute("PRAGMA quick_check(1)")) != [(b"ok",)]:
                return True
            connection.text_factory = str
            list(connection.execute("SELECT name, tbl_name, sql FROM sqlite_schema"))  # as text
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            return is_damaged(error)  # other errors are reported when the file is opened
    return False


def _created(path: Path) -> Engine:
    engine = engine_for(path)

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _: object) -> None:
        set_option(connection, "journal_mode", "wal", LOCK_WAIT_SECONDS)
        connection.execute("PRAGMA synchronous=OFF")

    create_tables(engine, path, _create)
    return engine


def _create(connection: Connection) -> None:
    """Create the tables; replace those of an older release, and those with damaged columns."""
    inspector = inspect(connection)
    existing = [table for table in metadata.sorted_tables if inspector.has_table(table.name)]
    if any(_columns(inspector, table) != table.c.keys() for table in existing):
        metadata.drop_all(connection)
    metadata.create_all(connection)


def _columns(inspector: Inspector, table: Table) -> list[str]:
    return [column["name"] for column in inspector.get_columns(table.name)]
