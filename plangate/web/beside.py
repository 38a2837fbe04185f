"""Run the inbox as a process beside a worker: it ends with the worker, however that ends."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from plangate.settings import PROJECT, Settings

_END_SECONDS = 6.0
_log = structlog.get_logger(__name__)


@asynccontextmanager
async def inbox_beside(settings: Settings) -> AsyncIterator[None]:
    """Run the inbox while the block runs, unless the settings turn it off.

    Its standard input is a pipe from this process: when that closes, even by a kill -9, the inbox ends.
    """
    if not settings.has_web:
        yield
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(str(PROJECT / "web.py"), "--while-stdin-is-open"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _END_SECONDS)
            except TimeoutError:
                _log.warning("The inbox did not stop in time; it is ended.", action="web_stopped")
                process.kill()
