"""Open transactions on the records' database, and raise the same error for every outage.

`plangate.records.sqlite_file` and `plangate.records.postgresql_server` implement the differences. Writers to
SQLite take its lock when their transaction begins, so several workers on one machine may share the file.
Writers to PostgreSQL use READ COMMITTED and the lock on the run's row, regardless of the server's default. In
both databases a writer waits at most 30 seconds for a lock.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Engine, event, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from plangate.domain.errors import OperatorError, RecordsMissing, RecordsUnavailable
from plangate.records.database_url import SqlitePlace, read_place
from plangate.records.installation import read_installation
from plangate.records.sqlite_file import SqliteFile, raw

LOCK_WAIT_SECONDS: Final = 30
_MIGRATION_LOCK: Final = 7_240_115  # arbitrary key of PostgreSQL's advisory lock, the same for every worker


class LockHeld(Exception):
    """Another writer holds SQLite's lock, and the caller does not wait."""


class Store(Protocol):
    """A SQLite file or a PostgreSQL server. ``Any``: SQLAlchemy's options for a read connection."""

    engine: Engine
    where: str

    @property
    def reading(self) -> Mapping[str, Any]:
        """The options for a read connection."""

    def make(self) -> None:
        """Create a missing file or folder, before the tables are created."""

    def report(self) -> None:
        """Log unsafe settings that cannot be changed from here."""

    def begin(self, connection: Connection, *, writes: bool) -> Callable[[], None]:
        """Raise RecordsUnavailable unless this connection may be used.

        Return a function to call after the commit; it raises if the commit may be lost.
        """

    def words(self, error: BaseException) -> str:
        """Return the database's message, and what to do."""

    def unusable(self, why: str, verb: str = "are unavailable") -> RecordsUnavailable:
        """Return the error for records that cannot be used now."""


class Database:
    """Opens transactions on the records' database.

    Args:
        place: the path of a SQLite file, or a URL in the format of SQLAlchemy or PostgreSQL's own tools.
        reads_only: whether writes are refused; on PostgreSQL, the role in the URL must ensure this.

    Raises:
        SettingsInvalid: the URL cannot be parsed, or is for a database that is neither SQLite nor PostgreSQL.
    """

    def __init__(self, place: str | Path, *, reads_only: bool = False) -> None:
        self._store = _store_at(place)
        self._engine = self._store.engine
        if reads_only and self.is_sqlite:
            event.listen(self._engine, "connect", _read_only)
        self._has_tables = False
        self._writer_lock = Lock()
        self._installation: str | None = None

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return self._engine.dialect.name == "sqlite"

    @property
    def where(self) -> str:
        """The URL for messages, without the password and the options, which may contain a password too."""
        return self._store.where

    @property
    def installation(self) -> str:
        """The installation id of these records, which is read only once, because it never changes.

        Raises:
            RecordsUnavailable: the database did not respond.
            RecordsMissing: no worker has created the tables yet.
        """
        if self._installation is None:
            with self.read() as connection:
                self._installation = read_installation(connection)
        return self._installation

    @contextmanager
    def write(self, *, waits: bool = True) -> Iterator[Connection]:
        """Open a write transaction; it is committed if the block succeeds, otherwise rolled back.

        If the connection is lost during the commit, the commit may have succeeded. The next attempt must find
        out whether it did.

        Args:
            waits: whether to wait for SQLite's lock; with PostgreSQL, it always waits.

        Raises:
            RecordsUnavailable: the database did not respond, does not accept writes, or was replaced.
            LockHeld: another writer holds SQLite's lock, and ``waits`` is false; nothing was done.
        """
        with self._translate_errors(), self._serialize_writers(waits=waits):
            with self._engine.begin() as connection:
                check_kept = self._store.begin(connection, writes=True)
                if self.is_sqlite:
                    _begin_immediate(connection, waits=waits)
                yield connection
            check_kept()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read transaction that sees one consistent state.

        Raises:
            RecordsUnavailable: the database did not respond, or was replaced.
            RecordsMissing: no worker has created the tables yet.
        """
        with (
            self._translate_errors(),
            self._engine.connect().execution_options(**self._store.reading) as connection,
        ):
            self._store.begin(connection, writes=False)
            if self.is_sqlite:
                _set_lock_wait(connection, waits=True)
                connection.exec_driver_sql("BEGIN")
            # One check is enough, because the database stays the same and tables are never dropped.
            self._has_tables = self._has_tables or inspect(connection).has_table("runs")
            if not self._has_tables:
                raise RecordsMissing(f"There are no records at {self.where} yet; start a worker first.")
            yield connection

    def migrate(self) -> None:
        """Migrate the tables to the newest version, one worker at a time.

        Raises:
            OperatorError: the tables are newer than this Plangate, or their file cannot be created.
            RecordsUnavailable: the database did not respond.
        """
        # Importing these takes 0.2 s, and only workers migrate.
        from alembic import command  # noqa: PLC0415
        from alembic.config import Config  # noqa: PLC0415
        from alembic.util import CommandError  # noqa: PLC0415

        config = Config()
        folder = str(Path(__file__).parent / "migrations")
        config.set_main_option("script_location", folder.replace("%", "%%"))
        self._store.make()
        with self.write() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise OperatorError(
                    f"The records at {self.where} were created by a newer version of Plangate; start that "
                    f"version, or set PLANGATE_DATABASE_URL to another database ({error})."
                ) from error
        self._has_tables = True
        self._store.report()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _serialize_writers(self, *, waits: bool) -> Iterator[None]:
        """Make the threads of this process write to SQLite one at a time.

        SQLite's own lock is not fair: waiting threads sleep and retry, and with six threads, one may wait for
        seconds.
        """
        if not self.is_sqlite:
            yield
            return
        if not self._writer_lock.acquire(blocking=waits, timeout=LOCK_WAIT_SECONDS if waits else -1):
            if not waits:
                raise LockHeld
            raise self._store.unusable("database is locked")
        try:
            yield
        finally:
            self._writer_lock.release()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, PoolTimeout, sqlite3.Error) as error:
            # Outage, lock, deadlock, no permission, full disk: the caller retries in each case, because
            # nothing may run without a record.
            raise self._store.unusable(self._store.words(error)) from error


def _read_only(connection: sqlite3.Connection, _: object) -> None:
    """Make a connection refuse all writes."""
    connection.execute("PRAGMA query_only = ON")


def _begin_immediate(connection: Connection, *, waits: bool) -> None:
    """Begin a locking SQLite transaction through the driver, which is faster than through SQLAlchemy.

    Raises:
        LockHeld: another writer holds the lock, and ``waits`` is false.
        sqlite3.Error: the database did not respond.
    """
    _set_lock_wait(connection, waits=waits)
    try:
        raw(connection).execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if not waits and "locked" in str(error):
            raise LockHeld from None
        raise


def _set_lock_wait(connection: Connection, *, waits: bool) -> None:
    """Set whether this connection waits for SQLite's locks."""
    seconds = LOCK_WAIT_SECONDS if waits else 0
    if connection.info.get("lock_wait") != seconds:
        raw(connection).execute(f"PRAGMA busy_timeout = {seconds * 1000}")
        connection.info["lock_wait"] = seconds


def _store_at(setting: str | Path) -> Store:
    place = read_place(setting)
    if isinstance(place, SqlitePlace):
        return SqliteFile(place, LOCK_WAIT_SECONDS)
    from plangate.records.postgresql_server import PostgresqlServer  # noqa: PLC0415  slow to import, and rarely needed

    return PostgresqlServer(place, LOCK_WAIT_SECONDS)
