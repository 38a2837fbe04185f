"""When a review or a hold ends: how long it may take, and what that makes its deadline.

A request says how long each review may take, and a rule of the policy may allow less. A review that is
reopened takes as long as the first one. The wait itself is `workflows.plan_approval`'s; that no decision
counts at or after the deadline is a rule of `plangate.domain.lifecycle`.
"""

from datetime import datetime, timedelta

from plangate.domain.audit import Drafted, Held, Reopened, Requested
from plangate.domain.policy import Requirement


def review_time(requested: Requested, requirement: Requirement) -> timedelta:
    """Return how long the review of a plan with this requirement may take."""
    longest = requested.timeout_seconds
    return timedelta(seconds=min(longest, requirement.timeout_seconds or longest))


def reopened_deadline(drafted: Drafted, reopened_at: datetime) -> datetime:
    """Return when the review ends that is reopened at ``reopened_at``."""
    return reopened_at + drafted.review_time


def hold_deadline(requirement: Requirement, held_at: datetime) -> datetime:
    """Return when the hold ends that begins at ``held_at``."""
    return held_at + timedelta(seconds=requirement.longest_hold)


def exceeds_hold(held: Held, requirement: Requirement) -> bool:
    """Return whether a hold takes longer than its policy allows."""
    return held.deadline > hold_deadline(requirement, held.held_at)


def exceeds_request(drafted: Drafted, requested: Requested | None) -> bool:
    """Return whether a plan's review takes longer than was requested; without a request, any does."""
    return drafted.review_time > timedelta(seconds=requested.timeout_seconds if requested else 0)


def exceeds_requirement(drafted: Drafted, demanded: Requirement) -> bool:
    """Return whether a plan's review takes longer than its policy allows."""
    longest = demanded.timeout_seconds
    return longest is not None and drafted.review_time > timedelta(seconds=longest)


def exceeds_first_review(reopened: Reopened, drafted: Drafted) -> bool:
    """Return whether a reopened review takes longer than the first one."""
    return reopened.deadline > reopened_deadline(drafted, reopened.reopened_at)
