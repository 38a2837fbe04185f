"""How long: read from what people type, said as people say it."""

from datetime import datetime, timedelta
from typing import Final

from console.exits import WrongUsage
from plangate.domain.durations import HOW_TO_WRITE, read_seconds
from plangate.domain.request import LONGEST_TIMEOUT

_DAYS_AS_HOURS: Final = 3  # up to so many days, people count hours


def read_timeout(text: str) -> timedelta:
    """Return the time that ``text`` means.

    Raises:
        WrongUsage: it means none, or one that no review may take.
    """
    seconds = read_seconds(text)
    if seconds is None:
        raise WrongUsage(f"The timeout {text!r} cannot be read; {HOW_TO_WRITE}.")
    if not 1 <= seconds <= LONGEST_TIMEOUT.total_seconds():
        raise WrongUsage(
            f"The timeout {text!r} is not between one second and {LONGEST_TIMEOUT.days} days; {HOW_TO_WRITE}."
        )
    return timedelta(seconds=seconds)


def spoken(length: timedelta) -> str:
    """Return a length of time in its two largest units."""
    seconds = int(length.total_seconds())
    minutes, hours = seconds // 60, seconds // 3600
    if hours >= _DAYS_AS_HOURS * 24 + 24:
        return _two(hours // 24, "days", hours % 24, "h")
    if hours:
        return _two(hours, "h", minutes % 60, "min")
    if minutes:
        return _two(minutes, "min", seconds % 60, "s")
    return f"{seconds} s"


def from_now(moment: datetime, now: datetime) -> str:
    """Return how far ``moment`` lies from ``now``: 'in 71 h 59 min', '5 min ago'."""
    if moment >= now:
        return f"in {spoken(moment - now)}"
    return f"{spoken(now - moment)} ago"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"
