"""Allow planners to read with the read-only tools, within the settings and the limits."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

import structlog
from pydantic import JsonValue

from plangate.domain.errors import DraftUnusable, ToolError, ToolRefused
from plangate.domain.plans.reads import MAX_READS, MAX_READS_BYTES, Read, read_of
from plangate.domain.plans.tool import ToolArguments, ToolDeclaration
from plangate.tool import Reads, Tool, lacks_of

ENDED: Final = "The draft has ended, so its tools can no longer be called."
_log = structlog.get_logger(__name__)

Reader = Callable[[ToolArguments], Awaitable[JsonValue]]
"""The function of a read-only tool."""


def readers_of(tools: Mapping[str, Tool]) -> Iterator[tuple[str, Reader]]:
    """Yield the name and the function of each usable read-only tool."""
    for name, tool in tools.items():
        if tool.declaration.reads_only and isinstance(tool, Reads) and not lacks_of(tool):
            yield name, _reader(tool, tool)


def _reader(tool: Tool, reads: Reads) -> Reader:
    async def read(arguments: ToolArguments) -> JsonValue:
        objection = tool.objection(arguments)
        if objection:
            raise ToolRefused(objection)
        return await reads.read(arguments)

    return read


class Reading:
    """Executes the reads for one draft, and keeps the results.

    Args:
        readers: the readers of the read-only tools.
        seen: the reads for an earlier plan, which the planner still has.
    """

    def __init__(self, readers: Mapping[str, Reader], seen: tuple[Read, ...]) -> None:
        self._readers = dict(readers)
        self._seen = seen
        self._reads: list[Read | None] = []  # None while it runs
        self._running: set[asyncio.Task[object]] = set()
        self._is_closed = False

    @property
    def reads(self) -> tuple[Read, ...]:
        """The reads for this plan and earlier ones, in the order of the calls."""
        return (*self._seen, *(one for one in self._reads if one is not None))

    def close(self) -> None:
        """Cancel all reads."""
        self._is_closed = True
        for running in self._running:
            running.cancel()

    async def read(
        self, declaration: ToolDeclaration, arguments: ToolArguments, values: dict[str, JsonValue]
    ) -> Read | None:
        """Read with a tool; return None if no further result can be kept. ``values``: the arguments as JSON.

        Raises:
            DraftUnusable: the draft has ended.
        """
        index = len(self._reads)
        if len(self._seen) + index >= MAX_READS or self._bytes_left <= 0:
            return None
        self._reads.append(None)
        result = await self._result(declaration, arguments)
        if self._bytes_left <= 0:
            return None
        try:
            read = read_of(declaration.name, values, result, self._bytes_left)
        except (TypeError, ValueError):
            message = f"{declaration.name} returned a value that is not JSON."
            read = read_of(declaration.name, values, message, self._bytes_left)
        self._reads[index] = read
        return read

    @property
    def _bytes_left(self) -> int:
        """The number of bytes left for further results."""
        return MAX_READS_BYTES - sum(one.kept for one in self.reads)

    async def _result(self, declaration: ToolDeclaration, arguments: ToolArguments) -> object:
        """Return a tool's result, or an explanation of why there is none.

        The tool runs in its own task, which ends with the draft: a planner may leave tasks running, and a
        client may cancel the task that calls it if the connection to its server is lost.

        Raises:
            DraftUnusable: the draft has ended.
        """
        running = asyncio.create_task(self._call_reader(declaration, arguments))
        self._running.add(running)
        try:
            await asyncio.wait((running,))
        finally:
            running.cancel()
            self._running.discard(running)
        if self._is_closed:
            raise DraftUnusable(ENDED)
        return f"Not read: {declaration.name} was cancelled." if running.cancelled() else running.result()

    async def _call_reader(self, declaration: ToolDeclaration, arguments: ToolArguments) -> object:
        name, seconds = declaration.name, declaration.seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._readers[name](arguments)
        except ToolError as error:
            return f"Not read: {error}"
        except TimeoutError:
            return f"Not read: {name} did not answer within {seconds} seconds."
        except Exception as error:  # noqa: BLE001  a bug in a tool is reported as the response
            _log.exception("A tool could not read.", action="read", tool=name)
            return f"Not read: {name} failed ({type(error).__name__})."
