"""Where the words of a plan disagree with what it does: amounts, addresses and tools that no step has.

A mark that is often wrong is soon read by no one, so only what is certain is marked:

- An amount is a number with its currency. Dates, ids and reference numbers are none.
- Each text is compared as a whole: if one of its amounts is that of the plan, the others may be of anything.
- Amounts that a step takes from an earlier one are not known yet, so such plans have no marks of amounts.

    >>> from plangate.domain.plan import Plan, Step
    >>> refund = Step(tool="refund", arguments={"amount": 42.5, "currency": "EUR"})
    >>> mail = Step(tool="send_email", arguments={"body": "You get 425.00 EUR back."})
    >>> (found,) = disagreements(Plan(summary="Refund it", steps=(refund, mail)))
    >>> found.kind.value, found.step, found.said, found.plan
    ('text_amount', 2, ('425.00 EUR',), ('42.5 EUR',))
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

from pydantic import JsonValue

from plangate.domain.money import PLACES
from plangate.domain.plan import Plan, Step
from plangate.domain.references import references_in

_LONGEST: Final = 100_000
"""Characters of a text that are looked at."""
_MOST: Final = 5
"""Amounts or names that one mark lists."""
_WORDS: Final = frozenset(
    {"ALL", "BOB", "CHE", "COP", "CUP", "GEL", "LAK", "MAD", "MOP", "PEN", "RON", "SOS", "TOP", "TRY", "VES"}
)
"""Currencies that may be words in capital letters."""
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
_MAIL: Final = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_HOST: Final = re.compile(r"https?://([^\s/?#\"'<>()]{1,255})")
_TOOL: Final = re.compile(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b")
_PLAIN: Final = re.compile(r"\d{1,15}(?:\.\d{1,6})?")


class Kind(StrEnum):
    """What disagrees.

    Attributes:
        TEXT_AMOUNT: no amount in a step's text is one of the plan.
        SUMMARY_AMOUNT: no amount in the summary is one of a step.
        SUMMARY_ADDRESS: the summary names a mail address or a host that no step has.
        SUMMARY_TOOL: the summary names a tool that no step has.
    """

    TEXT_AMOUNT = "text_amount"
    SUMMARY_AMOUNT = "summary_amount"
    SUMMARY_ADDRESS = "summary_address"
    SUMMARY_TOOL = "summary_tool"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One disagreement.

    Attributes:
        step: the number of the step whose text it is in; 0 for the summary.
        said: what stands there, as it is written.
        plan: what the plan has instead; empty if it has nothing of the kind.
    """

    kind: Kind
    step: int
    said: tuple[str, ...]
    plan: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Amount:
    """An amount as it is written: the values that it may mean, and the currencies."""

    text: str
    values: frozenset[Decimal]
    currencies: frozenset[str]

    def is_same(self, other: "_Amount") -> bool:
        return bool(self.values & other.values and self.currencies & other.currencies)

    def is_comparable(self, other: "_Amount") -> bool:
        """Return whether they are of one currency, or the same number of two."""
        return bool(self.currencies & other.currencies or self.values & other.values)


def disagreements(plan: Plan, tools: Collection[str] = ()) -> tuple[Disagreement, ...]:
    """Return where the words of a plan disagree with its steps.

    Args:
        plan: the plan.
        tools: the names of other tools that are known.
    """
    found = [] if any(references_in(step.arguments) for step in plan.steps) else list(_amounts(plan))
    return (*found, *_addresses(plan), *_tools(plan, tools))


def named_like_tools(summary: str) -> bool:
    """Return whether a summary has words that may name tools, so that they are worth looking up."""
    return _TOOL.search(summary[:_LONGEST]) is not None


def _amounts(plan: Plan) -> Iterator[Disagreement]:
    structured = [one for step in plan.steps for one in _structured(step.arguments)]
    structured += _totals(structured)
    summary = _written(plan.summary)
    numbers = {one for step in plan.steps for one in _numbers(step.arguments)}
    texts = [(number, _written_in(step)) for number, step in enumerate(plan.steps, start=1)]
    marked = False
    for number, in_text in texts:
        known = [one for one in (*structured, *summary) if any(map(one.is_comparable, in_text))]
        if in_text and known and not _is_supported(in_text, known, numbers):
            marked = True
            yield Disagreement(Kind.TEXT_AMOUNT, number, _shown(in_text), _shown(known))
    of_steps = [*structured, *(one for _, in_text in texts for one in in_text)]
    if summary and not marked and not _is_supported(summary, of_steps, numbers):
        yield Disagreement(Kind.SUMMARY_AMOUNT, 0, _shown(summary), _shown(of_steps))


def _is_supported(said: Iterable[_Amount], known: Iterable[_Amount], numbers: Collection[Decimal]) -> bool:
    known = list(known)
    return any(any(map(one.is_same, known)) or not one.values.isdisjoint(numbers) for one in said)


def _addresses(plan: Plan) -> Iterator[Disagreement]:
    summary = plan.summary[:_LONGEST]
    named = [*(one.strip(".-") for one in _MAIL.findall(summary)), *_HOST.findall(summary)]
    has = "\n".join(text for step in plan.steps for _, text in _texts(step.arguments)).casefold()
    absent = tuple(dict.fromkeys(one for one in named if one.casefold() not in has))
    if absent:
        yield Disagreement(Kind.SUMMARY_ADDRESS, 0, absent[:_MOST])


def _tools(plan: Plan, tools: Collection[str]) -> Iterator[Disagreement]:
    own = {step.tool for step in plan.steps}
    named = dict.fromkeys(one for one in _TOOL.findall(plan.summary[:_LONGEST]) if one in tools)
    absent = tuple(one for one in named if one not in own)
    if absent:
        yield Disagreement(Kind.SUMMARY_TOOL, 0, absent[:_MOST], tuple(sorted(own))[:_MOST])


def _written_in(step: Step) -> list[_Amount]:
    return [one for _, text in _texts(step.arguments) for one in _written(text)]


def _written(text: str) -> list[_Amount]:
    """Return the amounts in a text."""
    found = []
    for match in _AMOUNT.finditer(text[:_LONGEST]):
        mark = (match["before"] or match["after"]).removeprefix("US")
        currencies = _SYMBOLS.get(mark, frozenset({mark}))
        found.append(_Amount(match[0], _values(match["first"] or match["second"]), currencies))
    return found


def _values(number: str) -> frozenset[Decimal]:
    """Return what a number may mean: in '1,234' the comma may be that of thousands or of decimals."""
    groups = re.split("[\u00a0\u202f ]", number)
    if len(groups) > 1:  # a blank may part two numbers
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


def _structured(value: JsonValue) -> Iterator[_Amount]:
    """Yield the amounts of arguments that stand beside a currency; whole ones may be in its smallest unit."""
    if isinstance(value, list):
        for item in value:
            yield from _structured(item)
    if not isinstance(value, dict):
        return
    code = _currency(value)
    for item in value.values():
        number = _number(item)
        if number is not None and code:
            values = {number, number.scaleb(-PLACES[code])} if number == int(number) else {number}
            yield _Amount(f"{number:,f} {code}", frozenset(values), frozenset({code}))
        elif isinstance(item, dict | list):
            yield from _structured(item)


def _currency(value: Mapping[str, JsonValue]) -> str:
    """Return the currency that stands among these values; empty if there is none, or more than one."""
    codes = [one.upper() for one in value.values() if isinstance(one, str) and one.upper() in PLACES]
    return codes[0] if len(codes) == 1 else ""


def _totals(amounts: Iterable[_Amount]) -> list[_Amount]:
    """Return the sums of several amounts of one currency."""
    sums: dict[str, list[Decimal]] = {}
    for one in amounts:
        (code,) = one.currencies
        sums.setdefault(code, []).append(max(one.values))
    return [
        _Amount(f"{sum(each):,f} {code}", frozenset({sum(each, Decimal())}), frozenset({code}))
        for code, each in sums.items()
        if len(each) > 1
    ]


def _numbers(value: JsonValue) -> Iterator[Decimal]:
    """Yield the numbers that stand beside no currency."""
    match value:
        case list():
            for item in value:
                yield from _numbers(item)
        case dict():
            has_currency = bool(_currency(value))
            for item in value.values():
                if not has_currency or isinstance(item, dict | list):
                    yield from _numbers(item)
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


def _texts(value: JsonValue, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text of arguments, with its name."""
    match value:
        case str():
            yield name, value
        case list():
            for item in value:
                yield from _texts(item, name)
        case dict():
            for key, item in value.items():
                yield from _texts(item, key)


def _shown(amounts: Iterable[_Amount]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.text for one in amounts))[:_MOST]
