"""Show a plan's values on a page, each in full and in its most readable form.

A string is shown unchanged. A string that could be read as another JSON value, or that has leading or
trailing spaces, is shown as JSON, like all values that are not strings. A long string is a section, which is
collapsed if scripts run, with its length next to it.
"""

import json
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import count, groupby
from math import isfinite
from typing import Any, Final

from pydantic import JsonValue

from plangate.domain.escaping import hosts_in_unicode, is_reordered, lookalike_words
from plangate.domain.plans.money import PLACES
from plangate.domain.plans.references import references_in
from plangate.domain.plans.tool import Reference
from plangate.domain.plurals import line_count
from plangate.presentation.page import leaves
from plangate.presentation.words import reference_words
from plangate.web.contacts import contacts_of

LONG_LINES: Final = 6
LONG_CHARACTERS: Final = 400
MOST_BLANK: Final = 3
"""The maximum number of consecutive blank lines: readers easily miss text after a longer gap."""


class Form(StrEnum):
    """The notation of a value."""

    TEXT = "text"
    """A string of one line, unchanged."""
    BLOCK = "block"
    """A string of several lines, unchanged."""
    LIST = "list"
    """Texts, one per line."""
    JSON = "json"
    """JSON, or the description of a reference."""
    NONE = "none"
    """An empty list or object, or null."""


@dataclass(frozen=True, slots=True)
class Note:
    """A mark on a value.

    Attributes:
        kind: the key of its message in the language file.
        text: the text with the mark.
        beside: the text to compare it with.
        step: the number of the step that has it, if the value is shown elsewhere.
        formatted: the amounts in ``beside`` in English notation; others are quoted from a text.
    """

    kind: str
    text: str = ""
    beside: str | tuple[str, ...] = ""
    step: int = 0
    formatted: frozenset[str] = frozenset()

    def beside_in(self, translated: Callable[[str], str]) -> str:
        """Return ``beside`` on one line, with each formatted amount in the notation of a language."""
        parts = [self.beside] if isinstance(self.beside, str) else self.beside
        return ", ".join(translated(one) if one in self.formatted else one for one in parts)


@dataclass(frozen=True, slots=True)
class Value:
    """One value.

    Attributes:
        name: its path; empty for text outside the steps.
        form: its notation.
        items: the text to show; for a list, one item per string.
        fold: the name of its section; empty if it is short.
        lines: how many lines it has.
        blank: the number of blank lines.
        characters: how many characters it has.
        notes: the marks on it.
    """

    name: str
    form: Form
    items: tuple[str, ...]
    fold: str = ""
    lines: int = 1
    blank: int = 0
    characters: int = 0
    notes: tuple[Note, ...] = ()

    @property
    def text(self) -> str:
        """The whole text."""
        return "\n".join(self.items)


class _Money(str):
    """A number next to a currency, with the decimals of that currency."""

    __slots__ = ()


class _Texts(tuple[str, ...]):
    """A list that contains only strings, which is one value on the page."""

    __slots__ = ()


def values_of(
    prefix: str, values: Mapping[str, JsonValue], known: Container[str] | None = None
) -> tuple[Value, ...]:
    """Return every value that contains no other values.

    Args:
        prefix: the prefix of the names of their sections.
        values: a step's arguments, or its observation.
        known: the recipients and hosts that were reached before; None to mark none as new.
    """
    return tuple(_values(prefix, values, known))


def text_of(fold: str, text: str) -> Value:
    """Return text outside the steps, such as a summary; ``fold`` names its section if it is long."""
    return _value("", text, fold, ())


def _values(prefix: str, values: Mapping[str, JsonValue], known: Container[str] | None) -> Iterator[Value]:
    references = references_in(values)
    numbers = count(1)
    grouped = _grouped(dict(values))
    for top in values:
        for name, value in leaves("", {top: references.get(top) or grouped[top]}):
            new = [] if known is None else [one for one in _contacts(top, value) if one not in known]
            notes = [Note("new", ", ".join(new))] if new else []
            yield _value(name, value, f"{prefix}{next(numbers)}", notes)


def _contacts(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, str | _Texts):
        yield from contacts_of(name, list(value) if isinstance(value, _Texts) else value)


def _value(name: str, value: Any, fold: str, notes: Sequence[Note]) -> Value:
    """Return one value; ``Any`` is a JSON value, a reference or a list of strings."""
    form, items = _written(value)
    text = "\n".join(items)
    lines = line_count(text)
    is_blank = [not line.strip() for line in text.split("\n")[:lines]]
    is_long = lines > LONG_LINES or len(text) > LONG_CHARACTERS
    found = [*notes, *notes_on(text)]
    if name and is_reordered(name):
        found.append(Note("order"))
    gap = max((len(list(run)) for blank, run in groupby(is_blank) if blank), default=0)
    if gap > MOST_BLANK:
        found.append(Note("gap", str(gap)))
    return Value(
        name=name,
        form=form,
        items=items,
        fold=fold if is_long else "",
        lines=lines,
        blank=sum(is_blank) if lines > 1 else 0,
        characters=len(text),
        notes=tuple(dict.fromkeys(found)),
    )


def notes_on(text: str) -> Iterator[Note]:
    """Yield the marks on text: hosts and words that mix alphabets, and reordered letters."""
    for host, letters, scripts in hosts_in_unicode(text):
        yield Note("lookalike_host" if scripts else "host", host, letters)
    yield from (Note("letters", line) for line in lookalike_words(text))
    if is_reordered(text):
        yield Note("order")


def _written(value: Any) -> tuple[Form, tuple[str, ...]]:
    match value:
        case Reference():
            return Form.JSON, (reference_words(value),)
        case _Texts():
            return Form.LIST, tuple(one if _is_plain(one) else _json(one) for one in value)
        case _Money():
            return Form.JSON, (value,)
        case None | [] | {}:
            return Form.NONE, ("",)
        case str() if "\n" in value:
            return Form.BLOCK, (value,)
        case str() if _is_plain(value):
            return Form.TEXT, (value,)
        case _:
            return Form.JSON, (_json(value),)


def _is_plain(text: str) -> bool:
    """Return whether a string is unambiguous: it is not JSON, and has no leading or trailing spaces."""
    if not text or text != text.strip() or "\n" in text or text[0] in '"[{':
        return False
    if text in ("true", "false", "null"):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False


def _grouped(value: Any) -> Any:
    match value:
        case [_, *_] if all(isinstance(one, str) for one in value):
            return _Texts(value)
        case list():
            return [_grouped(one) for one in value]
        case dict():
            places = _places_of(value)
            return {name: _decimal(one, places) or _grouped(one) for name, one in value.items()}
        case _:
            return value


def _places_of(values: Mapping[str, Any]) -> int:
    """Return the decimals of the only currency among these values; 0 if there is not exactly one."""
    codes = [one.upper() for one in values.values() if isinstance(one, str) and one.upper() in PLACES]
    return PLACES[codes[0]] if len(codes) == 1 else 0


def _decimal(value: Any, places: int) -> _Money | None:
    """Return a number such as 42.5 as an amount, 42.50; None if that would change it."""
    if not places or not isinstance(value, float):
        return None
    text = f"{Decimal(str(value)):.{places}f}" if isfinite(value) else ""
    return _Money(text) if text and float(text) == value else None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
