"""Limit the concurrent calls to a server, because each has its own process or session."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from activities.tools.mcp.config import TURN_SECONDS
from plangate.domain.errors import ToolUnavailable

AT_ONCE: Final = 4


class Turns:
    """The turns for calls to one server."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._free = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and hold it.

        Raises:
            ToolUnavailable: earlier calls to the server are taking too long; nothing was called.
        """
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise ToolUnavailable(
                f"The MCP server {self._server} is busy with {AT_ONCE} calls; nothing was called."
            ) from None
        try:
            yield
        finally:
            self._free.release()
