"""The declaration of a tool: its name, its arguments and its retry safety.

docs/howto-add-a-tool.md describes how to add a tool.
"""

import hashlib
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from plangate.domain.base import Frozen
from plangate.domain.escaping import one_line
from plangate.domain.plans.normalization import normalize_fields
from plangate.domain.plans.plan import canonical_json, uncanonical

LONGEST_ACTION: Final = 3_600  # in seconds; no tool may declare more
FIND_OUT_SECONDS: Final = 60  # the time limit of `find_out`
OBSERVE_SECONDS: Final = 30
# Twelve attempts over about half an hour are enough for a restart of a mail server, but not for its
# replacement. An attempt is counted only once it holds the claim, so an outage of the records does not use up
# attempts.
STEP_TRIES: Final = 12
LONGEST_SETTLEMENT: Final = timedelta(days=400)  # the longest time after an action; no tool may ask for more
MAX_OBSERVATION: Final = 16 * 1024  # bytes of canonical JSON
REASON_ARGUMENT: Final = "why"
"""The argument in which a planner gives a step's reason; no tool may have an argument with that name."""


class ToolArguments(BaseModel):
    """The base of every tool's arguments: strict, because "007" is not 7.

    Each `Decimal` in them is a JSON number in the plan, so that policies can add it up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Normalize each number and time in the arguments."""
        super().__pydantic_init_subclass__(**options)
        if normalize_fields(cls.__pydantic_fields__):
            cls.model_rebuild(force=True)


class Reference(ToolArguments):
    """A reference to a field of an earlier step's receipt, in place of an argument.

    A tool's author allows it with the argument's type, ``int | Reference``: never for amounts, recipients or
    hosts, because the approver must see these. `plangate.domain.plans.references` checks and resolves it.
    """

    # Models read this, and each definition includes it, so it must not change with the docstring.
    model_config = ConfigDict(
        json_schema_extra={"description": "the value of a field of the receipt of an earlier step"}
    )

    from_step: int = Field(ge=1)
    field: str = Field(min_length=1, max_length=200)

    def __str__(self) -> str:
        """Return a human-readable description: 'the number of step 2'."""
        return f"the {self.field.replace('_', ' ')} of step {self.from_step}"


class RetrySafety(StrEnum):
    """How a tool finds out after a crash whether an effect happened."""

    LOOK_UP = "looks up whether it happened"
    VENDOR_KEY = "repeats safely under the same idempotency key"
    UNKNOWABLE = "the result may be unknown; then the step is in doubt, and a person must check"
    BY_CALL = "depends on the call"


def _is_true(value: object) -> bool:
    return value is True


class Receipt(Frozen):
    """The result of an effect.

    ``final``: False if the remote system has accepted the effect, but it may still fail, as with a refund or
    an email.
    """

    summary: str
    details: dict[str, JsonValue] = Field(default_factory=dict)
    final: bool = Field(default=True, exclude_if=_is_true)


class StepReceipt(Receipt):
    """The receipt of a step of a run, and the name of the tool that the step called."""

    tool: str


def storable(receipt: Receipt) -> Receipt:
    """Return the receipt, with its details as text if JSON cannot represent them."""
    if not any(uncanonical(receipt.model_dump())):
        return receipt
    shown = {one_line(name): one_line(str(value)) for name, value in receipt.details.items()}
    return Receipt(summary=one_line(receipt.summary), details=dict(shown), final=receipt.final)


@dataclass(frozen=True, slots=True)
class ToolDeclaration:
    """A tool as it is used in plans.

    Attributes:
        name: the value of a step's ``tool``.
        description: one or two sentences for the model and for people.
        arguments: the model that validates a step's arguments.
        retry_safety: how retries stay safe.
        seconds: the time limit of one action, after which the action is cancelled and `find_out` is called.
        undoable: whether the tool can undo its effect.
        receipt: the model of the receipt's details, whose fields later steps can refer to; None without a
            model.
        reads_only: whether it changes nothing: a planner may call it while it drafts; it cannot be a step.
        identifying: the arguments that are equal in two calls with the same effect; empty for all arguments.

    Raises:
        ValueError: the time limit is out of range, or ``identifying`` has an unknown argument.
    """

    name: str
    description: str
    arguments: type[ToolArguments]
    retry_safety: RetrySafety
    seconds: int = 60
    undoable: bool = False
    receipt: type[BaseModel] | None = None
    reads_only: bool = False
    identifying: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= LONGEST_ACTION:
            raise ValueError(
                f"a call to {self.name} may take 1 to {LONGEST_ACTION} seconds, not {self.seconds}"
            )
        unknown = [name for name in self.identifying if name not in self.arguments.model_fields]
        if unknown:
            raise ValueError(f"{self.name} has no argument {unknown[0]} to identify its calls")

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the arguments."""
        return deepcopy(_schema(self.arguments))

    def definition(self) -> str:
        """Return the SHA-256 (64 hex digits) of the name, the description and the argument schema."""
        return _definition(self.name, self.description, self.arguments)[1]

    def described(self) -> bytes:
        """Return the canonical JSON whose SHA-256 is `definition`: a `ToolDescription`."""
        return _definition(self.name, self.description, self.arguments)[0]


class ToolDescription(Frozen):
    """The content of a tool's definition; ``arguments`` is the JSON schema of its arguments."""

    name: str
    description: str
    arguments: dict[str, JsonValue]


@lru_cache(maxsize=1_000)
def _schema(arguments: type[ToolArguments]) -> dict[str, Any]:
    return arguments.model_json_schema()


@lru_cache(maxsize=1_000)
def _definition(name: str, description: str, arguments: type[ToolArguments]) -> tuple[bytes, str]:
    described: JsonValue = {
        "name": name,
        "description": description,
        "arguments": _schema(arguments),
    }
    written = canonical_json(described)
    return written, hashlib.sha256(written).hexdigest()
