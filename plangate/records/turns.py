"""Who writes next: receipts before all else.

A tool's answer that is not on the record yet is lost with the worker, and its step ends in doubt; a claim or
a decision that has to wait loses nothing.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from plangate.domain.errors import RecordsUnavailable


class Turns:
    """Lets so many write at once, the others in the order in which they came, those with a receipt first.

    It belongs to the tasks of one event loop.
    """

    def __init__(self, places: int, patience: float) -> None:
        self._free = places
        self._patience = patience
        self._receipts: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def taken(self, *, receipt: bool) -> AsyncIterator[None]:
        """Wait for a turn, and have it while the block runs.

        Raises:
            RecordsUnavailable: it did not come; those before wait for the database themselves.
        """
        if self._free:
            self._free -= 1
        else:
            try:
                async with asyncio.timeout(self._patience):
                    await self._wait(self._receipts if receipt else self._others)
            except TimeoutError:
                raise RecordsUnavailable(
                    f"The records do not answer: others have been waiting for {self._patience:g} seconds."
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
            if not turn.cancelled():  # it was given to us in the same moment
                self._pass_on()
            raise  # who has left is passed over, whenever that is noticed

    def _pass_on(self) -> None:
        for line in (self._receipts, self._others):
            while line:
                turn = line.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._free += 1
