"""Call a tool so that its effect happens at most once, regardless of earlier attempts.

Each attempt first claims the effect in the ledger (`activities.step_attempt`, `activities.claims`), under an
idempotency key that is the same in every attempt (`plangate.domain.plans.idempotency_key`). If an earlier
attempt stored a receipt, it is returned, and the tool is not called again. If an earlier attempt ended
without a result (a crash, a timeout, a bug), the tool looks up the result, and acts again only if the effect
did not happen or a repeat is safe. If it cannot tell, the step is in doubt: a person decides
(`activities.failed_step`). The tool's own errors show whether an effect may have happened.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

import structlog

from plangate.domain.errors import (
    EffectUnknown,
    OutcomePending,
    PlangateError,
    StepUnready,
    ToolRefused,
    ToolUnavailable,
)
from plangate.domain.plans.tool import FIND_OUT_SECONDS, Receipt, ToolDeclaration
from plangate.logs.redaction import recordable
from plangate.tool import DidNotHappen, EffectStatus, Happened, NotFound, Repeatable, Tool, Undoes, Unknown
from plangate.tool.threads import ToolCrashed

Interpret = Callable[[NotFound | Repeatable], NotFound | Repeatable | Unknown]
"""Interprets a tool's answer, given the time since the call: whether a missing trace means that nothing
happened, and whether a repeat is still safe. Raises `OutcomePending` if the effect may still happen."""

ObserveAgain = Callable[[], Awaitable[Receipt | None]]
"""Observes again before a call is repeated. Returns None if the step may act, or the receipt of its effect if
the tool recognizes the effect. Raises `EffectUnknown` if the approved observation is no longer valid."""

_LONGEST_NAME: Final = 100
_log = structlog.get_logger(__name__)


class EarlierState(StrEnum):
    """The state of an effect after earlier attempts.

    ``nothing`` happened; it was ``begun`` and may have happened; or it was in doubt, and a person confirmed
    that it did not happen (``ruled out``).
    """

    NOTHING = "nothing"
    BEGUN = "begun"
    RULED_OUT = "ruled_out"


def interpret_untimed(found: NotFound | Repeatable) -> Repeatable | Unknown:
    """Interpret a response without the time of the call: the effect may have happened without a trace."""
    return found if isinstance(found, Repeatable) else Unknown(found.reason)


async def unobserved() -> None:
    """Allow a step without a precondition to be repeated."""


class Undoing:
    """The reversal of an effect, wrapped as a tool, so that the same rules apply."""

    def __init__(self, tool: Tool, undoes: Undoes, receipt: Receipt) -> None:
        self._tool = tool
        self._undoes = undoes
        self._receipt = receipt

    @property
    def declaration(self) -> ToolDeclaration:
        """The declaration of the tool."""
        return self._tool.declaration

    def objection(self, arguments: Any) -> str | None:
        """Return the reason why the settings forbid this call, or None."""
        return self._tool.objection(arguments)

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        """Undo the effect."""
        return await self._undoes.undo(arguments, self._receipt, idempotency_key)

    async def find_out(self, arguments: Any, idempotency_key: str) -> EffectStatus:
        """Return the result of an earlier undo."""
        return await self._undoes.find_out_undo(arguments, self._receipt, idempotency_key)


async def act_once(
    tool: Tool,
    arguments: Any,
    key: str,
    earlier: EarlierState,
    *,
    unmet: str | None = None,
    interpret: Interpret = interpret_untimed,
    observe_again: ObserveAgain = unobserved,
) -> Receipt:
    """Act, or return the receipt of an earlier attempt. ``Any`` is the tool's own arguments model.

    Args:
        tool: the tool that acts or undoes.
        arguments: the arguments, as an instance of the tool's own model.
        key: the idempotency key.
        earlier: the state of the effect after earlier attempts.
        unmet: why the precondition is currently not met, if a person ruled out the effect. The tool must not
            act in that case, but may find that the effect did happen.
        interpret: interprets the tool's response, given the time since the call.
        observe_again: observes again before a repeat. For a step whose effect is ruled out, the claim
            includes the observation.

    Raises:
        ToolUnavailable: nothing happened; a retry may succeed.
        OutcomePending: it may have happened; the next attempt must ask the tool first.
        ToolRefused: nothing happened; a retry would fail again.
        EffectUnknown: it may have happened, and the tool cannot find out.
    """
    if earlier is EarlierState.NOTHING:
        return await _act(tool, arguments, key, interpret)
    status = await _find_out(tool, arguments, key)
    if isinstance(status, NotFound | Repeatable) and earlier is EarlierState.BEGUN:
        status = interpret(status)
    match status:
        case Happened(receipt):
            return receipt
        case DidNotHappen(refusal) if refusal:
            raise ToolRefused(refusal)
        case DidNotHappen() | NotFound() if unmet is not None:
            raise StepUnready(unmet)
        case Unknown() | Repeatable() if unmet is not None:
            raise EffectUnknown(unmet)
        case Unknown(reason):
            if earlier is EarlierState.RULED_OUT:  # a person has ruled the effect out
                return await _act(tool, arguments, key, interpret)
            raise EffectUnknown(reason)
        case DidNotHappen() | NotFound():
            # Since then, its window may have ended, an approval may have been revoked, or the observed state
            # may have changed.
            if earlier is EarlierState.BEGUN:
                message = "An earlier attempt did nothing, so the step starts over."
                raise ToolUnavailable(message, after=timedelta())  # no need to wait
            return await _act(tool, arguments, key, interpret)
        case Repeatable():
            seen: Receipt | None = None
            if earlier is EarlierState.BEGUN:  # it, or something else, may have changed the observed state
                with after_earlier_attempt():
                    seen = await observe_again()
            return seen or await _repeat(tool, arguments, key, interpret)


@contextmanager
def after_earlier_attempt() -> Iterator[None]:
    """Run what precedes a call whose effect may have happened, which a failure here does not disprove."""
    try:
        yield
    except ToolUnavailable as error:
        raise OutcomePending(
            f"An earlier attempt may have done it. The latest error: {error}", error.after
        ) from error
    except ToolRefused as error:
        raise EffectUnknown(f"An earlier attempt may have done it. The latest error: {error}") from error


async def _repeat(tool: Tool, arguments: Any, key: str, interpret: Interpret) -> Receipt:
    """Act again although an earlier attempt may have succeeded, which a new failure does not disprove."""
    try:
        return await _act(tool, arguments, key, interpret)
    except ToolUnavailable as error:
        raise OutcomePending(str(error), error.after) from error
    except ToolRefused as error:
        raise EffectUnknown(
            f"An earlier attempt may have done it, and repeating it was refused: {error}"
        ) from error


async def _act(tool: Tool, arguments: Any, key: str, interpret: Interpret) -> Receipt:
    try:
        objection = tool.objection(arguments)
    except Exception as error:  # a bug in a tool, before anything happened
        _log.warning("A tool could not check a call.", action="objection", exc_info=error)
        raise ToolUnavailable(f"The tool could not check this call ({_kind(error)}).") from error
    if objection:
        raise ToolRefused(objection)
    try:
        async with asyncio.timeout(tool.declaration.seconds):
            return await tool.act(arguments, key)
    except (ToolUnavailable, ToolRefused):
        raise
    except Exception as error:  # noqa: BLE001  a lost response, a timeout, a bug: effect unknown
        return await _resolve(tool, arguments, key, interpret, error)


async def _resolve(tool: Tool, arguments: Any, key: str, interpret: Interpret, error: Exception) -> Receipt:
    """Ask the tool for the result of an interrupted call."""
    message = failure_words(error, tool.declaration.seconds)
    _log.warning(
        "A tool failed without a result; it is called to find out whether the effect happened.",
        action="broke_off",
        exc_info=error,
    )
    status = await _find_out(tool, arguments, key)
    match interpret(status) if isinstance(status, NotFound | Repeatable) else status:
        case Happened(receipt):
            return receipt
        case DidNotHappen(refusal) if refusal:
            raise ToolRefused(refusal) from error
        case DidNotHappen() | NotFound():
            raise ToolUnavailable(message) from error
        case Repeatable():
            raise OutcomePending(message) from error
        case Unknown(reason):
            raise EffectUnknown(f"{message} {reason}") from error


async def _find_out(tool: Tool, arguments: Any, key: str) -> EffectStatus:
    try:
        async with asyncio.timeout(FIND_OUT_SECONDS):
            found: object = await tool.find_out(arguments, key)
    except Exception as error:
        _log.warning(
            "A tool could not find out whether its effect happened.", action="find_out", exc_info=error
        )
        after = error.after if isinstance(error, ToolUnavailable) else None
        raise OutcomePending(failure_words(error, FIND_OUT_SECONDS), after) from error
    match found:
        case Happened(Receipt()) | DidNotHappen() | NotFound() | Repeatable() | Unknown():
            return found
        case Happened(value):
            returned = f"Happened with {type(value).__name__} instead of a Receipt"
        case _:
            returned = f"{type(found).__name__} instead of the status of the effect"
    return Unknown(f"The look-up of {tool.declaration.name} returned {returned}; check by hand.")


def failure_words(error: Exception, seconds: int) -> str:
    """Return a sentence about a failed call of a tool, which had this many seconds."""
    if isinstance(error, PlangateError):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"The tool did not answer within {seconds} seconds."
    # The text of an unexpected error may contain data, so it is only logged.
    return f"The tool failed unexpectedly ({_kind(error)}); see the worker's log."


def _kind(error: Exception) -> str:
    return recordable(str(error) if isinstance(error, ToolCrashed) else type(error).__name__, _LONGEST_NAME)
