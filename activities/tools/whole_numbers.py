"""Normalize numbers, so that policy, fingerprint, approver and effect see the same value."""

from typing import Final

from pydantic import JsonValue

_INEXACT: Final = 2**53


def with_whole_numbers(value: JsonValue) -> JsonValue:
    """Return JSON with whole numbers as integers, however they were written: 600.0 and 6e2 become 600."""
    match value:
        case float() if value.is_integer() and abs(value) < _INEXACT:
            return int(value)
        case list():
            return [with_whole_numbers(item) for item in value]
        case dict():
            return {name: with_whole_numbers(item) for name, item in value.items()}
        case _:
            return value
