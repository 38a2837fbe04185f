"""The values of expressions.

Most are values of Python: `bool`, `int`, `float`, `str`, `bytes`, `list`, `dict` and None, as in JSON. The
classes of this module are the others. Equality and keys of maps follow CEL: ``1 == 1.0``, but ``1 != true``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import repeat
from types import NoneType
from typing import Any, Final

SECOND: Final = 10**9
MAX_OPERATIONS: Final = 100_000
"""How many operations an evaluation may take: about 0.1 seconds."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _END = -62_135_596_800 * SECOND, 253_402_300_800 * SECOND  # the years 1 to 9999
_OPERATIONS_OF_COMPILING: Final = 1_000  # a regular expression


class EvaluationFailed(Exception):
    """An expression has no value; ``str()`` says why."""


class TooManyOperations(Exception):
    """An expression takes more than `MAX_OPERATIONS`; no other part of the expression outweighs this."""


class Operations:
    """Counts the operations of one evaluation: unlike its time, they are the same on each machine."""

    __slots__ = ("_left", "_patterns")

    def __init__(self) -> None:
        self._left = MAX_OPERATIONS
        self._patterns: set[str] = set()

    def count(self, operations: int = 1) -> None:
        """Count operations.

        Raises:
            TooManyOperations: they are too many.
        """
        self._left -= operations
        if self._left < 0:
            raise TooManyOperations

    def count_pattern(self, pattern: str) -> None:
        """Count the operations of compiling a regular expression, once for each."""
        if pattern not in self._patterns:
            self._patterns.add(pattern)
            self.count(_OPERATIONS_OF_COMPILING)


class Uint(int):
    """An unsigned integer of 64 bits."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A moment, in nanoseconds since 1970."""

    nanoseconds: int

    def __post_init__(self) -> None:
        if not _FIRST <= self.nanoseconds < _END:
            raise EvaluationFailed("the timestamp is out of range: its year is not between 1 and 9999")

    @property
    def utc(self) -> datetime:
        """The second of this moment, without its fraction."""
        return _EPOCH + timedelta(seconds=self.nanoseconds // SECOND)

    @classmethod
    def of(cls, second: datetime, fraction: int) -> "Timestamp":
        """Return the moment ``fraction`` nanoseconds after a full second."""
        passed = second - _EPOCH
        return cls((passed.days * 86_400 + passed.seconds) * SECOND + fraction)


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A length of time, in nanoseconds."""

    nanoseconds: int

    def __post_init__(self) -> None:
        if not _is_64_bits(self.nanoseconds):
            raise EvaluationFailed("the duration is out of range: it is longer than 292 years")


@dataclass(frozen=True, slots=True)
class Type:
    """A type."""

    name: str


@dataclass(frozen=True, slots=True)
class _BooleanKey:
    """A Boolean key of a map, because Python regards true and 1 as the same key."""

    value: bool


_KINDS: Final[Mapping[type, str]] = {
    bool: "bool",
    int: "int",
    Uint: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    list: "list",
    dict: "map",
    NoneType: "null_type",
    Timestamp: "google.protobuf.Timestamp",
    Duration: "google.protobuf.Duration",
    Type: "type",
}
TYPES: Final = {name: Type(name) for name in _KINDS.values()}
"""The types by name."""
NUMBERS: Final = frozenset({"int", "uint", "double"})


def kind(value: Any) -> str:
    """Return the name of the type of a value."""
    found = _KINDS.get(type(value))
    if found is None:
        raise EvaluationFailed(f"{type(value).__name__} is not a value of CEL")
    return found


def int_of(number: int) -> int:
    """Return a number as an ``int``."""
    if not _is_64_bits(number):
        raise EvaluationFailed("integer overflow: the result is not an int of 64 bits")
    return int(number)


def uint_of(number: int) -> Uint:
    """Return a number as a ``uint``."""
    if not 0 <= number < 2**64:
        raise EvaluationFailed("integer overflow: the result is not a uint of 64 bits")
    return Uint(number)


def from_json(value: Any) -> Any:
    """Return a value of a variable; JSON may contain integers that are larger than an ``int``."""
    if type(value) is int and not _is_64_bits(value):
        return Uint(value) if 0 <= value < 2**64 else _double(value)
    return value


def equal(one: Any, other: Any, operations: Operations) -> bool:
    """Return whether two values are equal; values of different types are not, except numbers."""
    operations.count()
    one, other = from_json(one), from_json(other)
    kinds = kind(one), kind(other)
    if kinds == ("list", "list"):
        return len(one) == len(other) and all(map(equal, one, other, repeat(operations)))
    if kinds == ("map", "map"):
        return len(one) == len(other) and all(
            key in other and equal(one[key], other[key], operations) for key in one
        )
    if kinds[0] != kinds[1] and "double" in kinds and NUMBERS.issuperset(kinds):
        return float(one) == float(other)
    return (kinds[0] == kinds[1] or NUMBERS.issuperset(kinds)) and bool(one == other)


def key_of(value: Any) -> Any:
    """Return the key with which a ``dict`` stores a key of a map; 1.0 is the same key as 1."""
    match kind(value):
        case "bool":
            return _BooleanKey(value)
        case "double" if value.is_integer():
            return int(value)
        case "string" | "int" | "uint" | "double":
            return value  # no map has such a double
        case other:
            raise EvaluationFailed(f"{other} cannot be the key of a map")


def found_in(container: Any, key: Any) -> Any:
    """Return the item of a list or of a map."""
    if type(container) is dict:
        stored = key_of(key)
        if stored not in container:
            raise EvaluationFailed(f"there is no {key}")
        return from_json(container[stored])
    if type(container) is list and kind(key) in NUMBERS and key % 1 == 0:
        if 0 <= key < len(container):
            return from_json(container[int(key)])
        raise EvaluationFailed(f"there is no item {int(key)}: the list has {len(container)}")
    raise EvaluationFailed(f"{kind(container)} has no item of {kind(key)}")


def items_of(container: Any) -> Iterator[Any]:
    """Return the items of a list, or the keys of a map."""
    if type(container) is list:
        return map(from_json, container)
    if type(container) is dict:
        return (key.value if isinstance(key, _BooleanKey) else key for key in container)
    raise EvaluationFailed(f"{kind(container)} is neither a list nor a map")


def _is_64_bits(number: int) -> bool:
    return -(2**63) <= number < 2**63


def _double(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        raise EvaluationFailed("the number is too large") from None
