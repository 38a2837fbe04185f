"""This machine's clock, and times for people: in their own time zone, with UTC."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

_RECORDED: Final = re.compile(
    r"(?a:\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?(\d{4}-\d\d-\d\d) (\d\d:\d\d)(:\d\d)? UTC\b)"
)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class FormatTime(Protocol):
    """A function that formats a time for readers, such as `moment`."""

    def __call__(self, when: datetime, *, with_seconds: bool = False) -> str:
        """Return the time as text."""


def now() -> datetime:
    """Return the current time on this machine."""
    return datetime.now(UTC)  # noqa: TID251  relative times use the reader's own clock


def moment(when: datetime, *, with_seconds: bool = False) -> str:
    """Return a time as '3 May 14:05 CEST (12:05 UTC)'; the zone comes from TZ, or else from the machine.

    The year is added if it is not the current year, and the day in UTC if it is different.
    """
    try:
        local, universal = when.astimezone(), when.astimezone(UTC)
    except (OverflowError, ValueError, OSError):  # outside the valid years
        return when.isoformat(sep=" ")
    time = "%H:%M:%S" if with_seconds else "%H:%M"
    said = f"{_day(local)} {local:{time}}"
    if not local.utcoffset():
        return f"{said} UTC"
    day = "" if universal.date() == local.date() else f"{_day(universal)} "
    return f"{said} {zone_name(local)} ({day}{universal:{time}} UTC)"


def recorded(when: datetime, *, with_seconds: bool = False) -> str:
    """Return a time as in recorded sentences: '2026-12-03 14:05 UTC'; pages localize it."""
    return f"{when.astimezone(UTC):{'%Y-%m-%d %H:%M:%S' if with_seconds else '%Y-%m-%d %H:%M'}} UTC"


def in_readers_zone(text: str) -> str:
    """Return a recorded sentence with its UTC times in the format of `moment`, unless the reader uses UTC."""
    return with_times(text, _read_locally)


def with_times(text: str, format_time: Callable[[datetime, bool], str | None]) -> str:
    """Return a recorded sentence with its UTC times replaced by the results of ``format_time``.

    ``format_time`` is called with the time, and with whether it has seconds. If it returns None, the time is
    unchanged.
    """

    def said(found: re.Match[str]) -> str:
        day, time, seconds = found.groups()
        try:
            when = datetime.fromisoformat(f"{day}T{time}{seconds or ''}+00:00")
            return format_time(when, bool(seconds)) or found[0]
        except (OverflowError, ValueError, OSError):
            return found[0]

    return _RECORDED.sub(said, text)


def _read_locally(when: datetime, with_seconds: bool) -> str | None:  # noqa: FBT001  a callback
    return moment(when, with_seconds=with_seconds) if when.astimezone().utcoffset() else None


def _day(when: datetime) -> str:
    year = "" if when.year == now().astimezone(when.tzinfo).year else f" {when.year}"
    return f"{when.day} {_MONTHS[when.month - 1]}{year}"


def zone_name(when: datetime) -> str:
    """Return the short name of a time's zone, or its offset from UTC if the name is not letters."""
    name = when.tzname() or ""
    if name.isascii() and name.isalpha():
        return name
    minutes = (when.utcoffset() or timedelta(0)) // timedelta(minutes=1)
    return f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
