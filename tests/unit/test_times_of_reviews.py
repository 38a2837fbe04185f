"""Reviews with calendars, escalations, windows, freezes and absences agree with a model of all minutes.

`python -m chaos calendars` runs thousands of them.
"""

import struct
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from random import Random

import pytest

from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.deadlines import exceeds_request, review_deadline
from plangate.domain.times import calendars
from plangate.domain.times.calendars import Calendar, Hours
from plangate.domain.times.reminders import remind_at, reminders
from plangate.domain.times.working_time import WorkingTime, facts_for
from tests.support.build import drafted, requested
from tests.support.time_cases import TimeCase, differences
from tests.support.times import times

HOUR = timedelta(hours=1)
OFFICE = Calendar(name="office", zone="Europe/Berlin")
TWO_DAYS = Requirement(
    needs=(Need(role="finance", count=1),), working=(WorkingTime(days=2, calendar=OFFICE),)
)


@pytest.mark.parametrize("seed", [Random(18 + number).randrange(10**6) for number in range(times(8))])
def test_a_random_review_agrees_with_a_minute_by_minute_model(seed: int) -> None:
    assert differences(seed) in ([], None)


def test_the_random_reviews_cover_all_cases() -> None:
    cases = [TimeCase(seed) for seed in range(12)]
    for name in ("windows", "freezes", "later", "working", "remind"):
        assert any(getattr(one, name) for one in cases), name
    assert any(any(one.away.values()) for one in cases)


# ---- changes to time zones ----------------------------------------------------------------------


def zone_file(rule: str) -> bytes:
    """Return the compiled file (RFC 9636) of a zone with one rule in POSIX notation."""
    header = b"TZif2" + bytes(15) + struct.pack(">6L", 0, 0, 0, 0, 1, 4)
    block = struct.pack(">lbb", 3600, 0, 0) + b"CET\0"
    return header + block + header + block + f"\n{rule}\n".encode()


@pytest.fixture
def zone_rules(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Install a rule of the zone Plan/Gate, as a new release of the time zone data does."""

    def put(rule: str) -> None:
        (tmp_path / "Plan").mkdir(exist_ok=True)
        (tmp_path / "Plan" / "Gate").write_bytes(zone_file(rule))
        forget()

    def forget() -> None:
        zoneinfo.ZoneInfo.clear_cache()
        for one in (calendars.offsets_of, calendars._periods_of):  # noqa: SLF001
            one.cache_clear()

    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=[str(tmp_path)])
    yield put
    zoneinfo.reset_tzpath(to=before)
    forget()


def test_a_recorded_deadline_does_not_move_with_the_rules_of_its_zone(
    zone_rules: Callable[[str], None],
) -> None:
    began, asked = datetime(2027, 3, 26, 13, tzinfo=UTC), requested(timeout_seconds=72 * 3600)
    limit = TWO_DAYS.working[0].model_copy(
        update={"calendar": OFFICE.model_copy(update={"zone": "Plan/Gate"})}
    )
    requirement = TWO_DAYS.model_copy(update={"working": (limit,)})

    zone_rules("CET-1CEST,M3.5.0,M10.5.0/3")
    facts = facts_for([limit], began, [limit.calendar])
    deadline = review_deadline(asked, requirement, began, facts)
    plan = drafted(requirement=requirement, drafted_at=began, deadline=deadline, facts=facts)
    assert deadline == datetime(2027, 3, 30, 12, tzinfo=UTC)

    zone_rules("CET-1")  # daylight saving time is abolished
    again = facts_for([limit], began, [limit.calendar])
    assert review_deadline(asked, requirement, began, again) == deadline + HOUR
    assert review_deadline(asked, requirement, began, facts) == deadline
    assert not exceeds_request(plan, asked)
    late = plan.model_copy(update={"deadline": deadline + timedelta(seconds=1)})
    assert exceeds_request(late, asked)


# ---- reminders ----------------------------------------------------------------------------------

DAY_SHIFT = Calendar(name="day", zone="UTC", hours=(Hours(begin=time(9), end=time(17)),))
MONDAY = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_a_reminder_outside_working_time_is_sent_in_the_last_working_hour_before() -> None:
    assert remind_at(MONDAY, 24 * 3600, DAY_SHIFT) == datetime(2026, 11, 27, 16, tzinfo=UTC)
    assert remind_at(MONDAY, 7200, DAY_SHIFT) == MONDAY - 2 * HOUR
    assert remind_at(MONDAY, 24 * 3600) == MONDAY - 24 * HOUR


def test_reminders_are_ordered_unique_and_never_before_the_review() -> None:
    found = reminders(MONDAY - 70 * HOUR, MONDAY, (7200, 24 * 3600, 25 * 3600, 90 * 3600), DAY_SHIFT)
    assert found == ((datetime(2026, 11, 27, 16, tzinfo=UTC), 24 * 3600), (MONDAY - 2 * HOUR, 7200))


def test_a_reminder_at_the_moment_the_review_begins_is_omitted() -> None:
    """At that moment, people get the notice that the review is open."""
    found = reminders(MONDAY - 2 * HOUR, MONDAY, (7200, 3600))
    assert found == ((MONDAY - HOUR, 3600),)


def test_a_person_without_working_time_is_reminded_too() -> None:
    never = Calendar(name="never", zone="UTC", weekdays=())
    assert remind_at(MONDAY, 3600, never) == MONDAY - HOUR
