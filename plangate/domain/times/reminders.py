"""Compute when people are reminded of a plan: before its deadline, and in their working time.

A reminder outside the reader's working time is moved to the last working hour before it. It is never moved
later, so the reader has at least as much time as the rule requires.

    >>> from datetime import UTC
    >>> remind_at(datetime(2026, 11, 30, 12, tzinfo=UTC), 3600)
    datetime.datetime(2026, 11, 30, 11, 0, tzinfo=datetime.timezone.utc)
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from plangate.domain.times.calendars import Calendar

_BEFORE_THE_END: Final = timedelta(hours=1)


class Reminder(NamedTuple):
    """The time at which a person is reminded; the rule sets it ``seconds`` before the deadline."""

    at: datetime
    seconds: int


def remind_at(deadline: datetime, seconds: int, calendar: Calendar | None = None) -> datetime:
    """Return when a person is reminded of a deadline.

    Args:
        deadline: when the review ends.
        seconds: how long before the deadline, according to the requirement.
        calendar: the person's calendar; None if they always work.
    """
    moment = deadline - timedelta(seconds=seconds)
    if calendar is None or calendar.is_working(moment):
        return moment
    last = calendar.last_working(moment)
    return moment if last is None else max(last[0], last[1] - _BEFORE_THE_END)


def reminders(
    began: datetime, deadline: datetime, remind: Iterable[int], calendar: Calendar | None = None
) -> tuple[Reminder, ...]:
    """Return the reminders of a person in a review, in order; if several coincide, only the last one.

    Reminders before the start of the review are left out, because a separate notice is sent when it opens.
    """
    moments = {remind_at(deadline, one, calendar): one for one in sorted(remind, reverse=True)}
    return tuple(Reminder(at, seconds) for at, seconds in sorted(moments.items()) if at > began)
