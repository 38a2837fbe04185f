"""Working time: zones, days off, hours, and their changes (`plangate.domain.times.calendars`)."""

import random
import tomllib
from datetime import UTC, date, datetime, time, timedelta

import pytest

from plangate.domain.errors import FileInvalid, NoWorkingTime
from plangate.domain.faults import Fault
from plangate.domain.times.calendars import Calendar, Hours
from plangate.policy.calendars_file import read_calendars
from plangate.policy.policy_file import checked_policy, policy_in
from plangate.policy.public_holidays import with_holidays
from tests.support.calendars import difference

MUNICH = """
[[calendar]]
name = "munich"
zone = "Europe/Berlin"
country = "DE"
region = "BY"
hours = ["09:00-12:00", "13:00-17:00"]
days_off = [2026-12-24]
extra_days = [2026-12-19]
"""


def _read(text: str) -> tuple[dict[str, Calendar], list[Fault]]:
    faults: list[Fault] = []
    return read_calendars(tomllib.loads(text), text.encode(), faults), faults


def _munich(at: datetime) -> Calendar:
    calendars, faults = _read(MUNICH)
    assert not faults
    return with_holidays(calendars["munich"], at)


def test_two_working_days_keep_the_time_of_day_and_skip_holidays() -> None:
    at = datetime(2026, 12, 23, 14, tzinfo=UTC)
    assert _munich(at).add_working(at, days=2) == datetime(2026, 12, 29, 14, tzinfo=UTC)


def test_a_duration_that_starts_on_a_weekend_counts_from_monday_morning() -> None:
    at = datetime(2026, 11, 28, 14, tzinfo=UTC)
    assert _munich(at).add_working(at, days=2) == datetime(2026, 12, 2, 8, tzinfo=UTC)


def test_working_hours_exclude_the_lunch_break_and_the_night() -> None:
    at = datetime(2026, 11, 27, 14, tzinfo=UTC)  # 15:00 in Munich
    assert _munich(at).add_working(at, hours=6) == datetime(2026, 11, 30, 13, tzinfo=UTC)


def test_a_working_day_that_starts_after_midnight_ends_in_the_next_shift() -> None:
    """2:00 on Saturday belongs to Friday's night shift, so one working day later is 2:00 in Monday's."""
    night = Calendar(name="night", zone="UTC", hours=(Hours(begin=time(22), end=time(6)),))
    moment = night.add_working(datetime(2026, 11, 28, 2, tzinfo=UTC), days=1)
    assert moment == datetime(2026, 12, 1, 2, tzinfo=UTC)
    assert night.is_working(moment)


def test_an_extra_working_day_may_be_a_saturday() -> None:
    at = datetime(2026, 12, 18, 15, tzinfo=UTC)
    assert _munich(at).add_working(at, days=1) == datetime(2026, 12, 19, 15, tzinfo=UTC)


def test_a_night_shift_lasts_an_hour_less_or_more_when_the_clocks_change() -> None:
    night = Calendar(name="night", zone="Europe/Berlin", hours=(Hours(begin=time(22), end=time(6)),))
    night = night.model_copy(update={"weekdays": tuple(range(7))})

    def length(day: datetime) -> timedelta:
        begin, end = next(night.spans(day.replace(hour=18), day.replace(hour=18) + timedelta(hours=20)))
        return end - begin

    assert length(datetime(2026, 3, 28, tzinfo=UTC)) == timedelta(hours=7)
    assert length(datetime(2026, 10, 24, tzinfo=UTC)) == timedelta(hours=9)
    assert length(datetime(2026, 11, 24, tzinfo=UTC)) == timedelta(hours=8)


def test_a_calendar_agrees_with_a_list_of_its_minutes() -> None:
    first = random.Random(18).randrange(10**6)
    assert [found for seed in range(first, first + 12) if (found := difference(seed))] == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('zone = "Europe/Munich"', "is not a time zone on this system"),
        ('zone = "../etc/passwd"', "zone:"),
        ("zone = 1", "zone:"),
        ("weekdays = []", "weekdays: are empty"),
        ('weekdays = ["monday"]', "must be one of: mon, tue"),
        ("hours = []", "at least 1"),
        ('hours = ["9-17"]', "must be text such as '09:00-17:30'"),
        ('hours = ["09:00-24:30"]', "must be text such as"),
        ('hours = ["09:00-09:00"]', "must not begin and end at the same time"),
        ('hours = ["09:00-12:00", "11:00-15:00"]', "overlap"),
        ('hours = ["22:00-06:00", "05:00-07:00"]', "overlap"),
        ('days_off = ["2026-12-24"]', "must be a date without quotes"),
        ('days_off = ["12-32"]', "or text such as '12-24' for each year"),
        ('days_off = ["1-2"]', "or text such as '12-24' for each year"),
        ('days_off = ["02-30"]', "or text such as '12-24' for each year"),
        ('days_off = ["12-24"]\nextra_days = ["12-24"]', "12-24 is also in days_off"),
        ("days_off = [2026-12-24T10:00:00]", "must be a date without quotes"),
        ("days_off = [0001-01-01]", "must be between the years 1970 and 2100"),
        ("days_off = [2026-12-24]\nextra_days = [2026-12-24]", "is also in days_off"),
        ('region = "BY"', "needs a country"),
        ('country = "XX"', "write its ISO 3166 code"),
        ('country = "DE"\nregion = "XX"', "known regions: BB, BE"),
        ('holiday = "x"', "unknown field"),
    ],
)
def test_an_error_in_a_calendar_is_reported_with_its_location_and_a_fix(line: str, message: str) -> None:
    zone = "" if line.startswith("zone") else 'zone = "Europe/Berlin"'
    with pytest.raises(FileInvalid, match=r"calendar 'munich' \(line 1\)") as error:
        checked_policy(f'[[calendar]]\nname = "munich"\n{zone}\n{line}\n[default]\nneeds = []', {}, None)
    assert message in str(error.value)


def test_days_off_without_a_working_day_for_a_year_are_an_error() -> None:
    mondays = [date(2026, 11, 30) + timedelta(weeks=number) for number in range(60)]
    days = ", ".join(map(str, mondays))
    _, faults = _read(f'[[calendar]]\nname = "x"\nzone = "UTC"\nweekdays = ["mon"]\ndays_off = [{days}]')
    assert "leave no working day for more than a year" in str(faults[0])

    each = ", ".join(f'"{date(2024, 1, 1) + timedelta(days=number):%m-%d}"' for number in range(366))
    _, faults = _read(f'[[calendar]]\nname = "x"\nzone = "UTC"\ndays_off = [{each}]')
    assert "leave no working day for more than a year" in str(faults[0])


def test_a_yearly_date_applies_every_year_unless_a_dated_entry_overrides_it() -> None:
    text = (
        '[[calendar]]\nname = "x"\nzone = "UTC"\nweekdays = []\ndays_off = [2027-03-31, "12-24"]\n'
        'extra_days = ["03-31", "06-30", "02-29", 2026-12-24]'
    )
    calendars, faults = _read(text)
    assert faults == []
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(3 * 365)]
    assert [str(day) for day in days if calendars["x"].works_on(day)] == [
        "2026-03-31", "2026-06-30", "2026-12-24", "2027-06-30", "2028-02-29", "2028-03-31", "2028-06-30",
    ]  # fmt: skip


def test_a_stored_text_with_an_unknown_zone_or_country_can_be_read() -> None:
    policy = policy_in('[[calendar]]\nname = "x"\nzone = "Moon/Base"\ncountry = "XX"\n[default]\nneeds = []')
    assert policy.calendars["x"].zone == "Moon/Base"


def test_two_calendars_with_the_same_name_are_an_error() -> None:
    _, faults = _read(MUNICH + MUNICH)
    assert "is also the name of another calendar" in str(faults[0])


def test_the_search_for_working_time_terminates() -> None:
    never = Calendar(name="never", zone="UTC", weekdays=(), days_off=())
    with pytest.raises(NoWorkingTime, match="too little working time"):
        never.next_working(datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(NoWorkingTime, match="too little working time"):
        never.add_working(datetime(2026, 1, 1, tzinfo=UTC), hours=1)
    assert never.last_working(datetime(2026, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("zone", "year"), [("Africa/Casablanca", 2029), ("Africa/El_Aaiun", 2029), ("Pacific/Apia", 2011)]
)
def test_a_zone_that_changes_its_offset_around_new_year_is_handled(zone: str, year: int) -> None:
    calendar = Calendar(name="c", zone=zone, hours=(Hours(begin=time(9), end=time(17)),))
    begin = datetime(year, 12, 20, tzinfo=UTC)
    facts = calendar.facts(begin, begin + timedelta(days=40))
    since = [one.since for one in facts.offsets]
    assert since == sorted(set(since))
    assert list(calendar.frozen(facts).spans(begin, begin + timedelta(days=40))) == list(
        calendar.spans(begin, begin + timedelta(days=40))
    )
