"""Compute the times of a review when it opens: its end, and when the steps of its plan may begin.

They are recorded with the facts that determined them, and are never computed again from the calendars.
"""

from datetime import datetime
from typing import NamedTuple

from plangate.domain.plans.plan import Plan
from plangate.domain.policies.requirement import Requirement
from plangate.domain.runs.audit import Drafted, Requested
from plangate.domain.runs.deadlines import reopened_deadline, review_deadline
from plangate.domain.times.calendars import CalendarFacts
from plangate.domain.times.start_times import StartTimes
from plangate.policy.public_holidays import facts_at
from plangate.policy.starting import starts_of


class ReviewTimes(NamedTuple):
    """The times of one review.

    Attributes:
        deadline: when it ends.
        facts: the facts that determined its limits in working time.
        starts: when the steps of its plan may begin; None for any time.
    """

    deadline: datetime
    facts: tuple[CalendarFacts, ...]
    starts: StartTimes | None


def first_times(requested: Requested, requirement: Requirement, plan: Plan, at: datetime) -> ReviewTimes:
    """Return the times of the review of a new plan that begins at ``at``.

    Raises:
        NoWorkingTime: the zone or the holidays of a calendar are not known on this system.
    """
    facts = facts_at(requirement, at)
    deadline = review_deadline(requested, requirement, at, facts)
    return ReviewTimes(deadline, facts, starts_of(requirement, at, deadline, plan.not_before))


def reopened_times(requested: Requested | None, drafted: Drafted, at: datetime) -> ReviewTimes:
    """Return the times of the review that is reopened at ``at``.

    Args:
        requested: the request.
        drafted: the plan, with its requirement after the reopening.
        at: when it begins.

    Raises:
        NoWorkingTime: the zone or the holidays of a calendar are not known on this system.
    """
    facts = facts_at(drafted.requirement, at)
    deadline = reopened_deadline(requested, drafted, at, facts)
    starts = starts_of(drafted.requirement, at, deadline, drafted.plan.not_before)
    return ReviewTimes(deadline, facts, starts)
