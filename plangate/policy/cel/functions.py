"""The operators and functions, by name and by the types of their arguments."""

import math
import operator
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from plangate.policy.cel.values import (
    NUMBERS,
    SECOND,
    TYPES,
    Duration,
    EvaluationFailed,
    Operations,
    Timestamp,
    equal,
    found_in,
    int_of,
    items_of,
    key_of,
    kind,
    uint_of,
)

Function = Callable[..., Any]
_TIMESTAMP, _DURATION = "google.protobuf.Timestamp", "google.protobuf.Duration"
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,40}")
_DOUBLE: Final = re.compile(
    r"[+-]?(?:(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+|(?ai:inf|infinity|nan))"
)
_MOMENT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-5][0-9])"
)
_LENGTH: Final = re.compile(r"([0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(h|ms|m|s|us|µs|ns)")
_LONGEST_LENGTH: Final = 200  # characters of a duration; long ones would take seconds to add up
_UNITS: Final = {"h": 3600 * SECOND, "m": 60 * SECOND, "s": SECOND} | {
    "ms": 10**6, "us": 10**3, "µs": 10**3, "ns": 1,
}  # fmt: skip
_ZONE: Final = re.compile(r"([+-]?)([0-9]{2}):([0-9]{2})")
_SIZED: Final = frozenset({str, bytes, list})
_ITEMS_PER_OPERATION: Final = 100
_LONGEST_PATTERN: Final = 10_000  # compiling "a?a?a?…" takes time that is quadratic in its length
_LARGEST_PATTERN: Final = 1024 * 1024  # bytes when it is compiled, which takes up to 6 ms
_REGEX_STEPS_PER_OPERATION: Final = 4_000
_COUNTING: Final = frozenset({"==", "!=", "in", "matches", ".matches"})
"""The functions that count their operations."""
_FIRST_WITH_EXPONENT: Final = 1e21
_TRUE: Final = frozenset({"1", "t", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "false", "FALSE", "False"})


def call(name: str, arguments: list[Any], operations: Operations) -> Any:
    """Return the result of a standard function.

    Raises:
        EvaluationFailed: there is no such function for these arguments, or it has no result.
    """
    kinds = tuple(map(kind, arguments))
    function = _OVERLOADS.get((name, *kinds)) or _GENERIC.get((name, len(kinds)))
    if function is None:
        of = " and ".join(kinds) or "nothing"
        raise EvaluationFailed(f"{name.lstrip('.')} cannot be used with {of}")
    for one in arguments:
        if type(one) in _SIZED:
            operations.count(len(one) // _ITEMS_PER_OPERATION)
    return function(*arguments, operations) if name in _COUNTING else function(*arguments)


# Numbers


def _quotient(one: int, other: int) -> int:
    if other == 0:
        raise EvaluationFailed("division by zero")
    return (abs(one) // abs(other)) * (1 if (one < 0) is (other < 0) else -1)


def _remainder(one: int, other: int) -> int:
    return one - other * _quotient(one, other)


def _ratio(one: float, other: float) -> float:
    if other != 0:
        return one / other
    sign = math.copysign(1, other)
    return math.nan if one == 0 or math.isnan(one) else math.copysign(math.inf, one) * sign


def _whole(value: float) -> int:
    if not -(2**63) < value < 2**64:  # -2**63 may be the rounded form of a smaller number
        raise EvaluationFailed("integer overflow: the double is out of range")
    return int(value)


def _of_doubles(order: Function) -> Function:
    def ordered(one: float, other: float) -> bool:
        one, other = float(one), float(other)
        if math.isnan(one) or math.isnan(other):
            raise EvaluationFailed("NaN has no order")
        return bool(order(one, other))

    return ordered


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise EvaluationFailed("the text is not an integer")
    return int(text)


def _double(text: str) -> float:
    if not _DOUBLE.fullmatch(text):
        raise EvaluationFailed("the text is not a number")
    return float(text)


def _written(value: float) -> str:
    if not math.isfinite(value):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    short = repr(value).removesuffix(".0")
    return f"{Decimal(short):f}" if 1 <= abs(value) < _FIRST_WITH_EXPONENT else short


# Texts


def _boolean(text: str) -> bool:
    if text not in _TRUE | _FALSE:
        raise EvaluationFailed("the text is neither true nor false")
    return text in _TRUE


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise EvaluationFailed("the bytes are not UTF-8") from None


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> Any:
    import re2  # noqa: PLC0415  few policies use regular expressions

    if len(pattern) > _LONGEST_PATTERN:
        raise EvaluationFailed(f"the regular expression has more than {_LONGEST_PATTERN:,} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _LARGEST_PATTERN
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise EvaluationFailed(f"the regular expression is not valid: {reason}") from None


def _matches(text: str, pattern: str, operations: Operations) -> bool:
    operations.count_pattern(pattern)
    expression = _pattern(pattern)
    operations.count(len(text) * expression.programsize // _REGEX_STEPS_PER_OPERATION)
    return expression.search(text) is not None


# Times


def _timestamp(text: str) -> Timestamp:
    found = _MOMENT.fullmatch(text)
    try:
        second = datetime.fromisoformat(found[1] + found[3]) if found else None
    except ValueError:
        second = None
    if found is None or second is None:
        raise EvaluationFailed("the text is not a timestamp such as 2026-11-28T09:00:00Z")
    return Timestamp.of(second, int((found[2] or "").ljust(9, "0")))


def _duration(text: str) -> Duration:
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text.startswith(("+", "-")) else text
    parts = _LENGTH.findall(rest) if len(rest) <= _LONGEST_LENGTH else []
    if rest != "0" and (not parts or "".join(number + unit for number, unit in parts) != rest):
        raise EvaluationFailed("the text is not a duration such as 1h30m")
    return Duration(sign * int(sum(Fraction(number) * _UNITS[unit] for number, unit in parts)))


def _zone(name: str) -> ZoneInfo | timezone:
    offset = _ZONE.fullmatch(name)
    try:
        if offset is None:
            return ZoneInfo(name)
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise EvaluationFailed("there is no such time zone") from None


def _fraction(nanoseconds: int) -> str:
    return f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""


def _written_moment(value: Timestamp) -> str:
    return f"{value.utc.isoformat()[:19]}{_fraction(value.nanoseconds % SECOND)}Z"


def _written_length(value: Duration) -> str:
    seconds, rest = divmod(abs(value.nanoseconds), SECOND)
    return f"{'-' if value.nanoseconds < 0 else ''}{seconds}{_fraction(rest)}s"


_PARTS: Final[Mapping[str, Callable[[datetime], int]]] = {
    "getFullYear": lambda moment: moment.year,
    "getMonth": lambda moment: moment.month - 1,
    "getDate": lambda moment: moment.day,
    "getDayOfMonth": lambda moment: moment.day - 1,
    "getDayOfYear": lambda moment: moment.timetuple().tm_yday - 1,
    "getDayOfWeek": lambda moment: moment.isoweekday() % 7,
    "getHours": lambda moment: moment.hour,
    "getMinutes": lambda moment: moment.minute,
    "getSeconds": lambda moment: moment.second,
}


def _part_of(part: Callable[[datetime], int]) -> Function:
    def of(value: Timestamp, zone: str = "UTC") -> int:
        try:
            return part(value.utc.astimezone(_zone(zone)))
        except OverflowError:
            raise EvaluationFailed("the timestamp is out of range in this time zone") from None

    return of


def _milliseconds(value: Timestamp, zone: str = "UTC") -> int:
    _zone(zone)
    return value.nanoseconds % SECOND // 10**6


# The tables


def _contains(item: Any, container: Any, operations: Operations) -> bool:
    if type(container) is dict:
        return key_of(item) in container
    if type(container) is not list:
        raise EvaluationFailed(f"in cannot be used with {kind(container)}")
    return any(equal(item, one, operations) for one in items_of(container))


_GENERIC: Final[Mapping[tuple[str, int], Function]] = {
    ("==", 2): equal,
    ("!=", 2): lambda one, other, operations: not equal(one, other, operations),
    ("in", 2): _contains,
    ("[]", 2): found_in,
    ("dyn", 1): lambda value: value,
    ("type", 1): lambda value: TYPES[kind(value)],
}


def _overloads() -> dict[tuple[str, ...], Function]:
    found: dict[tuple[str, ...], Function] = {
        ("!", "bool"): operator.not_,
        ("-", "int"): lambda value: int_of(-value),
        ("-", "double"): operator.neg,
        ("+", _TIMESTAMP, _DURATION): lambda one, other: Timestamp(one.nanoseconds + other.nanoseconds),
        ("+", _DURATION, _TIMESTAMP): lambda one, other: Timestamp(one.nanoseconds + other.nanoseconds),
        ("+", _DURATION, _DURATION): lambda one, other: Duration(one.nanoseconds + other.nanoseconds),
        ("-", _TIMESTAMP, _TIMESTAMP): lambda one, other: Duration(one.nanoseconds - other.nanoseconds),
        ("-", _TIMESTAMP, _DURATION): lambda one, other: Timestamp(one.nanoseconds - other.nanoseconds),
        ("-", _DURATION, _DURATION): lambda one, other: Duration(one.nanoseconds - other.nanoseconds),
        ("matches", "string", "string"): _matches,
        (".matches", "string", "string"): _matches,
        (".contains", "string", "string"): operator.contains,
        (".startsWith", "string", "string"): str.startswith,
        (".endsWith", "string", "string"): str.endswith,
        ("bool", "string"): _boolean,
        ("bytes", "string"): str.encode,
        ("double", "int"): float,
        ("double", "uint"): float,
        ("double", "string"): _double,
        ("duration", "string"): _duration,
        ("int", "uint"): int_of,
        ("int", "double"): lambda value: int_of(_whole(value)),
        ("int", "string"): lambda text: int_of(_integer(text)),
        ("int", _TIMESTAMP): lambda value: value.nanoseconds // SECOND,
        ("string", "bool"): lambda value: str(value).lower(),
        ("string", "int"): str,
        ("string", "uint"): lambda value: str(int(value)),
        ("string", "double"): _written,
        ("string", "bytes"): _decoded,
        ("string", _TIMESTAMP): _written_moment,
        ("string", _DURATION): _written_length,
        ("timestamp", "int"): lambda seconds: Timestamp(seconds * SECOND),
        ("timestamp", "string"): _timestamp,
        ("uint", "int"): uint_of,
        ("uint", "double"): lambda value: uint_of(_whole(value)),
        ("uint", "string"): lambda text: uint_of(_integer(text)),
    }
    same = {"timestamp": _TIMESTAMP, "duration": _DURATION}
    for name in ("bool", "bytes", "double", "int", "string", "uint", *same):
        found[name, same.get(name, name)] = lambda value: value
    for name in ("string", "bytes", "list", "map"):
        found["size", name] = found[".size", name] = len
    for name in ("double", "string", "bytes", "list"):
        found["+", name, name] = operator.add
    found |= {("-", "double", "double"): operator.sub, ("*", "double", "double"): operator.mul}
    found["/", "double", "double"] = _ratio
    whole = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": _quotient, "%": _remainder}
    for name, function in whole.items():
        found[name, "int", "int"] = lambda one, other, of=function: int_of(of(one, other))
        found[name, "uint", "uint"] = lambda one, other, of=function: uint_of(of(int(one), int(other)))
    orders = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
    for name, order in orders.items():
        for one in ("bool", "string", "bytes", _TIMESTAMP, _DURATION):
            found[name, one, one] = order
        for one in NUMBERS:
            for other in NUMBERS:
                found[name, one, other] = _of_doubles(order) if "double" in (one, other) else order
    for name, part in _PARTS.items():
        found[f".{name}", _TIMESTAMP] = found[f".{name}", _TIMESTAMP, "string"] = _part_of(part)
    for name, unit in (("getHours", "h"), ("getMinutes", "m"), ("getSeconds", "s")):
        found[f".{name}", _DURATION] = lambda value, unit=_UNITS[unit]: _quotient(value.nanoseconds, unit)
    found[".getMilliseconds", _TIMESTAMP] = found[".getMilliseconds", _TIMESTAMP, "string"] = _milliseconds
    found[".getMilliseconds", _DURATION] = lambda value: _remainder(_quotient(value.nanoseconds, 10**6), 1000)
    return found


_OVERLOADS: Final = _overloads()
_NAMES: Final = {key[0].lstrip(".") for key in _OVERLOADS} | {key[0] for key in _GENERIC}
FUNCTIONS: Final = frozenset(filter(str.isalpha, _NAMES - {"in"}))
"""The names of the functions, without operators."""
