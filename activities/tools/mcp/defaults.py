"""Fill in the defaults of a plain schema wherever they apply: in nested objects, items and alternatives.

Otherwise a server would fill in missing values that the policy and the approvers never saw. Defaults are
therefore filled in before the approval, and sent with the call.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

from activities.tools.mcp.schema import RecursiveSchema
from activities.tools.whole_numbers import with_whole_numbers

_CHARACTERS_PER_PART: Final = 200  # characters of a default value that count as one part

Part = Mapping[str, Any]


class Defaults:
    """The defaults of one schema; ``Any`` stands for JSON.

    Args:
        schema: a plain schema.
        allows: whether a part of the schema allows a value.
        spend: counts the work, and raises an error at a limit, because a check may otherwise take hours.
    """

    def __init__(
        self, schema: Part, allows: Callable[[Part, Any], bool], spend: Callable[[int], None]
    ) -> None:
        self._schema = schema
        self._allows = allows
        self._spend = spend

    def fill(self, value: Any) -> Any:
        """Return the value with its defaults; if several contradict each other, the first one is used.

        Filling in again changes nothing.
        """
        while (filled := self._round(value)) != value:  # a default may make an alternative match
            value = filled
        return value

    def _round(self, value: Any) -> Any:
        filled = self._at(self._schema, value, keep_valid=False)
        if filled == value or self._allows(self._schema, filled) or not self._allows(self._schema, value):
            return filled
        filled = self._at(self._schema, value, keep_valid=True)
        return filled if self._allows(self._schema, filled) else value

    def _at(self, part: Part, value: Any, *, keep_valid: bool) -> Any:
        """Return the value of one part; if ``keep_valid``, each default keeps its object valid."""
        if not isinstance(value, dict | list) or not (part or isinstance(part, RecursiveSchema)):
            return value
        self._spend(1)
        if isinstance(value, dict):
            value = self._object(part, value, keep_valid=keep_valid)
        else:
            value = self._list(part, value, keep_valid=keep_valid)
        for one in part.get("allOf", ()):
            value = self._at(one, value, keep_valid=keep_valid)
        for key in ("anyOf", "oneOf"):
            value = self._alternative(part.get(key, ()), value, keep_valid=keep_valid)
        if "if" in part:
            key = "then" if self._allows(part["if"], value) else "else"
            value = self._at(part.get(key, {}), value, keep_valid=keep_valid)
        for name, one in part.get("dependentSchemas", {}).items():
            if name in value:
                value = self._at(one, value, keep_valid=keep_valid)
        return (
            self._at(part.target, value, keep_valid=keep_valid)
            if isinstance(part, RecursiveSchema)
            else value
        )

    def _object(self, part: Part, value: dict[str, Any], *, keep_valid: bool) -> dict[str, Any]:
        named, others = part.get("properties", {}), part.get("additionalProperties", {})
        filled = {
            name: self._at(named.get(name, others), one, keep_valid=keep_valid) for name, one in value.items()
        }
        for name, one in named.items():
            for default in self._default(one, keep_valid=keep_valid) if name not in value else ():
                filled[name] = default
                if keep_valid and not self._allows(part, filled):
                    del filled[name]
        return filled

    def _list(self, part: Part, value: list[Any], *, keep_valid: bool) -> list[Any]:
        first, others = part.get("prefixItems", ()), part.get("items", {})
        return [
            self._at(first[index] if index < len(first) else others, one, keep_valid=keep_valid)
            for index, one in enumerate(value)
        ]

    def _alternative(self, parts: Any, value: Any, *, keep_valid: bool) -> Any:
        """Return the value with the defaults of the first alternative that allows the result."""
        for one in sorted(parts, key=lambda one: not self._allows(one, value)):
            filled = self._at(one, value, keep_valid=keep_valid)
            if self._allows(one, filled):
                return filled
        return value

    def _default(self, part: Part, *, keep_valid: bool) -> Iterator[Any]:
        """Yield the default of a part, with nested defaults if these are allowed; nothing if invalid."""
        for declared in _parts_with_default(part):
            raw = with_whole_numbers(deepcopy(declared["default"]))
            self._spend(len(json.dumps(raw)) // _CHARACTERS_PER_PART)
            filled = self._at(part, raw, keep_valid=keep_valid)
            allowed = [one for one in (filled, raw) if self._allows(part, one)]
            yield from allowed[:1]
            return


def _parts_with_default(part: Part) -> Iterator[Part]:
    """Yield the parts that define a value's default: the part itself, then those that it refers to."""
    if "default" in part:
        yield part
    for one in part.get("allOf", ()):
        yield from _parts_with_default(one)
    if isinstance(part, RecursiveSchema):
        yield from _parts_with_default(part.target)
