"""Random calendars, around clock changes and the end of the year."""

import random
from datetime import UTC, date, datetime, time, timedelta

from plangate.domain.times.calendars import Calendar, Hours, offsets_of
from tests.support.naive_calendar import naive_around

# Clock changes: by an hour, by half an hour, at midnight, a skipped day, negative in winter, none.
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Cairo",
    "Asia/Beirut",
    "Pacific/Apia",
    "Asia/Kolkata",
    "Africa/Casablanca",
    "Europe/Dublin",
    "Pacific/Chatham",
    "UTC",
)
_WIDTH = 16
_YEARS = (2011, 2023, 2024, 2026, 2027)


def calendar_by(rng: random.Random, near: date, zone: str) -> Calendar:
    """Return a calendar with some working time in a normal week, but perhaps none in the next ones."""
    days = [near + timedelta(days=number) for number in range(-9, 20)]
    off = set(rng.sample(days, rng.choice((0, 1, 3, 8))))
    extra = set(rng.sample(days, rng.choice((0, 0, 1, 2)))) - off
    each_year = [f"{day:%m-%d}" for day in rng.sample(days, rng.choice((0, 0, 2, 4)))]
    return Calendar(
        name="some",
        zone=zone,
        country="XX",
        weekdays=tuple(sorted(rng.sample(range(7), rng.randint(1, 7)))),
        hours=_hours(rng),
        days_off=tuple(sorted(off)),
        extra_days=tuple(sorted(extra)),
        yearly_off=tuple(sorted(each_year[::2])),
        yearly_extra=tuple(sorted(each_year[1::2])),
        holidays=tuple(sorted(rng.sample(days, rng.choice((0, 2))))),
    )


def _hours(rng: random.Random) -> tuple[Hours, ...]:
    kind = rng.randrange(5)
    if kind == 0:
        return ()
    if kind == 1:
        return (Hours(begin=time(9), end=time(17)),)
    if kind == 2:
        return (Hours(begin=time(22), end=time(6)),)
    quarters = sorted(rng.sample(range(96), 2 * rng.randint(1, 3)))
    spans = list(zip(quarters[::2], quarters[1::2], strict=True))
    return tuple(Hours(begin=_time(begin), end=_time(end)) for begin, end in spans)


def _time(quarter: int) -> time:
    return time(quarter // 4, quarter % 4 * 15)


def moment_by(rng: random.Random, zone: str) -> datetime:
    """Return a full minute, mostly near a clock change or the end of a year."""
    year = rng.choice(_YEARS)
    changes = [one.since for one in offsets_of(zone, year)[1:] if one.since.year == year]
    new_year = datetime(year, 12, 31, 23, tzinfo=UTC)
    about = rng.choice([*changes, *changes, new_year, datetime(year, rng.randint(1, 12), 15, tzinfo=UTC)])
    return about + timedelta(minutes=rng.randint(-4 * 1440, 2 * 1440))


def difference(seed: int) -> str | None:
    """Return where a random calendar differs from the simple model, or None."""
    rng = random.Random(seed)
    zone = rng.choice(ZONES)
    at = moment_by(rng, zone)
    calendar = calendar_by(rng, at.date(), zone)
    naive = naive_around(calendar, at, _WIDTH)
    until = at + timedelta(minutes=rng.randint(1, 5 * 1440))
    days, hours = rng.randint(1, 2), rng.randint(1, 12)
    frozen = calendar.frozen(calendar.facts(at - timedelta(days=_WIDTH), at + timedelta(days=_WIDTH)))
    for which, one in (("live", calendar), ("frozen", frozen)):
        same = {
            "spans": (list(one.spans(at, until)), naive.spans(at, until)),
            "is_working": (one.is_working(at), naive.working[naive.number(at)]),
            "local": (one.local(at), naive.local_times[naive.number(at)]),
        }
        try:
            same["next_working"] = one.next_working(at), naive.next_working(at)
            same["add_hours"] = one.add_working(at, hours=hours), naive.add_hours(at, hours)
            same["add_days"] = one.add_working(at, days=days), naive.add_days(at, days)
            same["last_working"] = one.last_working(at), naive.last_working(at)
        except (ValueError, IndexError, KeyError):
            pass  # the simple model is too short for a calendar that rarely has working time
        for what, (found, expected) in same.items():
            if found != expected:
                return f"seed {seed}: {which} {what} of {calendar!r} at {at}: {found}, expected {expected}"
    return None
