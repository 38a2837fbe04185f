"""Call a tool once within its process, and kill that process at a given moment."""

import asyncio
import errno
import inspect
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Final, assert_never

from plangate.domain.errors import EffectUnknown, ToolRefused, ToolUnavailable
from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.plan import uncanonical
from plangate.domain.plans.tool import FIND_OUT_SECONDS, OBSERVE_SECONDS, Receipt, storable
from plangate.elapsed import elapsed
from plangate.testing.promises.messages import CallKind, CallResult, Request
from plangate.tool import DidNotHappen, Happened, NotFound, Repeatable, Reversed, Settled, Tool, Unknown

Die = Callable[[str, CallResult | None], None]
"""A function that reports the place and the call's result so far, and kills this process with SIGKILL."""
_CONNECTING: Final = ("socket.connect", "socket.getaddrinfo", "socket.sendto")
_LONGEST: Final = 300


class Calls:
    """A tool with the arguments of every call.

    Args:
        tool: the tool.
        arguments: the arguments, in the tool's own model.
        count: the author's function that returns the number of effects, if there is one.
        module: the tool's module; processes are killed at lines of its code.
    """

    def __init__(
        self, tool: Tool, arguments: Any, count: Callable[[], Any] | None, module: ModuleType
    ) -> None:
        self.tool = tool
        self._arguments = arguments
        self._count = count
        self._code = _code_of(module)

    def call(self, request: Request, die: Die) -> CallResult:
        """Make the requested call, and return how it ended; call ``die`` at the moment of a kill."""
        lines = _Lines(self._code, request, die) if request.is_traced or request.kill else None
        network = (
            _Network(cut_off=request.is_offline) if request.do in (CallKind.ACT, CallKind.UNDO) else None
        )
        if request.kill and request.kill.when == "before":
            die("", None)
        begun = elapsed()
        ended = asyncio.run(self._ended(request, lines))
        measured = {
            "seconds": elapsed() - begun,
            "lines": lines.count if lines else 0,
            "connections": network.count if network else 0,
        }
        ended = ended.model_copy(update=measured)
        if request.kill and request.kill.when == "after":
            die("", ended)
        return ended

    async def _ended(self, request: Request, lines: "_Lines | None") -> CallResult:
        limit = asyncio.timeout(self._limit(request.do))
        try:
            async with limit:
                with lines or nullcontext():
                    value = await self._value(request)
        except Exception as error:  # noqa: BLE001  the tool may raise anything
            return CallResult(how="overdue") if limit.expired() else _raised(error)
        return CallResult(how="returned", value=_as_json(value))

    async def _value(self, request: Request) -> Any:
        tool: Any = self.tool
        match request.do:
            case CallKind.COUNT:
                assert self._count is not None
                value = self._count()
            case CallKind.PREVIEW:
                value = tool.preview(self._arguments, request.seen[0])
            case CallKind.OBSERVE:
                value = tool.observe(self._arguments)
            case CallKind.HOLDS:
                value = tool.still_holds(self._arguments, *request.seen, ())
            case CallKind.ACT:
                value = tool.act(self._arguments, request.key)
            case CallKind.FIND_OUT:
                value = tool.find_out(self._arguments, request.key)
            case CallKind.UNDO:
                value = tool.undo(self._arguments, request.receipt, request.key)
            case CallKind.FIND_OUT_UNDO:
                value = tool.find_out_undo(self._arguments, request.receipt, request.key)
            case CallKind.FIND_SETTLEMENT:
                value = tool.find_settlement(self._arguments, request.receipt, request.key)
            case _:
                assert_never(request.do)
        return await value if inspect.isawaitable(value) else value

    def _limit(self, do: CallKind) -> float:
        if do in (CallKind.ACT, CallKind.UNDO):
            return self.tool.declaration.seconds
        return OBSERVE_SECONDS if do is CallKind.OBSERVE else FIND_OUT_SECONDS


def _as_json(value: Any) -> Any:
    """Return a tool's result as JSON; a value that JSON cannot represent becomes the name of its class."""
    match value:
        case Receipt():
            is_changed = storable(value) != value
            return {"receipt": storable(value).model_dump(mode="json"), "is_changed": is_changed}
        case Happened():
            return {"answer": "happened", **_as_json(value.receipt)}
        case DidNotHappen():
            return {"answer": "did_not_happen"}
        case Repeatable():
            return {"answer": "repeatable"}
        case Unknown() | NotFound():  # a worker also waits before it rules the effect out
            return {"answer": "unknown", "reason": value.reason}
    if isinstance(value, Settled | Reversed):
        answer = "settled" if isinstance(value, Settled) else "reversed"
        return {"answer": answer, "summary": str(value.summary)}
    return {"unfit": type(value).__name__} if any(uncanonical(value)) else {"value": value}


def _raised(error: Exception) -> CallResult:
    said = one_line(cut(str(error), _LONGEST))
    name = type(error).__name__
    return CallResult(
        how="raised",
        error=f"{name}: {said}" if said else name,
        is_tool_error=isinstance(error, ToolUnavailable | ToolRefused | EffectUnknown),
    )


def _code_of(module: ModuleType) -> str:
    """Return the name prefix of the tool's files: its package, or its single module."""
    package = (module.__package__ or "").partition(".")[0]
    path = getattr(sys.modules.get(package), "__path__", None) if package else None
    return f"{next(iter(path))}/" if path else str(module.__file__)


class _Lines:
    """Counts the lines of the tool's code as they run, in each thread, and kills at the requested one."""

    def __init__(self, code: str, request: Request, die: Die) -> None:
        self.count = 0
        self._code = code
        self._last = request.kill.line if request.kill and request.kill.when == "line" else 0
        self._die = die

    def __enter__(self) -> None:
        threading.settrace(self._entered)
        sys.settrace(self._entered)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def _entered(self, frame: FrameType, event: str, argument: Any) -> Any:
        del event, argument
        return self._at if frame.f_code.co_filename.startswith(self._code) else None

    def _at(self, frame: FrameType, event: str, argument: Any) -> Any:
        del argument
        if event == "line":
            self.count += 1
            if self.count == self._last:
                self._die(f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}", None)
        return self._at


class _Network:
    """Counts the connections that are opened, and refuses them in an offline test."""

    def __init__(self, *, cut_off: bool) -> None:
        self.count = 0
        self._is_cut_off = cut_off
        sys.addaudithook(self._noted)  # never restored, because this process makes only one call

    def _noted(self, event: str, _: tuple[Any, ...]) -> None:
        if event in _CONNECTING:
            self.count += 1
            if self._is_cut_off:
                raise OSError(errno.ENETUNREACH, "Network is unreachable")
