"""Wrap a tool so that a test can inspect its calls; otherwise it is unchanged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from plangate.domain.plans.tool import ToolArguments
from plangate.tool import Tool

_EFFECTS: Final = ("act", "undo")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool that is intended to have an effect.

    Attributes:
        tool: its name.
        what: act or undo.
        arguments: the approved arguments.
        key: the idempotency key; it begins with the run's id.
    """

    tool: str
    what: str
    arguments: ToolArguments
    key: str


class _Called:
    """Looks up the attributes of a tool at each use; the attributes show its abilities."""


def called(tool: Tool, calls: list[Call]) -> Tool:
    """Return a copy of the tool that adds each call to ``calls`` before its effect begins."""
    wrapped = _Called()
    for name in dir(tool):
        if not name.startswith("__"):
            setattr(wrapped, name, getattr(tool, name))
    for what in _EFFECTS:
        if hasattr(tool, what):
            setattr(wrapped, what, _recording(tool, what, calls))
    return cast("Tool", wrapped)


def _recording(tool: Tool, what: str, calls: list[Call]) -> Callable[..., Any]:
    function = getattr(tool, what)

    async def recorded(arguments: ToolArguments, *rest: Any) -> Any:
        calls.append(Call(tool.declaration.name, what, arguments, str(rest[-1])))
        return await function(arguments, *rest)

    return recorded
