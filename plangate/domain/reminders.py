"""When people are reminded of a plan that waits for them: never after its deadline, and while they work.

A reminder that would fall outside the reader's working time moves to the last hour of it before: earlier, so
that the reader has at least the time that the rule wants.

    >>> from datetime import UTC
    >>> remind_at(datetime(2026, 11, 30, 12, tzinfo=UTC), 3600)
    datetime.datetime(2026, 11, 30, 11, 0, tzinfo=datetime.timezone.utc)
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from plangate.domain.calendars import Calendar

_BEFORE_THE_END: Final = timedelta(hours=1)


def remind_at(deadline: datetime, seconds: int, calendar: Calendar | None = None) -> datetime:
    """Return when a person is reminded of a deadline.

    Args:
        deadline: when the review ends.
        seconds: how long before it, as the requirement has it.
        calendar: the person's; None if they always work.
    """
    moment = deadline - timedelta(seconds=seconds)
    if calendar is None or calendar.is_working(moment):
        return moment
    last = calendar.last_working(moment)
    return moment if last is None else max(last[0], last[1] - _BEFORE_THE_END)


def reminders(
    began: datetime, deadline: datetime, remind: Iterable[int], calendar: Calendar | None = None
) -> tuple[datetime, ...]:
    """Return when a person is reminded in a review, in order, each moment once.

    A reminder that would come before the review began, when they are asked anyway, is left out.
    """
    moments = {remind_at(deadline, seconds, calendar) for seconds in remind}
    return tuple(sorted(moment for moment in moments if moment > began))
