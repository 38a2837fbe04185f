"""Keep records in PostgreSQL: settings and checks of each connection and each transaction.

When a connection is opened, one round trip sets or checks three things: commits return only once they are on
disk, text is UTF-8, and the database is still the same. At the beginning of a transaction, no query is needed
to find out whether the server accepts writes, because PostgreSQL 14 and newer report changes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import psycopg
import structlog
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from plangate.domain.errors import RecordsUnavailable
from plangate.records.database_errors import READ_ONLY, plain_words, sqlstate
from plangate.records.database_url import PostgresqlPlace

# A failed connection is detected within 30 seconds; otherwise threads would hang.
_TIMEOUTS: Final[Mapping[str, str | int]] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
# A worker that is suspended during a transaction releases its locks. The server, the database or the role may
# have other defaults for any of these; session settings override them.
_PREPARE: Final = """
SELECT set_config('synchronous_commit',
                  coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'), false),
       set_config('lock_timeout', %s, false),
       set_config('idle_in_transaction_session_timeout', %s, false),
       pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool,
       current_setting('fsync')::bool,
       (SELECT system_identifier::text FROM pg_control_system())
       || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_log = structlog.get_logger(__name__)


class PostgresqlServer:
    """The engine for one database of a server, and the checks of each connection and transaction."""

    reading: Final[Mapping[str, Any]] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

    def __init__(self, place: PostgresqlPlace, lock_wait_seconds: int) -> None:
        self._waits = (f"{lock_wait_seconds}s", f"{2 * lock_wait_seconds}s")
        self.where = place.where
        self._identity: str | None = None  # identifies the database that this process works with
        self._is_flushed = True
        timeouts = {name: value for name, value in _TIMEOUTS.items() if name not in place.url.query}
        self.engine: Engine = create_engine(
            place.url,
            connect_args={**timeouts, **place.hosts, "client_encoding": "UTF8"},
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            # Recorded values (plans, arguments) must not end up in a log through an error.
            hide_parameters=True,
        )
        # Before SQLAlchemy inspects the server, which fails with some encodings.
        event.listen(self.engine, "connect", self._prepare, insert=True)
        event.listen(self.engine, "handle_error", _drop_read_only)

    def make(self) -> None:
        """Do nothing: the administrator creates the database."""

    def report(self) -> None:
        """Log a warning if the server may lose confirmed commits in a power failure."""
        if not self._is_flushed:
            _log.warning(
                "The PostgreSQL server runs with fsync = off, so a power failure can destroy the records; "
                "turn it on.",
                action="records",
            )

    def begin(self, connection: Connection, *, writes: bool) -> Callable[[], None]:
        """If the transaction writes, check that the server accepts writes; drop a read-only connection.

        The check after the commit does nothing, because the server keeps confirmed commits.

        Raises:
            RecordsUnavailable: it does not accept them.
        """
        if not self._is_read_only(connection):
            return _kept
        if writes:
            connection.invalidate()
            raise self.unusable(
                "the server does not accept writes now (a standby, or set to read-only): use the primary, or "
                "make it writable",
                verb="cannot be written",
            )
        connection.detach()  # it can still read, and is closed afterwards
        return _kept

    def words(self, error: BaseException) -> str:
        """Return PostgreSQL's message, and what to do."""
        return plain_words(error, None)

    def unusable(self, why: str, verb: str = "are unavailable") -> RecordsUnavailable:
        """Return the error for records that cannot be used now."""
        return RecordsUnavailable(f"The records at {self.where} {verb}: {why}.")

    def _is_read_only(self, connection: Connection) -> bool:
        """Return whether the server is read-only, according to its latest report or the initial check."""
        info = cast("psycopg.Connection[Any]", connection.connection.driver_connection).info
        reported = [
            info.parameter_status(name) for name in ("in_hot_standby", "default_transaction_read_only")
        ]
        if None in reported:  # older than PostgreSQL 14
            return bool(connection.info["is_read_only"])
        return "on" in reported

    def _prepare(self, connection: "psycopg.Connection[Any]", entry: ConnectionPoolEntry) -> None:
        try:
            entry.info["is_read_only"] = self._checked(connection)
        except BaseException:
            connection.close()
            raise

    def _checked(self, connection: "psycopg.Connection[Any]") -> bool:
        """Prepare one connection; return whether it is read-only."""
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise self.unusable(
                f"the database's encoding is {encoding}, which cannot store all text: create a new "
                "database with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )
        connection.autocommit = True
        found = connection.execute(_PREPARE, self._waits).fetchone()
        connection.autocommit = False
        assert found is not None
        *_, is_read_only, is_flushed, identity = found
        if self._identity not in (None, identity):
            raise self.unusable(
                "a different database is now at this address; restore the old one, or restart the process to "
                "use the new one"
            )
        self._identity = identity
        self._is_flushed = is_flushed
        return bool(is_read_only)


def _kept() -> None:
    pass


def _drop_read_only(context: ExceptionContext) -> None:
    """Treat a server that became read-only as lost: it may be a standby now, with another primary."""
    if sqlstate(context.original_exception) == READ_ONLY:
        context.is_disconnect = True
