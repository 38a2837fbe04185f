"""Tools that keep their promises, and tools that each break one; a sandbox folder contains their effects.

Each effect is a line in the file ``effects`` of the working directory: its key and a payment. `check-tool`
imports this module by its name.
"""

# ruff: noqa: ARG002  the protocol defines the arguments of a tool
import secrets
import socket
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from plangate.tool import (
    DidNotHappen,
    EffectStatus,
    Happened,
    Receipt,
    Repeatable,
    RetrySafety,
    Settled,
    ToolArguments,
    ToolDeclaration,
    ToolUnavailable,
    Unknown,
)

EFFECTS = Path("effects")


def effects() -> list[str]:
    return EFFECTS.read_text().splitlines() if EFFECTS.exists() else []


def count() -> int:
    return len(effects())


class RefundArguments(ToolArguments):
    payment: str


class LooksUp:
    """Keeps its promises: an effect is looked up, and a second one is refused."""

    retry_safety: ClassVar = RetrySafety.LOOK_UP
    arguments: ClassVar[type[ToolArguments]] = RefundArguments
    undoable: ClassVar = False

    @property
    def declaration(self) -> ToolDeclaration:
        return ToolDeclaration(
            name="refund",
            description="Refund a payment.",
            arguments=self.arguments,
            retry_safety=self.retry_safety,
            undoable=self.undoable,
        )

    def objection(self, arguments: Any) -> str | None:
        return "The payment is unknown." if arguments.payment == "unknown" else None

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        self.write(idempotency_key)
        return Receipt(summary=f"refunded {arguments.payment}")

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        receipt = Receipt(summary=f"refunded {arguments.payment}")
        return Happened(receipt) if idempotency_key in effects() else DidNotHappen()

    def write(self, line: str) -> None:
        if line not in effects():
            with EFFECTS.open("a") as file:
                file.write(f"{line}\n")


class VendorKey(LooksUp):
    """Keeps its promises: the vendor deduplicates."""

    retry_safety = RetrySafety.VENDOR_KEY

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        return Repeatable()


class ObservesWhatItChanges(VendorKey):
    """Keeps its promises: its effect changes the observed state, and it looks up its effect."""

    async def observe(self, arguments: Any) -> Any:
        return {"effects": count()}

    def still_holds(self, arguments: Any, seen: Any, now: Any, receipts: Any) -> bool:
        return bool(seen == now)

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        found = await LooksUp.find_out(self, arguments, idempotency_key)
        return found if isinstance(found, Happened) else Repeatable()


class Unknowable(LooksUp):
    """Keeps its promises: it does not promise anything."""

    retry_safety = RetrySafety.UNKNOWABLE

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        return Unknown("Look into the ledger.")


class Complete(LooksUp):
    """Keeps its promises: it has a preview, a precondition and an undo."""

    undoable = True

    def preview(self, arguments: Any, observation: Any) -> str:
        return f"Refund {arguments.payment}, which is {observation['state']}."

    async def observe(self, arguments: Any) -> Any:
        return {"state": "paid"}

    def still_holds(self, arguments: Any, seen: Any, now: Any, receipts: Any) -> bool:
        return bool(seen == now)

    async def undo(self, arguments: Any, receipt: Receipt, idempotency_key: str) -> Receipt:
        self.write(idempotency_key)
        return Receipt(summary="charged again")

    async def find_out_undo(self, arguments: Any, receipt: Receipt, idempotency_key: str) -> EffectStatus:
        happened = idempotency_key in effects()
        return Happened(Receipt(summary="charged again")) if happened else DidNotHappen()


class UnknowableUndo(Complete):
    """Keeps its promises: it reports that its undo cannot be looked up."""

    async def find_out_undo(self, arguments: Any, receipt: Receipt, idempotency_key: str) -> EffectStatus:
        return Unknown("Look into the ledger.")


class Accepts(LooksUp):
    """Keeps its promises: its effects are accepted, and it reports their final results."""

    settles_within = timedelta(days=10)

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        return (await super().act(arguments, idempotency_key)).model_copy(update={"final": False})

    async def find_settlement(self, arguments: Any, receipt: Receipt, idempotency_key: str) -> Any:
        return Settled("credited") if idempotency_key in effects() else None


class AcceptsOnly(LooksUp):
    """Keeps its promises: its effects are accepted, and it cannot look up their final results."""

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        return (await super().act(arguments, idempotency_key)).model_copy(update={"final": False})


# ---- each of these breaks one promise ---------------------------------------------------------------


class BlockedByItsEffect(ObservesWhatItChanges):
    """Is never repeated after its effect, which it cannot look up."""

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        return Repeatable()


class AllowsFour(ObservesWhatItChanges):
    """Its precondition is not met after four effects, which is fewer than the checks cause."""

    def still_holds(self, arguments: Any, seen: Any, now: Any, receipts: Any) -> bool:
        return bool(now["effects"] < 4)


class ActsDuringLookUp(Accepts):
    """Its look-up of a final result has an effect."""

    async def find_settlement(self, arguments: Any, receipt: Receipt, idempotency_key: str) -> Any:
        self.write(f"{idempotency_key} again")
        return None


class ReturnsTrueAsSettlement(Accepts):
    """Its look-up of a final result returns no settlement."""

    async def find_settlement(self, arguments: Any, receipt: Receipt, idempotency_key: str) -> Any:
        return True


class SettlesWithoutLimit(Accepts):
    """Sets no time limit for the look-up of a final result."""

    settles_within = timedelta(days=4000)


class Forgets(LooksUp):
    """Looks up effects in its own memory, which is lost with its process."""

    known: ClassVar[set[str]] = set()

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        self.known.add(idempotency_key)
        return await super().act(arguments, idempotency_key)

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        return Happened(Receipt(summary="refunded")) if idempotency_key in self.known else DidNotHappen()


class WritesNoteFirst(LooksUp):
    """Looks up a note that it writes before the effect."""

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        note = Path(f"note-{hash_of(idempotency_key)}")
        note.touch()
        return await super().act(arguments, idempotency_key)

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        done = Path(f"note-{hash_of(idempotency_key)}").exists()
        return Happened(Receipt(summary="refunded")) if done else DidNotHappen()


def hash_of(key: str) -> str:
    return key.replace(":", "-")


class ReportsEveryEffect(LooksUp):
    """Reports that every effect happened."""

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        return Happened(Receipt(summary="refunded"))


class HashesKeys(LooksUp):
    """Derives a name from Python's hash of the key, which differs between processes."""

    def write(self, line: str) -> None:
        super().write(str(hash(line)))

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        done = str(hash(idempotency_key)) in effects()
        return Happened(Receipt(summary="refunded")) if done else DidNotHappen()


class Repeats(LooksUp):
    """Has a second effect under the same key."""

    def write(self, line: str) -> None:
        with EFFECTS.open("a") as file:
            file.write(f"{line}\n")


class NewKeys(VendorKey):
    """Sends the vendor a new key with each call."""

    def write(self, line: str) -> None:
        super().write(secrets.token_hex(8))


class UsesPaymentAsKey(LooksUp):
    """Uses the payment as the key, so that its second refund is lost."""

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        return await super().act(arguments, arguments.payment)


class Guesses(Unknowable):
    """Cannot look up the effect, but reports that it did not happen."""

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        return DidNotHappen()


class GivesNoReason(Unknowable):
    """Cannot look up the effect, and does not report where a person can check."""

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        return Unknown("")


class CannotLookUp(LooksUp):
    """Promises a look-up, but does not provide one."""

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        return Unknown("Look into the ledger.")


class ReturnsNone(LooksUp):
    """Returns no result."""

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        return None  # type: ignore[return-value]


class UndoesTwice(Complete):
    """Undoes a second time under the same key."""

    async def undo(self, arguments: Any, receipt: Receipt, idempotency_key: str) -> Receipt:
        with EFFECTS.open("a") as file:
            file.write(f"{idempotency_key}\n")
        return Receipt(summary="charged again")


class ForgetsUndo(Complete):
    """Reports that an undo did not happen."""

    async def find_out_undo(self, arguments: Any, receipt: Receipt, idempotency_key: str) -> EffectStatus:
        return DidNotHappen()


class UndoMissing(LooksUp):
    """Is declared undoable, but cannot undo."""

    undoable = True


class ActsDuringObservation(Complete):
    """Changes something when it observes."""

    async def observe(self, arguments: Any) -> Any:
        self.write(secrets.token_hex(8))
        return {"state": "paid"}


class ObservesTooMuch(Complete):
    """Observes more data than a plan can contain."""

    async def observe(self, arguments: Any) -> Any:
        return {"state": "paid" * 5_000}


class NeverHolds(Complete):
    """Reports that the precondition does not hold, although nothing happened."""

    async def observe(self, arguments: Any) -> Any:
        return {"state": secrets.token_hex(4)}


class PreviewsInLines(Complete):
    """Returns a preview of two lines."""

    def preview(self, arguments: Any, observation: Any) -> str:
        return f"Refund\n{arguments.payment}"


class PreviewsDifferently(Complete):
    """Returns a different preview each time."""

    def preview(self, arguments: Any, observation: Any) -> str:
        return f"Refund {arguments.payment} at {time.monotonic_ns()}."


class RandomArguments(RefundArguments):
    reference: str = Field(default_factory=lambda: secrets.token_hex(8))


class FillsInDifferently(LooksUp):
    """Fills in an argument with a different value each time."""

    arguments = RandomArguments


class ReturnsNoReceipt(LooksUp):
    """Returns something other than a receipt."""

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        await super().act(arguments, idempotency_key)
        return {"summary": "refunded"}  # type: ignore[return-value]


class ReturnsAnObject(LooksUp):
    """Returns a receipt with details that JSON cannot represent."""

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        receipt = await super().act(arguments, idempotency_key)
        return receipt.model_copy(update={"details": {"number": 2**60}})


class Calls(VendorKey):
    """Keeps its promises: it calls a vendor, and reports if the vendor cannot be reached."""

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        try:
            self.reach()
        except OSError as error:
            if "Network" in str(error):
                raise ToolUnavailable("The vendor cannot be reached.") from error
        return await super().act(arguments, idempotency_key)

    def reach(self) -> None:
        with socket.socket() as one:
            one.connect(("127.0.0.1", 9))


class RaisesLibraryErrors(Calls):
    """Does not catch the errors of its library."""

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        with suppress(ConnectionRefusedError):
            self.reach()
        return await LooksUp.act(self, arguments, idempotency_key)


class Sleeps(LooksUp):
    """Keeps its promises: it is slow, and the time limit kills it during its work."""

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        time.sleep(0.05)
        return await super().act(arguments, idempotency_key)


def plain() -> None:
    """Not a tool."""
