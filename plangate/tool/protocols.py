"""The protocol of tools, and its optional abilities. `plangate.tool.tool` turns a function into a tool."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from pydantic import JsonValue

from plangate.domain.plans.plan import canonical_json
from plangate.domain.plans.tool import (
    LONGEST_SETTLEMENT,
    Receipt,
    StepReceipt,
    ToolArguments,
    ToolDeclaration,
)
from plangate.settings import Settings


@dataclass(frozen=True, slots=True)
class Happened:
    """The effect happened; this is its receipt."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class DidNotHappen:
    """The effect certainly did not happen, or was reversed before it reached anyone.

    Attributes:
        refusal: why the call can no longer succeed under this key, for example because the remote system
            accepted it and rejected it later; empty if it can.
    """

    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The tool cannot find out whether the effect happened; ``reason`` says where a person can look."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """The search found no trace of the effect, but the remote system may list it late; repeating is unsafe.

    The effect did not happen if the search covers the time of the call, and the tool's time limit has passed
    since. An abandoned request can then no longer be received, and no entry can be missing. The caller knows
    these times.

    Attributes:
        since: the time of the oldest entry in the search; None if the search covered all entries.
        reason: where a person can look, if the search does not rule the effect out.
    """

    since: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Repeatable:
    """The effect may have happened; repeating it under the same idempotency key is safe.

    Attributes:
        within: how long after the call the remote system keeps the key; None for no limit.
        later: the status of the effect after that time.
    """

    within: timedelta | None = None
    later: NotFound | Unknown = Unknown("The remote system no longer keeps the idempotency key.")


EffectStatus = Happened | DidNotHappen | NotFound | Repeatable | Unknown


class Tool(Protocol):
    """An action that a step can take.

    ``Any`` is the tool's own arguments model from its declaration, which has validated the arguments.
    """

    @property
    def declaration(self) -> ToolDeclaration:
        """The name, description, arguments and retry safety; available without an instance of the tool."""

    def objection(self, arguments: Any) -> str | None:
        """Return why the settings forbid this call, or None; checked when drafting and before each `act`."""

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        """Perform the action and return its receipt.

        Raises:
            ToolUnavailable: nothing happened; a later attempt may succeed.
            ToolRefused: nothing happened, and no attempt will succeed.
            EffectUnknown: the effect may have happened.
        """

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        """Return the status of an earlier call of `act` under this key that did not report a result.

        Raises:
            ToolUnavailable: the look-up is not possible now; a later attempt may succeed.
        """


class ToolClass(Protocol):
    """A registered class: it declares a tool and builds it from the settings."""

    @property
    def declaration(self) -> ToolDeclaration:
        """The declaration, the same for every instance."""

    def from_settings(self, settings: Settings) -> Tool:
        """Build the tool.

        Raises:
            SettingsInvalid: a tool setting cannot be used.
        """


@runtime_checkable
class Previews(Protocol):
    """A tool with a preview of the effect of a call."""

    def preview(self, arguments: Any, observation: JsonValue) -> str:
        """Return one plain sentence with the actual values; ``observation`` is what `observe` returned."""


@runtime_checkable
class Observes(Protocol):
    """A tool with a precondition: its observation from the draft must still be valid just before the step."""

    async def observe(self, arguments: Any) -> JsonValue:
        """Return the data that the call depends on, at most 16 KiB of JSON, without changing anything.

        Raises:
            ToolUnavailable: it cannot be observed now; a later attempt may succeed.
            ToolRefused: it can never be observed.
        """

    def still_holds(
        self, arguments: Any, seen: JsonValue, now: JsonValue, receipts: Sequence[StepReceipt]
    ) -> bool:
        """Return whether ``seen``, observed when drafting, is still valid if ``now`` is observed.

        ``receipts`` contains the receipts of this run so far, each with the name of its tool. A subclass that
        does not define this compares the two observations.
        """
        del arguments, receipts
        return same_observation(seen, now)


@runtime_checkable
class ObservesSome(Protocol):
    """A tool that observes something only for some calls; other calls are drafted faster."""

    def observes(self, arguments: Any) -> bool:
        """Return whether this call needs `Observes.observe`."""


@runtime_checkable
class ObservesBy(Protocol):
    """A tool whose observation needs only some arguments, so that other arguments may be references."""

    @property
    def observed_arguments(self) -> Collection[str]:
        """The arguments that `Observes.observe` and `Observes.still_holds` use."""


@runtime_checkable
class SeesItsEffect(Protocol):
    """A tool that recognises its effect in an observation, such as a missing URL after a DELETE."""

    def effect_seen(self, arguments: Any, now: JsonValue, idempotency_key: str) -> Receipt | None:
        """Return the receipt if ``now`` certainly shows the call's effect, otherwise None.

        Called before a repeat if the precondition is no longer met. A tool that needs more than the
        observation uses `Tool.find_out`.
        """


@runtime_checkable
class ActsOnObservation(Protocol):
    """A tool whose `act` uses the observation from the draft, which the approvers saw."""

    def having_observed(self, seen: JsonValue) -> Tool:
        """Return the tool for a step with the observation ``seen``; called before each act and observation.

        While drafting, the tool without an observation is used.
        """


@runtime_checkable
class Configured(Protocol):
    """A tool that requires a setting."""

    def lacks(self) -> str | None:
        """Return a description of the missing setting or library, or None.

        A tool with a missing setting is not offered to the planner, and plans that use it are refused.
        """


@runtime_checkable
class Advises(Protocol):
    """A tool with settings that the planner should know about."""

    def advice(self) -> str:
        """Return information for the planner in addition to the description, such as the allowed hosts.

        This is not part of the definition: a plan stays valid when an operator allows one more host.
        """


@runtime_checkable
class DefinedElsewhere(Protocol):
    """A tool whose definition another program, such as an MCP server, may change while workers run."""

    def defined_by(self) -> str:
        """Return who defines it, such as ``the MCP server files``."""


class Blobs(Protocol):
    """A store of bytes by their SHA-256 (64 hex digits), which remain when their source is deleted."""

    async def keep(self, content: bytes) -> str:
        """Store the bytes and return their digest."""

    async def read(self, digest: str) -> bytes | None:
        """Return the bytes with this digest, or None if they are not stored."""


@runtime_checkable
class UsesBlobs(Protocol):
    """A tool that stores bytes when drafting, and reads them when acting."""

    def with_blobs(self, blobs: Blobs) -> Tool:
        """Return the tool with a store for its bytes; called once, when the worker is built."""


@runtime_checkable
class Undoes(Protocol):
    """A tool that can undo its effect; the rules for `act` also apply to `undo`."""

    async def undo(self, arguments: Any, receipt: Receipt, idempotency_key: str) -> Receipt:
        """Undo the effect that returned ``receipt``; raises the same errors as `Tool.act`."""

    async def find_out_undo(self, arguments: Any, receipt: Receipt, idempotency_key: str) -> EffectStatus:
        """Return the status of an earlier call of `undo` under this key that did not report a result."""


@runtime_checkable
class Reads(Protocol):
    """A tool that changes nothing; its declaration has ``reads_only``. Planners call it while they draft."""

    async def read(self, arguments: Any) -> JsonValue:
        """Return the result, which the planner and the approvers see.

        Raises:
            ToolUnavailable: it cannot be read now.
            ToolRefused: it can never be read; the planner gets the message.
        """


@dataclass(frozen=True, slots=True)
class Settled:
    """An accepted effect has become final; ``summary`` describes its outcome."""

    summary: str


@dataclass(frozen=True, slots=True)
class Reversed:
    """An accepted effect failed or was reversed by the remote system; ``summary`` explains why."""

    summary: str


@runtime_checkable
class Settles(Protocol):
    """A tool whose receipts may not be final (`Receipt.final`); the outcome of the effect is looked up later.

    After the run has ended, the tool is called at increasing intervals until it finds out the outcome of the
    effect, or until ``settles_within`` has passed. Undone steps and undos are not looked up.
    """

    @property
    def settles_within(self) -> timedelta:
        """How long after the call to look up the effect; at least once, even if the run ends later."""

    async def find_settlement(
        self, arguments: Any, receipt: Receipt, idempotency_key: str
    ) -> Settled | Reversed | None:
        """Return the outcome of the effect of ``receipt``, or None while open; must change nothing.

        Raises:
            ToolUnavailable: the look-up is not possible now; it is repeated.
        """


def same_observation(seen: JsonValue, now: JsonValue) -> bool:
    """Return whether two observations are equal as JSON; the order of keys is ignored."""
    return canonical_json(seen) == canonical_json(now)


def lacks_of(tool: Tool) -> str:
    """Return a description of a tool's missing setting or library; empty if nothing is missing."""
    if not isinstance(tool, Configured):
        return ""
    try:
        return (tool.lacks() or "").strip()
    except Exception as error:  # noqa: BLE001  the author's code failed: the tool is not offered
        return f"the check of its settings failed ({type(error).__name__}: {error})"


def settles_within_of(tool: Tool) -> timedelta | None:
    """Return how long to look up the outcome of a tool's effects; None if the tool has no look-up.

    When a worker calls this, the effect has already happened, so an author's mistake must not cause its
    receipt to be lost.
    """
    try:
        within = tool.settles_within if isinstance(tool, Settles) else None
    except Exception:  # noqa: BLE001  the author's code failed, and the look-up may not
        return LONGEST_SETTLEMENT
    return min(max(within, timedelta()), LONGEST_SETTLEMENT) if isinstance(within, timedelta) else None


def arguments_for(declaration: ToolDeclaration, arguments: dict[str, Any]) -> ToolArguments:
    """Return the arguments of a checked step as the tool's own model."""
    return declaration.arguments.model_validate_json(json.dumps(arguments))
