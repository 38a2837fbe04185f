"""Recorded sentences have times in UTC; readers see them in their own zone, followed by UTC."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plangate.presentation.clock import in_readers_zone, moment

TIMES = st.datetimes(datetime(1980, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
WORDS = st.text(st.characters(exclude_characters="0123456789", codec="utf-8"), max_size=20)


@contextmanager
def reader_in(zone: str) -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ")
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


@pytest.fixture(scope="module")
def berlin() -> Iterator[None]:
    with reader_in("Europe/Berlin"):
        yield


@pytest.mark.usefixtures("berlin")
@given(TIMES, WORDS, WORDS)
def test_recorded_times_are_shown_like_other_times_on_the_page(
    when: datetime, before: str, after: str
) -> None:
    before, after = f"{before} ", f" {after}"
    for form in ("%Y-%m-%d %H:%M", "%a %Y-%m-%d %H:%M"):
        said = f"{before}{when:{form}} UTC{after}"
        assert in_readers_zone(said) == f"{before}{moment(when)}{after}"
    said = f"{before}{when:%Y-%m-%d %H:%M:%S} UTC{after}"
    assert in_readers_zone(said) == f"{before}{moment(when, with_seconds=True)}{after}"


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("text", ["", "2026-13-45 10:00 UTC", "2026-11-26 10:00 CET", "9999-99-99 99:99 UTC"])
def test_text_other_than_recorded_times_stays_unchanged(text: str) -> None:
    assert in_readers_zone(text) == text


@given(WORDS, TIMES)
def test_a_reader_in_utc_sees_recorded_times_unchanged(text: str, when: datetime) -> None:
    with reader_in("UTC"):
        said = f"{text} {when:%Y-%m-%d %H:%M} UTC"
        assert in_readers_zone(said) == said
