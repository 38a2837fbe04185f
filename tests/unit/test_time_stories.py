"""Reviews with calendars, escalations, windows, freezes and absences agree with a reading by the minute.

`python -m chaos calendars` tells thousands of them.
"""

from datetime import timedelta
from random import Random

import pytest

from plangate.domain.calendars import Calendar
from plangate.domain.policy import Need, Requirement
from plangate.domain.working_time import WorkingTime
from tests.support.time_stories import TimeStory, differences
from tests.support.times import times

HOUR = timedelta(hours=1)
OFFICE = Calendar(name="office", zone="Europe/Berlin")
TWO_DAYS = Requirement(
    needs=(Need(role="finance", count=1),), working=(WorkingTime(days=2, calendar=OFFICE),)
)


@pytest.mark.parametrize("seed", [Random(18 + number).randrange(10**6) for number in range(times(15))])
def test_a_review_by_chance_goes_as_a_reading_by_the_minute_says(seed: int) -> None:
    assert differences(seed) == []


def test_the_stories_have_what_they_are_about() -> None:
    stories = [TimeStory(seed) for seed in range(12)]
    for name in ("windows", "freezes", "later", "working", "remind"):
        assert any(getattr(one, name) for one in stories), name
    assert any(any(one.away.values()) for one in stories)
