"""The API for tool authors: `tool` makes a tool of a function; or write a class by the protocols.

An example that runs is in docs/howto-add-a-tool.md. May import settings, files and the domain.
"""

from plangate.domain.errors import EffectUnknown, SettingsInvalid, ToolRefused, ToolUnavailable
from plangate.domain.tool import Receipt, Reference, RetrySafety, ToolArguments, ToolDeclaration
from plangate.tool.decorator import ToolFunction, tool
from plangate.tool.protocols import (
    Configured,
    DidNotHappen,
    EffectStatus,
    Happened,
    Observes,
    Previews,
    Repeatable,
    Tool,
    ToolClass,
    Undoes,
    Unknown,
    arguments_for,
    lacks_of,
    same_observation,
)
from plangate.tool.signature import Referable

__all__ = [
    "Configured",
    "DidNotHappen",
    "EffectStatus",
    "EffectUnknown",
    "Happened",
    "Observes",
    "Previews",
    "Receipt",
    "Referable",
    "Reference",
    "Repeatable",
    "RetrySafety",
    "SettingsInvalid",
    "Tool",
    "ToolArguments",
    "ToolClass",
    "ToolDeclaration",
    "ToolFunction",
    "ToolRefused",
    "ToolUnavailable",
    "Undoes",
    "Unknown",
    "arguments_for",
    "lacks_of",
    "same_observation",
    "tool",
]
