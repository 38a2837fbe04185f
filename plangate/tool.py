"""What every tool is, and what it may know after a crash."""

import json
from dataclasses import dataclass
from typing import Any, Protocol

from plangate.domain.tool import Receipt, ToolArguments, ToolDeclaration


@dataclass(frozen=True, slots=True)
class Happened:
    """The effect happened; this is its receipt."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class DidNotHappen:
    """The effect certainly did not happen."""


@dataclass(frozen=True, slots=True)
class Repeatable:
    """The effect may have happened, and doing it again under the same key changes nothing."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say from here; ``reason`` tells a person where to look."""

    reason: str


Finding = Happened | DidNotHappen | Repeatable | Unknown


class Tool(Protocol):
    """An act a step can take in the world.

    ``Any`` stands for the tool's own arguments model, which the declaration names: whoever calls a tool has
    validated the arguments by exactly that model.
    """

    @property
    def declaration(self) -> ToolDeclaration:
        """Name, description, arguments and retry safety; readable without constructing the tool."""

    def objection(self, arguments: Any) -> str | None:
        """Say why these settings would never allow such a call; asked at the draft and before each act."""

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        """Do it, and return what came back.

        Raises:
            ToolUnavailable: nothing happened; later may be better.
            ToolRefused: nothing happened; it never will.
            EffectUnknown: it may have happened.
        """

    async def find_out(self, arguments: Any, idempotency_key: str) -> Finding:
        """Say what became of an earlier `act` under this key whose end nobody saw.

        Raises:
            ToolUnavailable: it cannot be asked now; later may be better.
        """


def arguments_for(declaration: ToolDeclaration, arguments: dict[str, Any]) -> ToolArguments:
    """Return the arguments of a checked step as the tool's own model."""
    return declaration.arguments.model_validate_json(json.dumps(arguments))
