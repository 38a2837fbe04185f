"""Write durations for people."""

from datetime import datetime, timedelta
from typing import Final

HOURS_UNTIL_DAYS: Final = 48
"""Durations of at least this many hours are shown in days and hours, everywhere."""


def duration_in_words(length: timedelta) -> str:
    """Return a duration in its two largest units, rounded down."""
    seconds = int(length.total_seconds())
    minutes, hours = seconds // 60, seconds // 3600
    if hours >= HOURS_UNTIL_DAYS:
        return _two(hours // 24, "days", hours % 24, "h")
    if hours:
        return _two(hours, "h", minutes % 60, "min")
    if minutes:
        return _two(minutes, "min", seconds % 60, "s")
    return f"{seconds} s"


def from_now(moment: datetime, now: datetime) -> str:
    """Return the time from ``now`` to ``moment``: 'in 2 days 23 h', '5 min ago'."""
    if moment >= now:
        return f"in {duration_in_words(moment - now)}"
    return f"{duration_in_words(now - moment)} ago"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"
