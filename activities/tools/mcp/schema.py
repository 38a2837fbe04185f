"""Convert a server's schema to a plain one, or refuse it with an explanation.

A server's schema may be wrong, recursive, huge or hostile, and it is read by the planner, the policy, the
pages and the check of every plan. They all get the same plain schema: references are resolved (a recursive
one ends in a schema that accepts anything), there are no boolean schemas and no lists of types, and size and
depth are limited. The duration of a check is limited by the sizes of the schema and the arguments, and a
check never leaves the worker.

The server checks the parts that the plain schema leaves out: patterns of names, dependencies, and the inner
levels of recursive values. Their defaults are still filled in (`activities.tools.mcp.defaults`), or refused.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import JsonValue

from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.tool import REASON_ARGUMENT

MAX_SCHEMA: Final = 64 * 1024  # characters of JSON
MAX_PARTS_LISTED: Final = 10_000  # parts in all schemas of a server: a few seconds of work
_MAX_PARTS: Final = 4_000  # parts in one schema, with all references resolved
_MAX_DEPTH: Final = 24
_ONE: Final = ("contains", "not", "if", "then", "else", "propertyNames", "additionalProperties", "items")
_MANY: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED: Final = ("properties", "dependentSchemas")
_LEFT_OUT: Final = ("unevaluatedProperties", "unevaluatedItems")
_LEFT_OUT_NAMED: Final = ("patternProperties", "dependencies")
_KEPT: Final = (
    *(
        "title",
        "description",
        "default",
        "format",
        "enum",
        "const",
        "pattern",
        "required",
        "dependentRequired",
    ),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
    *("minItems", "maxItems", "minContains", "maxContains", "minProperties", "maxProperties"),
)
_ANNOTATIONS: Final = ("title", "description", "default")
# Argument names that readers of a schema would mistake for keywords.
_RESERVED_NAMES: Final = frozenset({"$ref", "$defs"})


class SchemaRefused(Exception):
    """An unusable schema; ``str()`` is the reason, phrased to follow 'its schema '."""


class RecursiveSchema(dict[str, Any]):
    """A recursive reference, replaced by a schema that accepts anything. ``target`` is what it refers to."""

    target: Mapping[str, Any]


class Parts:
    """The number of parts left for a server's schemas, with all references resolved."""

    def __init__(self) -> None:
        self.left = MAX_PARTS_LISTED

    def count(self, count: int) -> None:
        """Count some parts.

        Raises:
            SchemaRefused: there are too many.
        """
        self.left -= count
        if self.left < 0:
            raise SchemaRefused(
                f"has more than {MAX_PARTS_LISTED:,} parts, together with the schemas listed before it"
            )


def plain_schema(raw: Mapping[str, Any], parts: Parts | None = None) -> dict[str, Any]:
    """Return the plain form of a server's schema; ``Any`` stands for JSON.

    It contains the SHA-256 of the server's schema, so every change to that schema changes the tool's
    definition.

    Args:
        raw: the schema.
        parts: counts the parts, if this is one of several schemas.

    Raises:
        SchemaRefused: it is too large or too deep, not a JSON Schema of an object, or refers to another
            document.
    """
    try:
        text = json.dumps(raw, sort_keys=True, allow_nan=False)
        if len(text) > MAX_SCHEMA:
            raise SchemaRefused(f"has {len(text):,} characters, more than the limit of {MAX_SCHEMA:,}")
        plain = _Plain(raw, parts or Parts()).at(raw, (), 0)
    except RecursionError:
        raise SchemaRefused("is nested too deep") from None
    except (ValueError, TypeError):
        raise SchemaRefused("is not JSON") from None
    if plain.get("type", "object") != "object":
        raise SchemaRefused("does not describe an object with named arguments")
    plain["type"] = "object"
    _check(plain)
    plain["$comment"] = f"SHA-256 of the server's own schema: {hashlib.sha256(text.encode()).hexdigest()}"
    return plain


def _check(plain: dict[str, Any]) -> None:
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415  comes with the extra `mcp`

    try:
        Draft202012Validator.check_schema(plain)
    except SchemaError as error:
        at = "/".join(map(str, error.absolute_path)) or "its top"
        raise SchemaRefused(f"is not a JSON Schema (at {_shown(at)}: {_shown(error.message)})") from None
    if REASON_ARGUMENT in plain.get("properties", {}):
        raise SchemaRefused(f"has an argument called '{REASON_ARGUMENT}', reserved for the reason of a step")


class _Plain:
    """Copies a schema, part by part."""

    def __init__(self, root: Mapping[str, Any], listed: Parts) -> None:
        self._root = root
        self._listed = listed
        self._parts = 0
        self._recursive: dict[str, list[RecursiveSchema]] = {}

    def at(self, node: Any, within: tuple[str, ...], depth: int) -> dict[str, Any]:
        """Return the plain schema of one part inside the references ``within``."""
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise SchemaRefused(f"has more than {_MAX_PARTS:,} parts, with its references resolved")
        self._listed.count(1)
        if depth > _MAX_DEPTH:
            raise SchemaRefused(f"is nested more than {_MAX_DEPTH} deep")
        if isinstance(node, bool):
            return {} if node else {"not": {}}
        if not isinstance(node, Mapping):
            raise SchemaRefused("has a part that is not a schema")
        own = self._own(node, within, depth)
        if "$dynamicRef" in node or "$recursiveRef" in node:
            raise SchemaRefused("has a dynamic reference, which Plangate does not follow")
        if "$ref" not in node:
            return own
        return _merged(self._referred(node["$ref"], within, depth), own)

    def _referred(self, reference: Any, within: tuple[str, ...], depth: int) -> dict[str, Any]:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise SchemaRefused(
                f"refers to {_shown(str(reference))}; only references within it (#/…) are followed"
            )
        if reference in within:  # it refers to itself, and the server checks the inner levels
            cut = RecursiveSchema()
            self._recursive.setdefault(reference, []).append(cut)
            return cut
        found: Any = self._root
        for step in reference.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            elif isinstance(found, Mapping) and name in found:
                found = found[name]
            else:
                raise SchemaRefused(f"refers to {_shown(reference)}, which it does not have")
        plain = self.at(found, (*within, reference), depth + 1)
        for cut in self._recursive.pop(reference, ()):
            cut.target = plain
        return plain

    def _own(self, node: Mapping[str, Any], within: tuple[str, ...], depth: int) -> dict[str, Any]:
        own = _values(node)
        for key in _NAMED:
            if key in node:
                own[key] = self._named(node[key], within, depth, key)
        for key in _MANY:
            if key in node:
                own[key] = self._many(node[key], within, depth)
        for key in _ONE:
            if key in node and not isinstance(node[key], list):
                own[key] = self.at(node[key], within, depth + 1)
        if isinstance(node.get("items"), list):  # a tuple, as written in older drafts
            own["prefixItems"] = self._many(node["items"], within, depth)
            own["items"] = self.at(node.get("additionalItems", True), within, depth + 1)
        left_out = list(self._left_out(node, within, depth))
        if "patternProperties" in node:  # the server checks the names that it allows
            left_out.append(own.pop("additionalProperties", {}))
        if any(map(self._may_fill, left_out)):
            raise SchemaRefused(
                "has a default that depends on the pattern of a name, or on another keyword that Plangate "
                "does not read, so that no approver would see it"
            )
        return _typed(own, node.get("type"))

    def _left_out(
        self, node: Mapping[str, Any], within: tuple[str, ...], depth: int
    ) -> Iterator[dict[str, Any]]:
        """Yield the plain schemas of the keywords that the plain form leaves out."""
        found = [node[key] for key in _LEFT_OUT if key in node]
        for named in (node[key] for key in _LEFT_OUT_NAMED if key in node):
            found += named.values() if isinstance(named, Mapping) else ()
        for one in found:
            if isinstance(one, Mapping):
                yield self.at(one, within, depth + 1)

    def _may_fill(self, plain: Mapping[str, Any]) -> bool:
        """Return whether a part has a default, or refers to an outer part that may have one."""
        if isinstance(plain, RecursiveSchema):
            return any("default" in one for one in _objects(self._root))
        return "default" in plain or any(self._may_fill(one) for one in _parts_of(plain))

    def _named(self, value: Any, within: tuple[str, ...], depth: int, key: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise SchemaRefused(f"has {key} without names")
        unusable = sorted(_RESERVED_NAMES & set(value))
        if unusable:
            raise SchemaRefused(f"has an argument called '{unusable[0]}', a name that Plangate cannot use")
        return {str(name): self.at(one, within, depth + 1) for name, one in value.items()}

    def _many(self, value: Any, within: tuple[str, ...], depth: int) -> list[dict[str, Any]]:
        if not isinstance(value, list):
            raise SchemaRefused("has alternatives that are not a list")
        return [self.at(one, within, depth + 1) for one in value]


def _parts_of(plain: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key in _ONE:
        if key in plain:
            yield plain[key]
    for key in _MANY:
        yield from plain.get(key, ())
    for key in _NAMED:
        yield from plain.get(key, {}).values()


def _values(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a part that contain no schemas."""
    own = {key: node[key] for key in _KEPT if key in node and not (key == "default" and _refers(node[key]))}
    if any(_refers(own.get(key)) for key in ("enum", "const")):
        raise SchemaRefused("has a value that looks like a reference")
    if own.get("enum") == []:
        del own["enum"]
        own["not"] = {}
    return own


def _merged(referred: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return a reference combined with the keywords next to it."""
    if isinstance(referred, RecursiveSchema):
        referred.update(own)
        return referred
    merged = {**referred, **own}
    if any(key in referred and key not in _ANNOTATIONS for key in own):
        merged["allOf"] = [
            *own.get("allOf", []),
            {k: v for k, v in referred.items() if k not in _ANNOTATIONS},
        ]
    return merged


def _typed(own: dict[str, Any], kind: Any) -> dict[str, Any]:
    """Add the type; a list of types becomes a choice, as in pydantic's schemas."""
    if kind is None:
        return own
    if isinstance(kind, str):
        return {"type": kind, **own}
    if not isinstance(kind, list) or not all(isinstance(one, str) for one in kind):
        raise SchemaRefused("has a type that is not a name")
    if len(kind) == 1:
        return {"type": kind[0], **own}
    choice = [{"type": one} for one in kind]
    if "anyOf" not in own:
        return {"anyOf": choice, **own}
    return {**own, "allOf": [*own.get("allOf", []), {"anyOf": choice}]}


def _refers(value: JsonValue) -> bool:
    return any("$ref" in one or "$defs" in one for one in _objects(value))


def _objects(value: Any) -> Iterator[Mapping[str, JsonValue]]:
    if isinstance(value, dict):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from _objects(one)


def _shown(text: str) -> str:
    return cut(one_line(text), 120)
