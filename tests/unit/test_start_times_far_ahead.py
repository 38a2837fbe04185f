"""Start times are computed as far ahead as documented: late value dates, shifts and rare windows."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from plangate.audit.rules import rule_violations
from plangate.domain.runs.audit import AuditEntry, Claimed, Event, Released, Reopened, entry_after
from plangate.domain.runs.run import key_of
from plangate.domain.runs.starting import wrong_start_times
from plangate.domain.times.calendars import Calendar, Hours
from plangate.domain.times.start_times import MOST_SPANS, Beginning, StartSpan
from plangate.policy.starting import starts_of
from tests.support.build import DEADLINE, HOUR, NOON, RUN, after, chained, requested
from tests.support.start_cases import late_difference
from tests.support.times import times
from tests.unit.test_start_times import OFFICE, approved, waiting, wants

DAY = timedelta(days=1)
SHIFTS = Calendar(
    name="shifts",
    zone="Europe/Berlin",
    weekdays=tuple(range(7)),
    hours=tuple(Hours(begin=time(hour), end=time(hour + 3)) for hour in (6, 10, 14)),
)
HOURLY = Calendar(
    name="hourly",
    zone="UTC",
    weekdays=tuple(range(7)),
    hours=tuple(Hours(begin=time(hour), end=time(hour, 50)) for hour in range(24)),
)


def on(*days: date) -> Calendar:
    """Return a calendar of only these days."""
    return Calendar(name="few", zone="UTC", weekdays=(), extra_days=days)


def first(
    window: Calendar,
    approved_at: datetime,
    *,
    review: timedelta = 3 * DAY,
    not_before: datetime | None = None,
    cooling: timedelta | None = None,
) -> datetime | None:
    """Return the time when a plan approved at this time may begin."""
    seconds = int(cooling.total_seconds()) if cooling else None
    requirement = wants(window).model_copy(update={"cooling_seconds": seconds})
    starts = starts_of(requirement, NOON, NOON + review, not_before)
    assert starts is not None
    until = approved_at + cooling if cooling else None
    return Beginning(not_before=not_before, cooling_until=until, spans=starts.spans).first(approved_at)


@pytest.mark.parametrize("seed", range(times(10)))
def test_a_plan_begins_at_the_listed_minute(seed: int) -> None:
    """This is a seeded sample; `python -m chaos calendars` compares thousands."""
    assert late_difference(seed) is None


def test_a_value_date_far_ahead_with_shifts() -> None:
    moment = NOON + 300 * DAY
    assert first(SHIFTS, NOON, not_before=moment) == moment + HOUR  # the late shift, in winter


def test_shifts_with_a_late_approval_in_a_long_review() -> None:
    assert first(SHIFTS, NOON + 199 * DAY, review=200 * DAY) == NOON + 199 * DAY


def test_a_window_on_few_days_with_an_earliest_start_between_them() -> None:
    quarters = on(date(2026, 1, 1), date(2026, 3, 31))
    assert first(quarters, NOON, not_before=NOON + 3 * DAY) == datetime(2026, 3, 31, tzinfo=UTC)


def test_a_plan_approved_after_the_next_day_of_its_window() -> None:
    assert first(on(date(2026, 1, 2), date(2026, 3, 31)), NOON + 2 * DAY) == datetime(2026, 3, 31, tzinfo=UTC)


def test_a_plan_approved_as_the_last_day_of_its_window_ends_begins_on_the_next_one() -> None:
    """No step may begin at the end of a day's window, so a window that ends with the review offers none."""
    quarters, end = on(date(2026, 1, 2), date(2026, 3, 31)), datetime(2026, 1, 3, tzinfo=UTC)
    assert first(quarters, end, review=end - NOON) == datetime(2026, 3, 31, tzinfo=UTC)


def test_cooling_off_that_exceeds_the_next_day_of_the_window() -> None:
    few = on(date(2026, 1, 4), date(2026, 3, 31))
    assert first(few, NOON + 3 * DAY - HOUR, cooling=DAY) == datetime(2026, 3, 31, tzinfo=UTC)


def test_times_that_could_not_all_be_recorded_are_at_their_limit() -> None:
    """In that case, the activity that drafts the plan refuses it."""
    starts = starts_of(wants(HOURLY), NOON, NOON + 30 * DAY, None)
    assert starts is not None
    assert len(starts.spans) == MOST_SPANS


def test_times_recorded_by_the_first_releases_are_still_valid() -> None:
    """They began with the review, regardless of the plan's earliest start, and there were at most 400."""
    moment = NOON + 100 * DAY
    one = waiting(wants(OFFICE), not_before=moment)
    until = moment + 35 * DAY
    facts = OFFICE.facts(NOON, until)
    spans = [StartSpan(since=since, until=end) for since, end in OFFICE.frozen(facts).spans(NOON, until)]
    assert one.starts is not None
    starts = one.starts.model_copy(update={"spans": tuple(spans), "facts": (facts,)})
    old = one.model_copy(update={"starts": starts})
    assert wrong_start_times(old) is None


def test_a_reopened_review_has_its_own_times() -> None:
    one = waiting(wants(OFFICE))
    again = starts_of(wants(OFFICE), NOON + 90 * DAY, DEADLINE + 90 * DAY, None)
    assert again is not None
    reopened = Reopened(
        fingerprint=one.fingerprint,
        reopened_at=NOON + 90 * DAY,
        deadline=DEADLINE + 90 * DAY,
        starts=again,
    )
    state = after(approved(one), reopened)
    assert state.beginning.spans == again.spans
    assert state.beginning.first(NOON + 90 * DAY) is not None
    assert approved(one).beginning.first(NOON + 90 * DAY) is None


LATE = NOON + 5 * HOUR


def audited(*later: tuple[datetime, Event]) -> list[str]:
    """Return an auditor's findings on an approved plan with office hours, and these entries."""
    one = waiting(wants(OFFICE))
    trail: list[AuditEntry] = chained([requested(), one, *approved(one).decisions])
    for at, event in later:
        number = len(trail) + 1
        trail.append(
            entry_after(
                trail[-1].hash,
                workflow_id=RUN,
                number=number,
                key=f"{number}",
                at=at,
                actor="w@h",
                event=event,
            )
        )
    return [found.what for found in rule_violations(RUN, trail)]


def claim(attempt: int, *, asks_only: bool = False) -> Claimed:
    state = approved(waiting(wants(OFFICE)))
    assert state.fingerprint is not None
    return Claimed(
        step=1,
        idempotency_key=key_of(state, 1, undo=False),
        fingerprint=state.fingerprint,
        attempt=attempt,
        asks_only=asks_only,
    )


def test_an_auditor_detects_a_claim_taken_over_outside_its_times() -> None:
    """Such a claim is allowed only to look up the result of the first claim."""
    began = (NOON, claim(1))
    assert audited(began, (NOON + HOUR, claim(2))) == []
    (found,) = audited(began, (LATE, claim(2)))
    assert found.startswith("a step began although its rules allow no step to begin before 2026-01-02 08:00")
    assert audited(began, (LATE, claim(2, asks_only=True))) == []


def test_a_claim_can_only_look_up_if_there_is_something_to_look_up() -> None:
    released = Released(step=1, attempt=1, reason="nothing happened")
    assert len(audited((LATE, claim(1, asks_only=True)))) == 1
    assert len(audited((NOON, claim(1)), (NOON, released), (LATE, claim(2, asks_only=True)))) == 1
