"""Work out when people are reminded of a plan: before its deadline, and in their working time.

A reminder outside the reader's working time moves to the last working hour before. It never moves later, so
the reader has at least as much time as the rule demands.

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
        seconds: how long before the deadline, by the requirement.
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
    """Return the distinct moments at which a person is reminded in a review, in order.

    Reminders before the beginning of the review are left out, because its opening has its own notice.
    """
    moments = {remind_at(deadline, seconds, calendar) for seconds in remind}
    return tuple(sorted(moment for moment in moments if moment > began))
