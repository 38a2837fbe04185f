"""Queue waiting writers, receipts first.

If the worker crashes before a receipt is stored, the receipt is lost and its step is in doubt. If it crashes
before a claim or decision is stored, nothing is lost, because Temporal starts that activity again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from plangate.domain.errors import RecordsUnavailable


class WriteQueue:
    """Lets up to ``slots`` tasks of one event loop write at a time; the others queue, receipts first."""

    def __init__(self, slots: int, timeout: float) -> None:
        self._free = slots
        self._timeout = timeout
        self._receipts: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self, *, receipt: bool) -> AsyncIterator[None]:
        """Wait for a free slot, and hold it while the block runs.

        Raises:
            RecordsUnavailable: the wait timed out, because earlier writes have not finished.
        """
        if self._free:
            self._free -= 1
        else:
            try:
                async with asyncio.timeout(self._timeout):
                    await self._wait(self._receipts if receipt else self._others)
            except TimeoutError:
                raise RecordsUnavailable(
                    f"The database is overloaded or does not respond: this write has waited "
                    f"{self._timeout:g} seconds for its turn."
                ) from None
        try:
            yield
        finally:
            self._release()

    async def _wait(self, queue: deque[asyncio.Future[None]]) -> None:
        granted = asyncio.get_running_loop().create_future()
        queue.append(granted)
        try:
            await granted
        except asyncio.CancelledError:
            if not granted.cancelled():  # the slot was granted at the same time
                self._release()
            raise  # `_release` skips a waiter that is cancelled

    def _release(self) -> None:
        for queue in (self._receipts, self._others):
            while queue:
                granted = queue.popleft()
                if not granted.done():
                    granted.set_result(None)
                    return
        self._free += 1
