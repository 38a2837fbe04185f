"""Compute when steps may begin: after a given time, inside windows, and outside freezes.

A rule refers to calendars by name. The activity that opens the review converts them once into spans of time,
which are recorded with the plan (`StartTimes`). After that, the workflow, the claim of a step and the audit
only compare times.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pydantic import Field

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.times.calendars import WEEKDAYS, Calendar, CalendarFacts, Span

AFTER_DEADLINE: Final = timedelta(days=35)
"""How far beyond a review's deadline start times are computed."""
LATEST_FIRST: Final = timedelta(days=370)
"""The maximum time from the review, or from the plan's earliest start, to the first start time."""
MOST_SPANS: Final = 1_000
_MOST_BEFORE: Final = 400
_MOST_NAMED: Final = 4
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip


class StartSpan(Frozen):
    """A span of time in which steps may begin, from ``since`` up to, but excluding, ``until``."""

    since: AwareDatetime
    until: AwareDatetime


class StartTimes(Frozen):
    """The time spans in which steps may begin, in order; no step begins after the last one.

    Attributes:
        spans: these time spans; empty if there are none.
        facts: the zone offsets and holidays from which this was computed.
    """

    spans: tuple[StartSpan, ...] = Field(max_length=MOST_SPANS)
    facts: tuple[CalendarFacts, ...]


class Beginning(Frozen):
    """The conditions for when the next step of an approved plan may begin.

    Attributes:
        not_before: the earliest start that the plan specifies.
        cooling_until: when approvals can no longer be withdrawn.
        spans: the time spans in which a step may begin; None for any time.
    """

    not_before: AwareDatetime | None = None
    cooling_until: AwareDatetime | None = None
    spans: tuple[StartSpan, ...] | None = None

    @property
    def is_free(self) -> bool:
        """Whether a step may begin at any time."""
        return self.not_before is None and self.cooling_until is None and self.spans is None

    def first(self, at: datetime) -> datetime | None:
        """Return the first moment at or after ``at`` when a step may begin; None if there is none."""
        at = max([at, *(one for one in (self.not_before, self.cooling_until) if one is not None)])
        if self.spans is None:
            return at
        span = next((one for one in self.spans if at < one.until), None)
        return max(at, span.since) if span is not None else None

    def wait(self, at: datetime) -> timedelta:
        """Return how long after ``at`` a step may begin; zero if it may begin now, or never."""
        first = self.first(at)
        return first - at if first is not None else timedelta()

    @property
    def end(self) -> datetime | None:
        """When the last time span ends; None if there is no end."""
        return self.spans[-1].until if self.spans else None


class Search(NamedTuple):
    """The period for which start times are computed.

    Attributes:
        begin: the earliest time at which a step could begin.
        until: when it ends.
        needed: the time after which there must be a start time, even if the plan is approved very late.
        last: when the search ends if there is no start time before ``until``.
    """

    begin: datetime
    until: datetime
    needed: datetime
    last: datetime


def search_of(
    began: datetime, deadline: datetime, not_before: datetime | None, cooling_seconds: int | None
) -> Search:
    """Return the period for which a plan's start times are computed.

    Args:
        began: when the review begins.
        deadline: when it ends.
        not_before: the earliest time at which the plan may begin, if it specifies one.
        cooling_seconds: how many seconds after the last approval no step begins, if a rule requires this.
    """
    begin = max(began, not_before) if not_before else began
    until = max(begin, deadline) + AFTER_DEADLINE
    needed = max(begin, deadline + timedelta(seconds=cooling_seconds or 0))
    return Search(begin, until, needed, max(until, begin + LATEST_FIRST))


def start_times(
    windows: Sequence[Calendar], freezes: Sequence[Calendar], facts: Sequence[CalendarFacts], search: Search
) -> tuple[StartSpan, ...]:
    """Return when steps may begin: in the working time of every window, and outside that of every freeze.

    Args:
        windows: the calendars of the windows.
        freezes: the calendars of the freezes.
        facts: the public holidays and zone offsets of all these calendars, by name.
        search: the period to search. Only the first `MOST_SPANS` spans are returned.
    """
    known = {one.calendar: one for one in facts}
    found = _free(windows, freezes, known, search.begin, search.until)
    if not found or found[-1][1] <= search.needed:
        later = _free(windows, freezes, known, search.begin, search.last)
        first = next((since for since, end in later if end > search.needed), None)
        if first is not None:
            until = max(first, search.needed) + AFTER_DEADLINE
            found = [(since, min(end, until)) for since, end in later if since < until]
    return _spans(found[:MOST_SPANS])


def start_times_before(
    windows: Sequence[Calendar],
    freezes: Sequence[Calendar],
    facts: Sequence[CalendarFacts],
    search: Search,
    began: datetime,
) -> tuple[StartSpan, ...]:
    """Return the start times as the first releases computed them: from the beginning of every review."""
    known = {one.calendar: one for one in facts}
    found = _free(windows, freezes, known, began, search.until) or _free(
        windows, freezes, known, began, max(search.until, began + LATEST_FIRST)
    )
    return _spans(found[:_MOST_BEFORE])


def calendar_words(calendar: Calendar) -> str:
    """Return the working time of a calendar as text, such as ``Mon-Fri 09:00-17:00 Europe/Berlin``."""
    extra = [*map(str, calendar.extra_days), *map(_each_year, calendar.yearly_extra)]
    off = [*map(str, calendar.days_off), *map(_each_year, calendar.yearly_off)]
    days = _weekday_words(calendar.weekdays) or f"on {_day_words(extra)}"
    hours = ", ".join(map(str, calendar.hours))
    words = " ".join(part for part in (days, hours, calendar.zone) if part)
    if calendar.country:
        words += f", but not on holidays of {'-'.join(filter(None, (calendar.country, calendar.region)))}"
    if off:
        words += f", but not on {_day_words(off)}"
    if calendar.weekdays and extra:
        words += f", and on {_day_words(extra)}"
    return words


def _each_year(day: str) -> str:
    month, number = day.split("-")
    return f"each {int(number)} {_MONTHS[int(month) - 1]}"


def _day_words(days: Sequence[str]) -> str:
    more = len(days) - _MOST_NAMED
    return ", ".join([*days[:_MOST_NAMED], *([f"and {more} more days"] if more > 0 else [])])


def _spans(found: Sequence[Span]) -> tuple[StartSpan, ...]:
    return tuple(StartSpan(since=since, until=end) for since, end in found)


def _free(
    windows: Sequence[Calendar],
    freezes: Sequence[Calendar],
    facts: dict[str, CalendarFacts],
    begin: datetime,
    until: datetime,
) -> list[Span]:
    free: list[Span] = [(begin, until)]
    for one in windows:
        free = list(_intersection(free, list(_frozen(one, facts).spans(begin, until))))
    for one in freezes:
        free = list(_difference(free, list(_frozen(one, facts).spans(begin, until))))
    return free


def _frozen(calendar: Calendar, facts: dict[str, CalendarFacts]) -> Calendar:
    known = facts.get(calendar.name)
    return calendar.frozen(known) if known is not None else calendar


def _intersection(some: Iterable[Span], others: Sequence[Span]) -> Iterator[Span]:
    first = 0
    for since, until in some:
        while first < len(others) and others[first][1] <= since:
            first += 1
        for begin, end in others[first:]:
            if begin >= until:
                break
            yield max(since, begin), min(until, end)


def _difference(some: Iterable[Span], others: Sequence[Span]) -> Iterator[Span]:
    for since, until in some:
        left = since
        for begin, end in others:
            if end <= left or begin >= until:
                continue
            if left < begin:
                yield left, begin
            left = max(left, end)
        if left < until:
            yield left, until


def _weekday_words(days: Sequence[int]) -> str:
    names = [WEEKDAYS[day].capitalize() for day in days]
    is_range = len(days) > 1 and list(days) == list(range(days[0], days[-1] + 1))
    return f"{names[0]}-{names[-1]}" if is_range else ", ".join(names)
