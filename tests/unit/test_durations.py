"""Durations are parsed in the forms that users type, and formatted for readers."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plangate.cli.durations import read_timeout
from plangate.cli.exits import WrongUsage
from plangate.domain.times.durations import LONGEST_TIMEOUT
from plangate.presentation.durations import duration_in_words, from_now
from plangate.web.language import languages
from plangate.web.times import length

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("72h", timedelta(hours=72)),
        ("30m", timedelta(minutes=30)),
        ("45s", timedelta(seconds=45)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
        ("1h30m", timedelta(minutes=90)),
        (" 1 H 30 M ", timedelta(minutes=90)),
        ("365d", LONGEST_TIMEOUT),
        ("0h1s", timedelta(seconds=1)),
    ],
)
def test_a_timeout_is_parsed(typed: str, meant: timedelta) -> None:
    assert read_timeout(typed) == meant


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "72",
        "h",
        "-1h",
        "1.5h",
        "1h1h",
        "30m1h",
        "1y",
        "0s",
        "366d",
        "999999999w",
        "9" * 5000 + "s",
        "٣h",
        "1e3s",
    ],
)
def test_an_invalid_duration_is_a_usage_error_with_examples(typed: str) -> None:
    with pytest.raises(WrongUsage, match="use a form such as 72h, 30m, 45s, 7d or 1h30m"):
        read_timeout(typed)


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_usage_error(typed: str) -> None:
    try:
        meant = read_timeout(typed)
    except WrongUsage:
        return
    assert timedelta(0) < meant <= LONGEST_TIMEOUT


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(seconds=0), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(seconds=61), "1 min 1 s"),
        (timedelta(minutes=60), "1 h"),
        (timedelta(hours=47, minutes=59), "47 h 59 min"),
        (timedelta(hours=61, minutes=49), "2 days 13 h"),
        (timedelta(hours=72), "3 days"),
        (timedelta(hours=95, minutes=59), "3 days 23 h"),
        (timedelta(days=4, hours=1), "4 days 1 h"),
    ],
)
def test_a_duration_is_given_in_its_two_largest_units(length: timedelta, said: str) -> None:
    assert duration_in_words(length) == said


@pytest.mark.parametrize(
    ("span", "english", "german"),
    [
        (timedelta(hours=47, minutes=59), "47 h 59 min", "47 Std. 59 Min."),
        (timedelta(hours=48, minutes=59), "2 days", "2 Tage"),
        (timedelta(hours=61, minutes=49), "2 days 13 h", "2 Tage 13 Std."),
        (timedelta(days=4, hours=-1), "3 days 23 h", "3 Tage 23 Std."),
    ],
)
def test_the_pages_show_days_and_hours_from_48_hours_on(span: timedelta, english: str, german: str) -> None:
    for language, said in (("en", english), ("de", german)):
        assert length(languages()[language], span.total_seconds()) == said


def test_a_time_is_shown_relative_to_now() -> None:
    assert from_now(NOON + timedelta(hours=2), NOON) == "in 2 h"
    assert from_now(NOON - timedelta(minutes=5), NOON) == "5 min ago"
