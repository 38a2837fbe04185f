"""Limit the time of calls that only read from the Temporal server.

The SDK applies ``rpc_timeout`` to each attempt, and repeats a failed one for about ten seconds. That helps a
call that writes; a person who only reads gets an answer sooner.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from temporalio.service import RPCError, RPCStatusCode

READ_TIMEOUT: Final = timedelta(seconds=3)
_GRACE: Final = timedelta(milliseconds=500)  # the server's own answer at the end of an attempt arrives first


@asynccontextmanager
async def limited_read(attempt: timedelta = READ_TIMEOUT) -> AsyncIterator[None]:
    """Limit the calls of the block, with all repetitions, to little more than one ``attempt``.

    Raises:
        RPCError: ``UNAVAILABLE``: they took longer.
    """
    limit = (attempt + _GRACE).total_seconds()
    try:
        async with asyncio.timeout(limit):
            yield
    except TimeoutError:
        why = f"it did not respond within {limit:g} s"
        raise RPCError(why, RPCStatusCode.UNAVAILABLE, b"") from None
