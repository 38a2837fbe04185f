"""Run the inbox in its own process next to a worker; it stops with the worker, even after kill -9.

Several workers on one machine share one inbox. The worker that holds the lock of the inbox's address runs it.
The others try every 5 seconds, and one of them runs the inbox after that worker has stopped. Without a lock,
workers that start together would all start one, because it takes a second until an inbox listens.
"""

import asyncio
import fcntl
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import quote

import structlog

from plangate.files.locks import open_lock, try_lock
from plangate.settings import PROJECT, Settings

_END_SECONDS = 6.0
_CHECK_AGAIN = 5.0  # seconds between two checks of the address
_log = structlog.get_logger(__name__)


@asynccontextmanager
async def background_inbox(settings: Settings) -> AsyncIterator[None]:
    """Run the inbox while the block runs, unless the settings turn it off.

    Raises:
        OperatorError: the directory of the settings cannot be written to.
    """
    if not settings.has_web:
        yield
        return
    lock = open_lock(settings.var_dir / f"inbox-{quote(settings.web_address, safe='')}.lock")
    keeping = asyncio.create_task(_keep_running(settings.web_address, lock))
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        os.close(lock)


async def _keep_running(address: str, lock: int) -> None:
    """Run the inbox, and restart it if it exits, unless another worker or program uses the address."""
    logged = ""
    while True:
        elsewhere = ""
        if not try_lock(lock, fcntl.LOCK_EX):
            elsewhere = f"Another worker runs the inbox on {address}."
        elif await answers(address):
            elsewhere = (
                f"Another program listens on {address}, so this worker does not start the inbox. If it is "
                "not an inbox, set PLANGATE_WEB_ADDRESS to another address."
            )
        if elsewhere and elsewhere != logged:
            _log.info(elsewhere, action="web_elsewhere")
        logged = elsewhere
        if not elsewhere:
            process = await _start()
            try:
                code = await process.wait()
                _log.warning("The inbox has stopped; restarting it.", action="web_ended", exit_code=code)
            finally:
                await _end(process)
        await asyncio.sleep(_CHECK_AGAIN)


async def _start() -> Process:
    """Start the inbox; when this process exits, its standard input closes, and the inbox stops too."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *(str(PROJECT / "web.py"), "--while-stdin-is-open"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _END_SECONDS)
    except TimeoutError:
        _log.warning("The inbox did not stop in time, so it is killed.", action="web_stopped")
        process.kill()


async def answers(address: str) -> bool:
    """Return whether a program listens on an address on this machine."""
    host, _, port = address.rpartition(":")
    with suppress(OSError, ValueError):
        here = "127.0.0.1" if host in ("0.0.0.0", "[::]", "") else host.strip("[]")  # noqa: S104  not bound
        _, writer = await asyncio.open_connection(here, int(port))
        writer.close()
        return True
    return False
