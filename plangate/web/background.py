"""Run the inbox in its own process next to a worker; it stops with the worker, even after kill -9.

Several workers on one machine share one inbox. Each worker checks every 5 seconds whether the inbox's address
is free, and starts the inbox after the worker that ran it has stopped.
"""

import asyncio
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from plangate.settings import PROJECT, Settings

_END_SECONDS = 6.0
_CHECK_AGAIN = 5.0  # seconds between two checks of the address
_log = structlog.get_logger(__name__)


@asynccontextmanager
async def background_inbox(settings: Settings) -> AsyncIterator[None]:
    """Run the inbox while the block runs, unless the settings turn it off."""
    if not settings.has_web:
        yield
        return
    keeping = asyncio.create_task(_keep_running(settings.web_address))
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


async def _keep_running(address: str) -> None:
    """Run the inbox, and restart it if it exits, unless another inbox uses the address."""
    is_elsewhere = False
    while True:
        if await answers(address):
            if not is_elsewhere:
                _log.info(
                    f"Another program listens on {address}, so this worker does not start the inbox. If it "
                    "is not the inbox of another worker, set PLANGATE_WEB_ADDRESS to another address.",
                    action="web_elsewhere",
                )
            is_elsewhere = True
        else:
            is_elsewhere = False
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
