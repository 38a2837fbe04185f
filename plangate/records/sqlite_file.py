"""Keep records in a SQLite file, and check that the open file is still the one at its path.

SQLite runs in WAL mode, and commits return only once they are on disk. A connection keeps using the file that
it opened, even if the file was moved or deleted. So each transaction compares it with the path: one stat of
the file and one of its log, which take a few microseconds.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Final, cast
from urllib.parse import quote
from weakref import WeakSet

import structlog
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from plangate.domain.errors import OperatorError, RecordsMissing, RecordsUnavailable
from plangate.files.private_files import create_private_file, make_private_folder, remove_access_of_others
from plangate.records.continuity import KnownContent, contains_known, known_of
from plangate.records.database_errors import plain_words
from plangate.records.database_url import SqlitePlace

_ENDINGS: Final = ("", "-wal", "-shm")
# Set on each connection and read back, because a file system or library may not support it.
_EXPECTED: Final[Mapping[str, str | int]] = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL
    "fullfsync": 1,  # for macOS; has no effect elsewhere
    "foreign_keys": 1,
    "query_only": 0,
    "read_uncommitted": 0,
}
_PRIMARY_CODE: Final = 0xFF  # of an extended result code
_RETRY_SECONDS: Final = 0.005
_REPLACED: Final = "a complete copy has replaced the file; it is being reopened"
_log = structlog.get_logger(__name__)

Identity = tuple[int, int]


class _Open(sqlite3.Connection):
    """A connection that keeps the identity of the file that it opened."""

    file: Identity | None = None


class SqliteFile:
    """The engine for one file, and the checks of each connection and transaction."""

    reading: Final[Mapping[str, Any]] = {}

    def __init__(self, place: SqlitePlace, lock_wait_seconds: int) -> None:
        self._lock_wait_seconds = lock_wait_seconds
        self._path, self._name = place.path, str(place.path)
        self.where = place.where
        self._identity: Identity | None = None  # the identity of the file that this process works with
        self._known: KnownContent | None = None  # its last known content, if it is lost
        self._lost: set[Identity] = set()  # its log, and the index of the log
        # hide_parameters: values (plans, arguments) must not end up in a log through an error.
        self.engine: Engine = create_engine(
            "sqlite://", creator=self._open, poolclass=QueuePool, hide_parameters=True
        )
        event.listen(self.engine, "connect", self._prepare)
        self._entries: WeakSet[ConnectionPoolEntry] = WeakSet()  # also those of pools that were replaced
        self._entries_lock = Lock()

    def make(self) -> None:
        """Create the folder and an empty file if they are missing, accessible to this user only.

        Raises:
            OperatorError: they cannot be created.
            RecordsUnavailable: the file that this process has worked with is missing.
        """
        if self._identity is not None:
            self._check(self._identity, writes=True)
            return
        try:
            make_private_folder(self._path.parent)
        except OSError as error:
            raise OperatorError(
                f"The folder {self._path.parent} of the records cannot be created: {error.strerror}; "
                "create it, or set PLANGATE_VAR_DIR."
            ) from error
        try:
            create_private_file(self._path)
        except OSError as error:
            raise OperatorError(
                f"The records {self._path} cannot be created: {error.strerror}; let the worker's user write "
                "to their folder, or set PLANGATE_VAR_DIR."
            ) from error

    def report(self) -> None:
        """Remove other users' access, which may remain from an older Plangate or a copy; log failures."""
        for left in remove_access_of_others(self._path.with_name(self._path.name + end) for end in _ENDINGS):
            _log.warning(f"Other users can read {left}; let its owner run chmod 600 on it.", action="records")

    def begin(self, connection: Connection, *, writes: bool) -> Callable[[], None]:
        """Check that the open file is the one at the path; then the caller begins the transaction.

        Return the same check, to repeat after the commit: another transaction of this process may have
        switched to a copy.

        Raises:
            RecordsUnavailable: it is a different file, or may not be written to.
            RecordsMissing: there is no file, and there has been none since this process started.
        """
        opened = cast("_Open", raw(connection)).file
        if opened != self._identity:
            connection.invalidate()
            raise self.unusable(_REPLACED)
        try:
            self._check(opened, writes=writes)
        except RecordsUnavailable:
            self._remember(connection)
            if not self._switch_to_copy():
                raise
            connection.invalidate()
            self.engine.dispose()
            raise self.unusable(_REPLACED) from None
        log, known = _identity_of(connection.info["log_path"]), connection.info.get("log")
        if known is not None and log != known:
            # The log contains the writes; SQLite copies them into the file when the connection closes.
            connection.invalidate()
            self.engine.dispose()
            raise self._log_lost()
        if known is None and log is not None:
            connection.info["log"], connection.info["index"] = log, _identity_of(self._beside("-shm"))
        return partial(self._check, opened)

    def _check(self, expected: Identity | None, *, writes: bool = False) -> None:
        """Check that this file is still the one at the path.

        Raises:
            RecordsUnavailable: it is a different file, or may not be written to.
            RecordsMissing: there is no file, and there has been none since this process started.
        """
        try:
            found = os.stat(self._name)  # noqa: PTH116  twice as fast as with the path; two calls per transaction
        except FileNotFoundError:
            if self._identity is None:
                raise RecordsMissing(
                    f"There are no records at {self._path} yet; start a worker first."
                ) from None
            raise self.unusable("their file is missing; restore it") from None
        except OSError as error:
            raise self.unusable(f"{error.strerror}; give the worker's user access to the file") from None
        here = (found.st_dev, found.st_ino)
        if expected not in (None, here):
            if here == self._identity:
                raise self.unusable(_REPLACED)
            raise self.unusable(
                "the file was replaced by another one in which some records are missing, or which still has "
                "the old file's -wal and -shm; restore the old file, or restart this process to use the new "
                "one"
            )
        self._known = None
        if writes and not found.st_mode & 0o222:
            raise self.unusable(
                "their file is read-only; let the worker's user write to it", verb="cannot be written"
            )

    def words(self, error: BaseException) -> str:
        """Return SQLite's message, and what to do."""
        return plain_words(error, self._path)

    def unusable(self, why: str, verb: str = "are unavailable") -> RecordsUnavailable:
        """Return the error for records that cannot be used now."""
        return RecordsUnavailable(f"The records at {self.where} {verb}: {why}.")

    def _open(self) -> sqlite3.Connection:
        """Open the file, which must exist: otherwise SQLite would create an empty one."""
        try:
            self._check(self._identity)
        except RecordsUnavailable:
            if not self._switch_to_copy():
                raise
        before = _identity_of(self._path)
        self._close_lost_log(before)
        opened = self._connect()
        if before is None or before != _identity_of(self._path):
            opened.close()
            raise self.unusable("their file was replaced while it was being opened; this is retried")
        self._identity = self._identity or before
        opened.file = before
        return opened

    def _close_lost_log(self, file: Identity | None) -> None:
        """Close all connections that use a lost log of this file, before another connection is opened.

        The connections of a process share the index of the log. A new one would read and write another log by
        that index, and the last one to close would not copy the lost log into the file.

        Raises:
            RecordsUnavailable: a transaction still uses the lost log.
        """
        log = _identity_of(self._beside("-wal"))
        with self._entries_lock:
            entries = list(self._entries)
        for entry in entries:
            opened = cast("_Open | None", entry.driver_connection)
            if opened is None or opened.file != file or entry.info.get("log") in (None, log):
                continue
            if entry.in_use:
                raise self._log_lost()
            entry.invalidate()

    def _log_lost(self) -> RecordsUnavailable:
        return self.unusable(
            f"their log {self._path}-wal was removed or replaced, so they are being reopened; "
            "do not change that file"
        )

    def _connect(self, options: str = "mode=rw") -> _Open:
        return sqlite3.connect(
            factory=_Open,
            database=f"file:{quote(str(self._path.resolve()))}?{options}",
            uri=True,
            timeout=self._lock_wait_seconds,
            check_same_thread=False,
            isolation_level=None,  # transactions are started explicitly
        )

    def _beside(self, ending: str) -> str:
        return f"{self._path.resolve()}{ending}"  # SQLite creates them next to the target of a link

    def _remember(self, connection: Connection) -> None:
        """Read the lost file while it is still open: a copy must contain everything in it."""
        if self._known is None and _identity_of(self._path) != self._identity:
            self._lost = {found for name in ("log", "index") if (found := connection.info.get(name))}
            with suppress(sqlite3.Error):
                self._known = known_of(raw(connection))

    def _switch_to_copy(self) -> bool:
        """Switch to the file at the path if it contains all known content; return whether it does."""
        known, identity = self._known, _identity_of(self._path)
        if known is None or identity in (None, self._identity):
            return False
        if self._lost & {_identity_of(self._beside("-wal")), _identity_of(self._beside("-shm"))}:
            return False  # they belong to the lost file, but SQLite would apply them to this one
        try:
            # Read it without a lock and without its log, so that the file is not changed.
            with closing(self._connect("mode=ro&immutable=1")) as candidate:
                if not contains_known(known, candidate) or identity != _identity_of(self._path):
                    return False
        except sqlite3.Error:
            return False
        self._identity, self._known = identity, None
        return True

    def _prepare(self, connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
        entry.info["log_path"] = self._beside("-wal")
        with self._entries_lock:
            self._entries.add(entry)
        try:
            for name, value in _EXPECTED.items():
                set_option(connection, name, value, self._lock_wait_seconds)
            found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _EXPECTED}
            encoding = connection.execute("PRAGMA encoding").fetchone()[0]
        except BaseException:
            connection.close()
            raise
        wrong = [f"{name} is {found[name]}" for name in _EXPECTED if found[name] != _EXPECTED[name]]
        if encoding != "UTF-8":
            wrong.append(f"the encoding is {encoding}")
        if wrong:
            connection.close()
            raise self.unusable(
                f"SQLite cannot store them safely there ({', '.join(wrong)}); put them on a local disk"
            )


def set_option(connection: sqlite3.Connection, name: str, value: str | int, wait_seconds: float) -> None:
    """Set an option, and wait for the lock that the change of a new file to WAL mode needs.

    SQLite does not wait for this lock: two connections that do so at the same time could wait for each other
    forever.

    Raises:
        sqlite3.Error: SQLite refused the option, or the lock was held for too long.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            connection.execute(f"PRAGMA {name}={value}")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & _PRIMARY_CODE == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def raw(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def _identity_of(path: str | Path) -> Identity | None:
    try:
        found = os.stat(path)  # noqa: PTH116  as above
    except OSError:
        return None
    return found.st_dev, found.st_ino
