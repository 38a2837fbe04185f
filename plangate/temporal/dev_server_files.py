"""The files of the embedded server under ``var``, and the locks that say who lives and who may act.

A lock here is a flock: the kernel frees it at any death of its holder, kill -9 included, hence nothing
here is ever stale, and no process id is trusted that may since have been given to another program.
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
from plangate.files.private_files import (
    close_to_others,
    create_private_file,
    make_private_folder,
    open_private,
)

HOST = "127.0.0.1"
DATABASE = "temporal.db"
POLL_SECONDS = 0.05

_LOCK_SECONDS = 120.0
_ENDINGS = ("", "-journal", "-shm", "-wal")
_LOG_LIMIT = 10_000_000


class ServerState(BaseModel):
    """What outlives the server: its ports, and whether it is meant to run."""

    model_config = ConfigDict(frozen=True)

    port: int
    ui_port: int
    http_port: int
    wanted: bool = True

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{HOST}:{self.port}"

    @property
    def ui_url(self) -> str:
        """Where people find it."""
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
        """Make the directory where there is none.

        Raises:
            OperatorError: it cannot be made.
        """
        try:
            make_private_folder(self.directory)
        except OSError as error:
            raise OperatorError(
                f"The directory {self.directory} cannot be made ({error.strerror}); set PLANGATE_VAR_DIR."
            ) from error

    def close_to_others(self) -> None:
        """Close the files to others that an older Plangate left open: plans and decisions are in them too."""
        database = (self.directory / f"{DATABASE}{ending}" for ending in _ENDINGS)
        close_to_others((*database, self.state, self.pid, self.lock, self.lease, self.log))

    def read_state(self) -> ServerState | None:
        """Return the last state, if there was one."""
        try:
            return ServerState.model_validate_json(self.state.read_bytes())
        except (OSError, ValidationError):
            return None

    def write_state(self, state: ServerState) -> None:
        """Replace the state, all of it or nothing."""
        write_over(self.state, f"{state.model_dump_json()}\n".encode())

    def read_pid(self) -> int | None:
        """Return the process id; it means something only while `is_alive`."""
        try:
            return int(self.pid.read_text())
        except (OSError, ValueError):
            return None

    def is_alive(self) -> bool:
        """Whether the server lives: it holds the lock on its pid file from birth to death."""
        try:
            with opened(self.pid, os.O_RDONLY) as file:
                return not try_lock(file, fcntl.LOCK_SH)
        except OSError:
            return False

    def end_of_log(self) -> int:
        """Return where the next line of the log will begin; a log grown too large begins anew."""
        create_private_file(self.log)
        if self.log.stat().st_size > _LOG_LIMIT:
            os.truncate(self.log, 0)
        return self.log.stat().st_size

    def log_from(self, offset: int) -> str:
        """Return what was logged from there on."""
        with self.log.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace").strip()

    def set_aside_unfinished(self) -> bool:
        """Move a database away whose making was cut short; one that holds any run is left alone.

        A kill -9 in the first tenth of a second of a database's life leaves one that no server ever opens.
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
            return True  # no database at all: a person must look

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Be the only one who starts or stops the server.

        Raises:
            OperatorError: a file cannot be used, or somebody else holds the lock without end.
        """
        self.make_directory()
        try:
            with opened(self.lock, os.O_RDWR | os.O_CREAT) as file:
                await lock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise OperatorError(f"The embedded Temporal server's files cannot be used: {error}.") from error


async def lock(file: int, kind: int) -> None:
    """Wait for a lock; polled, since a blocking flock would stop the event loop.

    Raises:
        OperatorError: it is not to be had.
    """
    if not await until(lambda: try_lock(file, kind), _LOCK_SECONDS):
        raise OperatorError(
            "Another process has held the embedded Temporal server's locks for two minutes; end it."
        )


def try_lock(file: int, kind: int) -> bool:
    """Take a lock if it is to be had at once."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until it holds, polled, and return whether it came to that in time."""
    ends = monotonic() + seconds
    while not condition():
        if monotonic() > ends:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """Open a file as locks need it: not inherited, and closed at the end of the block."""
    file = open_private(path, flags)
    try:
        yield file
    finally:
        os.close(file)
