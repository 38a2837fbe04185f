"""A tool with every feature: it observes, undoes, returns fields for later steps, and fails on request.

As with `Notebook`, its file contains every effect that happened.
"""

import asyncio
from pathlib import Path

from pydantic import BaseModel, JsonValue

from plangate.domain.errors import ToolError
from plangate.domain.plans.tool import Receipt, Reference, RetrySafety, ToolArguments, ToolDeclaration
from plangate.tool import DidNotHappen, EffectStatus, Happened, Observes, Unknown


class Booked(BaseModel):
    """The details of the receipt of a booking."""

    number: int
    text: str


class BookingArguments(ToolArguments):
    """A line of the account, which may refer to an earlier line by its number."""

    text: str
    follows: int | Reference | None = None


class Account(Observes):
    """Books lines under their idempotency keys, and cancels lines.

    ``remembers``: whether it can look up the effects of acts and undos after a crash. ``failures`` and
    ``undo_failures`` are raised by the next acts and undos, in order, and ``fails_at`` has the failure of the
    next act with that text; with ``acts_before_failing``, the effect happens first. ``balance`` is its
    observation, if set; ``observe_failures`` are raised by the next observations, in order.
    """

    def __init__(self, path: Path, *, name: str = "book", remembers: bool = False) -> None:
        self.declaration = ToolDeclaration(
            name=name,
            description="Book a line.",
            arguments=BookingArguments,
            retry_safety=RetrySafety.LOOK_UP if remembers else RetrySafety.UNKNOWABLE,
            undoable=True,
            receipt=Booked,
        )
        self.path = path
        self.remembers = remembers
        self.failures: list[Exception] = []
        self.undo_failures: list[Exception] = []
        self.fails_at: dict[str, Exception] = {}
        self.acts_before_failing = False
        self.balance: JsonValue = None
        self.observe_failures: list[ToolError] = []
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    def objection(self, arguments: BookingArguments) -> str | None:
        del arguments
        return None

    def preview(self, arguments: BookingArguments, observation: JsonValue) -> str:
        return f"Book {arguments.text!r} at a balance of {observation}"

    async def observe(self, arguments: BookingArguments) -> JsonValue:
        del arguments
        if self.observe_failures:
            raise self.observe_failures.pop(0)
        return self.balance

    async def act(self, arguments: BookingArguments, idempotency_key: str) -> Receipt:
        follows = "" if arguments.follows is None else f" after {arguments.follows}"
        failures = [self.fails_at.pop(arguments.text)] if arguments.text in self.fails_at else self.failures
        return await self._do(f"booked {arguments.text}{follows}", idempotency_key, failures)

    async def undo(self, arguments: BookingArguments, receipt: Receipt, idempotency_key: str) -> Receipt:
        follows = "" if arguments.follows is None else f" after {arguments.follows}"
        del receipt
        line = f"cancelled {arguments.text}{follows}"
        return await self._do(line, idempotency_key, self.undo_failures)

    async def find_out(self, arguments: BookingArguments, idempotency_key: str) -> EffectStatus:
        return self._found(f"booked {arguments.text}", idempotency_key)

    async def find_out_undo(
        self, arguments: BookingArguments, receipt: Receipt, idempotency_key: str
    ) -> EffectStatus:
        del arguments
        return self._found(f"cancelled {receipt.details['text']}", idempotency_key)

    def lines(self) -> list[tuple[str, str]]:
        """Every effect that happened: its idempotency key and its line."""
        if not self.path.exists():
            return []
        key_and_line = (row.split("\t", 1) for row in self.path.read_text().splitlines())
        return [(key, line) for key, line in key_and_line]

    def texts(self) -> list[str]:
        return [line for _, line in self.lines()]

    async def _do(self, line: str, key: str, failures: list[Exception]) -> Receipt:
        self.entered.set()
        await self.gate.wait()
        if failures:
            if self.acts_before_failing:
                self._write(line, key)
            raise failures.pop(0)
        self._write(line, key)
        return self._receipt(line)

    def _found(self, line: str, key: str) -> EffectStatus:
        self.asked.append(key)
        if not self.remembers:
            return Unknown("Look into the account.")
        return Happened(self._receipt(line)) if any(key == one for one, _ in self.lines()) else DidNotHappen()

    def _write(self, line: str, key: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{key}\t{line}\n")

    def _receipt(self, line: str) -> Receipt:
        return Receipt(
            summary=line, details={"number": 100 + len(self.lines()), "text": line.split(" ", 1)[1]}
        )


def bookings(*texts: str, at: int = -1, **more: JsonValue) -> dict[str, JsonValue]:
    """A prepared plan that books these lines; ``more`` are further arguments of the step at index ``at``."""
    steps: list[JsonValue] = [
        {
            "tool": "book",
            "arguments": {"text": text, **(more if index == at % len(texts) else {})},
            "reason": "asked for",
        }
        for index, text in enumerate(texts)
    ]
    return {"summary": f"Book {len(texts)} lines", "steps": steps}
