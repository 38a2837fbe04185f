"""Fill in the defaults of a plain schema wherever they apply: in nested objects, items and alternatives.

Otherwise a server would fill in missing values that the policy and the approvers never saw. Defaults are
therefore filled in before the approval, and sent with the call.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

from activities.tools.mcp.schema import Cut
from activities.tools.one_number import one_number

_LETTERS: Final = 200  # characters of a default value that count as one part

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
        while (whole := self._round(value)) != value:  # a default may make an alternative match
            value = whole
        return value

    def _round(self, value: Any) -> Any:
        whole = self._at(self._schema, value, careful=False)
        if whole == value or self._allows(self._schema, whole) or not self._allows(self._schema, value):
            return whole
        whole = self._at(self._schema, value, careful=True)
        return whole if self._allows(self._schema, whole) else value

    def _at(self, part: Part, value: Any, *, careful: bool) -> Any:
        """Return the value of one part; if ``careful``, each default keeps its object valid for the part."""
        if not isinstance(value, dict | list) or not (part or isinstance(part, Cut)):
            return value
        self._spend(1)
        if isinstance(value, dict):
            value = self._object(part, value, careful=careful)
        else:
            value = self._list(part, value, careful=careful)
        for one in part.get("allOf", ()):
            value = self._at(one, value, careful=careful)
        for key in ("anyOf", "oneOf"):
            value = self._alternative(part.get(key, ()), value, careful=careful)
        if "if" in part:
            key = "then" if self._allows(part["if"], value) else "else"
            value = self._at(part.get(key, {}), value, careful=careful)
        for name, one in part.get("dependentSchemas", {}).items():
            if name in value:
                value = self._at(one, value, careful=careful)
        return self._at(part.again, value, careful=careful) if isinstance(part, Cut) else value

    def _object(self, part: Part, value: dict[str, Any], *, careful: bool) -> dict[str, Any]:
        named, others = part.get("properties", {}), part.get("additionalProperties", {})
        whole = {name: self._at(named.get(name, others), one, careful=careful) for name, one in value.items()}
        for name, one in named.items():
            for default in self._default(one, careful=careful) if name not in value else ():
                whole[name] = default
                if careful and not self._allows(part, whole):
                    del whole[name]
        return whole

    def _list(self, part: Part, value: list[Any], *, careful: bool) -> list[Any]:
        first, others = part.get("prefixItems", ()), part.get("items", {})
        return [
            self._at(first[place] if place < len(first) else others, one, careful=careful)
            for place, one in enumerate(value)
        ]

    def _alternative(self, parts: Any, value: Any, *, careful: bool) -> Any:
        """Return the value with the defaults of the first alternative that allows the result."""
        for one in sorted(parts, key=lambda one: not self._allows(one, value)):
            whole = self._at(one, value, careful=careful)
            if self._allows(one, whole):
                return whole
        return value

    def _default(self, part: Part, *, careful: bool) -> Iterator[Any]:
        """Yield the default of a part, with nested defaults if these are allowed; nothing if invalid."""
        for declared in _declaring(part):
            raw = one_number(deepcopy(declared["default"]))
            self._spend(len(json.dumps(raw)) // _LETTERS)
            whole = self._at(part, raw, careful=careful)
            allowed = [one for one in (whole, raw) if self._allows(part, one)]
            yield from allowed[:1]
            return


def _declaring(part: Part) -> Iterator[Part]:
    """Yield the parts that define a value's default: the part itself, then those that it refers to."""
    if "default" in part:
        yield part
    for one in part.get("allOf", ()):
        yield from _declaring(one)
    if isinstance(part, Cut):
        yield from _declaring(part.again)
