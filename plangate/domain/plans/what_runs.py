"""Summarize a plan in one line: how many steps of which kind, who gets email, and which hosts are called.

An unusual step is easily overlooked in a long plan. The line counts every step, every recipient's host, and
every method and host of a call; for a single occurrence it gives the step. The arguments ``to``, ``cc`` and
``bcc`` are recipients, and ``url`` is a call. Other steps are counted under their tool's name. Amounts of
money are summed for each currency; of other numbers, the smallest and the largest are given.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Final
from urllib.parse import urlsplit

from pydantic import JsonValue

from plangate.domain.plans.plan import Plan, Step
from plangate.domain.plurals import counted

_RECIPIENTS: Final = ("to", "cc", "bcc")
_PLAIN_URL: Final = re.compile(
    r"https?://((?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?)(?:[/?#].*)?", re.DOTALL
)
_LONGEST_PATH: Final = 60
_PLAIN_PATH: Final = re.compile(r"/[A-Za-z0-9._~/%…-]*")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]+")
_NAME: Final = re.compile(r"(?:^|_)(?:ids?|numbers?|no|port|page|line|index|priority|timeout|seconds)$")
"""Arguments whose numbers are identifiers or settings."""
_MONEY: Final = re.compile(r"amount|price|total|betrag|summe|(?:^|_)(?:fees?|cents)(?:_|$)")
"""Arguments that are amounts, in the currency given by the argument ``currency``."""
_DIGITS: Final = 700  # more digits than any sum of JSON numbers has
_MAIL: Final = "send_email"
_CALL: Final = "http_request"

Places = dict[str, list[int]]
"""The items in a plan, each with the numbers (from 1) of the steps that contain it."""


def what_runs(plan: Plan) -> str:
    """Return the plan in one line, such as '3 mails: 2 to example.org, 1 to evil.example (step 3)'.

    Hidden characters are left in: make them visible before showing it.
    """
    steps: Places = {}
    recipients: dict[str, Places] = {}
    calls: dict[str, Places] = {}
    paths: dict[int, str] = {}
    for number, step in enumerate(plan.steps, start=1):
        steps.setdefault(step.tool, []).append(number)
        for host in _recipients(step):
            recipients.setdefault(step.tool, {}).setdefault(host, []).append(number)
        if "url" in step.arguments:
            calls.setdefault(step.tool, {}).setdefault(_call(step.arguments), []).append(number)
            paths[number] = " ".join(map(_path, _texts(step.arguments["url"])))
    parts = [
        _part(
            tool,
            numbers,
            recipients.get(tool, {}),
            _with_paths(calls.get(tool, {}), paths),
            _numbers([plan.steps[number - 1].arguments for number in numbers]),
        )
        for tool, numbers in steps.items()
    ]
    return "; ".join(parts)


def _with_paths(calls: Places, paths: Mapping[int, str]) -> Places:
    """Return the calls; add the path to those that occur once."""
    return {
        f"{call}{paths[numbers[0]]}" if len(numbers) == 1 else call: numbers
        for call, numbers in calls.items()
    }


def _numbers(steps: Sequence[Mapping[str, JsonValue]]) -> list[str]:
    """Return the sum or the range of each argument that is a number, not an identifier, in every step."""
    found = []
    for name in steps[0]:
        values = [step.get(name) for step in steps]
        numbers = [
            Decimal(str(value))
            for value in values
            if isinstance(value, int | float) and not isinstance(value, bool)
        ]
        if len(numbers) == len(values) and not _NAME.search(name.lower()):
            is_money = _MONEY.search(name.lower()) is not None
            found.append(f"{_plain(name)} {_in_currencies(numbers, steps) if is_money else _range(numbers)}")
    return found


def _range(numbers: Sequence[Decimal]) -> str:
    """Return the smallest and the largest of these numbers: their sum may have no meaning."""
    least, most = _written([min(numbers)]), _written([max(numbers)])
    if least != most:
        return f"{least} to {most}"
    return least if len(numbers) == 1 else f"{least} each"


def _in_currencies(numbers: Sequence[Decimal], steps: Sequence[Mapping[str, JsonValue]]) -> str:
    """Return the sum of the amounts, or one sum for each currency if every step has a currency."""
    sums: dict[str, list[Decimal]] = {}
    for number, step in zip(numbers, steps, strict=True):
        currency = step.get("currency")
        if not isinstance(currency, str) or not currency:
            return _written(numbers)
        sums.setdefault(currency.upper(), []).append(number)
    return " and ".join(f"{_written(found)} {_plain(currency)}" for currency, found in sums.items())


def _written(numbers: Sequence[Decimal]) -> str:
    """Return the sum, with at least two decimal places if a number has any."""
    places = max(-int(number.normalize().as_tuple().exponent) for number in numbers)
    with localcontext() as context:
        context.prec = _DIGITS
        return f"{sum(numbers):,.{max(places, 2) if places > 0 else 0}f}"


def _part(
    tool: str, numbers: list[int], recipients: Places, calls: Places, totals: Sequence[str] = ()
) -> str:
    if tool == _CALL and not recipients and sum(map(len, calls.values())) == len(numbers):
        return _counted(calls, " ")
    start = _named(tool, len(numbers))
    count = sum(map(len, recipients.values()))
    if recipients and count != len(numbers):
        start += f" ({counted(count, 'recipient')})"
    what = [_counted(places, between) for places, between in ((recipients, " to "), (calls, " ")) if places]
    what += totals
    return f"{start}: {', '.join(what)}" if what else start


def _named(tool: str, count: int) -> str:
    return counted(count, "mail") if tool == _MAIL else f"{count} {_plain(tool)}"


def _counted(places: Places, between: str) -> str:
    """Return how often each item occurs, most frequent first, with the step of an item that occurs once."""
    parts = []
    for what, numbers in sorted(places.items(), key=lambda item: -len(item[1])):
        where = f" (step {numbers[0]})" if len(numbers) == 1 else ""
        parts.append(f"{len(numbers)}{between}{what}{where}")
    return ", ".join(parts)


def _recipients(step: Step) -> Iterator[str]:
    """Yield the host of each recipient of a step; the whole text if it is not an address."""
    for name in _RECIPIENTS:
        for text in _texts(step.arguments.get(name)):
            host = text.rpartition("@")[2].lower()
            yield host if _PLAIN.fullmatch(host) else _plain(text)


def _texts(value: JsonValue) -> Iterator[str]:
    match value:
        case None:
            return
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case _:
            yield json.dumps(value, ensure_ascii=False)


def _call(arguments: Mapping[str, JsonValue]) -> str:
    method = arguments.get("method", "call")
    return f"{' '.join(map(_plain, _texts(method)))} on {' '.join(map(_host, _texts(arguments['url'])))}"


def _host(url: str) -> str:
    """Return the host of a URL, with its port; the whole URL if it is ambiguous."""
    plain = _PLAIN_URL.fullmatch(url.lower())
    return plain[1] if plain else _plain(url)


def _path(url: str) -> str:
    """Return the path of a URL whose host is shown; a long path is shortened, and a query is marked."""
    if not _PLAIN_URL.fullmatch(url.lower()):
        return ""
    parts = urlsplit(url)
    path = parts.path if len(parts.path) <= _LONGEST_PATH else f"/…{parts.path[-_LONGEST_PATH:]}"
    shown = path if _PLAIN_PATH.fullmatch(path) else json.dumps(path, ensure_ascii=False)
    return f"{'' if shown == '/' else shown}{'?…' if parts.query else ''}"


def _plain(text: str) -> str:
    """Return a word unchanged, and other text in quotes, so that it does not look like part of the line."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
