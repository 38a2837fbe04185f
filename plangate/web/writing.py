"""Write numbers, times and quotations in the style of a language."""

import re
from dataclasses import dataclass
from typing import Final

NUMBER: Final = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY: Final = (
    rf"(?:(?P<weekday>{'|'.join(_DAYS)}) )?"
    r"(?:(?P<iso>\d{4})-(?P<in_year>\d\d)-(?P<in_month>\d\d)"
    rf"|(?P<day>\d{{1,2}}) (?P<month>{'|'.join(_MONTHS)})(?:[a-z]{{1,6}})?(?: (?P<year>\d{{4}}))?)"
)
_FOUND: Final = re.compile(_DAY)
_NAMED: Final = re.compile(r"\?P<\w{1,30}>")
_ONE: Final = _NAMED.sub("?:", _DAY)
_CLOCK: Final = r"\d\d:\d\d(?::\d\d)?"
TIME: Final = re.compile(
    rf"{_ONE}(?: {_CLOCK})?(?: (?:UTC[+-]\d\d:\d\d|[A-Z]{{1,5}}))?(?: \((?:{_ONE} )?{_CLOCK} UTC\))?"
)
"""A time in the code's format: '3 May 14:05 CEST (12:05 UTC)', '2026-05-03 12:05 UTC', 'Sun 2026-05-03'."""
_WEEKDAYS: Final = re.compile("|".join(_DAYS))
_WEEKDAY: Final = f"(?:{'|'.join(_DAYS)})"
_WEEKDAYS_ROW: Final = rf"{_WEEKDAY}(?:(?:-|, ){_WEEKDAY})*"
_ZONE: Final = r"(?:[A-Z]{3,4}|[A-Z]\w{1,30}(?:/[\w+-]{1,30}){1,3})"
_HOURS: Final = r"\d\d:\d\d-\d\d:\d\d"
_HOURS_ROW: Final = rf"{_HOURS}(?:, {_HOURS})*"
WORKING: Final = re.compile(
    rf"{_WEEKDAYS_ROW}(?: {_HOURS_ROW})?(?: {_ZONE})?|{_HOURS_ROW}(?: {_ZONE})?|{_ZONE}"
)
"""The hours of a calendar: 'Mon-Fri 09:00-12:00, 13:00-17:00 Europe/Berlin'."""


@dataclass(frozen=True, slots=True)
class Writing:
    """The notation of one language.

    Attributes:
        group: the separator of thousands.
        point: the decimal mark.
        percent: a percentage, with ``{number}``.
        quotes: the quotation marks around text by other people.
        date: the format of a day, with ``{day}``, ``{month}`` and ``{year}``.
        months: the short names of the months, from January; empty for the English names.
        weekdays: the short names of the weekdays, from Monday; empty for the English names.
    """

    group: str = ","
    point: str = "."
    percent: str = "{number}%"
    quotes: tuple[str, str] = ("“", "”")
    date: str = "{day} {month} {year}"
    months: tuple[str, ...] = ()
    weekdays: tuple[str, ...] = ()

    def number(self, english: str) -> str:
        """Return a number such as ``1,480.50`` in the language's notation."""
        return english.translate({ord(","): self.group, ord("."): self.point})

    def share(self, share: float) -> str:
        """Return a fraction of 1 as a percentage, without decimals."""
        return self.percent.format(number=f"{share * 100:.0f}")

    def time(self, english: str) -> str:
        """Return the text with each day in the format of the language."""
        return _FOUND.sub(self._day, english) if self.months else english

    def working(self, english: str) -> str:
        """Return the hours of a calendar with the weekdays of the language."""
        short = {one: own.rstrip(".") for one, own in zip(_DAYS, self.weekdays, strict=False)}
        return _WEEKDAYS.sub(lambda found: short.get(found[0], found[0]), english)

    def _day(self, found: re.Match[str]) -> str:
        month = int(found["in_year"]) if found["iso"] else _MONTHS.index(found["month"]) + 1
        if not 1 <= month <= len(self.months):
            return found[0]
        day = int(found["in_month"] or found["day"])
        written = self.date.format(
            day=day, month=self.months[month - 1], year=found["iso"] or found["year"] or ""
        )
        weekday = f"{self.weekdays[_DAYS.index(found['weekday'])]}, " if found["weekday"] else ""
        return f"{weekday}{written.strip()}"


ENGLISH: Final = Writing()
