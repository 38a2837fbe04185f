"""When a review or a hold ends: how long it may take, and what that makes its deadline.

A request says how long each review may take, and a rule of the policy may allow less, or count working time.
A review that is reopened has the same limits as the first one, from its own beginning. The wait itself is
`workflows.plan_approval`'s; that no decision counts at or after the deadline is a rule of
`plangate.domain.lifecycle`. A deadline is worked out once, by the activity that opens the review, and
recorded.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from plangate.domain.audit import Drafted, Held, Reopened, Requested
from plangate.domain.calendars import Facts
from plangate.domain.durations import DEFAULT_TIMEOUT, LONGEST_TIMEOUT
from plangate.domain.policy import Requirement
from plangate.domain.working_time import end_of


def review_deadline(
    requested: Requested, requirement: Requirement, began: datetime, facts: Sequence[Facts] = ()
) -> datetime:
    """Return when a review of a plan with this requirement ends.

    A limit in working time replaces the time of a request that has the default one: nobody chose that.

    Args:
        requested: the request.
        requirement: of the plan.
        began: when the review begins.
        facts: those by which its limits in working time are counted.
    """
    limits = [LONGEST_TIMEOUT]
    if _has_own_time(requested, requirement):
        limits.append(timedelta(seconds=requested.timeout_seconds))
    if requirement.timeout_seconds is not None:
        limits.append(timedelta(seconds=requirement.timeout_seconds))
    return min([began + min(limits), *(end_of(limit, began, facts) for limit in requirement.working)])


def reopened_deadline(
    requested: Requested | None, drafted: Drafted, reopened_at: datetime, facts: Sequence[Facts] = ()
) -> datetime:
    """Return when the review ends that is reopened at ``reopened_at``.

    Without limits in working time it takes as long as the first one.
    """
    if not drafted.requirement.working or requested is None:
        return reopened_at + drafted.review_time
    return review_deadline(requested, drafted.requirement, reopened_at, facts)


def hold_deadline(requirement: Requirement, held_at: datetime) -> datetime:
    """Return when the hold ends that begins at ``held_at``."""
    return held_at + timedelta(seconds=requirement.longest_hold)


def exceeds_hold(held: Held, requirement: Requirement) -> bool:
    """Return whether a hold takes longer than its policy allows."""
    return held.deadline > hold_deadline(requirement, held.held_at)


def exceeds_request(drafted: Drafted, requested: Requested | None) -> bool:
    """Return whether a plan's review takes longer than was requested; without a request, any does."""
    if requested is None:
        return drafted.review_time > timedelta()
    if _has_own_time(requested, drafted.requirement):
        return drafted.review_time > timedelta(seconds=requested.timeout_seconds)
    ends = (end_of(one, drafted.drafted_at, drafted.facts) for one in drafted.requirement.working)
    return drafted.review_time > LONGEST_TIMEOUT or any(drafted.deadline > end for end in ends)


def exceeds_requirement(drafted: Drafted, demanded: Requirement) -> str | None:
    """Return the limit of its policy that a plan's review exceeds, in words; None if it exceeds none."""
    longest = demanded.timeout_seconds
    if longest is not None and drafted.review_time > timedelta(seconds=longest):
        return f"{longest} seconds"
    for limit in demanded.working:
        if drafted.deadline > end_of(limit, drafted.drafted_at, drafted.facts):
            return str(limit)
    return None


def exceeds_first_review(reopened: Reopened, drafted: Drafted, requested: Requested | None) -> bool:
    """Return whether a reopened review takes longer than its plan's limits allow.

    ``drafted`` is the plan with the requirement that it has from then on.
    """
    return reopened.deadline > reopened_deadline(requested, drafted, reopened.reopened_at, reopened.facts)


def _has_own_time(requested: Requested, requirement: Requirement) -> bool:
    """Return whether the time of the request counts: the default does not beside limits in working time."""
    return not requirement.working or requested.timeout_seconds != DEFAULT_TIMEOUT.total_seconds()
