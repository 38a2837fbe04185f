"""A tool that only reads; third parties may have written the texts that it returns."""

from typing import Any

from pydantic import JsonValue

from plangate.domain.errors import ToolRefused
from plangate.domain.plans.tool import Receipt, RetrySafety, ToolArguments, ToolDeclaration
from plangate.tool import DidNotHappen, EffectStatus


class ShelfArguments(ToolArguments):
    """Which text."""

    title: str


class Shelf:
    """Returns the text with a title; ``read_titles`` are the requested titles."""

    def __init__(self, texts: dict[str, JsonValue], description: str = "Read a text.") -> None:
        self.declaration = ToolDeclaration(
            name="shelf",
            description=description,
            arguments=ShelfArguments,
            retry_safety=RetrySafety.LOOK_UP,
            reads_only=True,
        )
        self.texts = texts
        self.read_titles: list[str] = []

    def objection(self, _arguments: Any) -> str | None:
        return None

    async def read(self, arguments: Any) -> JsonValue:
        self.read_titles.append(arguments.title)
        if arguments.title not in self.texts:
            raise ToolRefused(f"There is no text called {arguments.title}.")
        return self.texts[arguments.title]

    async def act(self, _arguments: Any, _idempotency_key: str) -> Receipt:
        raise ToolRefused("It only reads.")

    async def find_out(self, _arguments: Any, _idempotency_key: str) -> EffectStatus:
        return DidNotHappen()
