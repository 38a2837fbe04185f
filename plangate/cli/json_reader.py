"""JSON, read strictly and with the place of every part: no name twice, nothing that is not JSON.

Python's own reader says whether a text is JSON; a walk over its tokens then finds the places, which that
reader does not tell.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final

from plangate.cli.tree import MAX_DEPTH, Fault, Place, Tree, TreeBuilder, Unreadable

MAX_NUMBER: Final = 400  # characters; the largest float has some 310
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_START: Final = Place(1, 1)


def read_json(text: str) -> Tree:
    """Return what a JSON text says.

    Raises:
        Unreadable: it is not JSON.
    """
    try:
        # Only asked whether it is JSON: numbers are left alone, for Python's integers have their own limit.
        json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        message = f"this is not JSON: {error.msg[0].lower()}{error.msg[1:]}"
        raise Unreadable(Fault(Place(error.lineno, error.colno), "", message)) from None
    except RecursionError:
        raise Unreadable(Fault(_START, "", f"nested deeper than {MAX_DEPTH} levels")) from None
    builder = TreeBuilder()
    for place, token in _tokens(text):
        _take(builder, place, token)
    return builder.tree()


def number(builder: TreeBuilder, place: Place, token: str) -> None:
    """Hand the number that ``token`` writes to the builder."""
    if len(token) > MAX_NUMBER:
        builder.blank(place, f"a number of {len(token)} characters; write it as text")
    elif token.lstrip("-").isdigit():
        builder.scalar(place, int(token))
    else:
        builder.scalar(place, float(token))


def _tokens(text: str) -> Iterator[tuple[Place, str]]:
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    for match in _TOKEN.finditer(text):
        line = bisect_right(starts, match.start())
        yield Place(line, match.start() - starts[line - 1] + 1), match[0]


def _take(builder: TreeBuilder, place: Place, token: str) -> None:
    constants: dict[str, Any] = {"true": True, "false": False, "null": None}
    match token:
        case "{":
            builder.open(place, {})
        case "[":
            builder.open(place, [])
        case "}" | "]":
            builder.close()
        case "," | ":":
            return
        case _ if token.startswith('"'):
            value = json.loads(token)
            if builder.at_key:
                builder.key(place, value)
            else:
                builder.scalar(place, value)
        case "true" | "false" | "null":
            builder.scalar(place, constants[token])
        case "NaN" | "Infinity" | "-Infinity":
            builder.blank(place, f"{token} is not JSON")
        case _:
            number(builder, place, token)
