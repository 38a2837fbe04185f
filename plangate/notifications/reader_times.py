"""Write times for the reader of a message: in their time zone, with the day of the week."""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from plangate.domain.plurals import counted
from plangate.presentation.clock import with_times, zone_name
from plangate.presentation.durations import HOURS_UNTIL_DAYS

_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip


def whole(when: datetime, zone: str, now: datetime) -> str:
    """Return ``Friday, 27 November 2026, 14:00 CET (in 3 hours 20 minutes)``."""
    return f"{day_and_time(when, zone)} ({distance(when, now)})"


def day_and_time(when: datetime, zone: str) -> str:
    """Return ``Friday, 27 November 2026, 14:00 CET``."""
    local = _local(when, zone)
    day = f"{_DAYS[local.weekday()]}, {local.day} {_MONTHS[local.month - 1]} {local.year}"
    return f"{day}, {local:%H:%M} {zone_name(local)}"


def in_zone(text: str, zone: str) -> str:
    """Return a sentence from rules or records with its UTC times converted to the reader's time zone.

    Times with seconds are not changed, because people look them up in logs.
    """
    return with_times(text, lambda when, has_seconds: None if has_seconds else day_and_time(when, zone))


def brief(when: datetime, zone: str, now: datetime) -> str:
    """Return ``14:00 CET`` for a time on the reader's current day, otherwise ``Fri 27 Nov, 14:00 CET``."""
    local, today = _local(when, zone), _local(now, zone)
    time = f"{local:%H:%M} {zone_name(local)}"
    if local.date() == today.date():
        return time
    year = "" if local.year == today.year else f" {local.year}"
    return f"{_DAYS[local.weekday()][:3]} {local.day} {_MONTHS[local.month - 1][:3]}{year}, {time}"


def distance(when: datetime, now: datetime) -> str:
    """Return ``in 3 hours 20 minutes``, ``in 2 days 13 hours`` or ``over``; rounded down, as on the pages."""
    left = when - now
    if left <= timedelta(0):
        return "over"
    minutes = left // timedelta(minutes=1)
    hours = minutes // 60
    parts = ((hours, "hour"), (minutes % 60, "minute"))
    if hours >= HOURS_UNTIL_DAYS:
        parts = ((hours // 24, "day"), (hours % 24, "hour"))
    return "in " + (" ".join(counted(count, unit) for count, unit in parts if count) or "less than a minute")


def _local(when: datetime, zone: str) -> datetime:
    """Return a time in the zone; in UTC if there is no such zone, or the result is not a valid date."""
    try:
        return when.astimezone(ZoneInfo(zone))
    except (OSError, KeyError, ValueError, OverflowError):
        return when.astimezone(UTC)
