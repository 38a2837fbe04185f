"""Show a value from a plan as a form field, according to its tool's schema or to its own type.

A string with characters that a page would not show is edited as JSON.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from math import isfinite
from typing import Any, Final, assert_never

from pydantic import JsonValue

from plangate.domain.escaping import many_lines
from plangate.domain.faults import FaultPath
from plangate.domain.plurals import line_count
from plangate.web.schemas import Rules, Schema, choices_of, rules_for, takes_lines

_LONG: Final = 60  # in characters; a longer string gets a text area
_MOST_ROWS: Final = 20
_FREE: Final = Rules()
_GROUP: Final = "[., '\u2019\xa0\u2009\u202f]"
_GROUPS: Final = re.compile(_GROUP)
_AMBIGUOUS: Final = re.compile(r"\d{1,3},\d{3}")
"""Marks that some people read as a thousands separator and others as a decimal mark."""
_GROUP_OR_DECIMALS: Final = re.compile(r"(-?)([1-9]\d{0,2})\.(\d{3})")
"""A decimal number that some people read as thousands: 1.500."""
_PLAIN: Final = re.compile(r"-?\d+(\.\d+)?")
_MARKED: Final = re.compile(rf"(-?)(\d{{1,3}}({_GROUP})\d{{3}}(?:\3\d{{3}})*|\d+)(?:([.,])(\d+))?")
"""A number in everyday notation: digits, optionally in groups of three, and an optional decimal part."""


class Kind(StrEnum):
    """The way in which a person types a value."""

    TEXT = "text"
    LONG = "long"
    LINES = "lines"
    NUMBER = "number"
    TIME = "time"
    FLAG = "flag"
    CHOICE = "choice"
    JSON = "json"


class Blank(StrEnum):
    """The meaning of an empty field."""

    ITSELF = "itself"
    NULL = "null"
    LEFT_OUT = "left_out"


class LeftOut(Exception):
    """The field is empty, so its value is absent."""


@dataclass(frozen=True, slots=True)
class FormField:
    """One value in a plan.

    Attributes:
        name: the name of the field.
        label: the path of the value, in readable form.
        path: the path of the value in the plan.
        text: the value, as typed.
        rows: the height of its text area.
        rules: the rules for it in its tool's schema.
        choices: the possible values, each with its text, if it is chosen from a list.
        blank: what an empty field means.
        before: the value in the plan; None if it is absent.
        fault: the error in the value; empty if there is none.
    """

    name: str
    label: str
    path: FaultPath
    kind: Kind
    text: str
    rows: int
    rules: Rules = _FREE
    choices: tuple[tuple[str, JsonValue], ...] = ()
    blank: Blank = Blank.ITSELF
    before: JsonValue = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class _Typed:
    kind: Kind
    text: str
    choices: tuple[tuple[str, JsonValue], ...] = ()
    blank: Blank = Blank.ITSELF


def field_of(
    name: str, path: FaultPath, value: JsonValue, rules: Rules = _FREE, *, is_there: bool = True
) -> FormField:
    """Return the field of a value that is in a plan or may be added to it."""
    typed = _typed(value, rules, is_there=is_there)
    text = typed.text
    return FormField(
        name=name,
        label=".".join(map(str, path[3:])) if path[2:3] == ("arguments",) else str(path[-1]),
        path=path,
        kind=typed.kind,
        text=text,
        rows=min(_MOST_ROWS, line_count(text) + 1 + len(text) // _LONG),
        rules=rules,
        choices=typed.choices,
        blank=typed.blank,
        before=value,
    )


def time_field(name: str, path: FaultPath, value: datetime | None) -> FormField:
    """Return the field of a time, to the minute: in UTC, or in the reader's time zone if scripts run."""
    text = "" if value is None else f"{value.astimezone(UTC):%Y-%m-%dT%H:%M}"
    before = None if value is None else value.isoformat()
    return FormField(name, str(path[-1]), path, Kind.TIME, text, 1, before=before)


def argument_fields(
    name: str, at: FaultPath, arguments: Mapping[str, JsonValue], schema: Schema
) -> Iterator[FormField]:
    """Yield the fields of a step's arguments, then of the other arguments that its tool accepts.

    Args:
        name: the prefix of their names.
        at: the path of the arguments.
        arguments: the arguments of the step.
        schema: the schema of the tool's arguments; empty if it is not known.
    """
    found = _leaves(at, arguments, schema, schema)
    for number, (path, value, rules, is_there) in enumerate(found, start=1):
        yield field_of(f"{name}{number}", path, value, rules, is_there=is_there)


def value_of(field: FormField, typed: str) -> JsonValue:
    """Return the value that was typed.

    Raises:
        LeftOut: it is empty, so its value is absent.
        ValueError: it is not valid; the message follows the value's name.
    """
    text = typed.replace("\r\n", "\n")
    if field.blank is not Blank.ITSELF and not text.strip():
        if field.blank is Blank.LEFT_OUT and field.rules.is_required:
            raise ValueError("is required")
        if field.blank is Blank.LEFT_OUT:
            raise LeftOut
        return None
    value = _parsed(field, text)
    fault = field.rules.fault_in(value) if value != field.before else None
    if fault is not None:
        raise ValueError(fault)
    return value


def json_value(text: str) -> JsonValue:
    """Return a value that was typed as JSON.

    Raises:
        ValueError: it is not JSON; the message follows the value's name.
    """
    try:
        found: JsonValue = json.loads(text, object_pairs_hook=_refuse_duplicate_names)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON (line {error.lineno}): put text in double quotation marks") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    return found


def _leaves(
    path: FaultPath, values: Mapping[str, JsonValue], schema: Schema, root: Schema
) -> Iterator[tuple[FaultPath, JsonValue, Rules, bool]]:
    """Yield each value of the arguments and of the schema: its path, its rules, whether it is present."""
    known = dict(rules_for(schema, root))
    others = sorted((one for one in known if one not in values), key=lambda one: not known[one].is_required)
    for name in (*values, *others):
        rules, value = known.get(name, _FREE), values.get(name)
        if isinstance(value, dict) and value and "from_step" not in value:
            yield from _leaves((*path, name), value, rules.way_of(value, is_there=True), root)
        else:
            yield (*path, name), value, rules, name in values


def _typed(value: JsonValue, rules: Rules, *, is_there: bool) -> _Typed:
    """Return how a person types a value: by its schema if it matches, else by its own type."""
    way = rules.way_of(value, is_there=is_there)
    blank = Blank.LEFT_OUT if not is_there else Blank.NULL if rules.takes_null else Blank.ITSELF
    kind = _kind_of(way)
    if not is_there or (value is None and blank is Blank.NULL and kind is not Kind.JSON):
        return _Typed(kind, "", choices_of(way), blank)
    if blank is Blank.NULL and (value == [] or (isinstance(value, str) and not value.strip())):  # null there
        return _Typed(Kind.JSON, json.dumps(value))
    choices = choices_of(way)
    text = next((text for text, one in choices if type(one) is type(value) and one == value), None)
    if text is not None:
        return _Typed(Kind.CHOICE, text, choices, blank)
    if value == [] and takes_lines(way):
        return _Typed(Kind.LINES, "")
    kind, written = _as_it_is(value)
    return _Typed(kind, written, blank=Blank.ITSELF if kind is Kind.JSON else blank)


def _kind_of(way: Schema) -> Kind:
    """Return how a person types a value that is absent."""
    if choices_of(way):
        return Kind.CHOICE
    match way.get("type"):
        case "string":
            return Kind.TEXT
        case "integer" | "number":
            return Kind.NUMBER
        case "boolean":
            return Kind.FLAG
        case "array" if takes_lines(way):
            return Kind.LINES
        case _:
            return Kind.JSON


def _as_it_is(value: JsonValue) -> tuple[Kind, str]:
    match value:
        case bool():
            return Kind.FLAG, json.dumps(value)
        case int() | float():
            return Kind.NUMBER, json.dumps(value)
        case str() if _is_visible(value):
            return (Kind.LONG if "\n" in value or len(value) > _LONG else Kind.TEXT), value
        case list() if value and all(isinstance(one, str) and _is_line(one) for one in value):
            return Kind.LINES, "\n".join(map(str, value))
        case _:
            text = json.dumps(value, ensure_ascii=False, indent=2)
            return Kind.JSON, text if _is_visible(text) else json.dumps(value, indent=2)


def _is_visible(text: str) -> bool:
    return many_lines(text) == text and "\r" not in text


def _is_line(text: str) -> bool:
    return bool(text.strip()) and "\n" not in text and _is_visible(text)


def _parsed(field: FormField, text: str) -> JsonValue:
    match field.kind:
        case Kind.TEXT | Kind.LONG:
            if field.rules.takes_decimals:
                _check_notation(text.strip(), field.text)
            return text
        case Kind.LINES:
            return [line for line in text.split("\n") if line.strip()]
        case Kind.FLAG:
            return text == "true"
        case Kind.CHOICE:
            for one, value in field.choices:
                if one == text:
                    return value
            raise ValueError(f"must be one of: {', '.join(one for one, _ in field.choices)}")
        case Kind.NUMBER:
            return _number(text.strip(), field.text)
        case Kind.TIME:
            return _moment(field, text.strip())
        case Kind.JSON:
            return json_value(text)
        case _:
            assert_never(field.kind)


def _check_notation(text: str, shown: str) -> None:
    """Raise an error that says how to write a number, if a changed one is unclear or in another notation."""
    if text == shown or not _MARKED.fullmatch(text):
        return
    unclear = _GROUP_OR_DECIMALS.fullmatch(text)
    if unclear:
        sign, whole, digits = unclear.groups()
        raise ValueError(_either(f"{sign}{whole}", digits, "a point"))
    if not _PLAIN.fullmatch(text):
        raise ValueError(_how_to_write(text))


def _number(text: str, shown: str) -> int | float:
    """Return a number; for any other or an unclear notation, raise an error that says how to write it."""
    _check_notation(text, shown)
    try:
        value: Any = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        value = None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    raise ValueError(_how_to_write(text))


def _how_to_write(text: str) -> str:
    """Return the error for a number that was typed with a comma or in groups of digits."""
    found = _MARKED.fullmatch(text)
    sign, whole, group, mark, decimals = found.groups(default="") if found else ("",) * 5
    if found is None or (mark and mark == group):
        return "must be a number, such as 42 or 42.50"
    digits = f"{sign}{_GROUPS.sub('', whole)}"
    if _AMBIGUOUS.fullmatch(whole) and not mark:
        before, _, after = whole.partition(",")
        return _either(f"{sign}{before}", after, "a comma")
    if not mark:
        return f"Write {digits}, without separators."
    return f"Write {digits}.{decimals.ljust(2, '0')}, with a decimal point."


def _either(whole: str, digits: str, mark: str) -> str:
    """Return the error for a number such as 1,500: thousands for some people, a decimal part for others."""
    decimals = digits.rstrip("0") or "0"
    decimals = f"{decimals}0" if len(decimals) == len(digits) else decimals
    return f"Write {whole}{digits} or {whole}.{decimals}: {mark} could mean either."


def _moment(field: FormField, text: str) -> str | None:
    """Return a time, in UTC if it has no zone; if its minute is unchanged, return the plan's exact time."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a day and a time, such as 2026-11-30 09:00") from None
    at = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
    return str(field.before) if f"{at:%Y-%m-%dT%H:%M}" == field.text else at.isoformat()


def _refuse_duplicate_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("has the same name twice in one object")
    return found
