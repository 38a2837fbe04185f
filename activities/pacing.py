"""Pace a worker's steps: they begin one by one, and none begins while a receipt is waiting to be stored.

When a worker dies, steps whose tools were being called are in doubt if the tools cannot look up the result.
Without pacing, steps that are claimed but not called yet, and steps whose result is not stored yet, would
also be in doubt: up to one for each task of a busy event loop (docs/decisions/0029).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

# Cycles of the event loop in which a call can connect and send.
_PASSES: Final = 10
# The minimum time between two calls, for the network.
_PASS_SECONDS: Final = 0.001


class Turn:
    """A step's turn to begin. It ends with the step, or 10 ms after the call."""

    def __init__(self, beginning: asyncio.Lock) -> None:
        self._beginning = beginning
        self._timer: asyncio.TimerHandle | None = None
        self._has_ended = False

    def end_soon(self) -> None:
        """Allow the next step to begin once this step's call is sent, even in a busy event loop."""
        self._pass(_PASSES)

    def _pass(self, left: int) -> None:
        if left:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_PASS_SECONDS, self._pass, left - 1)
        else:
            self.end()

    def end(self) -> None:
        """Allow the next step to begin."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._has_ended:
            self._has_ended = True
            self._beginning.release()


class Pacing:
    """Starts the steps of one worker one at a time."""

    def __init__(self) -> None:
        self._beginning = asyncio.Lock()
        self._unstored = 0
        self._all_stored = asyncio.Event()
        self._all_stored.set()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Wait until it is this step's turn to be claimed, and no receipt is waiting."""
        await self._beginning.acquire()
        turn = Turn(self._beginning)
        try:
            await self._all_stored.wait()
            yield turn
        finally:
            turn.end()

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Prevent steps from beginning while the block stores a result."""
        self._unstored += 1
        self._all_stored.clear()
        try:
            yield
        finally:
            self._unstored -= 1
            if not self._unstored:
                self._all_stored.set()
