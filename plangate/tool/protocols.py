"""The protocol of tools, and its optional abilities. `plangate.tool.tool` turns a function into a tool."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from pydantic import JsonValue

from plangate.domain.plan import canonical_json
from plangate.domain.tool import LONGEST_SETTLEMENT, Receipt, StepReceipt, ToolArguments, ToolDeclaration
from plangate.settings import Settings


@dataclass(frozen=True, slots=True)
class Happened:
    """The effect happened; this is its receipt."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class DidNotHappen:
    """The effect certainly did not happen, or was taken back before it reached anyone.

    Attributes:
        refusal: why it can no longer be done under this key: for example, the remote system accepted it and
            rejected it later; empty if it may be done.
    """

    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The tool cannot find out whether the effect happened; ``reason`` says where a person can look."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """The search found no trace of the effect, but the remote system may list it late, and would repeat it.

    It did not happen if the search reaches back to the time of the act, and the tool's time limit has passed
    since. An abandoned request can then no longer arrive, and no entry can be missing. The caller knows these
    times.

    Attributes:
        since: the time of the oldest entry in the search; None if it covered all entries.
        reason: where a person can look, if the search does not rule the effect out.
    """

    since: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Repeatable:
    """The effect may have happened; repeating it under the same idempotency key is safe.

    Attributes:
        within: how long after the act the remote system keeps the key; None for no limit.
        later: the status of the effect after that time.
    """

    within: timedelta | None = None
    later: NotFound | Unknown = Unknown("The remote system no longer keeps the idempotency key.")


EffectStatus = Happened | DidNotHappen | NotFound | Repeatable | Unknown


class Tool(Protocol):
    """An action that a step can take.

    ``Any`` stands for the tool's own arguments model, which the declaration names and which has validated the
    arguments.
    """

    @property
    def declaration(self) -> ToolDeclaration:
        """Name, description, arguments and retry safety; readable without constructing the tool."""

    def objection(self, arguments: Any) -> str | None:
        """Return why the settings forbid this call, or None; checked at the draft and before each act."""

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        """Perform the action and return its receipt.

        Raises:
            ToolUnavailable: nothing happened; a later attempt may succeed.
            ToolRefused: nothing happened, and no attempt will succeed.
            EffectUnknown: it may have happened.
        """

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        """Return the status of an earlier `act` under this key that did not report a result.

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
            SettingsInvalid: a setting of the tool cannot be used.
        """


@runtime_checkable
class Previews(Protocol):
    """A tool with a preview of the effect of a call."""

    def preview(self, arguments: Any, observation: JsonValue) -> str:
        """Return one plain sentence with the actual values; ``observation`` is what `observe` returned."""


@runtime_checkable
class Observes(Protocol):
    """A tool with a precondition: its observation at the draft must still hold just before the step."""

    async def observe(self, arguments: Any) -> JsonValue:
        """Return the data that the call depends on, at most 16 KiB of JSON, without changing anything.

        Raises:
            ToolUnavailable: it cannot be observed now; a later attempt may succeed.
            ToolRefused: it can never be observed.
        """

    def still_holds(
        self, arguments: Any, seen: JsonValue, now: JsonValue, receipts: Sequence[StepReceipt]
    ) -> bool:
        """Return whether ``seen``, observed at the draft, still holds if ``now`` is observed.

        ``receipts`` are from the steps of this run so far, each with the name of its tool. `same_observation`
        compares the two observations.
        """


@runtime_checkable
class ObservesSome(Protocol):
    """A tool that observes something for some calls only; the others are drafted faster."""

    def observes(self, arguments: Any) -> bool:
        """Return whether this call needs `Observes.observe`."""


@runtime_checkable
class ObservesBy(Protocol):
    """A tool whose observation needs only some arguments: it observes even if others are references."""

    @property
    def observed_arguments(self) -> Collection[str]:
        """The arguments that `Observes.observe` and `Observes.still_holds` use."""


@runtime_checkable
class SeesItsEffect(Protocol):
    """A tool that recognises its effect in an observation, such as a URL that is gone after a DELETE."""

    def effect_seen(self, arguments: Any, now: JsonValue, idempotency_key: str) -> Receipt | None:
        """Return the receipt if ``now`` certainly shows the call's effect, else None.

        Called before a repeat, when the precondition no longer holds. A tool that needs more than the
        observation uses `Tool.find_out`.
        """


@runtime_checkable
class ActsOnObservation(Protocol):
    """A tool whose act uses its observation at the draft, which the approvers saw."""

    def having_observed(self, seen: JsonValue) -> Tool:
        """Return the tool for a step whose observation is ``seen``; called before each act and observation.

        At the draft, the tool without an observation is called.
        """


@runtime_checkable
class Configured(Protocol):
    """A tool that requires a setting."""

    def lacks(self) -> str | None:
        """Return a description of the missing setting or library, or None.

        A tool that lacks something is not offered to the planner, and plans that name it are refused.
        """


@runtime_checkable
class Advises(Protocol):
    """A tool whose settings matter to the planner."""

    def advice(self) -> str:
        """Return information for the planner in addition to the description, such as the allowed hosts.

        This is not part of the definition: a plan stays valid when an operator allows one more host.
        """


@runtime_checkable
class DefinedElsewhere(Protocol):
    """A tool whose definition another program may change while workers run, as an MCP server may."""

    def defined_by(self) -> str:
        """Return who defines it: ``the MCP server files``."""


class Blobs(Protocol):
    """A store of bytes under their SHA-256 (64 hex digits), which outlives their source."""

    async def keep(self, content: bytes) -> str:
        """Store the bytes and return their digest."""

    async def read(self, digest: str) -> bytes | None:
        """Return the bytes with this digest, or None if they are not stored."""


@runtime_checkable
class UsesBlobs(Protocol):
    """A tool that stores bytes between the draft and the act."""

    def with_blobs(self, blobs: Blobs) -> Tool:
        """Return the tool with a store for them; called once, when the worker is built."""


@runtime_checkable
class Undoes(Protocol):
    """A tool that can undo its effect; the same rules apply to the undo as for the act."""

    async def undo(self, arguments: Any, receipt: Receipt, idempotency_key: str) -> Receipt:
        """Undo the effect that returned ``receipt``; raise as `Tool.act` does."""

    async def find_out_undo(self, arguments: Any, receipt: Receipt, idempotency_key: str) -> EffectStatus:
        """Return the status of an earlier `undo` under this key that did not report a result."""


@runtime_checkable
class Reads(Protocol):
    """A tool that changes nothing; its declaration says ``reads_only``. Planners call it while they draft."""

    async def read(self, arguments: Any) -> JsonValue:
        """Return the result, which the planner and the approvers see.

        Raises:
            ToolUnavailable: it cannot be read now.
            ToolRefused: it can never be read; the message is for the planner.
        """


@dataclass(frozen=True, slots=True)
class Settled:
    """An accepted effect has become final; ``summary`` says how it ended."""

    summary: str


@dataclass(frozen=True, slots=True)
class Reversed:
    """An accepted effect failed or was reversed by the remote system; ``summary`` says why."""

    summary: str


@runtime_checkable
class Settles(Protocol):
    """A tool whose receipts may not be final (`Receipt.final`): how the effect ends is looked up later.

    Once the run has ended, the tool is called at growing intervals until it finds the end or the time is
    over. Undone steps and undos are not looked up.
    """

    @property
    def settles_within(self) -> timedelta:
        """How long after the act the effect is looked up; at least once, even if the run ends later."""

    async def find_settlement(
        self, arguments: Any, receipt: Receipt, idempotency_key: str
    ) -> Settled | Reversed | None:
        """Return how the effect that returned ``receipt`` ended, or None if open; this changes nothing.

        Raises:
            ToolUnavailable: the look-up is not possible now; it is repeated.
        """


def same_observation(seen: JsonValue, now: JsonValue) -> bool:
    """Return whether two observations are equal as JSON, in any order of their names."""
    return canonical_json(seen) == canonical_json(now)


def lacks_of(tool: Tool) -> str:
    """Return a description of the setting or library that a tool lacks; empty if it lacks nothing."""
    if not isinstance(tool, Configured):
        return ""
    try:
        return (tool.lacks() or "").strip()
    except Exception as error:  # noqa: BLE001  the author's code failed: the tool is not offered
        return f"the check of its settings failed ({type(error).__name__}: {error})"


def settles_within_of(tool: Tool) -> timedelta | None:
    """Return how long a tool looks up how its effects end; None if it does not.

    When a worker calls this, the effect has happened: an author's mistake must not lose its receipt.
    """
    try:
        within = tool.settles_within if isinstance(tool, Settles) else None
    except Exception:  # noqa: BLE001  the author's code failed, and the look-up may not
        return LONGEST_SETTLEMENT
    return min(max(within, timedelta()), LONGEST_SETTLEMENT) if isinstance(within, timedelta) else None


def arguments_for(declaration: ToolDeclaration, arguments: dict[str, Any]) -> ToolArguments:
    """Return the arguments of a checked step as the tool's own model."""
    return declaration.arguments.model_validate_json(json.dumps(arguments))
