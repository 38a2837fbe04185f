"""The content of a plan file with the location of each part, for both JSON and YAML.

A reader yields `Part`s in the order of the file; `compose` builds a `Tree` of them. Nothing in this module
depends on plans.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple, assert_never

from plangate.domain.faults import Fault, FaultPath

MAX_DEPTH: Final = 100


class Place(NamedTuple):
    """A place in a file: line and column, both counted from 1."""

    line: int
    column: int


START: Final = Place(1, 1)


class PlacedFault(NamedTuple):
    """An error of a file, and where it is."""

    place: Place
    fault: Fault


class Unreadable(Exception):
    """An error at which reading stops."""

    def __init__(self, place: Place, message: str, path: FaultPath = ()) -> None:
        super().__init__(message)
        self.fault = PlacedFault(place, Fault(path, message))


class Kind(StrEnum):
    """The kind of a part."""

    MAPPING = "mapping"
    LIST = "list"
    END = "end"
    SCALAR = "scalar"


@dataclass(frozen=True, slots=True)
class Part:
    """The beginning or the end of a mapping or list, or a scalar, which may be the name of a value.

    Attributes:
        place: where it begins.
        kind: its kind; END closes the innermost open mapping or list.
        value: the value of a scalar as in JSON; None if it cannot be used.
        faults: its errors.
        as_name: its further errors if it is a name.
        as_value: its further errors if it is a value.
    """

    place: Place
    kind: Kind
    value: str | int | float | bool | None = None
    faults: tuple[str, ...] = ()
    as_name: str = ""
    as_value: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its location; a mapping or list contains nodes."""

    place: Place
    content: "dict[str, Node] | list[Node] | str | int | float | bool | None"

    def value(self) -> Any:
        """Return the value; ``Any`` is a JSON value."""
        match self.content:
            case dict():
                return {name: node.value() for name, node in self.content.items()}
            case list():
                return [node.value() for node in self.content]
            case _:
                return self.content

    def at(self, path: FaultPath) -> "Node":
        """Return the innermost node that ``path`` leads to."""
        node = self
        for part in path:
            match node.content:
                case dict() as members if part in members:
                    node = members[str(part)]
                case list() as items if isinstance(part, int) and part < len(items):
                    node = items[part]
                case _:
                    break
        return node


def compose(parts: Iterator[Part]) -> tuple[Node, list[PlacedFault]]:
    """Return the value that the parts form, and the errors in its notation.

    Raises:
        Unreadable: there are no parts, they are nested too deeply, or the reader failed.
    """
    first = next(parts, None)
    if first is None:
        raise Unreadable(START, "the file is empty")
    composer = _Composer(parts)
    root = composer.node(first, ())
    for _ in parts:
        pass  # the reader raises an error for text after the value
    return root, composer.faults


class _Composer:
    def __init__(self, parts: Iterator[Part]) -> None:
        self._parts = parts
        self._depth = 0
        self.faults: list[PlacedFault] = []

    def node(self, part: Part, path: FaultPath) -> Node:
        """Return the node that begins with ``part``."""
        self._note(part, path, *part.faults, part.as_value)
        match part.kind:
            case Kind.MAPPING | Kind.LIST:
                if self._depth >= MAX_DEPTH:
                    raise Unreadable(part.place, f"nested deeper than {MAX_DEPTH} levels", path)
                self._depth += 1
                is_mapping = part.kind is Kind.MAPPING
                content: Any = self._members(path) if is_mapping else self._items(path)
                self._depth -= 1
            case Kind.SCALAR | Kind.END:
                content = part.value
            case _:
                assert_never(part.kind)
        return Node(part.place, content)

    def _items(self, path: FaultPath) -> list[Node]:
        items: list[Node] = []
        while (part := next(self._parts)).kind is not Kind.END:
            items.append(self.node(part, (*path, len(items))))
        return items

    def _members(self, path: FaultPath) -> dict[str, Node]:
        members: dict[str, Node] = {}
        while (part := next(self._parts)).kind is not Kind.END:
            name = self._name(part, path, members)
            node = self.node(next(self._parts), path if name is None else (*path, name))
            if name is not None:
                members[name] = node
        return members

    def _name(self, part: Part, path: FaultPath, members: dict[str, Node]) -> str | None:
        """Return the name of the next value; None if the name cannot be used in the mapping."""
        if part.kind is not Kind.SCALAR:
            self._note(part, path, "a name must be text, not a mapping or a list")
            self.node(part, path)
            return None
        is_known = part.value in members
        self._note(
            part, path, *part.faults, part.as_name, f"duplicate name {part.value!r}" if is_known else ""
        )
        usable = isinstance(part.value, str) and not part.as_name and not is_known
        return str(part.value) if usable else None

    def _note(self, part: Part, path: FaultPath, *messages: str) -> None:
        self.faults += (PlacedFault(part.place, Fault(path, message)) for message in messages if message)
