"""Observe the state that a step depends on: when the plan is drafted, and again just before the step."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from pydantic import JsonValue

from plangate.domain.errors import RecordsUnavailable, ToolRefused, ToolUnavailable
from plangate.domain.escaping import cut
from plangate.domain.plans.observations import changes
from plangate.domain.plans.plan import canonical_json, uncanonical
from plangate.domain.plans.previews import in_words
from plangate.domain.plans.references import references_in
from plangate.domain.plans.tool import MAX_OBSERVATION, OBSERVE_SECONDS, Receipt, StepReceipt, ToolArguments
from plangate.tool import Observes, ObservesBy, SeesItsEffect, Tool

_log = structlog.get_logger(__name__)
_MAX_SHOWN_ARGUMENT: Final = 80  # characters; a longer argument is text, not an identifier
_MAX_SHOWN_SUBJECT: Final = 200


def is_observed(tool: Tool, arguments: Mapping[str, JsonValue]) -> bool:
    """Return whether a tool observes state for a step; false if a required argument is not known yet."""
    if not isinstance(tool, Observes):
        return False
    references = references_in(arguments)
    return not references or (
        isinstance(tool, ObservesBy) and references.keys().isdisjoint(tool.observed_arguments)
    )


async def observed(tool: Tool, arguments: Any) -> JsonValue:
    """Return the tool's observation for this call; None if the tool observes nothing.

    Raises:
        ToolUnavailable: it cannot be observed now.
        ToolRefused: it can never be observed, or is too large.
        RecordsUnavailable: the tool stores bytes in the records, which are unavailable.
    """
    if not isinstance(tool, Observes):
        return None
    name = tool.declaration.name
    try:
        async with asyncio.timeout(OBSERVE_SECONDS):
            seen = await tool.observe(arguments)
    except (ToolUnavailable, ToolRefused, RecordsUnavailable):
        raise
    except TimeoutError:
        raise ToolUnavailable(f"{name} could not observe within {OBSERVE_SECONDS} seconds.") from None
    except Exception as error:
        _log.exception("A tool could not observe.", action="observe", tool=name)
        raise ToolUnavailable(f"{name} could not observe ({type(error).__name__}).") from error
    if any(uncanonical(seen)):
        raise ToolRefused(f"{name} observed a value that JSON cannot represent unchanged.")
    size = len(canonical_json(seen))
    if size > MAX_OBSERVATION:
        raise ToolRefused(f"{name} observed {size:,} bytes, more than the limit of {MAX_OBSERVATION:,}.")
    return seen


def unmet_precondition(
    tool: Tool, arguments: Any, seen: JsonValue, now: JsonValue, receipts: Sequence[StepReceipt]
) -> str | None:
    """Return the reason why the observation from the draft is no longer valid, or None if it is."""
    if isinstance(tool, Observes):
        try:
            if tool.still_holds(arguments, seen, now, receipts):
                return None
        except Exception:  # noqa: BLE001  a bug in the tool: treated as changed
            _log.exception("A tool could not compare.", action="observe", tool=tool.declaration.name)
    name, subject = tool.declaration.name, _subject(tool, arguments)
    return f"What {name} relies on has changed since the plan was drafted: {changes(seen, now)}{subject}."


def _subject(tool: Tool, arguments: Any) -> str:
    """Return the observed object's short identifying arguments, such as `` (project OPS, ticket 12)``."""
    if not isinstance(arguments, ToolArguments):
        return ""
    try:
        values = arguments.model_dump(mode="json")
    except Exception:  # noqa: BLE001  a bug in the tool: its arguments cannot be written as JSON
        _log.exception("Arguments cannot be shown.", action="observe", tool=tool.declaration.name)
        return ""
    named = {name: values.get(name) for name in tool.declaration.identifying or values}
    text = in_words({name: one for name, one in named.items() if len(str(one)) <= _MAX_SHOWN_ARGUMENT})
    return f" ({cut(text, _MAX_SHOWN_SUBJECT)})" if text else ""


def effect_seen(tool: Tool, arguments: Any, now: JsonValue, idempotency_key: str) -> Receipt | None:
    """Return the receipt of an effect that the tool recognises in the current observation, or None."""
    if not isinstance(tool, SeesItsEffect):
        return None
    try:
        return tool.effect_seen(arguments, now, idempotency_key)
    except Exception:  # noqa: BLE001  a bug in the tool: its effect is not recognised
        _log.exception("A tool could not compare.", action="observe", tool=tool.declaration.name)
        return None
