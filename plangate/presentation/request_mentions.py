"""Find amounts, email addresses and hosts that a request mentions but no step contains.

A request often mentions values that no step needs, such as the amount of the order or the address of the
sender. A value is therefore marked only if a step contains another value of the same kind that the request
does not mention. The step's amount must also not follow from the request, as a sum, a difference, a part or a
percentage.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from itertools import combinations, islice
from typing import Final

from plangate.domain.plans.money import PLACES
from plangate.domain.plans.plan import Plan
from plangate.presentation.amounts import (
    LONGEST,
    Amount,
    amounts_in_arguments,
    amounts_in_texts,
    bare_numbers_in,
    numbers_in,
    texts_in,
    written,
)

MAIL: Final = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
HOST: Final = re.compile(r"https?://([^\s/?#\"'<>()]{1,255})")
_SUMMED: Final = 6
"""Up to this many amounts, every sum is checked; above that, only the sum of all amounts."""
_MOST_COMPARED: Final = 30
"""The maximum number of amounts or addresses of a request that are checked."""
_WORDS: Final = 200
"""The maximum number of amounts in a text that are checked."""
_MIN_SIMILARITY: Final = 0.8
_LONG: Final = 2_000
"""The maximum length of an argument that may be an address or a list of addresses."""
_PROSE: Final = frozenset(
    [
        "body",
        "text",
        "message",
        "comment",
        "content",
        "description",
        "note",
        "notes",
        "reason",
        "subject",
        "summary",
        "title",
        "html",
    ]
)
"""The names of arguments whose addresses are not contacted."""
_PERCENT: Final = re.compile(r"(\d{1,3}(?:[.,]\d{1,2})?)[ \u00a0\u202f]?(?:%|percent|per cent|Prozent)")
_PART: Final = re.compile(
    r"\b(half|halves|third|quarter|each|every|per|both|twice|double|split)\b", re.IGNORECASE
)
_GERMAN_PART: Final = re.compile(
    r"\b(hälfte|halb\w*|drittel|viertel|je|jeweils|jede\w*|pro|beide\w*|doppelt\w*|zweimal|dreimal)\b",
    re.IGNORECASE,
)
_COUNTS: Final = {
    word: number
    for number, words in enumerate(
        ("two zwei", "three drei", "four vier", "five fünf", "six sechs", "seven sieben", "eight acht"),
        start=2,
    )
    for word in words.split()
}
_PAYS: Final = re.compile(
    r"\b(refund|reimburse|pay|charge|credit|transfer|amount|erstatt|zahl|überweis|belaste|betrag|gutschr)",
    re.IGNORECASE,
)
_MONEY_LIKE: Final = re.compile(r"(?:\d{1,3}(?:[.,'\u2019]\d{3})+|\d+)[.,]\d{2}")
_MEASURED: Final = re.compile(
    r"(?<![\w.,])([\d.,'\u2019]{3,24}\d)[ \u00a0]?(?:kg|g|km|m|cm|mm|h|l|GB|MB|kWh)\b"
)
_WORD: Final = re.compile(r"(?<![\w.,])\w+(?![\w]|[.,]\d)")
_COUNT: Final = re.compile(r"[0-9]{1,2}")
_DAY: Final = re.compile(r"(?:[0-2]?\d|3[01])\.(?:0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Named:
    """The values that the request mentions, and the values that the steps contain instead.

    Attributes:
        formatted: the amounts in ``steps`` that are not quoted from a text.
    """

    said: tuple[str, ...]
    steps: tuple[str, ...]
    formatted: frozenset[str] = frozenset()


def unnamed(
    moved: Sequence[Amount], words: Sequence[Amount], numbers: Collection[Decimal]
) -> tuple[list[Amount], list[Amount]]:
    """Return the amounts that are only in the steps, and those in the same currencies only in the text.

    If one of them is empty, both are returned empty, because there is no contradiction. The text may mention
    the sum of several amounts.

    Args:
        moved: the amounts in the steps.
        words: the amounts in the text.
        numbers: other numbers in the text, which may also be amounts.
    """
    words = words[:_WORDS]
    by_sum = list(_sums(moved))
    met = [any(map(one.is_same, (total for total, _ in by_sum))) for one in words]
    named: set[int] = {at for at, one in enumerate(moved) if not one.values.isdisjoint(numbers)}
    for total, parts in by_sum:
        if any(map(total.is_same, words)):
            named.update(parts)
    not_named = [one for at, one in enumerate(moved) if at not in named]
    others = [
        one
        for one, is_met in zip(words, met, strict=True)
        if not is_met and any(one.currencies & other.currencies for other in not_named)
    ]
    return (not_named, others) if others else ([], [])


def amounts_of_request(plan: Plan, request: str) -> Named | None:
    """Return the amounts in a request that no step contains, if a step contains one not in the request."""
    said = written(request) or list(_without_currency(request))
    if not said:
        return None
    moved = [one for step in plan.steps for one in amounts_in_arguments(step.arguments)]
    bare = {value for _, values in bare_numbers_in(request) for value in values}
    if moved:
        not_named, others = unnamed(moved, said, bare | set(_following(said, request)))
        return _named(others, not_named)
    in_texts = [one for step in plan.steps for one in amounts_in_texts(step)]
    numbers = {one for step in plan.steps for one in numbers_in(step.arguments)}
    compared = [one for one in in_texts if any(one.currencies & other.currencies for other in said)]
    is_met = any(
        any(map(one.is_same, in_texts)) or not one.values.isdisjoint(numbers) for one in said
    ) or any(not one.values.isdisjoint(bare | set(_following(said, request))) for one in compared)
    return None if is_met else _named(said if compared else [], compared)


def addresses_of_request(plan: Plan, request: str) -> Named | None:
    """Return the addresses and hosts in a request that no step contains, if the steps contain others.

    They are returned if no step contains any of them, or if one in a step closely resembles one in the
    request.
    """
    request = request[:LONGEST]
    texts = [one for step in plan.steps for one in texts_in(step.arguments)]
    everything = "\n".join(text for _, text in texts).casefold()
    reached = [text for name, text in texts if name.casefold() not in _PROSE and len(text) <= _LONG]
    found: dict[str, None] = {}
    instead: dict[str, None] = {}
    for pattern, is_host in ((MAIL, False), (HOST, True)):
        said = _all(pattern, [request])
        has = _all(pattern, reached)
        others = [one for one in has if one not in said]
        absent = [
            one for one in said if one not in everything and not (is_host and _is_related(one, everything))
        ]
        if len(absent) == len(said):
            pairs = [(one, other) for one in absent for other in others]
        else:
            pairs = [
                (one, other) for one in said for other in others if _is_similar(one, other) and one not in has
            ]
        found |= dict.fromkeys(one for one, _ in pairs)
        instead |= dict.fromkeys(other for _, other in pairs)
    return Named(tuple(found), tuple(instead)) if found else None


def _named(said: Collection[Amount], steps: Collection[Amount]) -> Named | None:
    first, second = (tuple(dict.fromkeys(one.text for one in each)) for each in (said, steps))
    found = Named(first, second, frozenset(one.text for one in steps if not one.is_quoted))
    return found if found.said and found.steps else None


def _sums(moved: Sequence[Amount]) -> Iterator[tuple[Amount, tuple[int, ...]]]:
    """Yield each amount, and the sums of several, with the positions of their parts."""
    places = range(len(moved))
    sizes = places[1:] if len(moved) <= _SUMMED else ()
    groups = [*((at,) for at in places), *(group for size in sizes for group in combinations(places, size))]
    groups.append(tuple(places))
    for group in groups:
        parts = [moved[at] for at in group]
        if not parts:
            continue
        if len(parts) == 1:
            yield parts[0], group
            continue
        currencies = frozenset.intersection(*(one.currencies for one in parts))
        values = frozenset(sum((pick(one.values) for one in parts), Decimal()) for pick in (min, max))
        yield Amount("", values, currencies), group


def _without_currency(request: str) -> Iterator[Amount]:
    """Yield the numbers with two decimal places in a request to pay, which are amounts without a currency."""
    if not _PAYS.search(request):
        return
    measured = frozenset(_MEASURED.findall(request))
    for text, values in bare_numbers_in(request):
        is_amount = _MONEY_LIKE.fullmatch(text) and not _DAY.fullmatch(text)
        if is_amount and text not in measured:
            yield Amount(text, values, frozenset(PLACES))


def _following(said: Sequence[Amount], request: str) -> Iterator[Decimal]:
    """Yield the amounts that follow from those in a request: sums, differences, parts and percentages."""
    values = sorted({value for one in said[:_MOST_COMPARED] for value in one.values})
    rates = [Decimal(one.replace(",", ".")) / 100 for one in _PERCENT.findall(request)]
    has_part = bool(_PART.search(request) or _GERMAN_PART.search(request))
    rest = request.casefold()[:LONGEST]
    for one in said[:_MOST_COMPARED]:
        rest = rest.replace(one.text.casefold(), " ")
    words = set(_WORD.findall(rest))
    counts = {int(one) for one in words if _COUNT.fullmatch(one)}
    counts |= {number for word, number in _COUNTS.items() if word in words}
    counts |= {2, 3, 4, 5, 6, 7, 8, 9} if has_part else set()
    parts = [value * rate for value in values for rate in rates]
    parts += [value * (1 - rate) for value in values for rate in rates]
    parts += [value * (1 + rate) for value in values for rate in rates]
    parts += [value / (1 + rate) for value in values for rate in rates]
    for count in counts - {0, 1}:
        parts += [value * count for value in values]
        parts += [value / count for value in values]
    parts += [sum(values, Decimal())]
    for less, more in combinations(values, 2):
        parts += [less + more, more - less]
    yield from (round(one, 2).normalize() for one in parts)


def _all(pattern: re.Pattern[str], texts: Iterable[str]) -> list[str]:
    found = (one.strip(".-,;:").casefold() for text in texts for one in pattern.findall(text[:LONGEST]))
    return list(islice(dict.fromkeys(found), _MOST_COMPARED))


def _is_related(host: str, everything: str) -> bool:
    """Return whether the texts contain another host that has the same owner, according to its name."""
    owner = ".".join(host.split(".")[-2:])
    return any(one == owner or one.endswith("." + owner) for one in _all(HOST, [everything]))


def _is_similar(one: str, other: str) -> bool:
    return SequenceMatcher(None, one, other).ratio() >= _MIN_SIMILARITY
