"""Create a test's tools from tools, their classes, or functions.

Needs only the base package.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

from plangate.domain.errors import OperatorError
from plangate.domain.plans.tool import ToolDeclaration
from plangate.settings import Settings
from plangate.tool import Tool, tool

_METHODS = ("objection", "act", "find_out")


def as_tool(found: Any, settings: Callable[[], Settings]) -> Tool:
    """Return ``found`` as a tool; it has type ``Any`` because a name in a module can refer to any object.

    Args:
        found: a tool, a class of a tool (built with ``from_settings`` if it has that), or a function.
        settings: returns the settings for ``from_settings``.

    Raises:
        OperatorError: it is not a tool, such a class, or a function.
        SettingsInvalid: a tool setting cannot be used.
    """
    if callable(found) and not isinstance(found, type) and not hasattr(found, "declaration"):
        found = tool(found)
    if callable(getattr(found, "from_settings", None)):
        return _checked(found.from_settings(settings()))
    return _checked(found() if isinstance(found, type) else found)


def by_name(tools: Sequence[Tool]) -> dict[str, Tool]:
    """Return a test's tools by name.

    Raises:
        OperatorError: there is no tool, or two tools have the same name.
    """
    if not tools:
        raise OperatorError("A plan needs a tool; pass at least one: plangate(refund).")
    named: dict[str, Tool] = {}
    for one in tools:
        name = one.declaration.name
        if name in named:
            raise OperatorError(
                f"Two tools are called {name}; pass each tool once, or give one of them another "
                'name: @tool(name="…").'
            )
        named[name] = one
    return named


def _checked(found: Any) -> Tool:
    if not _is_tool(found):
        missing = ", ".join(name for name in ("declaration", *_METHODS) if not hasattr(found, name))
        raise OperatorError(
            f"This is not a tool: {type(found).__name__} lacks {missing or 'a ToolDeclaration'}; "
            "see docs/howto-add-a-tool.md."
        )
    return found


def _is_tool(found: Any) -> TypeGuard[Tool]:
    has_methods = all(callable(getattr(found, name, None)) for name in _METHODS)
    return has_methods and isinstance(getattr(found, "declaration", None), ToolDeclaration)
