"""Format times for readers: in UTC, which a script converts to their time zone, and relative to now."""

import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Final

from markupsafe import Markup

from plangate.presentation.clock import now
from plangate.presentation.durations import HOURS_UNTIL_DAYS
from plangate.web.language import Language

# A time in UTC in a sentence, or two times on one day; the month is looked up in the language.
_RECORDED: Final = re.compile(
    r"\b(?:[A-Z][a-z]{1,2}\.?,? )?(([0-9]{4}-[0-9]{2}-[0-9]{2})|([0-9]{1,2})\. (\w{3,12}\.?) ([0-9]{4}))"
    r" ([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:( [a-z]{2,4} )([0-9]{2}:[0-9]{2}(?::[0-9]{2})?))? UTC\b"
)
_MINUTE: Final = 60  # seconds
_HOUR: Final = 60  # minutes


def times_in(words: Language, html: str) -> Markup:
    """Return a sentence as HTML; a script shows its times in the reader's time zone."""
    months = words.writing.months
    return Markup(_RECORDED.sub(lambda one: _elements(one, months), html))  # noqa: S704  only digits and escaped text


def _elements(found: re.Match[str], months: Sequence[str]) -> str:
    written, iso, day, month, year, first, between, last = found.groups()
    try:
        at = date.fromisoformat(iso) if iso else date(int(year), months.index(month) + 1, int(day))
        marks = [
            f'<time datetime="{at}T{time.fromisoformat(one)}Z" data-local="beside">'
            for one in (first, last)
            if one
        ]
    except ValueError:
        return found[0]
    if last is None:
        return f"{marks[0]}{found[0]}</time>"
    return f"{marks[0]}{written} {first}</time>{between}{marks[1]}{last} UTC</time>"


def time_left(words: Language, when: datetime) -> str:
    """Return the time until then, or since then, rounded down: 'in 2 days 23 h', '5 min ago'."""
    left = when - now()
    name = "time.in" if left >= timedelta(0) else "time.ago"
    return words(name, span=_span(words, abs(left)))


def length(words: Language, seconds: float) -> str:
    """Return how long something took: '3.2 s' below a minute, then in minutes, hours or days."""
    if seconds < _MINUTE:
        return words("time.seconds", seconds=words.number(seconds, 1))
    return _span(words, timedelta(seconds=seconds), "time.lasting")


def _span(words: Language, length: timedelta, of_days: str = "time.days") -> str:
    minutes = int(length.total_seconds()) // _HOUR
    hours = minutes // _HOUR
    if hours >= HOURS_UNTIL_DAYS:
        days = words.count(of_days, hours // 24)
        return words("time.and_hours", days=days, hours=hours % 24) if hours % 24 else days
    if hours:
        return words("time.hours", hours=hours, minutes=minutes % _HOUR)
    return words("time.minutes", minutes=minutes) if minutes else words("time.now")
