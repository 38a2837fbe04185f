"""The database under the records: one engine, one kind of transaction, one error when it is away.

SQLite runs in WAL mode with every commit on disk before it counts, and a writer takes the lock when its
transaction begins, hence several workers of one machine may share the file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from plangate.domain.errors import RecordsMissing, RecordsUnavailable, SettingsInvalid

_LOCK_WAIT_SECONDS = 30
_MIGRATION_LOCK = 7_240_115  # any number, the same for every worker: PostgreSQL's advisory lock


class Database:
    """Opens transactions on the records' database.

    Args:
        url: a SQLAlchemy URL, or the plain ``postgresql://`` that other tools take.

    Raises:
        SettingsInvalid: the URL cannot be read, or names a database that is neither SQLite nor PostgreSQL.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite."""
        return self._engine.dialect.name == "sqlite"

    @property
    def where(self) -> str:
        """The URL without its password, for messages."""
        return self._engine.url.render_as_string(hide_password=True)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that writes: all of it is kept when the block ends well, nothing otherwise.

        Raises:
            RecordsUnavailable: the database did not answer.
        """
        with self._speaking_plainly(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that reads one consistent state.

        Raises:
            RecordsUnavailable: the database did not answer.
            RecordsMissing: no worker has ever made the tables.
        """
        with self._speaking_plainly():
            self._refuse_to_create_a_file()
            with self._engine.connect().execution_options(reading=True) as connection:
                if not inspect(connection).has_table("runs"):
                    raise RecordsMissing(f"There are no records at {self.where} yet; start a worker first.")
                yield connection

    def migrate(self) -> None:
        """Bring the tables to the newest form, one worker at a time.

        Raises:
            RecordsUnavailable: the database did not answer.
        """
        if self.is_sqlite and self._engine.url.database:
            Path(self._engine.url.database).parent.mkdir(parents=True, exist_ok=True)
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.write() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _refuse_to_create_a_file(self) -> None:
        path = self._engine.url.database
        if self.is_sqlite and path and path != ":memory:" and not Path(path).exists():
            raise RecordsMissing(f"There are no records at {path} yet; start a worker first.")

    @contextmanager
    def _speaking_plainly(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError, InternalError, IntegrityError, PoolTimeout) as error:
            # An IntegrityError is two writers at one place: the second comes again and finds the first's row.
            cause = str(getattr(error, "orig", None) or error).strip().splitlines()
            detail = cause[0] if cause else type(error).__name__
            raise RecordsUnavailable(f"The records at {self.where} do not answer: {detail}.") from error


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingsInvalid(
            "PLANGATE_DATABASE_URL is no database URL; write sqlite:///PATH or postgresql://USER@HOST/NAME."
        ) from None
    match parsed.get_backend_name():
        case "sqlite":
            engine = create_engine(
                parsed.set(drivername="sqlite"),
                connect_args={"timeout": _LOCK_WAIT_SECONDS, "check_same_thread": False},
            )
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        case "postgresql":
            return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
        case other:
            raise SettingsInvalid(
                f"PLANGATE_DATABASE_URL names {other}; SQLite and PostgreSQL are supported."
            )


def _prepare_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, see _begin_sqlite
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
