"""On German pages, calendars, sums, holds and the trail are entirely German, or marked as English."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.policies.rolling_totals import RecentSum
from plangate.domain.runs.status import status_of
from plangate.domain.times.calendars import Calendar, Hours
from plangate.domain.times.start_times import calendar_words
from plangate.presentation.clock import moment
from plangate.presentation.durations import duration_in_words
from plangate.presentation.resolutions import resolution_words
from plangate.presentation.rolling_totals import sum_lines
from plangate.web.language import chosen
from plangate.web.times import length
from tests.support.drawn_pages import read_html, render_run
from tests.support.held_runs import held
from tests.unit.test_sentences import in_english

GERMAN = chosen("de")
DAYS = st.dates(date(2026, 1, 1), date(2030, 12, 31))
EACH_YEAR = st.dates(date(2027, 1, 1), date(2027, 12, 31)).map(lambda day: f"{day:%m-%d}")
HOURS = st.sampled_from(
    [
        (),
        (Hours(begin=time(9), end=time(17)),),
        (Hours(begin=time(9), end=time(12)), Hours(begin=time(13), end=time(17))),
    ]
)


def is_german(text: str) -> bool:
    return GERMAN.said(text) != text and in_english(GERMAN.said(text)) == []


CALENDARS = st.builds(
    Calendar,
    name=st.just("c"),
    zone=st.sampled_from(["Europe/Berlin", "UTC"]),
    weekdays=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    hours=HOURS,
    days_off=st.lists(DAYS, max_size=6).map(tuple),
    extra_days=st.lists(DAYS, max_size=6).map(tuple),
    yearly_off=st.lists(EACH_YEAR, max_size=6).map(tuple),
    yearly_extra=st.lists(EACH_YEAR, max_size=6).map(tuple),
    country=st.sampled_from(["", "DE"]),
    region=st.sampled_from(["", "BY"]),
)


@given(CALENDARS, st.booleans())
def test_every_calendar_is_shown_in_german(calendar: Calendar, has_weekdays: bool) -> None:
    if not has_weekdays and (calendar.extra_days or calendar.yearly_extra):
        calendar = calendar.model_copy(update={"weekdays": ()})
    assert is_german(calendar_words(calendar)), calendar_words(calendar)


@given(
    st.decimals(0, 10**9, places=2), st.sampled_from(["", "EUR", "JPY"]),
    st.sampled_from(["24h", "1h", "7d", "15m", "day", "day Europe/Berlin"]),
    st.sampled_from([("", ""), ("requester", "rita"), ("customer", "cus_1")]), st.booleans(),
)  # fmt: skip
def test_every_sum_over_time_is_shown_in_german(
    amount: Decimal, currency: str, window: str, by: tuple[str, str], is_known: bool
) -> None:
    one = RecentSum(
        tool="refund", argument="amount", currency=currency, window=window, by=by[0], of=by[1],
        others="0", own=str(amount) if is_known else None,
    )  # fmt: skip
    for line in sum_lines([one]):
        assert is_german(line), line


@given(st.timedeltas(timedelta(seconds=1), timedelta(days=90)))
def test_every_duration_of_a_review_is_shown_in_german(span: timedelta) -> None:
    assert is_german(f"asked for: a supplied plan; each review may take {duration_in_words(span)}")


@given(DAYS)
def test_every_time_in_a_sentence_is_shown_in_german(day: date) -> None:
    when = datetime.combine(day, time(14, 5), UTC)
    shown = moment(when, with_seconds=True)
    own = GERMAN.said(f"the deadline, {shown}, passed without the required approvals")
    assert own.startswith("die Frist, ")
    assert f"{when.astimezone().day}. " in own


def test_the_effects_of_resolutions_are_entirely_german() -> None:
    for words in resolution_words(status_of(held(), source="records")).values():
        assert is_german(words), words


REASONS = """
POST http://api.acme.org/b was answered 400 Bad Request ({"error":"locked"}); it was not done.
No valid answer came from api.acme.org:443 (Server disconnected.). Ask the operator of api.acme.org:443 \
whether the POST with the idempotency-key a0 was carried out: Plangate cannot tell. If it happened, it was \
between 2026-11-26 23:41:24 and 23:41:25 UTC.
The mail was handed to mail.acme.org:25, which did not confirm the outcome (SMTPTimeout). Look for \
the Message-ID <a@b> in the log of mail.acme.org:25, or ask kim@example.org: Plangate cannot tell whether \
the mail was sent.
api.acme.org:443 cannot be reached (All connection attempts failed); nothing was sent. It was tried 10 times.
step 1 done (accepted, not final): accepted by the mail server mail.acme.org:25
held at step 2 until 27 Nov 23:41:25 CET (22:41:25 UTC): api.acme.org:443 did not answer within 30 seconds.
plan d9fa12345678, revision 2, edited by dana, 2 steps: Refund it; needs 1 approval by finance or legal and \
2 approvals by anyone but the requester, signed; for finance, from 27 Nov 23:39 UTC also by fred
"""


@pytest.mark.parametrize("english", REASONS.strip().split("\n"))
def test_reasons_of_holds_and_entries_of_the_trail_are_german(english: str) -> None:
    assert is_german(english), GERMAN.said(english)


def test_quotations_in_a_sentence_stay_quoted_and_are_marked_as_english() -> None:
    pieces = GERMAN.said.pieces("step 1 done: The parcel left.")
    assert list(pieces) == [("Schritt 1 erledigt: „", False), ("The parcel left", True), ("“.", False)]


def test_a_long_pattern_takes_precedence_over_a_short_one() -> None:
    english = "Not undone: step 2 (http_request), because it is in doubt."
    assert (
        GERMAN.said(english)
        == "Nicht zurückgenommen: Schritt 2 (http_request), weil ungewiss ist, ob es geschah."
    )


def test_numbers_and_percentages_are_formatted_for_the_language() -> None:
    assert GERMAN.count("values.characters", 3_176) == "3.176 Zeichen"
    assert length(GERMAN, 2.5) == "2,5 s"
    assert length(GERMAN, 86_400 * 4) == "4 Tage"
    assert GERMAN.writing.share(0.86) == "86 %"
    english = chosen("en")
    assert (english.number(3_176), length(english, 2.5), english.writing.share(0.86)) == (
        "3,176",
        "2.5 s",
        "86%",
    )


def test_the_source_of_a_page_is_german() -> None:
    page = read_html(render_run(status_of(held(), source="records and the Temporal server"), language="de"))
    assert "Quelle: die Aufzeichnungen und der Temporal-Server" in page.text
