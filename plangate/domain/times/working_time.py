"""Time limits that count only working time.

A review's limits are computed from its own facts (`plangate.domain.times.calendars.CalendarFacts`), which are
recorded with it. A change to a time zone or a holiday therefore never moves a deadline, and never changes the
result of an audit.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from pydantic import Field, model_validator

from plangate.domain.base import Frozen
from plangate.domain.errors import NoWorkingTime
from plangate.domain.plurals import counted
from plangate.domain.times.calendars import Calendar, CalendarFacts
from plangate.domain.times.durations import LONGEST_TIMEOUT

MOST_DAYS: Final = 250
MOST_HOURS: Final = 2_000
_WORKING: Final = re.compile(r"\s*([0-9]{1,6})\s+working\s+(day|hour)s?\s*", re.IGNORECASE)


class WorkingTime(Frozen):
    """A number of working days or working hours of a calendar."""

    days: int = Field(default=0, ge=0, le=MOST_DAYS, exclude_if=lambda value: not value)
    hours: int = Field(default=0, ge=0, le=MOST_HOURS, exclude_if=lambda value: not value)
    calendar: Calendar

    @model_validator(mode="after")
    def _check_unit(self) -> "WorkingTime":
        if bool(self.days) == bool(self.hours):
            raise ValueError("either days or hours")
        return self

    def __str__(self) -> str:
        """Return a human-readable description."""
        amount = counted(self.days, "working day") if self.days else counted(self.hours, "working hour")
        return f"{amount} ({self.calendar.name})"

    def after(self, at: datetime, calendar: Calendar) -> datetime:
        """Return when this limit ends if it begins at ``at``, but no later than the longest review."""
        latest = at + LONGEST_TIMEOUT
        try:
            return min(calendar.add_working(at, days=self.days, hours=self.hours), latest)
        except NoWorkingTime:
            return latest


def read_working(text: str) -> tuple[int, int] | None:
    """Parse a number of working days or working hours; return None if ``text`` is neither.

    Raises:
        ValueError: the number is zero, or exceeds the maximum for a limit.
    """
    found = _WORKING.fullmatch(text)
    if found is None:
        return None
    count, is_days = int(found[1]), found[2].lower() == "day"
    most = MOST_DAYS if is_days else MOST_HOURS
    if not 1 <= count <= most:
        raise ValueError(f"{text!r} is not between 1 and {most} working {'days' if is_days else 'hours'}")
    return (count, 0) if is_days else (0, count)


def facts_for(
    limits: Iterable[WorkingTime], at: datetime, calendars: Sequence[Calendar]
) -> tuple[CalendarFacts, ...]:
    """Return the facts that determine these limits from ``at`` on.

    Args:
        limits: the limits of the requirement.
        at: when the review begins.
        calendars: the calendar of each limit, with its public holidays.
    """
    last: dict[Calendar, datetime] = {}
    for limit, calendar in zip(limits, calendars, strict=True):
        end = limit.after(at, calendar)
        last[calendar] = max(end, last.get(calendar, end))
    return tuple(calendar.facts(at, end) for calendar, end in last.items())


def end_of(limit: WorkingTime, at: datetime, facts: Iterable[CalendarFacts]) -> datetime:
    """Return when a limit that begins at ``at`` ends according to these facts; ``at`` if none are given."""
    own = next((one for one in facts if one.calendar == limit.calendar.name), None)
    if own is None:
        return at
    try:
        return limit.after(at, limit.calendar.frozen(own))
    except OverflowError:  # later than the last possible year
        return at
