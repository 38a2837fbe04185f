"""Previews for tools that bring none: one sentence from the tool's name and its arguments."""

import json
from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from plangate.domain.escaping import cut, one_line
from plangate.domain.references import references_in

_ROOM: Final = 120  # characters of one value


def default_preview(tool: str, arguments: Mapping[str, JsonValue]) -> str:
    """Return ``refund: amount 42.5, currency "EUR"``."""
    references = references_in(arguments)
    shown = [
        f"{name.replace('_', ' ')} {references[name] if name in references else _shown(value)}"
        for name, value in arguments.items()
        if value not in (None, "", [], {})
    ]
    return one_line(f"{tool}: {', '.join(shown)}" if shown else tool)


def _shown(value: JsonValue) -> str:
    return cut(json.dumps(value, ensure_ascii=False), _ROOM)
