"""When a review opens, compute when the steps of its plan may begin, from the calendars of its rules."""

from datetime import datetime

from plangate.domain.policies.requirement import Requirement
from plangate.domain.times.calendars import Calendar, CalendarFacts
from plangate.domain.times.start_times import Search, StartTimes, search_of, start_times
from plangate.policy.public_holidays import with_holidays


def starts_of(
    requirement: Requirement, began: datetime, deadline: datetime, not_before: datetime | None
) -> StartTimes | None:
    """Return when steps may begin; None if no rule has a window or a freeze.

    Args:
        requirement: the requirement of the plan.
        began: when the review begins.
        deadline: when it ends.
        not_before: the earliest time at which the plan may begin, if it specifies one.

    Raises:
        NoWorkingTime: the zone or the holidays of a calendar are not known on this system.
    """
    calendars = dict.fromkeys((*requirement.windows, *requirement.freezes))
    if not calendars:
        return None
    search = search_of(began, deadline, not_before, requirement.cooling_seconds)
    facts = tuple(_facts(one, search) for one in calendars)
    spans = start_times(requirement.windows, requirement.freezes, facts, search)
    return StartTimes(spans=spans, facts=facts)


def _facts(calendar: Calendar, search: Search) -> CalendarFacts:
    return with_holidays(calendar, search.begin).facts(search.begin, search.last)
