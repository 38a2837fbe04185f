"""The database under the records: one engine, one kind of transaction, one error when it is away.

SQLite runs in WAL mode with every commit on disk before it counts, and a writer takes the lock when its
transaction begins, hence several workers of one machine may share the file. PostgreSQL writes under READ
COMMITTED and the lock on the run's row. On both a writer waits half a minute for a lock, no longer.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from plangate.domain.errors import OperatorError, RecordsMissing, RecordsUnavailable, SettingsInvalid
from plangate.records.installation import read_installation

Result = TypeVar("Result")
_LOCK_WAIT_SECONDS: Final = 30
_MIGRATION_LOCK: Final = 7_240_115  # any number, the same for every worker: PostgreSQL's advisory lock
# A machine that vanished without a word is noticed within half a minute; else threads would hang for ever.
_POSTGRESQL: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
_WAITS_FOR_NOBODY: Final = ContextVar("_WAITS_FOR_NOBODY", default=False)
_READING: Final[dict[str, dict[str, Any]]] = {
    "sqlite": {},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


class Database:
    """Opens transactions on the records' database.

    Args:
        url: a SQLAlchemy URL, or the plain ``postgresql://`` that other tools take.

    Raises:
        SettingsInvalid: the URL cannot be read, or names a database that is neither SQLite nor PostgreSQL.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._turn = Lock()
        self._installation: str | None = None

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite."""
        return self._engine.dialect.name == "sqlite"

    @property
    def where(self) -> str:
        """The URL without its password, for messages; nor with its options, which may hold one too."""
        return self._engine.url.set(query={}).render_as_string(hide_password=True)

    @property
    def installation(self) -> str:
        """The id of the installation whose records these are: read once, since it never changes.

        Raises:
            RecordsUnavailable: the database did not answer.
            RecordsMissing: no worker has ever made the tables.
        """
        if self._installation is None:
            with self.read() as connection:
                self._installation = read_installation(connection)
        return self._installation

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that writes: all of it is kept when the block ends well, nothing otherwise.

        Where the connection is lost at the very end, it may have been kept all the same: whoever comes again
        must find out.

        Raises:
            RecordsUnavailable: the database did not answer.
        """
        with self._speaking_plainly(), self._in_turn(), self._engine.begin() as connection:
            if self.is_sqlite:
                _begin_immediate(connection)
            yield connection

    async def transact(self, act: Callable[..., Result], *arguments: object) -> Result:
        """Call ``act``, which writes one transaction, without keeping the event loop waiting for anybody.

        Where SQLite's lock is free it is called at once: to hand it to a thread takes as long as the
        transaction itself. Where somebody holds the lock, and with PostgreSQL, it goes to a thread.

        Raises:
            Exception: whatever ``act`` raises.
        """
        if self.is_sqlite:
            at_once = _WAITS_FOR_NOBODY.set(True)
            try:
                return act(*arguments)
            except _LockHeld:
                pass  # nothing was done yet: a transaction takes the lock before all else
            finally:
                _WAITS_FOR_NOBODY.reset(at_once)
        return await asyncio.to_thread(act, *arguments)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that reads one consistent state.

        Raises:
            RecordsUnavailable: the database did not answer.
            RecordsMissing: no worker has ever made the tables.
        """
        with self._speaking_plainly():
            self._refuse_to_create_a_file()
            reading = _READING[self._engine.dialect.name]
            with self._engine.connect().execution_options(**reading) as connection:
                if self.is_sqlite:
                    _set_patience(connection, waits=True)
                    connection.exec_driver_sql("BEGIN")
                if not inspect(connection).has_table("runs"):
                    raise RecordsMissing(f"There are no records at {self.where} yet; start a worker first.")
                yield connection

    def migrate(self) -> None:
        """Bring the tables to the newest form, one worker at a time.

        Raises:
            OperatorError: the tables are newer than this Plangate, or their folder cannot be made.
            RecordsUnavailable: the database did not answer.
        """
        # A fifth of a second to import, and only workers migrate.
        from alembic import command  # noqa: PLC0415
        from alembic.config import Config  # noqa: PLC0415
        from alembic.util import CommandError  # noqa: PLC0415

        config = Config()
        folder = str(Path(__file__).parent / "migrations")
        config.set_main_option("script_location", folder.replace("%", "%%"))
        self._make_folder()
        with self.write() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise OperatorError(
                    f"The records at {self.where} were made by a newer Plangate; start that one, or set "
                    f"PLANGATE_DATABASE_URL to another database ({error})."
                ) from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _make_folder(self) -> None:
        if not self.is_sqlite or not self._engine.url.database:
            return
        folder = Path(self._engine.url.database).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OperatorError(
                f"The folder {folder} of the records cannot be made: {error.strerror}; "
                "make it, or set PLANGATE_VAR_DIR."
            ) from error

    def _refuse_to_create_a_file(self) -> None:
        path = self._engine.url.database
        if self.is_sqlite and path and not Path(path).exists():
            raise RecordsMissing(f"There are no records at {path} yet; start a worker first.")

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Let the threads of this process write to SQLite one after the other.

        Those who meet at SQLite's own lock sleep and try again, in no order: one of six may wait for seconds.
        """
        if not self.is_sqlite:
            yield
            return
        waits = not _WAITS_FOR_NOBODY.get()
        if not self._turn.acquire(blocking=waits, timeout=_LOCK_WAIT_SECONDS if waits else -1):
            if not waits:
                raise _LockHeld
            raise RecordsUnavailable(f"The records at {self.where} do not answer: database is locked.")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def _speaking_plainly(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, PoolTimeout, sqlite3.Error) as error:
            # Whatever a database says (away, locked, deadlock, no permission, a full disk), the caller comes
            # again, for nothing may go on that is not on the record.
            cause = str(getattr(error, "orig", None) or error).strip().splitlines()
            detail = cause[0].rstrip(".") if cause else type(error).__name__
            raise RecordsUnavailable(f"The records at {self.where} do not answer: {detail}.") from error


class _LockHeld(Exception):
    """Somebody else writes to SQLite just now, and nobody is to be waited for."""


def _begin_immediate(connection: Connection) -> None:
    """Begin SQLite's own transaction with its lock, past SQLAlchemy, which takes longer for it than SQLite.

    Raises:
        _LockHeld: somebody else has it, and nobody is to be waited for.
        sqlite3.Error: the database did not answer.
    """
    waits = not _WAITS_FOR_NOBODY.get()
    _set_patience(connection, waits=waits)
    try:
        _raw(connection).execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if not waits and "locked" in str(error):
            raise _LockHeld from None
        raise


def _set_patience(connection: Connection, *, waits: bool) -> None:
    """Let this connection wait for SQLite's locks, or not; as it was left by whoever had it before."""
    seconds = _LOCK_WAIT_SECONDS if waits else 0
    if connection.info.get("patience") != seconds:
        _raw(connection).execute(f"PRAGMA busy_timeout = {seconds * 1000}")
        connection.info["patience"] = seconds


def _raw(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def _engine(url: str) -> Engine:
    parsed = _parsed(url)
    # hide_parameters: what is written down (plans, arguments) must not reach a log by way of an error.
    match parsed.get_backend_name():
        case "sqlite":
            engine = create_engine(
                parsed.set(drivername="sqlite"),
                connect_args={"timeout": _LOCK_WAIT_SECONDS, "check_same_thread": False},
                hide_parameters=True,
            )
            event.listen(engine, "connect", _prepare_sqlite)
            return engine
        case "postgresql":
            engine = create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                connect_args={name: value for name, value in _POSTGRESQL.items() if name not in parsed.query},
                pool_pre_ping=True,
                hide_parameters=True,
            )
            event.listen(engine, "connect", _prepare_postgresql)
            return engine
        case other:
            raise SettingsInvalid(
                f"PLANGATE_DATABASE_URL names {other}; SQLite and PostgreSQL are supported."
            )


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsInvalid(
            "PLANGATE_DATABASE_URL is no database URL; write sqlite:///PATH or postgresql://USER@HOST/NAME."
        ) from None
    if "@" in (parsed.host or ""):  # the rest of a password, which would be shown as the host
        raise SettingsInvalid("PLANGATE_DATABASE_URL has an @ in its password; write %40 for it.")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise SettingsInvalid(
            "PLANGATE_DATABASE_URL names no file, and what is only in memory is no record; "
            "write sqlite:///PATH."
        )
    return parsed


def _prepare_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: see Database._begin
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _prepare_postgresql(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.execute(f"SET lock_timeout = '{_LOCK_WAIT_SECONDS}s'")
    # A worker that is stopped in the middle of a transaction gives its locks back.
    connection.execute(f"SET idle_in_transaction_session_timeout = '{2 * _LOCK_WAIT_SECONDS}s'")
    connection.commit()
