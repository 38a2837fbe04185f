"""The embedded server's files under ``var``, and the locks that coordinate its users.

Each lock is a flock, which the kernel releases when its holder exits, even after kill -9. Locks are therefore
never stale. Process ids are not trusted, because another program may have the same id by now.
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from time import monotonic

from pydantic import BaseModel, ConfigDict, ValidationError

from plangate.domain.errors import OperatorError
from plangate.files.durable_file import write_over
from plangate.files.locks import try_lock
from plangate.files.private_files import (
    create_private_file,
    make_private_folder,
    open_private,
    remove_access_of_others,
)

HOST = "127.0.0.1"
DATABASE = "temporal.db"
POLL_SECONDS = 0.05

_LOCK_SECONDS = 120.0
_ENDINGS = ("", "-journal", "-shm", "-wal")
_LOG_LIMIT = 10_000_000


class ServerState(BaseModel):
    """The state that remains after the server exits: its ports, and whether it should be running."""

    model_config = ConfigDict(frozen=True)

    port: int
    ui_port: int
    http_port: int
    wanted: bool = True

    @property
    def address(self) -> str:
        """The address for clients."""
        return f"{HOST}:{self.port}"

    @property
    def ui_url(self) -> str:
        """The address for people."""
        return f"http://{HOST}:{self.ui_port}"


class ServerFiles:
    """The files of one ``var`` directory's server."""

    def __init__(self, var_dir: Path) -> None:
        self.directory = var_dir.absolute()
        self.database = self.directory / DATABASE
        self.state = self.directory / "embedded-server.json"
        self.pid = self.directory / "embedded-server.pid"
        self.lock = self.directory / "embedded-server.lock"
        self.lease = self.directory / "embedded-server.lease"
        self.log = self.directory / "embedded-server.log"

    def make_directory(self) -> None:
        """Create the directory unless it exists.

        Raises:
            OperatorError: it cannot be created.
        """
        try:
            make_private_folder(self.directory)
        except OSError as error:
            raise OperatorError(
                f"The directory {self.directory} cannot be created ({error.strerror}); set PLANGATE_VAR_DIR."
            ) from error

    def remove_access_of_others(self) -> None:
        """Restrict files that an older Plangate made readable by others: they contain plans and decisions."""
        database = (self.directory / f"{DATABASE}{ending}" for ending in _ENDINGS)
        remove_access_of_others((*database, self.state, self.pid, self.lock, self.lease, self.log))

    def read_state(self) -> ServerState | None:
        """Return the last state; None if it cannot be read."""
        try:
            return ServerState.model_validate_json(self.state.read_bytes())
        except (OSError, ValidationError):
            return None

    def write_state(self, state: ServerState) -> None:
        """Replace the state atomically."""
        write_over(self.state, f"{state.model_dump_json()}\n".encode())

    def read_pid(self) -> int | None:
        """Return the process id; it is valid only while `is_alive` is true."""
        try:
            return int(self.pid.read_text())
        except (OSError, ValueError):
            return None

    def is_alive(self) -> bool:
        """Return whether the server is alive: it holds the lock on its pid file while it runs."""
        try:
            with opened(self.pid, os.O_RDONLY) as file:
                return not try_lock(file, fcntl.LOCK_SH)
        except OSError:
            return False

    def end_of_log(self) -> int:
        """Return the offset of the next log line; a log that is too large is emptied first."""
        create_private_file(self.log)
        if self.log.stat().st_size > _LOG_LIMIT:
            os.truncate(self.log, 0)
        return self.log.stat().st_size

    def log_from(self, offset: int) -> str:
        """Return the log from ``offset`` on."""
        with self.log.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace").strip()

    def move_incomplete_database(self) -> bool:
        """Rename an incomplete database, and return whether there was one; a database with runs is kept.

        If the server is killed within 0.1 s after it creates the database, no server can open the database.
        """
        if not self.database.exists() or self._has_runs():
            return False
        for ending in _ENDINGS:
            part = self.directory / f"{DATABASE}{ending}"
            with suppress(FileNotFoundError):
                part.replace(self.directory / f"{DATABASE}.unfinished{ending}")
        return True

    def _has_runs(self) -> bool:
        try:
            with closing(sqlite3.connect(self.database)) as connection:
                return connection.execute("SELECT 1 FROM executions").fetchone() is not None
        except sqlite3.OperationalError as error:
            return "no such table" not in str(error)
        except sqlite3.DatabaseError:
            return True  # not a database: a person must check it

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Hold the lock for starting and stopping the server.

        Raises:
            OperatorError: a file cannot be used, or another process does not release the lock.
        """
        self.make_directory()
        try:
            with opened(self.lock, os.O_RDWR | os.O_CREAT) as file:
                await lock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise OperatorError(f"The embedded Temporal server's files cannot be used: {error}.") from error


async def lock(file: int, kind: int) -> None:
    """Wait for a lock by polling: a blocking flock would stop the event loop.

    Raises:
        OperatorError: it was not released in time.
    """
    if not await until(lambda: try_lock(file, kind), _LOCK_SECONDS):
        raise OperatorError(
            "Another process has held the embedded Temporal server's locks for two minutes; stop it."
        )


async def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until the condition holds, and return whether it did within ``seconds``."""
    ends = monotonic() + seconds
    while not condition():
        if monotonic() > ends:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """Open a file for locking: not inherited by child processes, and closed after the block."""
    file = open_private(path, flags)
    try:
        yield file
    finally:
        os.close(file)
