"""Read the rules for one value in a tool's JSON schema, as far as a form needs them.

A worker checks the rest, including patterns and formats, because outsiders may have written the schema.
"""

import json
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pydantic import JsonValue

Schema: TypeAlias = Mapping[str, Any]
"""A JSON schema, or a part of one."""
_DEEPEST: Final = 8  # references that lead to other references
_MOST_HELP: Final = 400
_MOST_NAMED: Final = 12
_BOUNDS: Final = (
    ("minimum", "at least", operator.ge),
    ("maximum", "at most", operator.le),
    ("exclusiveMinimum", "more than", operator.gt),
    ("exclusiveMaximum", "less than", operator.lt),
)
_WORDS: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a schema for one value.

    Attributes:
        ways: the alternative schemas, one of which it must match; empty if any value is valid.
        is_required: whether it must be present.
        help: its description by the tool's author.
    """

    ways: tuple[Schema, ...] = ()
    is_required: bool = False
    help: str = ""

    @property
    def takes_null(self) -> bool:
        """Whether it may be null."""
        return any(way.get("type") == "null" for way in self.ways)

    @property
    def takes_decimals(self) -> bool:
        """Whether it may be a number or its text, as many MCP servers declare an amount."""
        return {"number", "string"}.issubset(way.get("type") for way in self.ways)

    def way_of(self, value: JsonValue, *, is_there: bool) -> Schema:
        """Return the schema that matches the type of a value; for an absent value, the first."""
        ways = [way for way in self.ways if way.get("type") != "null"]
        if not is_there or value is None:
            return ways[0] if ways else {}
        return next((way for way in ways if _is_of_type(value, way.get("type"))), {})

    def fault_in(self, value: JsonValue) -> str | None:
        """Return the error in a value, as a phrase that follows its name; None if it has no known error."""
        faults = [next(_faults(way, value), None) for way in self.ways]
        if not faults or None in faults:
            return None
        fitting = [way for way in self.ways if _is_of_type(value, way.get("type"))]
        way = fitting[0] if fitting else self.ways[0]
        return next(_faults(way, value))


def rules_for(schema: Schema, root: Schema) -> Iterator[tuple[str, Rules]]:
    """Yield the rules for each value of an object, by its name."""
    named = schema.get("properties")
    required = schema.get("required")
    for name, one in named.items() if isinstance(named, Mapping) else ():
        whole = _resolved(one, root)
        ways = whole.get("anyOf") or whole.get("oneOf")
        parts = [_resolved(way, root) for way in ways] if isinstance(ways, list) else [whole]
        said = whole.get("description")
        yield (
            str(name),
            Rules(
                ways=tuple(parts),
                is_required=isinstance(required, list) and name in required,
                help=said[:_MOST_HELP] if isinstance(said, str) else "",
            ),
        )


def choices_of(way: Schema) -> tuple[tuple[str, JsonValue], ...]:
    """Return the values of an enumeration, each with its label; empty if labels are ambiguous."""
    listed = way.get("enum")
    if not isinstance(listed, list) or not listed:
        return ()
    texts = [one if isinstance(one, str) else json.dumps(one) for one in listed]
    is_plain = all(text.strip() and text.isprintable() for text in texts)
    return tuple(zip(texts, listed, strict=True)) if is_plain and len({*texts}) == len(texts) else ()


def takes_lines(way: Schema) -> bool:
    """Return whether a value is a list of strings."""
    items = way.get("items")
    return way.get("type") == "array" and isinstance(items, Mapping) and items.get("type") == "string"


def _resolved(node: Any, root: Schema, depth: int = 0) -> Schema:
    """Return a part of a schema with its reference resolved; if invalid, ``{}``, which allows anything."""
    if not isinstance(node, Mapping):
        return {}
    name = node.get("$ref")
    if not isinstance(name, str) or depth > _DEEPEST:
        return node
    definitions = root.get("$defs")
    found = definitions.get(name.removeprefix("#/$defs/")) if isinstance(definitions, Mapping) else None
    rest = {key: value for key, value in node.items() if key != "$ref"}
    return {**_resolved(found, root, depth + 1), **rest}


def _is_of_type(value: JsonValue, kind: object) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case "null":
            return value is None
        case _:
            return True


def _faults(way: Schema, value: JsonValue) -> Iterator[str]:
    kind = way.get("type")
    if not _is_of_type(value, kind):
        yield f"must be {_WORDS.get(str(kind), str(kind))}"
        return
    listed = way.get("enum")
    if isinstance(listed, list) and not any(_is_same(value, one) for one in listed):
        named = ", ".join(one if isinstance(one, str) else json.dumps(one) for one in listed[:_MOST_NAMED])
        yield f"must be one of: {named}{', …' if len(listed) > _MOST_NAMED else ''}"
    match value:
        case str():
            yield from _sized(way, len(value), "minLength", "maxLength", "character")
        case list():
            yield from _sized(way, len(value), "minItems", "maxItems", "entry")
            items = way.get("items")
            for number, one in enumerate(value, start=1):
                fault = next(_faults(items, one), None) if isinstance(items, Mapping) else None
                if fault is not None:
                    yield f"has a wrong entry {number}, which {fault}"
        case bool():
            return
        case int() | float():
            yield from _bounded(way, value)


def _sized(way: Schema, size: int, least: str, most: str, what: str) -> Iterator[str]:
    fewest, largest = _number(way.get(least)), _number(way.get(most))
    if fewest is not None and size < fewest:
        yield "must not be empty" if fewest == 1 else f"needs at least {fewest:,} {_plural(what)}"
    if largest is not None and size > largest:
        yield f"has {size:,} {_plural(what)}, more than the limit of {largest:,}"


def _bounded(way: Schema, value: float) -> Iterator[str]:
    for name, words, is_within in _BOUNDS:
        bound = _number(way.get(name))
        if bound is not None and not is_within(value, bound):
            yield f"must be {words} {way[name]}"


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _is_same(one: JsonValue, other: JsonValue) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _plural(what: str) -> str:
    return "entries" if what == "entry" else f"{what}s"
