"""Windows, freezes and plans that name a moment, by chance, against a list of all minutes."""

import random
from datetime import datetime, timedelta

from plangate.domain.calendars import Calendar
from plangate.domain.start_times import Beginning, start_times
from tests.support.calendars import ZONES, calendar_by, moment_by
from tests.support.naive_calendar import MINUTE, NaiveCalendar

_DAY = timedelta(days=1)


class StartStory:
    """One plan with its calendars; its review begins at ``begin``, and times are known up to ``until``."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        zone = chance.choice(ZONES)
        self.begin = moment_by(chance, zone)
        self.until = self.begin + timedelta(minutes=chance.randint(60, 6 * 1440))
        kinds = chance.choice(((1, 0), (0, 1), (1, 1), (2, 1), (1, 2)))
        self.windows, self.freezes = (
            tuple(self._calendars(count, what)) for count, what in zip(kinds, "wf", strict=True)
        )
        ahead = timedelta(minutes=chance.randint(-600, 5 * 1440))
        self.not_before = chance.choice((None, None, self.begin + ahead))
        cooling = self.begin + timedelta(minutes=chance.randint(0, 600))
        self.cooling_until = chance.choice((None, cooling))

    def _calendars(self, count: int, kind: str) -> list[Calendar]:
        zones = [self.chance.choice(ZONES) for _ in range(count)]
        near = self.begin.date()
        made = [calendar_by(self.chance, near, zone) for zone in zones]
        return [one.model_copy(update={"name": f"{kind}{n}", "country": "XX"}) for n, one in enumerate(made)]

    def beginning(self) -> Beginning:
        """Return what Plangate makes of it, by frozen facts alone."""
        days = timedelta(days=400)
        every = (*self.windows, *self.freezes)
        facts = [one.facts(self.begin - _DAY, self.begin + days) for one in every]
        bare = {one.name: one.model_copy(update={"holidays": ()}) for one in every}
        spans = start_times(
            [bare[one.name] for one in self.windows],
            [bare[one.name] for one in self.freezes],
            facts,
            self.begin,
            self.until,
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
    """Return where Plangate lets a step begin at another minute than the list; None if nowhere."""
    story = StartStory(seed)
    beginning, allowed = story.beginning(), story.may_begin()
    asked = {0, len(allowed) - 1, *(story.chance.randrange(len(allowed)) for _ in range(30))}
    asked |= {n for n in range(1, len(allowed)) if allowed[n] is not allowed[n - 1]}
    for number in sorted(asked):
        at = story.begin + number * MINUTE
        expected = next((n for n in range(number, len(allowed)) if allowed[n]), None)
        found = beginning.first(at)
        if expected is None:
            if found is not None and found < story.until:
                return f"seed {seed}: at {at} one may begin at {found}, naively not before {story.until}"
        elif found != _moment(story, expected):
            return f"seed {seed}: at {at} one may begin at {found}, naively at {_moment(story, expected)}"
        if (beginning.wait(at) == timedelta()) is not (found is None or found == at):
            return f"seed {seed}: at {at} the wait is {beginning.wait(at)}, and one may begin at {found}"
    return None


def _moment(story: StartStory, number: int) -> datetime:
    return story.begin + number * MINUTE
