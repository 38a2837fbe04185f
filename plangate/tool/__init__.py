"""The API for tool authors: `tool` makes a tool of a function; or write a class by the protocols.

An example that runs is in docs/howto-add-a-tool.md. May import settings, files and the domain.
"""

from plangate.domain.errors import EffectUnknown, SettingsInvalid, ToolRefused, ToolUnavailable
from plangate.domain.tool import Receipt, Reference, RetrySafety, ToolArguments, ToolDeclaration
from plangate.tool.decorator import ToolFunction, tool
from plangate.tool.protocols import (
    ActsOnObservation,
    Advises,
    Blobs,
    Configured,
    DefinedElsewhere,
    DidNotHappen,
    EffectStatus,
    Happened,
    NotFound,
    Observes,
    ObservesSome,
    Previews,
    Reads,
    Repeatable,
    Reversed,
    Settled,
    Settles,
    Tool,
    ToolClass,
    Undoes,
    Unknown,
    UsesBlobs,
    arguments_for,
    lacks_of,
    same_observation,
)
from plangate.tool.returned import Accepted
from plangate.tool.signature import Referable

__all__ = [
    "Accepted",
    "ActsOnObservation",
    "Advises",
    "Blobs",
    "Configured",
    "DefinedElsewhere",
    "DidNotHappen",
    "EffectStatus",
    "EffectUnknown",
    "Happened",
    "NotFound",
    "Observes",
    "ObservesSome",
    "Previews",
    "Reads",
    "Receipt",
    "Referable",
    "Reference",
    "Repeatable",
    "RetrySafety",
    "Reversed",
    "SettingsInvalid",
    "Settled",
    "Settles",
    "Tool",
    "ToolArguments",
    "ToolClass",
    "ToolDeclaration",
    "ToolFunction",
    "ToolRefused",
    "ToolUnavailable",
    "Undoes",
    "Unknown",
    "UsesBlobs",
    "arguments_for",
    "lacks_of",
    "same_observation",
    "tool",
]
