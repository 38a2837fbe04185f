"""How long: read from what people type, said as people say it."""

import re
from datetime import datetime, timedelta
from typing import Final

from console.exits import WrongUsage
from plangate.domain.request import LONGEST_TIMEOUT

_UNITS: Final = ("weeks", "days", "hours", "minutes", "seconds")
_DURATION: Final = re.compile(
    r"\s*" + r"\s*".join(rf"(?:([0-9]{{1,9}})\s*{unit[0]})?" for unit in _UNITS) + r"\s*", re.IGNORECASE
)
_EXAMPLES: Final = "write it like 72h, 30m, 45s, 7d or 1h30m"
_DAYS_AS_HOURS: Final = 3  # up to so many days, people count hours


def read_timeout(text: str) -> timedelta:
    """Return the time that ``text`` means.

    Raises:
        WrongUsage: it means none, or one that no review may take.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise WrongUsage(f"The timeout {text!r} cannot be read; {_EXAMPLES}.")
    counts = {unit: int(count or 0) for unit, count in zip(_UNITS, match.groups(), strict=True)}
    seconds = sum(
        count * int(timedelta(**{unit: 1}).total_seconds()) for unit, count in counts.items()
    )  # summed before it is made a timedelta, which has an end
    if not 1 <= seconds <= LONGEST_TIMEOUT.total_seconds():
        raise WrongUsage(
            f"The timeout {text!r} is not between one second and {LONGEST_TIMEOUT.days} days; {_EXAMPLES}."
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
