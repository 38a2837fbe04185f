"""Compute when a plan expires and when a hold ends: time limits, and the deadlines that follow from them.

A request specifies how long each review may take; by default, 72 hours. At the deadline, a plan without the
required approvals expires. A rule of the policy may allow less time, or replace the 72 hours with a limit in
working time. A reopened review has the same limits as the first one, counted from its own start. A run may be
held for 72 hours, unless the policy sets another limit, and is then aborted. `workflows.plan_approval` waits
for the deadline, `activities.closing` records that the plan has expired, and `plangate.domain.runs.lifecycle`
refuses decisions from the deadline on. The activity that opens the review computes its deadline once, and
records it. An approved plan can only expire if none of its start times are left before its first step
(`plangate.domain.runs.starting`), or if the review is opened again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from plangate.domain.policies.requirement import Requirement
from plangate.domain.runs.audit import Drafted, Held, Reopened, Requested
from plangate.domain.times.calendars import CalendarFacts
from plangate.domain.times.durations import DEFAULT_TIMEOUT, LONGEST_TIMEOUT
from plangate.domain.times.working_time import end_of


def review_deadline(
    requested: Requested, requirement: Requirement, began: datetime, facts: Sequence[CalendarFacts] = ()
) -> datetime:
    """Return when a review of a plan with this requirement ends.

    A limit in working time replaces a request's limit of 72 hours, because this is the default.

    Args:
        requested: the request.
        requirement: the requirement of the plan.
        began: when the review begins.
        facts: the facts that determine its limits in working time.
    """
    limits = [LONGEST_TIMEOUT]
    if _has_own_time(requested, requirement):
        limits.append(timedelta(seconds=requested.timeout_seconds))
    if requirement.timeout_seconds is not None:
        limits.append(timedelta(seconds=requirement.timeout_seconds))
    return min([began + min(limits), *(end_of(limit, began, facts) for limit in requirement.working)])


def reopened_deadline(
    requested: Requested | None, drafted: Drafted, reopened_at: datetime, facts: Sequence[CalendarFacts] = ()
) -> datetime:
    """Return when a review that is reopened at ``reopened_at`` ends.

    Without limits in working time it takes as long as the first one.
    """
    if not drafted.requirement.working or requested is None:
        return reopened_at + drafted.review_time
    return review_deadline(requested, drafted.requirement, reopened_at, facts)


def hold_deadline(requirement: Requirement, held_at: datetime) -> datetime:
    """Return when a hold that begins at ``held_at`` ends."""
    return held_at + timedelta(seconds=requirement.longest_hold)


def exceeds_hold(held: Held, requirement: Requirement) -> bool:
    """Return whether a hold lasts longer than its policy allows."""
    return held.deadline > hold_deadline(requirement, held.held_at)


def exceeds_request(drafted: Drafted, requested: Requested | None) -> bool:
    """Return whether a plan's review lasts longer than its request and its limits in working time allow."""
    if requested is None:
        return drafted.review_time > timedelta()
    if _has_own_time(requested, drafted.requirement):
        return drafted.review_time > timedelta(seconds=requested.timeout_seconds)
    ends = (end_of(one, drafted.drafted_at, drafted.facts) for one in drafted.requirement.working)
    return drafted.review_time > LONGEST_TIMEOUT or any(drafted.deadline > end for end in ends)


def exceeded_limit(drafted: Drafted, demanded: Requirement) -> str | None:
    """Return the policy's limit that a plan's review exceeds, as text; None if it exceeds none."""
    longest = demanded.timeout_seconds
    if longest is not None and drafted.review_time > timedelta(seconds=longest):
        return f"{longest} seconds"
    for limit in demanded.working:
        if drafted.deadline > end_of(limit, drafted.drafted_at, drafted.facts):
            return str(limit)
    return None


def exceeds_first_review(reopened: Reopened, drafted: Drafted, requested: Requested | None) -> bool:
    """Return whether a reopened review lasts longer than its plan's limits allow.

    ``drafted`` is the plan with its requirement after the reopening.
    """
    return reopened.deadline > reopened_deadline(requested, drafted, reopened.reopened_at, reopened.facts)


def _has_own_time(requested: Requested, requirement: Requirement) -> bool:
    """Return whether the request's limit applies; the default one does not if limits are in working time."""
    return not requirement.working or requested.timeout_seconds != DEFAULT_TIMEOUT.total_seconds()
