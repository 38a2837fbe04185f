"""Read JSON strictly, with the location of each part.

Python's own reader decides whether a text is JSON; a second pass over its tokens then finds the locations,
which that reader does not return.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from plangate.cli.plan_tree import MAX_DEPTH, START, Kind, Part, Place, Unreadable

_MAX_NUMBER: Final = 400  # maximum characters of a number; the largest float has about 310
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_KINDS: Final = {"{": Kind.MAPPING, "[": Kind.LIST, "}": Kind.END, "]": Kind.END}


def json_parts(text: str) -> Iterator[Part]:
    """Yield the parts of a JSON text.

    Raises:
        Unreadable: it is not JSON.
    """
    try:
        # This only checks whether it is JSON. Numbers stay text, because Python limits the length of
        # integers.
        json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        message = f"this is not JSON: {error.msg[0].lower()}{error.msg[1:]}"
        raise Unreadable(Place(error.lineno, error.colno), message) from None
    except RecursionError:
        raise Unreadable(START, f"nested deeper than {MAX_DEPTH} levels") from None
    for place, token in _tokens(text):
        if token in _KINDS:
            yield Part(place, _KINDS[token])
        elif token not in (",", ":"):
            yield scalar(place, token)


def scalar(place: Place, token: str) -> Part:
    """Return the text, number or constant that ``token`` represents in JSON."""
    if token in ("NaN", "Infinity", "-Infinity"):
        return Part(place, Kind.SCALAR, faults=(f"{token} is not JSON",))
    if len(token) > _MAX_NUMBER and not token.startswith('"'):
        message = f"a number of {len(token)} characters is too long; write it as text"
        return Part(place, Kind.SCALAR, faults=(message,))
    return Part(place, Kind.SCALAR, json.loads(token))


def _tokens(text: str) -> Iterator[tuple[Place, str]]:
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    for match in _TOKEN.finditer(text):
        line = bisect_right(starts, match.start())
        yield Place(line, match.start() - starts[line - 1] + 1), match[0]
