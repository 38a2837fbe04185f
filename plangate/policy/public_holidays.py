"""Look up the public holidays of countries and regions in the package ``holidays``.

The package is imported only if a calendar has a country. The holidays during a review are recorded with the
plan (`plangate.domain.times.calendars.CalendarFacts`), so a later check of the review does not need it.
"""

from datetime import date, datetime, timedelta
from functools import lru_cache
from types import ModuleType

from plangate.domain.errors import NoWorkingTime
from plangate.domain.policies.requirement import Requirement
from plangate.domain.times.calendars import LONGEST_SEARCH, Calendar, CalendarFacts
from plangate.domain.times.working_time import facts_for

_BEFORE = timedelta(days=35)  # a reminder may be due before the review begins


def with_holidays(calendar: Calendar, at: datetime) -> Calendar:
    """Return a calendar with its public holidays, from 35 days before ``at`` to the end of the search.

    Raises:
        NoWorkingTime: the package ``holidays`` is missing, or does not include the country.
    """
    if not calendar.country:
        return calendar
    first, last = (at - _BEFORE).date(), (at + LONGEST_SEARCH).date()
    days = [
        day
        for year in range(first.year, last.year + 1)
        for day in _holidays(calendar.country, calendar.region, year)
        if first <= day <= last
    ]
    return calendar.model_copy(update={"holidays": tuple(days)})


def facts_at(requirement: Requirement, at: datetime) -> tuple[CalendarFacts, ...]:
    """Return the facts that determine the limits of a review that begins at ``at``.

    Raises:
        NoWorkingTime: the holidays or the zone of a calendar are not known on this system.
    """
    limits = requirement.working
    return facts_for(limits, at, [with_holidays(limit.calendar, at) for limit in limits])


def fault_of_country(country: str, region: str) -> str | None:
    """Return the error in a country and its region; None if there is none or the package is missing."""
    package = _package()
    if package is None:
        return None
    regions = package.list_supported_countries().get(country)
    if regions is None:
        return f"no holidays are known for {country!r}; write its ISO 3166 code, such as DE"
    if region and region not in regions:
        known = f"; known regions: {', '.join(regions)}" if regions else ""
        return f"no holidays are known for the region {region!r} of {country}{known}"
    return None


@lru_cache(maxsize=256)
def _holidays(country: str, region: str, year: int) -> tuple[date, ...]:
    package = _package()
    if package is None:
        raise NoWorkingTime(f"The holidays of {country} need the package holidays; install plangate[worker].")
    try:
        return tuple(sorted(package.country_holidays(country, subdiv=region or None, years=year)))
    except NotImplementedError as error:
        raise NoWorkingTime(f"The holidays of {country} {region} are not known: {error}.") from error


def _package() -> ModuleType | None:
    try:
        import holidays  # noqa: PLC0415  not in the base package, and slow to import
    except ImportError:
        return None
    return holidays
