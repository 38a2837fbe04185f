"""Default previews for tools without their own: one sentence from the tool's name and its arguments.

They use only these values, never the summary or the reasons that a model wrote.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.plan import MAX_PREVIEW
from plangate.domain.plans.references import references_in
from plangate.domain.plurals import counted, joined, line_count

_ROOM: Final = 80  # characters of one string that are shown
_ITEMS: Final = 5  # items of one list that are shown
_DEPTH: Final = 3
_PLAIN: Final = re.compile(r"[\w.@:/+#%&=?~-]+", re.ASCII)  # cannot be mistaken for two values
_WORDS: Final = frozenset({"yes", "no", "none", "null", "true", "false", "and"})


def default_preview(tool: str, arguments: Mapping[str, JsonValue]) -> str:
    """Return ``refund: amount 42.50, currency EUR, to ana@example.org and 2 more``."""
    shown = in_words(arguments)
    return cut(f"{one_line(tool)}: {shown}" if shown else one_line(tool), MAX_PREVIEW - 100)


def in_words(values: Mapping[str, JsonValue], depth: int = 0) -> str:
    """Return names and values in one line; omit empty values."""
    references = references_in(values)
    shown = {name: str(one) for name, one in references.items()}
    return ", ".join(
        f"{one_line(name.replace('_', ' '))} {shown.get(name) or _shown(value, depth)}"
        for name, value in values.items()
        if value not in (None, "", [], {})
    )


def _shown(value: JsonValue, depth: int) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return json.dumps(value)
        case str():
            return _text(value)
        case _ if depth >= _DEPTH:
            return one_line(cut(json.dumps(value, ensure_ascii=False), _ROOM))
        case list():
            return _listed(value, depth)
        case dict():
            return f"({in_words(value, depth + 1)})"


def _text(text: str) -> str:
    """Return a string: quoted if it could be mistaken for two values, truncated (with its length) if long."""
    if len(text) > _ROOM:
        lines = line_count(text)
        size = f"{len(text):,} characters" + (f" in {counted(lines, 'line')}" if lines > 1 else "")
        return f"{quoted(text[:_ROOM] + '…')} ({size})"
    is_plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS
    return text if is_plain else quoted(text)


def quoted(text: str) -> str:
    """Return a string on one line and in quotes, with its own quotes escaped."""
    return '"' + one_line(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _listed(items: list[JsonValue], depth: int) -> str:
    if not items:
        return "none"
    shown = [_shown(item, depth + 1) for item in items[:_ITEMS]]
    if len(items) > _ITEMS:
        return f"{', '.join(shown)} and {len(items) - _ITEMS:,} more ({len(items):,} in all)"
    return joined(shown)
