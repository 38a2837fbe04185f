"""How planners read: with the tools that only read, within what the settings allow."""

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from activities.planners.proposals import Reader
from plangate.domain.errors import ToolRefused
from plangate.domain.tool import ToolArguments
from plangate.tool import Reads, Tool, lacks_of


def readers_of(tools: Mapping[str, Tool]) -> Iterator[tuple[str, Reader]]:
    """Yield the name of each usable tool that only reads, and how it does."""
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
