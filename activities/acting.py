"""How a tool is made to act at most once, whatever became of an attempt before.

A tool's own errors say that nothing happened, or that it may have. Where an attempt ended without a word (a
crash, a time-out, a bug), the tool is asked to find out. What stays open after that is in doubt, never
guessed.
"""

import asyncio
from typing import Any, Final

import structlog

from plangate.domain.errors import (
    EffectUnknown,
    PlangateError,
    StillBegun,
    ToolRefused,
    ToolUnavailable,
)
from plangate.domain.tool import Receipt
from plangate.logs.redaction import recordable
from plangate.tool import DidNotHappen, EffectStatus, Happened, Repeatable, Tool, Unknown

# How long a tool may take to find out; how long to act it declares itself.
FIND_OUT_SECONDS: Final = 60
_LONGEST_SAID: Final = 300
_log = structlog.get_logger(__name__)


async def act_once(tool: Tool, arguments: Any, key: str, *, begun_before: bool) -> Receipt:
    """Act, or return the receipt of an attempt before. ``Any`` is the tool's own arguments model.

    Raises:
        ToolUnavailable: nothing happened; later may be better.
        StillBegun: it may have happened; the next attempt must ask the tool first.
        ToolRefused: nothing happened, and it never will.
        EffectUnknown: it may have happened, and nobody can find out from here.
    """
    if not begun_before:
        return await _act(tool, arguments, key)
    match await _find_out(tool, arguments, key):
        case Happened(receipt):
            return receipt
        case Unknown(reason):
            raise EffectUnknown(reason)
        case DidNotHappen():
            return await _act(tool, arguments, key)
        case Repeatable():
            return await _repeat(tool, arguments, key)


async def _repeat(tool: Tool, arguments: Any, key: str) -> Receipt:
    """Act again where the attempt before may have happened: a failure now does not say that it did not."""
    try:
        return await _act(tool, arguments, key)
    except ToolUnavailable as error:
        raise StillBegun(str(error)) from error
    except ToolRefused as error:
        raise EffectUnknown(
            f"An earlier attempt may have done it, and its repeat was refused: {error}"
        ) from error


async def _act(tool: Tool, arguments: Any, key: str) -> Receipt:
    objection = tool.objection(arguments)
    if objection:
        raise ToolRefused(objection)
    try:
        async with asyncio.timeout(tool.declaration.seconds):
            return await tool.act(arguments, key)
    except (ToolUnavailable, ToolRefused):
        raise
    except Exception as error:  # noqa: BLE001  a lost answer, a time-out, a tool's bug: its effect is open
        said = _sentence(error, tool.declaration.seconds)
        return await _resolve(tool, arguments, key, said, error)


async def _resolve(tool: Tool, arguments: Any, key: str, said: str, error: Exception) -> Receipt:
    """Ask the tool what became of an act whose end was not seen."""
    _log.warning("A tool broke off; it is asked what became of it.", action="broke_off", exc_info=error)
    match await _find_out(tool, arguments, key):
        case Happened(receipt):
            return receipt
        case DidNotHappen():
            raise ToolUnavailable(said) from error
        case Repeatable():
            raise StillBegun(said) from error
        case Unknown(reason):
            raise EffectUnknown(f"{said} {reason}") from error


async def _find_out(tool: Tool, arguments: Any, key: str) -> EffectStatus:
    try:
        async with asyncio.timeout(FIND_OUT_SECONDS):
            return await tool.find_out(arguments, key)
    except Exception as error:
        _log.warning("A tool could not say what became of it.", action="find_out", exc_info=error)
        raise StillBegun(_sentence(error, FIND_OUT_SECONDS)) from error


def _sentence(error: Exception, seconds: int) -> str:
    if isinstance(error, PlangateError):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"The tool did not answer within {seconds} seconds."
    # Its text is the tool's, or a library's: it may hold what the tool had in hand, and is kept for ever.
    said = recordable(str(error), _LONGEST_SAID)
    return f"The tool failed unexpectedly ({type(error).__name__}{': ' if said else ''}{said})."
