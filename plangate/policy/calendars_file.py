"""Read the ``[[calendar]]`` tables that a policy file or a list of people may contain."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from plangate.domain.base import Typed
from plangate.domain.faults import Fault, FaultPath
from plangate.domain.times.calendars import MOST_DAYS, MOST_HOURS, WEEKDAYS, Calendar, Hours, is_zone
from plangate.domain.validation import faults_in
from plangate.policy.public_holidays import fault_of_country
from plangate.policy.toml_file import Name, places, tables

TABLE: Final = "calendar"
_YEARS: Final = range(1970, 2101)
_LEAP_YEAR: Final = 2000
_LONGEST_REST: Final = timedelta(days=366)
_HOURS: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_TEXT_OF_NAME: Final = 60


def _day(value: object) -> date | str:
    if isinstance(value, str) and _is_yearly(value):
        return value
    if isinstance(value, datetime) or not isinstance(value, date):
        raise ValueError(  # noqa: TRY004  an error
            "must be a date without quotes, such as 2026-12-24, or text such as '12-24' for each year"
        )
    if value.year not in _YEARS:
        raise ValueError(f"must be between the years {_YEARS[0]} and {_YEARS[-1]}")
    return value


def _is_yearly(value: str) -> bool:
    try:
        return f"{date.fromisoformat(f'{_LEAP_YEAR}-{value}'):%m-%d}" == value
    except ValueError:
        return False


def _weekday(value: object) -> int:
    if value not in WEEKDAYS:
        raise ValueError(f"must be one of: {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(str(value))


def _hours(value: object) -> Hours:
    found = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if found is None or (found[3] == "24" and found[4] != "00"):
        raise ValueError("must be text such as '09:00-17:30'; the last minute of a day ends at 24:00")
    if found[0][:5] == found[0][6:]:
        raise ValueError("must not begin and end at the same time; write 00:00-24:00 for the whole day")
    end = time(int(found[3]) % 24, int(found[4]))
    return Hours(begin=time(int(found[1]), int(found[2])), end=end)


Zone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+/-]*$", max_length=100)]
_Day = Annotated[date | str, BeforeValidator(_day)]


class CalendarEntry(Typed):
    """A table ``[[calendar]]``."""

    model_config = ConfigDict(strict=True)

    name: Name = Field(description="the name that rules, roles and people use")
    zone: Zone = Field(description="the IANA name of the time zone")
    weekdays: list[Annotated[int, BeforeValidator(_weekday)]] = Field(
        default_factory=lambda: [0, 1, 2, 3, 4],
        description="the working days; empty if only `extra_days` are worked. Default: `mon` to `fri`",
    )
    hours: list[Annotated[Hours, BeforeValidator(_hours)]] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_HOURS,
        description="the hours on these days: `09:00-12:00`; `22:00-06:00` spans midnight. Default: all day",
    )
    country: str = Field(
        default="",
        description="the country whose public holidays are days off, by its ISO 3166 code: `DE`. "
        "Default: none",
    )
    region: str = Field(default="", description="the part of the country, by its ISO 3166 code: `BY`")
    days_off: list[_Day] = Field(
        default_factory=list,
        max_length=MOST_DAYS,
        description="additional days off: `[2026-12-24]`, or `['12-24']` for every year",
    )
    extra_days: list[_Day] = Field(
        default_factory=list,
        max_length=MOST_DAYS,
        description="days off on which people do work; a date overrides a yearly day",
    )


def read_calendars(
    document: Mapping[str, Any], raw: bytes, faults: list[Fault], *, is_kept: bool = False
) -> dict[str, Calendar]:
    """Return the calendars of a file by name, or add their errors.

    They do not include public holidays yet; see `plangate.policy.public_holidays`.

    Args:
        document: the parsed file; ``Any`` represents TOML.
        raw: the file.
        faults: the list to which errors are added.
        is_kept: whether the file is from the records; its zones and countries may then be unknown on this
            system.
    """
    found: dict[str, Calendar] = {}
    where = places(raw, TABLE)
    for index, entry in enumerate(tables(document, TABLE, faults)):
        name = str(entry.get("name", index + 1))[:_TEXT_OF_NAME]
        at: FaultPath = (f"{TABLE} {name!r} ({where.get(index, 'in a list')})",)
        try:
            typed = CalendarEntry.model_validate(entry)
        except ValidationError as error:
            faults += faults_in(error, at)
            continue
        if typed.name in found:
            faults.append(Fault((*at, "name"), "is also the name of another calendar; choose another"))
        calendar = _calendar(typed)
        faults += _faults_of(typed, calendar, at)
        faults += [] if is_kept else _unknown(typed, at)
        found[typed.name] = calendar
    return found


def faults_of_calendar(name: str, at: FaultPath, calendars: Mapping[str, Calendar]) -> list[Fault]:
    """Return an error if the file does not contain the referenced calendar."""
    if not name or name in calendars:
        return []
    return [Fault(at, f"{name!r} is not a calendar in this file; add it under [[{TABLE}]]")]


def _calendar(entry: CalendarEntry) -> Calendar:
    return Calendar(
        name=entry.name,
        zone=entry.zone,
        weekdays=tuple(sorted(set(entry.weekdays))),
        hours=tuple(sorted(entry.hours or (), key=lambda one: one.begin)),
        days_off=_dated(entry.days_off),
        extra_days=_dated(entry.extra_days),
        yearly_off=_yearly(entry.days_off),
        yearly_extra=_yearly(entry.extra_days),
        country=entry.country,
        region=entry.region,
    )


def _dated(days: Sequence[date | str]) -> tuple[date, ...]:
    return tuple(sorted({day for day in days if isinstance(day, date)}))


def _yearly(days: Sequence[date | str]) -> tuple[str, ...]:
    return tuple(sorted({day for day in days if isinstance(day, str)}))


def _faults_of(entry: CalendarEntry, calendar: Calendar, at: FaultPath) -> list[Fault]:
    faults = []
    if not calendar.weekdays and not entry.extra_days:
        faults.append(Fault((*at, "weekdays"), "are empty, and there are no extra_days; add some"))
    if _overlap(calendar.hours):
        faults.append(Fault((*at, "hours"), "overlap; list each hour of a day only once"))
    both = set(entry.days_off) & set(entry.extra_days)
    if both:
        first = min(map(str, both))
        faults.append(Fault((*at, "extra_days"), f"{first} is also in days_off; remove one of them"))
    if _rests_too_long(calendar):
        faults.append(Fault((*at, "days_off"), "leave no working day for more than a year; remove some"))
    if entry.region and not entry.country:
        faults.append(Fault((*at, "region"), "needs a country; add it, or remove the region"))
    return faults


def faults_of_zone(zone: str, at: FaultPath) -> list[Fault]:
    """Return an error if this system does not have the time zone."""
    if is_zone(zone):
        return []
    return [
        Fault((*at, "zone"), f"{zone!r} is not a time zone on this system; use a name such as Europe/Berlin")
    ]


def _unknown(entry: CalendarEntry, at: FaultPath) -> list[Fault]:
    wrong = fault_of_country(entry.country, entry.region) if entry.country else None
    return faults_of_zone(entry.zone, at) + ([Fault((*at, "country"), wrong)] if wrong else [])


def _overlap(hours: Sequence[Hours]) -> bool:
    """Return whether working hours of one day, or of two consecutive days, overlap."""
    day = date(_YEARS[0], 1, 1)
    both = [one.on(day) for one in hours] + [one.on(day + timedelta(days=1)) for one in hours]
    return any(later[0] < earlier[1] for earlier, later in pairwise(both))


def _rests_too_long(calendar: Calendar) -> bool:
    """Return whether the calendar's own days off result in more than a year without a working day."""
    if not calendar.days_off and not calendar.yearly_off:
        return False
    off, extra = set(calendar.days_off), set(calendar.extra_days)
    day = calendar.days_off[0] if off else date(_LEAP_YEAR, 1, 1)
    last = (calendar.days_off[-1] if off else day) + 2 * _LONGEST_REST
    rest = timedelta()
    while day <= last:
        yearly = f"{day:%m-%d}"
        is_regular = yearly in calendar.yearly_extra or (
            day.weekday() in calendar.weekdays and yearly not in calendar.yearly_off
        )
        works = day in extra or (day not in off and is_regular)
        rest = timedelta() if works else rest + timedelta(days=1)
        if rest > _LONGEST_REST:
            return True
        day += timedelta(days=1)
    return False
