"""A review takes no longer than the request and the policy allow, and a reopened one as long as the first."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.audit import Reopened
from plangate.domain.deadlines import (
    exceeds_first_review,
    exceeds_request,
    exceeds_requirement,
    reopened_deadline,
    review_deadline,
)
from plangate.domain.policy import Requirement
from tests.support.build import NOON, PLAN, drafted, requested

SECONDS = st.integers(1, 365 * 24 * 3600)


@given(asked=SECONDS, allowed=st.none() | SECONDS, more=SECONDS)
def test_the_shorter_of_both_limits_counts_and_a_longer_review_exceeds_it(
    asked: int, allowed: int | None, more: int
) -> None:
    requirement = Requirement(needs=(), timeout_seconds=allowed)
    length = review_deadline(requested(timeout_seconds=asked), requirement, NOON) - NOON
    assert length == timedelta(seconds=min(asked, allowed or asked))
    plan = drafted(PLAN).model_copy(update={"drafted_at": NOON, "deadline": NOON + length})
    assert not exceeds_request(plan, requested(timeout_seconds=asked))
    assert not exceeds_requirement(plan, requirement)
    longer = plan.model_copy(update={"deadline": plan.deadline + timedelta(seconds=more)})
    over = length + timedelta(seconds=more)
    assert exceeds_request(longer, requested(timeout_seconds=asked)) == (over > timedelta(seconds=asked))
    assert bool(exceeds_requirement(longer, requirement)) == (
        allowed is not None and over > timedelta(seconds=allowed)
    )
    assert exceeds_request(plan, None)


@given(first=SECONDS, later=SECONDS, more=SECONDS)
def test_a_reopened_review_takes_as_long_as_the_first_one(first: int, later: int, more: int) -> None:
    plan = drafted(PLAN).model_copy(update={"drafted_at": NOON, "deadline": NOON + timedelta(seconds=first)})
    at = NOON + timedelta(seconds=later)
    asked = requested(timeout_seconds=first)
    deadline = reopened_deadline(asked, plan, at)
    assert deadline - at == timedelta(seconds=first)
    event = Reopened(
        fingerprint=plan.fingerprint, step=1, lost=(), people="", reopened_at=at, deadline=deadline
    )
    assert not exceeds_first_review(event, plan, asked)
    longer = event.model_copy(update={"deadline": deadline + timedelta(seconds=more)})
    assert exceeds_first_review(longer, plan, asked)
