"""Find amounts of money in text and in step arguments.

An amount is a number with its currency. Dates, ids and reference numbers are not amounts.
"""

import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from pydantic import JsonValue

from plangate.domain.plans.money import PLACES
from plangate.domain.plans.plan import Step

LONGEST: Final = 100_000
"""The maximum number of characters of a text that are searched."""
_WORDS: Final = frozenset(
    {"ALL", "BOB", "CHE", "COP", "CUP", "GEL", "LAK", "MAD", "MOP", "PEN", "RON", "SOS", "TOP", "TRY", "VES"}
)
"""Currency codes that may also be words in capital letters."""
_CODES: Final = "|".join(sorted(PLACES.keys() - _WORDS))
_SYMBOLS: Final[Mapping[str, frozenset[str]]] = {
    "€": frozenset({"EUR"}),
    "£": frozenset({"GBP"}),
    "¥": frozenset({"JPY", "CNY"}),
    "$": frozenset(["USD", "AUD", "CAD", "NZD", "SGD", "HKD", "MXN", "CLP", "COP", "ARS"]),
}
_NUMBER: Final = r"\d{1,3}(?:[.,'\u2019\u00a0\u202f ]\d{3}){1,5}(?:[.,]\d{1,4})?|\d{1,15}(?:[.,]\d{1,4})?"
_GAP: Final = "[ \u00a0\u202f]?"
_MAGNITUDE: Final = rf"(?!{_GAP}(?:k|K|M|m|bn|Mio|Mrd|Tsd|million|billion|thousand)\b)"
_AMOUNT: Final = re.compile(
    rf"(?<![\w.,/:#+-])(?P<before>{_CODES}|US\$|[€£¥$]){_GAP}(?P<first>{_NUMBER})(?![\w%]|[.,]\d){_MAGNITUDE}"
    rf"|(?<![\w.,/:#+-])(?P<second>{_NUMBER}){_GAP}(?P<after>{_CODES}|[€£¥$])(?!\w)"
)
_BARE: Final = re.compile(rf"(?<![\w.,/:#+-])(?P<number>{_NUMBER})(?![\w%]|[.,]\d|[ \u00a0\u202f]?%)")
_MONEY: Final = re.compile(r"amount|total|price|betrag|summe")
"""Words in the names of arguments that are amounts of money."""
_PLAIN: Final = re.compile(r"\d{1,15}(?:\.\d{1,6})?")


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount: the values that it may mean, and the currencies.

    Attributes:
        text: the amount as written in a text, or formatted by this module.
        is_quoted: whether ``text`` is part of a text of the plan or of its request.
    """

    text: str
    values: frozenset[Decimal]
    currencies: frozenset[str]
    is_quoted: bool = False

    def is_same(self, other: "Amount") -> bool:
        """Return whether both may be the same amount."""
        return bool(self.values & other.values and self.currencies & other.currencies)

    def is_comparable(self, other: "Amount") -> bool:
        """Return whether both have the same currency, or the same number in two currencies."""
        return bool(self.currencies & other.currencies or self.values & other.values)


def amounts_in_texts(step: Step) -> list[Amount]:
    """Return the amounts in the texts of a step."""
    found = texts_in(step.arguments)
    return [one for name, text in found if not _is_amount(name, text) for one in written(text)]


def written(text: str) -> list[Amount]:
    """Return the amounts in a text."""
    found = []
    for match in _AMOUNT.finditer(text[:LONGEST]):
        mark = match["before"] or match["after"]
        currencies = _SYMBOLS.get(mark.replace("US$", "$"), frozenset({mark}))
        number = match["first"] or match["second"]
        found.append(Amount(match[0], _values(number), currencies, is_quoted=True))
    return found


def bare_numbers_in(text: str) -> Iterator[tuple[str, frozenset[Decimal]]]:
    """Yield each number of a text that is not part of a word, with the values that it may mean."""
    for match in _BARE.finditer(text[:LONGEST]):
        yield match["number"], _values(match["number"])


def amounts_in_arguments(value: JsonValue, name: str = "") -> Iterator[Amount]:
    """Yield the amounts in arguments: next to a currency, in a text with one, or identified by their name.

    An amount that is identified only by its name may be in any currency.
    """
    match value:
        case list():
            for item in value:
                yield from amounts_in_arguments(item, name)
        case dict():
            has_currency = bool(_currency(value))
            named = {key: item for key, item in value.items() if _MONEY.search(key.casefold())}
            is_named = any(_number(item) is not None for item in named.values())
            yield from _next_to_currency(value, named if is_named else value)
            for key, item in value.items():
                if not has_currency or isinstance(item, dict | list) or _is_amount(key, item):
                    yield from amounts_in_arguments(item, key)
        case str() if _is_amount(name, value):
            yield from written(value)
        case _:
            number = _number(value) if _MONEY.search(name.casefold()) else None
            if number is not None:
                yield Amount(f"{number:,f}", _possible_values(value, number, 2), frozenset(PLACES))


def _is_amount(name: str, text: JsonValue) -> bool:
    """Return whether an argument is an amount with its currency, and not a text that mentions one."""
    return isinstance(text, str) and bool(_MONEY.search(name.casefold()) and _AMOUNT.fullmatch(text.strip()))


def _values(number: str) -> frozenset[Decimal]:
    """Return the values that a number may mean: in '1,234', the comma may separate thousands or decimals."""
    groups = re.split("[\u00a0\u202f ]", number)
    if len(groups) > 1:  # a space may separate two numbers
        parts = (_values("".join(groups[first:])) for first in range(len(groups)))
        return frozenset(one for values in parts for one in values)
    plain = re.sub("['\u2019]", "", number)
    separators = [char for char in plain if char in ".,"]
    if not separators:
        return frozenset({Decimal(plain)})
    last = separators[-1]
    whole, _, places = plain.rpartition(last)
    as_decimals = Decimal(f"{re.sub('[.,]', '', whole)}.{places}")
    as_thousands = Decimal(re.sub("[.,]", "", plain))
    if len(separators) > 1:
        return frozenset({as_thousands if separators[0] == last else as_decimals})
    return frozenset({as_decimals, as_thousands} if len(places) == 3 else {as_decimals})  # noqa: PLR2004


def structured_in(value: JsonValue) -> Iterator[Amount]:
    """Yield the amounts in arguments next to a currency; whole numbers may be in its smallest unit."""
    if isinstance(value, list):
        for item in value:
            yield from structured_in(item)
    if isinstance(value, dict):
        yield from _next_to_currency(value, value)
        for name, item in value.items():
            if isinstance(item, dict | list):
                yield from structured_in(item)
            elif isinstance(item, str) and _is_amount(name, item):
                yield from written(item)


def _next_to_currency(values: Mapping[str, JsonValue], names: Container[str]) -> Iterator[Amount]:
    code = _currency(values)
    for item in (one for name, one in values.items() if code and name in names):
        number = _number(item)
        if number is not None:
            possible = _possible_values(item, number, PLACES[code])
            text = (
                f"{number:,f}" if len(possible) > 1 else f"{number:,.{max(PLACES[code], _places(number))}f}"
            )
            yield Amount(f"{text} {code}", possible, frozenset({code}))


def _possible_values(value: JsonValue, number: Decimal, places: int) -> frozenset[Decimal]:
    """Return the values that an amount may mean: without decimal places, it may be in the smallest unit."""
    is_whole = isinstance(value, int) or (isinstance(value, str) and "." not in value)
    return frozenset({number, number.scaleb(-places)} if is_whole else {number})


def _places(number: Decimal) -> int:
    return max(0, -int(number.as_tuple().exponent))


def _currency(value: Mapping[str, JsonValue]) -> str:
    """Return the currency among these values; empty if there is none, or more than one."""
    codes = [one.upper() for one in value.values() if isinstance(one, str) and one.upper() in PLACES]
    return codes[0] if len(codes) == 1 else ""


def totals_of(amounts: Iterable[Amount]) -> list[Amount]:
    """Return the sums of several amounts in one currency; their text says that they are totals."""
    found: dict[str, list[Amount]] = {}
    for one in amounts:
        if len(one.currencies) == 1:
            found.setdefault(next(iter(one.currencies)), []).append(one)
    return [_total(code, each) for code, each in found.items() if len(each) > 1]


def _total(code: str, amounts: Collection[Amount]) -> Amount:
    total = sum((max(one.values) for one in amounts), Decimal())
    is_in_units = all(len(one.values) == 1 for one in amounts)  # and not in the smallest unit
    places = max(PLACES[code] if is_in_units else 0, _places(total))
    return Amount(f"{total:,.{places}f} {code} in total", frozenset({total}), frozenset({code}))


def numbers_in(value: JsonValue) -> Iterator[Decimal]:
    """Yield the numbers that are not next to a currency."""
    match value:
        case list():
            for item in value:
                yield from numbers_in(item)
        case dict():
            has_currency = bool(_currency(value))
            for item in value.values():
                if not has_currency or isinstance(item, dict | list):
                    yield from numbers_in(item)
        case _:
            number = _number(value)
            if number is not None:
                yield number


def _number(value: JsonValue) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and number.adjusted() < 16 else None  # noqa: PLR2004


def texts_in(value: JsonValue, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in arguments, with its name."""
    match value:
        case str():
            yield name, value
        case list():
            for item in value:
                yield from texts_in(item, name)
        case dict():
            for key, item in value.items():
                yield from texts_in(item, key)
