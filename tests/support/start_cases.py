"""Compare random windows, freezes and earliest starts with a list of all minutes."""

import random
from collections.abc import Iterator
from datetime import datetime, time, timedelta

from plangate.domain.times.calendars import Calendar, Hours
from plangate.domain.times.start_times import LATEST_FIRST, Beginning, Search, search_of, start_times
from tests.support.calendars import ZONES, calendar_by, moment_by
from tests.support.naive_calendar import MINUTE, NaiveCalendar

_DAY = timedelta(days=1)
_CHUNK = 3  # days that are listed at once
_SHIFTS = tuple(Hours(begin=time(hour), end=time(hour + 3)) for hour in (6, 10, 14))


class StartCase:
    """One plan with its calendars; its review begins at ``begin``, and times are known up to ``until``."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        zone = rng.choice(ZONES)
        self.begin = moment_by(rng, zone)
        self.until = self.begin + timedelta(minutes=rng.randint(60, 6 * 1440))
        kinds = rng.choice(((1, 0), (0, 1), (1, 1), (2, 1), (1, 2)))
        self.windows, self.freezes = (
            tuple(self._calendars(count, what)) for count, what in zip(kinds, "wf", strict=True)
        )
        ahead = timedelta(minutes=rng.randint(-600, 5 * 1440))
        self.not_before = rng.choice((None, None, self.begin + ahead))
        cooling = self.begin + timedelta(minutes=rng.randint(0, 600))
        self.cooling_until = rng.choice((None, cooling))

    def _calendars(self, count: int, kind: str) -> list[Calendar]:
        zones = [self.rng.choice(ZONES) for _ in range(count)]
        near = self.begin.date()
        made = [calendar_by(self.rng, near, zone) for zone in zones]
        return [one.model_copy(update={"name": f"{kind}{n}", "country": "XX"}) for n, one in enumerate(made)]

    def search(self) -> Search:
        """Return the time for which start times are computed."""
        begin = max(self.begin, self.not_before or self.begin)
        return Search(begin, self.until, self.begin, self.begin + LATEST_FIRST)

    def beginning(self) -> Beginning:
        """Return Plangate's result, computed only from frozen facts."""
        search = self.search()
        every = (*self.windows, *self.freezes)
        facts = [one.facts(search.begin, search.last) for one in every]
        bare = {one.name: one.model_copy(update={"holidays": ()}) for one in every}
        spans = start_times(
            [bare[one.name] for one in self.windows],
            [bare[one.name] for one in self.freezes],
            facts,
            search,
        )
        return Beginning(not_before=self.not_before, cooling_until=self.cooling_until, spans=spans)

    def may_begin(self) -> list[bool]:
        """Return for each minute whether a step may begin in it."""
        margin = 2 * _DAY
        count = int((self.until - self.begin) / MINUTE)
        allowed = [True] * count
        for calendars, is_window in ((self.windows, True), (self.freezes, False)):
            for one in calendars:
                naive = NaiveCalendar(one, self.begin - margin, self.until + margin)
                first = naive.number(self.begin)
                works = naive.working[first : first + count]
                allowed = [old and new is is_window for old, new in zip(allowed, works, strict=True)]
        for moment in (self.not_before, self.cooling_until):
            for number in range(count):
                if moment is not None and self.begin + number * MINUTE < moment:
                    allowed[number] = False
        return allowed


def difference(seed: int) -> str | None:
    """Return where Plangate's start minutes differ from the list, or None."""
    case = StartCase(seed)
    beginning, allowed = case.beginning(), case.may_begin()
    asked = {0, len(allowed) - 1, *(case.rng.randrange(len(allowed)) for _ in range(30))}
    asked |= {n for n in range(1, len(allowed)) if allowed[n] is not allowed[n - 1]}
    for number in sorted(asked):
        at = case.begin + number * MINUTE
        expected = next((n for n in range(number, len(allowed)) if allowed[n]), None)
        found = beginning.first(at)
        if expected is None:
            if found is not None and found < case.until:
                return f"seed {seed}: at {at} a step may begin at {found}, expected not before {case.until}"
        elif found != _moment(case, expected):
            return f"seed {seed}: at {at} a step may begin at {found}, expected at {_moment(case, expected)}"
        if (beginning.wait(at) == timedelta()) is not (found is None or found == at):
            return f"seed {seed}: at {at} the wait is {beginning.wait(at)}, and a step may begin at {found}"
    return None


def _moment(case: StartCase, number: int) -> datetime:
    return case.begin + number * MINUTE


class LateCase(StartCase):
    """A plan that is approved during its review, with a late earliest start, shifts, or few days."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self.deadline = self.begin + timedelta(minutes=rng.randint(60, rng.choice((3, 30, 150)) * 1440))
        self.approved = self.begin + rng.random() * (self.deadline - self.begin)
        self.approved = self.approved.replace(second=0, microsecond=0)
        far = self.begin + timedelta(minutes=rng.randint(0, 360 * 1440))
        self.not_before = rng.choice((None, far, far))
        self.cooling = rng.choice((None, 600, 86_400))
        self.cooling_until = self.approved + timedelta(seconds=self.cooling) if self.cooling else None
        self.windows = tuple(map(self._rarer, self.windows))

    def _rarer(self, one: Calendar) -> Calendar:
        if self.rng.random() < 1 / 4:
            return one
        if self.rng.random() < 1 / 2:
            return one.model_copy(update={"weekdays": tuple(range(7)), "hours": _SHIFTS})
        days = sorted(self.begin.date() + n * _DAY for n in self.rng.sample(range(500), 4))
        return one.model_copy(update={"weekdays": (), "extra_days": tuple(days), "days_off": ()})

    def search(self) -> Search:
        """Return the time for which start times are computed."""
        return search_of(self.begin, self.deadline, self.not_before, self.cooling)

    def first(self) -> datetime | None:
        """Return the first minute in which a step may begin after the approval, or None."""
        moments = (self.approved, self.not_before, self.cooling_until)
        at, last = max(one for one in moments if one is not None), self.search().last
        while at < last:
            for number, allowed in enumerate(self._minutes(at)):
                if allowed and at + number * MINUTE < last:
                    return at + number * MINUTE
            at += _CHUNK * _DAY
        return None

    def _minutes(self, at: datetime) -> Iterator[bool]:
        if any(not _may_work(one, at) for one in self.windows):
            return iter(())
        lists = []
        for calendars, is_window in ((self.windows, True), (self.freezes, False)):
            for one in calendars:
                naive = NaiveCalendar(one, at - 2 * _DAY, at + (_CHUNK + 2) * _DAY)
                first = naive.number(at)
                works = naive.working[first : first + _CHUNK * 1440]
                lists.append([now is is_window for now in works])
        return (all(each) for each in zip(*lists, strict=True))


def _may_work(calendar: Calendar, at: datetime) -> bool:
    """Return whether a day around this chunk is in the calendar, so that its minutes must be listed."""
    days = [at.date() + number * _DAY for number in range(-2, _CHUNK + 3)]
    return any(
        day.weekday() in calendar.weekdays
        or day in calendar.extra_days
        or f"{day:%m-%d}" in calendar.yearly_extra
        for day in days
    )


def late_difference(seed: int) -> str | None:
    """Return how Plangate's first start minute differs from the list, or None."""
    case = LateCase(seed)
    found, expected = case.beginning().first(case.approved), case.first()
    if found == expected:
        return None
    return f"seed {seed}: approved at {case.approved}, it begins at {found}, expected at {expected}"
