"""Times for readers: in UTC, which a script turns into their own zone, and how long it is until then."""

from datetime import UTC, datetime, timedelta
from typing import Final

from plangate.presentation.clock import now
from plangate.web.language import Language

_DAYS_AS_HOURS: Final = 4  # shown in hours up to this many days
_MINUTE: Final = 60  # seconds
_HOUR: Final = 60  # minutes


def utc(when: datetime) -> str:
    """Return a time as ``2026-12-03 14:05 UTC``: a page without scripts cannot know the reader's zone."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def time_left(words: Language, when: datetime) -> str:
    """Return how long it is until then, or since: 'in 71 h 59 min', '5 min ago'."""
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
    hours, days = minutes // _HOUR, minutes // (24 * _HOUR)
    if days >= _DAYS_AS_HOURS:
        return words.count(of_days, days)
    if hours:
        return words("time.hours", hours=hours, minutes=minutes % _HOUR)
    return words("time.minutes", minutes=minutes) if minutes else words("time.now")
