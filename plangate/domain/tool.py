"""What a plan needs to know of a tool: its name, its arguments, and how it stays safe to retry."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from plangate.domain.base import Frozen
from plangate.domain.escaping import one_line
from plangate.domain.plan import uncanonical

LONGEST_ACT: Final = 3_600  # in seconds; no tool may declare more


class ToolArguments(BaseModel):
    """The base of every tool's arguments: strict, because "007" is not 7."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RetrySafety(StrEnum):
    """How a tool answers 'did it happen?' after a crash."""

    LOOK_UP = "looks up whether it happened"
    VENDOR_KEY = "repeats safely under the same idempotency key"
    UNKNOWABLE = "the result may be unknown; then the step is in doubt, and a person must check"
    BY_CALL = "depends on the call"


class Receipt(Frozen):
    """What came back from an effect."""

    summary: str
    details: dict[str, JsonValue] = Field(default_factory=dict)


def storable(receipt: Receipt) -> Receipt:
    """Return the receipt with its details as text where JSON could not carry them: it must be kept."""
    if not any(uncanonical(receipt.model_dump(), "receipt")):
        return receipt
    shown = {one_line(name): one_line(str(value)) for name, value in receipt.details.items()}
    return Receipt(summary=one_line(receipt.summary), details=dict(shown))


@dataclass(frozen=True, slots=True)
class ToolDeclaration:
    """A tool as a plan sees it.

    Attributes:
        name: what a step's ``tool`` says.
        description: for the model and for people, one or two sentences.
        arguments: the model that validates a step's arguments.
        retry_safety: how it stays safe to retry.
        seconds: how long one act may take; then it is broken off, and the tool asked what became of it.

    Raises:
        ValueError: an act may take longer than any may.
    """

    name: str
    description: str
    arguments: type[ToolArguments]
    retry_safety: RetrySafety
    seconds: int = 60

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= LONGEST_ACT:
            raise ValueError(f"an act of {self.name} may take 1 to {LONGEST_ACT} seconds, not {self.seconds}")

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the arguments."""
        return self.arguments.model_json_schema()
