"""A bank that accepts transfers immediately, and later writes their final results to its file.

The file represents the bank: each transfer is a line, and so is its final result.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from pydantic import JsonValue

from plangate.domain.errors import ToolUnavailable
from plangate.domain.plans.tool import Receipt, RetrySafety, ToolArguments, ToolDeclaration
from plangate.tool import DidNotHappen, EffectStatus, Happened, Reversed, Settled


class TransferArguments(ToolArguments):
    """Who gets how much; ``clears_at_once`` is a transfer inside the bank."""

    to: str
    cents: int
    clears_at_once: bool = False


class Bank:
    """Transfers money, and looks up the final result of a transfer.

    ``closed`` is a file; while it exists, look-ups fail. ``asked`` is a file with a line for each look-up.
    """

    settles_within = timedelta(days=10)

    def __init__(self, folder: Path, *, name: str = "transfer") -> None:
        self.declaration = ToolDeclaration(
            name=name,
            description="Transfer money.",
            arguments=TransferArguments,
            retry_safety=RetrySafety.LOOK_UP,
            undoable=True,
        )
        self.path, self.closed, self.asked = folder / "bank.tsv", folder / "closed", folder / "asked.tsv"

    def objection(self, arguments: TransferArguments) -> str | None:
        del arguments
        return None

    def preview(self, arguments: TransferArguments, observation: JsonValue) -> str:
        del observation
        return f"Transfer {arguments.cents} cents to {arguments.to}"

    async def act(self, arguments: TransferArguments, idempotency_key: str) -> Receipt:
        self._write("transfer", idempotency_key, arguments.to)
        return self._receipt(arguments)

    async def find_out(self, arguments: TransferArguments, idempotency_key: str) -> EffectStatus:
        is_there = any(row[:2] == ("transfer", idempotency_key) for row in self.rows())
        return Happened(self._receipt(arguments)) if is_there else DidNotHappen()

    async def undo(self, arguments: TransferArguments, receipt: Receipt, idempotency_key: str) -> Receipt:
        del receipt
        self._write("recall", idempotency_key, arguments.to)
        return Receipt(summary="recalled", final=False)

    async def find_out_undo(
        self, arguments: TransferArguments, receipt: Receipt, idempotency_key: str
    ) -> EffectStatus:
        del arguments, receipt
        is_there = any(row[:2] == ("recall", idempotency_key) for row in self.rows())
        return Happened(Receipt(summary="recalled")) if is_there else DidNotHappen()

    async def find_settlement(
        self, arguments: TransferArguments, receipt: Receipt, idempotency_key: str
    ) -> Settled | Reversed | None:
        with self.asked.open("a") as file:
            file.write(f"{idempotency_key}\t{arguments.to}\t{receipt.summary}\n")
        if self.closed.exists():
            raise ToolUnavailable("The bank is closed.")
        for what, to, said in self.rows():
            if to == arguments.to and what == "settled":
                return Settled(said)
            if to == arguments.to and what == "reversed":
                return Reversed(said)
        return None

    def ends(self, to: str, how: str, said: str) -> None:
        """Record that a transfer is settled or reversed."""
        self._write(how, to, said)

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The bank's rows: transfers and recalls with their keys, and the final results of transfers."""
        if self.path.exists():
            yield from (tuple(row.split("\t")) for row in self.path.read_text().splitlines())

    def count(self, what: str) -> int:
        return sum(row[0] == what for row in self.rows())

    def look_ups(self) -> int:
        return len(self.asked.read_text().splitlines()) if self.asked.exists() else 0

    def _receipt(self, arguments: TransferArguments) -> Receipt:
        said = f"transfer to {arguments.to} accepted by the bank"
        return Receipt(summary=said, final=arguments.clears_at_once)

    def _write(self, *row: str) -> None:
        with self.path.open("a") as file:
            file.write("\t".join(row) + "\n")


def transfers(*to: str, **more: JsonValue) -> dict[str, JsonValue]:
    """A prepared plan that pays each of these people; ``more`` are further arguments of every step."""
    steps: list[JsonValue] = [
        {"tool": "transfer", "arguments": {"to": one, "cents": 100, **more}, "reason": "owed"} for one in to
    ]
    return {"summary": f"Pay {len(to)} people", "steps": steps}
