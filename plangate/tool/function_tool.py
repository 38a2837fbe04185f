"""The tool that a decorated function becomes; implements the protocol of tools."""

import hashlib
from collections.abc import AsyncGenerator, Collection, Generator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from plangate.domain.errors import EffectUnknown, ToolRefused, ToolUnavailable
from plangate.domain.plans.previews import default_preview
from plangate.domain.plans.tool import Receipt, RetrySafety, StepReceipt, ToolArguments, ToolDeclaration
from plangate.tool.attached import Attached
from plangate.tool.looked_up import status_of
from plangate.tool.protocols import (
    DidNotHappen,
    EffectStatus,
    Happened,
    Repeatable,
    Reversed,
    Settled,
    Unknown,
    same_observation,
)
from plangate.tool.returned import json_of, receipt_of
from plangate.tool.signature import KEY
from plangate.tool.threads import Calls

_LONGEST_KEY: Final = 200  # in characters; the strictest known vendor accepts 255


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a tool: its declaration, its function, and the attached functions."""

    declaration: ToolDeclaration
    act: Attached
    attached: Mapping[str, Attached] = field(default_factory=dict)
    settles_within: timedelta | None = None


class FunctionTool:
    """A decorated function as a tool."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._attached = parts.attached
        self._calls = Calls(parts.declaration.name)

    @property
    def declaration(self) -> ToolDeclaration:
        """The declaration, from the function's signature and docstring."""
        return self._parts.declaration

    def lacks(self) -> str | None:
        """Return the missing setting that the attached function reports."""
        lacks = self._attached.get("lacks")
        said = lacks.function() if lacks else None
        return str(said) if said else None

    def objection(self, arguments: ToolArguments) -> str | None:
        """Return the objection that the attached function returns."""
        objection = self._attached.get("objection")
        said = objection.function(**objection.values(arguments)) if objection else None
        return str(said) if said else None

    def preview(self, arguments: ToolArguments, observation: JsonValue) -> str:
        """Return the attached function's sentence, or a sentence with the name and the arguments."""
        preview = self._attached.get("preview")
        if preview is not None:
            return str(preview.function(**preview.values(arguments, observation=observation)))
        values = {name: getattr(arguments, name) for name in type(arguments).model_fields}
        return default_preview(self.declaration.name, to_jsonable_python(values, fallback=str))

    async def act(self, arguments: ToolArguments, idempotency_key: str) -> Receipt:
        """Call the function."""
        return await self._effect(
            self._parts.act, arguments, {KEY: sendable(idempotency_key)}, idempotency_key
        )

    async def find_out(self, arguments: ToolArguments, idempotency_key: str) -> EffectStatus:
        """Return the result of the attached function, or the status that follows from the retry safety."""
        offered = {KEY: sendable(idempotency_key)}
        is_repeatable = self.declaration.retry_safety is RetrySafety.VENDOR_KEY
        return await self._status(
            "find_out", arguments, offered, idempotency_key, is_repeatable=is_repeatable
        )

    async def _effect(
        self, attached: Attached, arguments: ToolArguments, offered: dict[str, Any], key: str
    ) -> Receipt:
        if self._calls.is_running(key) and self.declaration.retry_safety is not RetrySafety.VENDOR_KEY:
            raise EffectUnknown(self._still_running())
        values = attached.values(arguments, **offered)
        returned = await self._calls.call(attached.function, values, key)
        if isinstance(returned, (Generator, AsyncGenerator)):
            raise EffectUnknown(f"{self._name} returned a generator, whose code has not run; check by hand.")
        return receipt_of(returned)

    async def _status(
        self,
        kind: str,
        arguments: ToolArguments,
        offered: dict[str, Any],
        key: str,
        *,
        is_repeatable: bool,
    ) -> EffectStatus:
        """Return the status of an effect: from a call over its limit, a look-up, or the retry safety."""
        overdue = await self._calls.overdue(key)
        if overdue is not None and not overdue.done():
            return Unknown(self._still_running())
        ended = _status_of(overdue) if overdue is not None else None
        if ended is not None:
            return ended
        attached = self._attached.get(kind)
        if attached is None:
            unknown = Unknown(f"{self._name} cannot look it up; check by hand.")
            return Repeatable() if is_repeatable else unknown
        try:
            found = await self._calls.call(attached.function, attached.values(arguments, **offered))
        except EffectUnknown as error:
            return Unknown(str(error))
        status = status_of(found, self._name)
        if status is not None:
            return status
        # A request in transit may still be received. Because of the key, the vendor treats it and the repeat
        # as one.
        return Repeatable() if is_repeatable else DidNotHappen()

    def _still_running(self) -> str:
        return (
            f"{self._name} is still running in the worker, beyond its limit of "
            f"{self.declaration.seconds} seconds, "
            "and may still take effect."
        )

    @property
    def _name(self) -> str:
        return self.declaration.name


class ObservingTool(FunctionTool):
    """A decorated function with a precondition."""

    @property
    def observed_arguments(self) -> Collection[str]:
        """The arguments that the attached functions ask for."""
        kinds = ("observe", "still_holds")
        return {name for kind in kinds if kind in self._attached for name in self._attached[kind].asks}

    async def observe(self, arguments: ToolArguments) -> JsonValue:
        """Return what the attached function observed, as JSON."""
        observe = self._attached["observe"]
        return json_of(await self._calls.call(observe.function, observe.values(arguments)))

    def still_holds(
        self, arguments: ToolArguments, seen: JsonValue, now: JsonValue, receipts: Sequence[StepReceipt]
    ) -> bool:
        """Return the result of the attached function, or whether both observations are equal."""
        holds = self._attached.get("still_holds")
        if holds is None:
            return same_observation(seen, now)
        return holds.function(**holds.values(arguments, seen=seen, now=now, receipts=receipts)) is True


class ReadingTool(FunctionTool):
    """A decorated function that changes nothing. Planners call it while they draft; it cannot be a step."""

    async def read(self, arguments: ToolArguments) -> JsonValue:
        """Return what the function found, as JSON."""
        act = self._parts.act
        return json_of(await self._calls.call(act.function, act.values(arguments)))

    async def act(self, arguments: ToolArguments, idempotency_key: str) -> Receipt:
        """Raise an error, because no plan has such a step."""
        del arguments, idempotency_key
        raise ToolRefused(f"{self._name} only reads.")


class UndoingTool(FunctionTool):
    """A decorated function whose effect can be undone."""

    async def undo(self, arguments: ToolArguments, receipt: Receipt, idempotency_key: str) -> Receipt:
        """Call the attached function."""
        offered = {"receipt": receipt, KEY: sendable(idempotency_key)}
        return await self._effect(self._attached["undo"], arguments, offered, idempotency_key)

    async def find_out_undo(
        self, arguments: ToolArguments, receipt: Receipt, idempotency_key: str
    ) -> EffectStatus:
        """Return the result of the attached function, or the status that follows from the retry safety."""
        offered = {"receipt": receipt, KEY: sendable(idempotency_key)}
        is_repeatable = (
            self.declaration.retry_safety is RetrySafety.VENDOR_KEY and KEY in self._attached["undo"].asks
        )
        return await self._status(
            "find_out_undo", arguments, offered, idempotency_key, is_repeatable=is_repeatable
        )


class SettlingTool(FunctionTool):
    """A decorated function whose effect may first be accepted, and become final later."""

    @property
    def settles_within(self) -> timedelta:
        """How long after the call to look up the outcome of its effect."""
        return self._parts.settles_within or timedelta()

    async def find_settlement(
        self, arguments: ToolArguments, receipt: Receipt, idempotency_key: str
    ) -> Settled | Reversed | None:
        """Return the result of the attached function."""
        attached = self._attached["find_settlement"]
        offered = {"receipt": receipt, KEY: sendable(idempotency_key)}
        found: Settled | Reversed | None = await self._calls.call(
            attached.function, attached.values(arguments, **offered)
        )
        return found


_ABILITIES: Final[Mapping[str, type[FunctionTool]]] = {
    "observe": ObservingTool,
    "undo": UndoingTool,
    "find_settlement": SettlingTool,
}


def function_tool(parts: Parts) -> FunctionTool:
    """Build the tool with the abilities of its parts; callers find out the abilities from its methods."""
    abilities = tuple(kind for name, kind in _ABILITIES.items() if name in parts.attached)
    if parts.declaration.reads_only:
        abilities = (ReadingTool,)
    tool: FunctionTool = type("DecoratedTool", abilities or (FunctionTool,), {})(parts)
    return tool


def sendable(idempotency_key: str) -> str:
    """Return the key in a form that is valid in a header: its SHA-256 if it is long or not plain text.

    The key contains the workflow id, which may be any text.
    """
    is_plain = idempotency_key.isascii() and idempotency_key.isprintable() and " " not in idempotency_key
    if is_plain and len(idempotency_key) <= _LONGEST_KEY:
        return idempotency_key
    return hashlib.sha256(idempotency_key.encode("utf-8", "surrogatepass")).hexdigest()


def _status_of(ended: Future[Any]) -> EffectStatus | None:
    """Return the effect's status from a call that ended after its limit; None if it shows none."""
    error = ended.exception()
    if error is None:
        return Happened(receipt_of(ended.result()))
    return DidNotHappen() if isinstance(error, (ToolUnavailable, ToolRefused)) else None
