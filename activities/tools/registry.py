"""The registry of tools: one line for each.

Reading the declarations constructs no tool and imports no vendor library, so the command line can do it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol

from activities.tools.email.tool import SendEmail
from activities.tools.http.tool import HttpRequest
from plangate.domain.errors import OperatorError
from plangate.domain.tool import ToolDeclaration
from plangate.settings import Settings
from plangate.tool import Tool

# The planner adds an argument of this name to every tool, in which the model gives the step's reason.
RESERVED_ARGUMENT: Final = "why"
# A function name that every model service accepts.
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


class ToolClass(Protocol):
    """A registered class: it declares a tool and builds it from the settings."""

    @property
    def declaration(self) -> ToolDeclaration:
        """The declaration, the same for every instance."""

    def from_settings(self, settings: Settings) -> Tool:
        """Build the tool.

        Raises:
            SettingsInvalid: a setting of the tool cannot be used.
        """


TOOLS: Final[tuple[ToolClass, ...]] = (
    SendEmail,
    HttpRequest,
)


def declarations(tools: Iterable[ToolClass] = TOOLS) -> Mapping[str, ToolDeclaration]:
    """Return each tool's declaration by its name."""
    return {tool.declaration.name: tool.declaration for tool in _checked(tools)}


def build_tools(settings: Settings, tools: Iterable[ToolClass] = TOOLS) -> Mapping[str, Tool]:
    """Build the tools and return them by name; only worker.py calls this.

    Raises:
        SettingsInvalid: a setting of a tool cannot be used.
    """
    return {tool.declaration.name: tool.from_settings(settings) for tool in _checked(tools)}


def _checked(tools: Iterable[ToolClass]) -> Iterator[ToolClass]:
    names: set[str] = set()
    for tool in tools:
        name = tool.declaration.name
        if not _NAME.fullmatch(name):
            raise OperatorError(
                f"{name!r} is not a valid tool name; use at most 64 of a-z, 0-9 and _, a letter first."
            )
        if name in names:
            raise OperatorError(f"Two tools are called {name}; rename one of them.")
        if RESERVED_ARGUMENT in tool.declaration.schema().get("properties", {}):
            raise OperatorError(
                f"The tool {name} has an argument called '{RESERVED_ARGUMENT}', which is reserved for the "
                "reason of a step; rename the argument."
            )
        names.add(name)
        yield tool
