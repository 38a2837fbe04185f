"""Test random reviews with calendars, escalations, windows, freezes and absences, minute by minute.

No server is needed: each case is run by the domain and by a simple model (`tests.support.time_cases`). No
plan may be approved merely because time passes.
"""

from dataclasses import dataclass

from chaos.installation import Installation
from chaos.report import Report
from tests.support.calendars import difference
from tests.support.start_cases import difference as start_difference
from tests.support.start_cases import late_difference
from tests.support.time_cases import differences


@dataclass(frozen=True)
class Size:
    """The numbers of reviews, and of separate calendars, windows and freezes."""

    reviews: int
    calendars: int


FULL = Size(reviews=5_000, calendars=1_000)
QUICK = Size(reviews=20, calendars=20)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Run all cases; each difference from the simple model is an error."""
    first = installation.rng.randrange(10**6)
    count = seed = 0
    while count < size.reviews:
        found_in_review = differences(first + seed)
        seed += 1
        if found_in_review is None:
            continue
        count += 1
        if count % 500 == 0:
            report.say(f"{count} of {size.reviews} reviews")
        for fault in found_in_review:
            report.record_error(fault)
    for number in range(size.calendars):
        for found in (one(first + number) for one in (difference, start_difference, late_difference)):
            if found:
                report.record_error(found)
    report.figure("reviews", count)
    report.figure("calendars", size.calendars)
