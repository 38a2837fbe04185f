"""Working time: when people work, given their time zone, weekdays, hours and days off.

Times of day are local. When clocks are put forward, a time in the missing hour means the moment of the
change. When they are put back, working time that begins in the repeated hour begins at the first occurrence,
and working time that ends in that hour ends at the second.

Time zone rules and public holidays change. They can be frozen at one point in time (`CalendarFacts`). Every
result then depends only on the calendar and its facts, so an auditor gets the same result.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.errors import NoWorkingTime

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST_SEARCH: Final = timedelta(days=800)
MOST_DAYS: Final = 500
MOST_HOURS: Final = 24
_MOST_OFFSETS: Final = 24
_DAY: Final = timedelta(days=1)
_FARTHEST: Final = 24 * 3600 - 1  # seconds from UTC
_STEP: Final = timedelta(hours=12)  # no zone changes its offset twice within this time
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_STEPS_BACK: Final = tuple(timedelta(days=days) for days in (8, 64, 800))

YearlyDay = Annotated[str, StringConstraints(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]
"""A month and a day, such as ``12-24``, that recurs every year in which the date exists."""
Span = tuple[datetime, datetime]
"""A time range; the end is exclusive."""
_Period = tuple[datetime, datetime, timedelta]
"""A `Span` with its offset of local time from UTC."""


class Hours(Frozen):
    """Working hours in local time. They cross midnight if the end is not later than the start."""

    begin: time
    end: time

    def on(self, day: date) -> tuple[datetime, datetime]:
        """Return their local start and end times on that day, without a zone."""
        crosses = self.end <= self.begin
        return datetime.combine(day, self.begin), datetime.combine(day + _DAY if crosses else day, self.end)

    def __str__(self) -> str:
        """Return the hours in the format of a calendar file."""
        return f"{self.begin:%H:%M}-{self.end:%H:%M}"


_WHOLE_DAY: Final = (Hours(begin=time(), end=time()),)


class Offset(Frozen):
    """The offset of a zone's local time from UTC, valid from ``since`` on."""

    since: AwareDatetime
    seconds: int = Field(ge=-_FARTHEST, le=_FARTHEST)


class CalendarFacts(Frozen):
    """A snapshot of a calendar's data for a period: its country's public holidays and zone offsets.

    The first offset also applies to times before its start.
    """

    calendar: str
    holidays: tuple[date, ...] = Field(default=(), max_length=MOST_DAYS, exclude_if=lambda value: not value)
    offsets: tuple[Offset, ...] = Field(min_length=1, max_length=_MOST_OFFSETS)


class Calendar(Frozen):
    """People's working time.

    Attributes:
        name: the name that rules, roles and people use.
        zone: the IANA name of the time zone.
        weekdays: the days on which people work; 0 is Monday.
        hours: the hours on these days, in order; empty for the whole day.
        days_off: days without work.
        extra_days: days off on which people work.
        yearly_off: days off in every year, except those that are extra days.
        yearly_extra: extra days in every year, except those that are days off.
        country: the country whose public holidays are days off, as an ISO 3166 code; empty for none.
        region: the part of the country.
        holidays: the known public holidays.
        offsets: the offsets of the zone, if they are frozen; empty to use those of the zone itself.
    """

    name: str
    zone: str
    weekdays: tuple[int, ...] = Field(default=(0, 1, 2, 3, 4), max_length=7)
    hours: tuple[Hours, ...] = Field(default=(), max_length=MOST_HOURS)
    days_off: tuple[date, ...] = Field(default=(), max_length=MOST_DAYS)
    extra_days: tuple[date, ...] = Field(default=(), max_length=MOST_DAYS)
    country: str = ""
    region: str = ""
    yearly_off: tuple[YearlyDay, ...] = Field(
        default=(), max_length=MOST_DAYS, exclude_if=lambda value: not value
    )
    yearly_extra: tuple[YearlyDay, ...] = Field(
        default=(), max_length=MOST_DAYS, exclude_if=lambda value: not value
    )
    holidays: tuple[date, ...] = Field(default=(), max_length=MOST_DAYS, exclude_if=lambda value: not value)
    offsets: tuple[Offset, ...] = Field(
        default=(), max_length=_MOST_OFFSETS, exclude_if=lambda value: not value
    )

    def frozen(self, facts: CalendarFacts) -> "Calendar":
        """Return the calendar with these facts only; without a country it has no public holidays."""
        holidays = facts.holidays if self.country else ()
        return self.model_copy(update={"holidays": holidays, "offsets": facts.offsets})

    def facts(self, begin: datetime, until: datetime) -> CalendarFacts:
        """Return the facts for this period, and for one day before and after it."""
        first, last = begin - _DAY, until + _DAY
        # The years overlap by some days, because a zone may change its offset on these days.
        years = (offsets_of(self.zone, year) for year in range(first.year, last.year + 1))
        known = self.offsets or tuple(sorted({one for year in years for one in year}, key=_since))
        running = [one for one in known if one.since <= last]
        past = sum(one.since <= first for one in running)
        kept = running[max(past - 1, 0) :]
        differing = kept[:1] + [new for old, new in pairwise(kept) if new.seconds != old.seconds]
        days = (first.date() - _DAY, last.date() + _DAY)
        return CalendarFacts(
            calendar=self.name,
            holidays=tuple(day for day in self.holidays if days[0] <= day <= days[1]),
            offsets=tuple(differing),
        )

    def local(self, at: datetime) -> datetime:
        """Return the local time at ``at``, without a zone."""
        at = at.astimezone(UTC)
        offset = next(offset for _, until, offset in self._periods(at.year) if at < until)
        return at.replace(tzinfo=None) + offset

    def works_on(self, day: date) -> bool:
        """Return whether people work on that day."""
        if day in self.extra_days:
            return True
        if day in self.days_off:
            return False
        yearly = f"{day:%m-%d}" if self.yearly_extra or self.yearly_off else ""
        if yearly in self.yearly_extra:
            return True
        return day.weekday() in self.weekdays and yearly not in self.yearly_off and day not in self.holidays

    def is_working(self, at: datetime) -> bool:
        """Return whether people work at that time."""
        day = self.local(at).date()
        return any(begin <= at < end for one in (day - _DAY, day) for begin, end in self._shift(one))

    def spans(self, begin: datetime, until: datetime) -> Iterator[Span]:
        """Yield the working time from ``begin`` up to ``until``; adjacent spans are joined."""
        last: Span | None = None
        for start, end in self._shifts(self.local(begin).date() - _DAY, self.local(until).date() + _DAY):
            span = max(start, begin), min(end, until)
            if span[0] >= span[1]:
                continue
            if last is not None and span[0] <= last[1]:
                last = last[0], max(last[1], span[1])
                continue
            if last is not None:
                yield last
            last = span
        if last is not None:
            yield last

    def next_working(self, at: datetime) -> datetime:
        """Return the first moment at or after ``at`` when people work.

        Raises:
            NoWorkingTime: there is no working time within `LONGEST_SEARCH`.
        """
        return self._spans_from(at)[0]

    def last_working(self, at: datetime) -> Span | None:
        """Return the last span of working time before ``at``, cut off at ``at``; None if there is none."""
        found: list[Span] = []
        for back in _STEPS_BACK:
            found = list(self.spans(at - back, at))
            if found and found[-1][0] > at - back:
                break
        return found[-1] if found else None

    def add_working(self, at: datetime, *, days: int = 0, hours: int = 0) -> datetime:
        """Return the time that is this many working days, and then working hours, after ``at``.

        A moment outside working time is moved to the next moment within it. Days keep the time of day; hours
        count working time only.

        Raises:
            NoWorkingTime: there is too little working time within `LONGEST_SEARCH`.
        """
        if days:
            at = self._add_days(self.next_working(at), days)
        left = timedelta(hours=hours)
        if not left:
            return at if days else self.next_working(at)
        for begin, end in self.spans(at, at + LONGEST_SEARCH):
            if end - begin >= left:
                return begin + left
            left -= end - begin
        raise self._none_after(at)

    def _add_days(self, at: datetime, days: int) -> datetime:
        wall = self.local(at)
        today = wall.date()
        if not any(begin <= at < end for begin, end in self._shift(today)):
            today -= _DAY  # the night before
        into = wall - datetime.combine(today, time())
        for number in range(1, LONGEST_SEARCH.days):
            day = today + timedelta(days=number)
            days -= any(begin < end for begin, end in self._shift(day))
            if not days:
                return _first(datetime.combine(day, time()) + into, self._periods(day.year))
        raise self._none_after(at)

    def _spans_from(self, at: datetime) -> Span:
        for span in self.spans(at, at + LONGEST_SEARCH):
            return span
        raise self._none_after(at)

    def _none_after(self, at: datetime) -> NoWorkingTime:
        return NoWorkingTime(
            f"The calendar {self.name} has too little working time in the {LONGEST_SEARCH.days} days after "
            f"{at:%Y-%m-%d}; correct its days off."
        )

    def _shifts(self, first: date, last: date) -> Iterator[Span]:
        for number in range((last - first).days + 1):
            yield from self._shift(first + timedelta(days=number))

    def _shift(self, day: date) -> Sequence[Span]:
        """Return the working hours that begin on that day."""
        if not self.works_on(day):
            return ()
        periods = self._periods(day.year)
        walls = (hours.on(day) for hours in self.hours or _WHOLE_DAY)
        return [(_first(begin, periods), _end(end, periods)) for begin, end in walls]

    def _periods(self, year: int) -> tuple[_Period, ...]:
        return _periods(self.offsets) if self.offsets else _periods_of(self.zone, year)


def _since(one: Offset) -> datetime:
    return one.since


def is_zone(name: str) -> bool:
    """Return whether a time zone with that name is available on this system."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


@lru_cache(maxsize=256)
def offsets_of(zone: str, year: int) -> tuple[Offset, ...]:
    """Return the offsets of a zone in a year, and for a few days before and after it.

    Raises:
        NoWorkingTime: the zone is not available on this system.
    """
    if not is_zone(zone):
        raise NoWorkingTime(
            f"The time zone {zone} is not available on this system; install the package tzdata."
        )
    known = ZoneInfo(zone)

    def seconds(at: datetime) -> int:
        return int((at.astimezone(known).utcoffset() or timedelta()).total_seconds())

    at, until = datetime(year, 1, 1, tzinfo=UTC) - 4 * _DAY, datetime(year + 1, 1, 1, tzinfo=UTC) + 4 * _DAY
    found = [Offset(since=at, seconds=seconds(at))]
    while at < until:
        low, high = at, at + _STEP
        at = high
        if seconds(high) == found[-1].seconds:
            continue
        while high - low > timedelta(seconds=1):
            middle = low + (high - low) // 2
            low, high = (middle, high) if seconds(middle) == found[-1].seconds else (low, middle)
        moment = high.replace(microsecond=0)
        found.append(Offset(since=moment, seconds=seconds(moment)))
    return tuple(found)


@lru_cache(maxsize=256)
def _periods_of(zone: str, year: int) -> tuple[_Period, ...]:
    return _periods(offsets_of(zone, year))


@lru_cache(maxsize=256)
def _periods(offsets: tuple[Offset, ...]) -> tuple[_Period, ...]:
    ends = [*(one.since for one in offsets[1:]), _LAST]
    begins = [_FIRST, *(one.since for one in offsets[1:])]
    return tuple(
        (begin, end, timedelta(seconds=one.seconds))
        for begin, end, one in zip(begins, ends, offsets, strict=True)
    )


def _first(wall: datetime, periods: Sequence[_Period]) -> datetime:
    """Return the first moment at which local clocks show this time or a later one."""
    moment = _LAST
    for since, until, offset in periods:
        moment = max(since, _utc(wall) - offset)
        if moment < until:
            break
    return moment


def _end(wall: datetime, periods: Sequence[_Period]) -> datetime:
    """Return the moment after the last one at which local clocks show an earlier time."""
    moment = _FIRST
    for since, until, offset in reversed(periods):
        moment = min(until, _utc(wall) - offset)
        if moment > since:
            break
    return moment


def _utc(wall: datetime) -> datetime:
    return wall.replace(tzinfo=UTC)
