"""Describe how two observations differ, so that people see what was true before and what is true now."""

import json
from collections.abc import Iterator
from typing import Final

from pydantic import JsonValue

from plangate.domain.escaping import cut, one_line

_MOST: Final = 5
_SHOWN: Final = 100  # characters of one value
_SHOWN_OF_NAME: Final = 60


def changes(seen: JsonValue, now: JsonValue) -> str:
    """Return ``status was "open", is now "closed"``; at most five differences, in one line.

    If the observations are equal, the whole value is shown, because the tool may have another reason to
    refuse it.
    """
    found = [
        f"{name or 'it'} was {_shown(before, is_there=was)}, is now {_shown(after, is_there=is_there)}"
        for name, (before, was), (after, is_there) in _differences("", seen, now)
    ]
    if not found:
        return f"it was and is {_shown(now, is_there=True)}, but the tool does not accept it"
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return one_line("; ".join([*found[:_MOST], *more]))


def _differences(
    name: str, seen: JsonValue, now: JsonValue
) -> Iterator[tuple[str, tuple[JsonValue, bool], tuple[JsonValue, bool]]]:
    """Yield the name of each part that differs, both of its values, and whether each is present."""
    if isinstance(seen, dict) and isinstance(now, dict):
        for key in sorted({*seen, *now}):
            path = f"{name}.{key}" if name else cut(key, _SHOWN_OF_NAME)
            if key in seen and key in now:
                yield from _differences(path, seen[key], now[key])
            else:
                yield path, (seen.get(key), key in seen), (now.get(key), key in now)
    elif isinstance(seen, list) and isinstance(now, list) and len(seen) == len(now):
        for index, (before, after) in enumerate(zip(seen, now, strict=True)):
            yield from _differences(f"{name}[{index}]", before, after)
    elif _is_other(seen, now):
        yield name, (seen, True), (now, True)


def _is_other(seen: JsonValue, now: JsonValue) -> bool:
    """Return whether two values differ as JSON: Python's True equals 1, and JSON's 1 equals 1.0."""
    if isinstance(seen, bool) or isinstance(now, bool):
        return seen is not now
    return seen != now


def _shown(value: JsonValue, *, is_there: bool) -> str:
    return cut(json.dumps(value, ensure_ascii=False), _SHOWN) if is_there else "absent"
