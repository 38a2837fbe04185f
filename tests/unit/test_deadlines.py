"""A review is no longer than the request and the policy allow; a reopened one lasts just as long."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.policies.escalation import Escalation
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import Reopened
from plangate.domain.runs.deadlines import (
    exceeded_limit,
    exceeds_first_review,
    exceeds_request,
    reopened_deadline,
    review_deadline,
)
from plangate.domain.times.calendars import Calendar, CalendarFacts, Offset
from plangate.domain.times.working_time import WorkingTime
from tests.support.build import NOON, PLAN, drafted, requested, state_after

SECONDS = st.integers(1, 365 * 24 * 3600)


@given(asked=SECONDS, allowed=st.none() | SECONDS, more=SECONDS)
def test_the_shorter_of_the_two_limits_applies_and_a_longer_review_exceeds_it(
    asked: int, allowed: int | None, more: int
) -> None:
    requirement = Requirement(needs=(), timeout_seconds=allowed)
    length = review_deadline(requested(timeout_seconds=asked), requirement, NOON) - NOON
    assert length == timedelta(seconds=min(asked, allowed or asked))
    plan = drafted(PLAN).model_copy(update={"drafted_at": NOON, "deadline": NOON + length})
    assert not exceeds_request(plan, requested(timeout_seconds=asked))
    assert not exceeded_limit(plan, requirement)
    longer = plan.model_copy(update={"deadline": plan.deadline + timedelta(seconds=more)})
    over = length + timedelta(seconds=more)
    assert exceeds_request(longer, requested(timeout_seconds=asked)) == (over > timedelta(seconds=asked))
    assert bool(exceeded_limit(longer, requirement)) == (
        allowed is not None and over > timedelta(seconds=allowed)
    )
    assert exceeds_request(plan, None)


@given(first=SECONDS, later=SECONDS, more=SECONDS)
def test_a_reopened_review_lasts_as_long_as_the_first_one(first: int, later: int, more: int) -> None:
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


def test_a_date_at_the_end_of_the_calendar_causes_no_error() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    limit = WorkingTime(days=2, calendar=Calendar(name="office", zone="UTC"))
    facts = (CalendarFacts(calendar="office", offsets=(Offset(since=NOON, seconds=0),)),)
    requirement = Requirement(
        needs=(Need(role="finance", count=1),),
        working=(limit,),
        escalations=(Escalation(role="finance", after_seconds=60, to="board"),),
    )
    plan = drafted(PLAN).model_copy(
        update={"requirement": requirement, "drafted_at": last, "deadline": last, "facts": facts}
    )
    assert not exceeds_request(plan, requested(timeout_seconds=259_200))
    assert exceeded_limit(plan, requirement) is None
    assert state_after(plan).later_approvers[0].at == last
