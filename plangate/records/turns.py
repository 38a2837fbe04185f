"""Queue waiting writers, receipts first.

If the worker dies before a receipt is stored, the receipt is lost and its step is in doubt. If it dies before
a claim or decision is stored, nothing is lost.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from plangate.domain.errors import RecordsUnavailable


class Turns:
    """Lets up to ``places`` tasks of one event loop write at a time; the others queue, receipts first."""

    def __init__(self, places: int, timeout: float) -> None:
        self._free = places
        self._timeout = timeout
        self._receipts: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def taken(self, *, receipt: bool) -> AsyncIterator[None]:
        """Wait for a turn, and hold it while the block runs.

        Raises:
            RecordsUnavailable: the wait for a turn timed out, because earlier writers wait for the database.
        """
        if self._free:
            self._free -= 1
        else:
            try:
                async with asyncio.timeout(self._timeout):
                    await self._wait(self._receipts if receipt else self._others)
            except TimeoutError:
                raise RecordsUnavailable(
                    f"The database does not respond: earlier writes have waited {self._timeout:g} seconds."
                ) from None
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, line: deque[asyncio.Future[None]]) -> None:
        turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the turn was granted at the same time
                self._pass_on()
            raise  # `_pass_on` skips a turn that is cancelled

    def _pass_on(self) -> None:
        for line in (self._receipts, self._others):
            while line:
                turn = line.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._free += 1
