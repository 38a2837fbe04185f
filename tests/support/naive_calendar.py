"""A simple and slow calendar: a list of all its minutes.

Only the standard library's zones are shared with `plangate.domain.times.calendars`.
"""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import accumulate
from zoneinfo import ZoneInfo

from plangate.domain.times.calendars import Calendar

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
_STEP = 15  # minutes: clocks change only at a full quarter of an hour


class LocalTimes:
    """The local time in a zone at each minute."""

    def __init__(self, zone: str, begin: datetime, until: datetime) -> None:
        self.begin, known = begin, ZoneInfo(zone)
        count, start = int((until - begin) / MINUTE), begin - begin.minute % _STEP * MINUTE
        steps = range(count // _STEP + 2)
        samples = [(start + n * _STEP * MINUTE).astimezone(known).replace(tzinfo=None) for n in steps]
        minutes = [sample + n * MINUTE for sample in samples for n in range(_STEP)]
        self.shown = minutes[begin.minute % _STEP :][:count]
        self.latest = list(accumulate(self.shown, max))
        self.still_to_come = list(accumulate(reversed(self.shown), min))[::-1]


class NaiveCalendar:
    """Minutes with their local times, and whether people work in them.

    A span begins with the first minute at or after its time of day, and ends with the last minute before its
    time of day.
    """

    def __init__(
        self, calendar: Calendar, begin: datetime, until: datetime, local_times: LocalTimes | None = None
    ) -> None:
        local_times = local_times or LocalTimes(calendar.zone, begin, until)
        self.begin, self.local_times = begin, local_times.shown
        self._latest, self._still_to_come, count = (
            local_times.latest,
            local_times.still_to_come,
            len(local_times.shown),
        )
        self.shifts: dict[date, list[range]] = {}
        day = self.local_times[0].date() - DAY
        while day <= self.local_times[-1].date() + DAY:
            self.shifts[day] = [one for one in self._shifts(calendar, day) if one]
            day += DAY
        self.working = [False] * count
        for shift in self.shifts.values():
            for one in shift:
                for number in one:
                    self.working[number] = True

    def _shifts(self, calendar: Calendar, day: date) -> Iterator[range]:
        if not _works(calendar, day):
            return
        for hours in calendar.hours or (None,):
            first, last = (hours.begin, hours.end) if hours else (time(), time())
            begin, end = datetime.combine(day, first), datetime.combine(day, last)
            yield range(self.first(begin), self._end(end if end > begin else end + DAY))

    def first(self, wall: datetime) -> int:
        """Return the first minute that is not earlier by the clock."""
        return bisect_left(self._latest, wall)

    def _end(self, wall: datetime) -> int:
        """Return the minute after the last minute that is earlier by the clock."""
        return bisect_left(self._still_to_come, wall)

    def at(self, number: int) -> datetime:
        return self.begin + number * MINUTE

    def number(self, at: datetime) -> int:
        return int((at - self.begin) / MINUTE)

    def next_working(self, at: datetime) -> datetime:
        return self.at(self.working.index(True, self.number(at)))

    def last_working(self, at: datetime) -> tuple[datetime, datetime]:
        end = self.number(at)
        while not self.working[end - 1]:
            end -= 1
            if not end:
                raise IndexError("there may be some before")
        begin = end
        while self.working[begin - 1]:
            begin -= 1
            if not begin:
                raise IndexError("it may have begun before")
        return self.at(begin), self.at(end)

    def add_hours(self, at: datetime, hours: int) -> datetime:
        left, number = hours * 60, self.number(at)
        while left:
            left -= self.working[number]
            number += 1
        return self.at(number)

    def add_days(self, at: datetime, days: int) -> datetime:
        number = self.number(self.next_working(at))
        today = max(day for day, shift in self.shifts.items() if any(number in one for one in shift))
        offset, day = self.local_times[number] - datetime.combine(today, time()), today
        while days:
            day += DAY
            days -= bool(self.shifts[day])
        return self.at(self.first(datetime.combine(day, time()) + offset))

    def spans(self, begin: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
        found: list[tuple[datetime, datetime]] = []
        for number in range(self.number(begin), self.number(until)):
            if not self.working[number]:
                continue
            if found and found[-1][1] == self.at(number):
                found[-1] = found[-1][0], self.at(number + 1)
            else:
                found.append((self.at(number), self.at(number + 1)))
        return found


def naive_around(calendar: Calendar, at: datetime, days: int) -> NaiveCalendar:
    """Return the minutes of some days before and after a moment."""
    return NaiveCalendar(calendar, at - days * DAY, at + days * DAY)


def _works(calendar: Calendar, day: date) -> bool:
    """Apply the exceptions in the order of their priority."""
    if day in (*calendar.extra_days, *calendar.days_off):
        return day in calendar.extra_days
    mine = (day.month, day.day)
    each_year = {
        tuple(map(int, one.split("-"))): works
        for days, works in ((calendar.yearly_off, False), (calendar.yearly_extra, True))
        for one in days
    }
    if mine in each_year and (each_year[mine] or day not in calendar.holidays):
        return each_year[mine]
    return day not in calendar.holidays and day.weekday() in calendar.weekdays
