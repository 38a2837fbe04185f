"""A plan file as it is read: its value, and the place of every part of it in the file.

Readers tell a `TreeBuilder` what they come across; nothing here recurses, hence no depth is too deep for it.
"""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

MAX_DEPTH: Final = 100
_MAX_PATH: Final = 1_200  # characters; below a longer path, the place of each part is that of the whole


class Place(NamedTuple):
    """Where in a file, both counted from 1."""

    line: int
    column: int


class Fault(NamedTuple):
    """One thing that is wrong with a file. ``path`` names the part, such as ``steps[1].arguments.to``."""

    place: Place
    path: str
    message: str


class Unreadable(Exception):
    """Reading cannot go on after this fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Tree:
    """What a file says, where it says it, and what is wrong with how it says it.

    Attributes:
        value: the value. ``Any`` stands for JSON.
        places: the place of each part by its path; '' is the whole.
        faults: what the value cannot be trusted for.
        blanks: places at which something unusable stood; the value has null there.
    """

    value: Any
    places: dict[str, Place]
    faults: tuple[Fault, ...]
    blanks: frozenset[Place] = frozenset()


@dataclass(slots=True)
class _Frame:
    """A mapping or a list that is still open; ``key`` is None where a mapping's value is to be dropped."""

    value: Any
    path: str
    is_name: bool  # it stands where a name belongs, hence leads nowhere
    at_key: bool
    key: str | None = None


@dataclass(slots=True)
class TreeBuilder:
    """Puts a tree together from its parts in the order of the file."""

    faults: list[Fault] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    blanks: set[Place] = field(default_factory=set)
    _frames: list[_Frame] = field(default_factory=list)
    _root: Any = None

    @property
    def at_key(self) -> bool:
        """Whether a mapping's next name is due."""
        return bool(self._frames) and self._frames[-1].at_key

    @property
    def path(self) -> str:
        """The path of what comes next."""
        if not self._frames:
            return ""
        frame = self._frames[-1]
        if isinstance(frame.value, list):
            path = f"{frame.path}[{len(frame.value)}]"
        elif frame.at_key or frame.key is None or len(frame.key) > _MAX_PATH:
            return frame.path
        else:
            path = f"{frame.path}.{frame.key}" if frame.path else frame.key
        return path if len(path) <= _MAX_PATH else frame.path

    def fault(self, place: Place, message: str) -> None:
        """Note that something is wrong with what comes next."""
        self.faults.append(Fault(place, self.path, message))

    def blank(self, place: Place, message: str) -> None:
        """Put null where something unusable stands, and note why."""
        self.fault(place, message)
        self.blanks.add(place)
        if self.at_key:
            self.key(place, None)
        else:
            self.scalar(place, None)

    def key(self, place: Place, name: str | None) -> None:
        """Take the name of a mapping's next value; None drops that value."""
        frame = self._frames[-1]
        if name is not None and name in frame.value:
            self.fault(place, f"the name {name!r} is there twice")
            name = None
        frame.at_key, frame.key = False, name

    def scalar(self, place: Place, value: Any) -> None:
        """Take a value that holds no others."""
        self._put(place, value)

    def open(self, place: Place, container: dict[str, Any] | list[Any]) -> None:
        """Begin a mapping or a list.

        Raises:
            Unreadable: it is nested too deeply.
        """
        path, is_name = self.path, self.at_key
        if len(self._frames) >= MAX_DEPTH:
            raise Unreadable(Fault(place, path, f"nested deeper than {MAX_DEPTH} levels"))
        if is_name:
            self.fault(place, "a name must be text, not a mapping or a list")
        else:
            self._put(place, container)
        self._frames.append(_Frame(container, path, is_name, at_key=isinstance(container, dict)))

    def close(self) -> None:
        """End the mapping or list that was begun last."""
        if self._frames.pop().is_name:
            self._frames[-1].at_key, self._frames[-1].key = False, None

    def tree(self) -> Tree:
        """Return what has been read."""
        return Tree(self._root, self.places, tuple(self.faults), frozenset(self.blanks))

    def _put(self, place: Place, value: Any) -> None:
        if not self._frames:
            self._root = value
            self.places.setdefault("", place)
            return
        frame = self._frames[-1]
        if isinstance(frame.value, list):
            self.places.setdefault(self.path, place)
            frame.value.append(value)
            return
        if frame.key is not None:
            self.places.setdefault(self.path, place)
            frame.value[frame.key] = value
        frame.at_key, frame.key = True, None
