"""What keeps a run from going on is one sentence for each thing."""

from datetime import timedelta
from io import StringIO

import pytest
from rich.console import Console

from console.clock import moment
from console.following import news
from console.run_view import run_page
from console.troubles import troubles
from plangate.domain.run import RunState
from plangate.domain.status import Attempt, Status, Unrecorded, status_of, with_step_attempt
from tests.unit.test_details import NOON, decided, in_review

LATER = NOON + timedelta(minutes=5)
BEFORE = "The attempt before it failed: It is busy."


def status(state: RunState | None = None) -> Status:
    return status_of(state or decided(in_review({"text": "a"}, steps=2), "ok"), source="workflow")


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (
            Attempt(attempt=3, last_error="It is busy.", next_try=LATER),
            f"is tried again: attempt 3 begins at {moment(LATER, with_seconds=True)}. {BEFORE}",
        ),
        (
            Attempt(attempt=2, last_error="It is busy."),
            f"is tried again: attempt 2 is running. {BEFORE}",
        ),
        (Attempt(attempt=1, paused="paused in Temporal"), "is paused in Temporal"),
    ],
)
def test_an_attempt_is_told_of_the_step_that_is_next(attempt: Attempt, said: str) -> None:
    shown = with_step_attempt(status(), attempt)
    assert [step.attempt for step in shown.steps] == [attempt.attempt, None]
    assert list(troubles(shown)) == [f"Step 1 of 2, note, {said}"]


def test_what_is_not_on_the_record_is_told_with_its_cause() -> None:
    away = Unrecorded(decisions=2, outcome=True, cause="The disk is full.", since=NOON)
    (said,) = troubles(status().model_copy(update={"unrecorded": away}))
    assert said == (
        f"Since {moment(NOON, with_seconds=True)} this cannot be put on the record: "
        "2 decisions and the outcome. It waits until it can. The disk is full."
    )


def test_status_shows_it_and_watch_tells_it_once() -> None:
    before = status()
    shown = with_step_attempt(before, Attempt(attempt=2, last_error="It is busy."))
    (said,) = troubles(shown)
    console = Console(file=StringIO(), width=400)
    console.print(run_page(shown, NOON))
    assert said in console.file.getvalue()  # type: ignore[attr-defined]
    assert [line for _, line in news(before, shown)] == [said]
    assert list(news(shown, shown)) == []
