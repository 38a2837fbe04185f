"""The API for tool authors: the protocol, arguments, receipts, and the errors that a tool raises.

An example that runs is in docs/howto-add-a-tool.md. May import settings, files and the domain.
"""

import json
from dataclasses import dataclass
from typing import Any, Protocol

from plangate.domain.errors import EffectUnknown, SettingsInvalid, ToolRefused, ToolUnavailable
from plangate.domain.tool import Receipt, RetrySafety, ToolArguments, ToolDeclaration

__all__ = [
    "DidNotHappen",
    "EffectStatus",
    "EffectUnknown",
    "Happened",
    "Receipt",
    "Repeatable",
    "RetrySafety",
    "SettingsInvalid",
    "Tool",
    "ToolArguments",
    "ToolDeclaration",
    "ToolRefused",
    "ToolUnavailable",
    "Unknown",
    "arguments_for",
]


@dataclass(frozen=True, slots=True)
class Happened:
    """The effect happened; this is its receipt."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class DidNotHappen:
    """The effect certainly did not happen."""


@dataclass(frozen=True, slots=True)
class Repeatable:
    """The effect may have happened; repeating it under the same idempotency key is safe."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The tool cannot find out whether the effect happened; ``reason`` says where a person can look."""

    reason: str


EffectStatus = Happened | DidNotHappen | Repeatable | Unknown


class Tool(Protocol):
    """An action that a step can take.

    ``Any`` stands for the tool's own arguments model, which the declaration names; the arguments were
    validated by exactly that model.
    """

    @property
    def declaration(self) -> ToolDeclaration:
        """Name, description, arguments and retry safety; readable without constructing the tool."""

    def objection(self, arguments: Any) -> str | None:
        """Return why the settings never allow such a call; checked at the draft and before each act."""

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        """Perform the action and return its receipt.

        Raises:
            ToolUnavailable: nothing happened; a later attempt may succeed.
            ToolRefused: nothing happened, and no attempt will succeed.
            EffectUnknown: it may have happened.
        """

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        """Return the result of an earlier `act` under this key that did not report one.

        Raises:
            ToolUnavailable: it cannot be asked now; a later attempt may succeed.
        """


def arguments_for(declaration: ToolDeclaration, arguments: dict[str, Any]) -> ToolArguments:
    """Return the arguments of a checked step as the tool's own model."""
    return declaration.arguments.model_validate_json(json.dumps(arguments))
