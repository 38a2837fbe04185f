"""Each problem of a run is reported in one sentence."""

from datetime import timedelta
from io import StringIO

import pytest

from plangate.cli.following import changes_between, decision_key, waiting_words
from plangate.domain.runs.run import RunState
from plangate.domain.runs.status import (
    Attempt,
    Status,
    UnreadDecision,
    Unrecorded,
    status_of,
    with_step_attempt,
)
from plangate.presentation.clock import moment
from plangate.presentation.console import Console
from plangate.presentation.deciding_page import TemporalAccess, deciding_page
from plangate.presentation.problems import problems
from plangate.presentation.run_page import run_page
from plangate.settings import PROJECT
from tests.support.build import NOON
from tests.unit.test_markdown import decided, in_review

EXECUTION = (PROJECT / "activities" / "execution.py").read_text()
LATER = NOON + timedelta(minutes=5)
TWO = "2 decisions (dana: withdraw approval, unknown sender: approve) have"
LOOKED_UP = "A worker looks up whether it happened before it repeats anything."
RUNS = "Attempt 2 is running."
LIMIT = "A tool that fails is tried 12 times, over about half an hour; then the run is held."
BEFORE = "The attempt before it failed: It is busy."


def status(state: RunState | None = None) -> Status:
    return status_of(state or decided(in_review({"text": "a"}, steps=2), "ok"), source="workflow")


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (
            Attempt(attempt=3, last_error="It is busy.", next_try=LATER),
            f"is being retried: attempt 3 begins at {moment(LATER, with_seconds=True)}. {BEFORE} {LIMIT}",
        ),
        (
            Attempt(attempt=2, last_error="It is busy."),
            f"is being retried: attempt 2 is running. {BEFORE} {LIMIT}",
        ),
        (
            Attempt(attempt=2, last_error="It is busy.", waits_for_worker=True),
            f"is being retried: attempt 2 waits for a worker. {BEFORE} {LIMIT}",
        ),
        (Attempt(attempt=1, paused="paused in Temporal"), "is paused in Temporal"),
    ],
)
def test_an_attempt_belongs_to_the_next_step(attempt: Attempt, said: str) -> None:
    shown = with_step_attempt(status(), attempt)
    assert [step.attempt for step in shown.steps] == [attempt.attempt, None]
    assert list(problems(shown)) == [f"Step 1 of 2, note, {said}"]


@pytest.mark.parametrize(
    ("changes", "when"),
    [
        ({"next_try": LATER}, f"at {moment(LATER, with_seconds=True)}"),
        ({"waits_for_worker": True}, "as soon as a worker runs"),
        ({}, "now"),
    ],
)
@pytest.mark.parametrize(
    ("ending", "left"),
    [
        ("It may still happen, so it will be looked up again later.", "The bank closed the connection"),
        (
            "There is no trace of it, but it may still happen, so it will be looked up again later.",
            "The bank closed the connection. There is no trace of it",
        ),
    ],
)
def test_the_page_mentions_once_that_a_step_that_may_still_happen_is_looked_up_again(
    changes: dict[str, object], when: str, ending: str, left: str
) -> None:
    error = f"The bank closed the connection. {ending}"
    attempt = Attempt.model_validate({"attempt": 2, "last_error": error, **changes})
    (said,) = problems(with_step_attempt(status(), attempt))
    assert said == (
        f"Step 1 of 2, note, was called, and its result is not known. It is looked up again {when}. It is "
        "repeated only if it certainly did not happen; if that remains unknown, the run is held. "
        f"The attempt before it failed: {left}."
    )
    assert ending in EXECUTION


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"waits_for_worker": True},
            f"No worker has answered since {{}}; step 1 of 2, note, had begun. {LOOKED_UP}",
        ),
        (
            {},
            f"Its worker has not answered since {{}}; step 1 of 2, note, had begun. {RUNS} {LOOKED_UP}",
        ),
    ],
)
def test_an_unresponsive_worker_is_reported_in_plain_words(changes: dict[str, bool], said: str) -> None:
    lost = Attempt.model_validate(
        {"attempt": 2, "last_error": "activity Heartbeat timeout", "lost_since": NOON, **changes}
    )
    assert list(problems(with_step_attempt(status(), lost))) == [said.format(moment(NOON, with_seconds=True))]
    draft = status_of(RunState(workflow_id="plan-1"), source="workflow").model_copy(update={"drafting": lost})
    (problem,) = problems(draft)
    assert problem.startswith(said.partition(" has")[0])
    assert "Heartbeat" not in problem


def test_unrecorded_decisions_are_reported_with_the_cause() -> None:
    kept = (
        UnreadDecision(decision="withdraw_approval", by="dana", sent_at=NOON),
        UnreadDecision(decision="approve", sent_at=NOON),
    )
    outage = Unrecorded(decisions=1, oldest=kept[:1], outcome=False, cause="The disk is full.", since=NOON)
    since = moment(NOON, with_seconds=True)
    for changes, who in (
        ({}, "1 decision (dana: withdraw approval) has"),
        (
            {"decisions": 2, "oldest": kept},
            TWO,
        ),
        ({"decisions": 3, "oldest": kept[:1]}, "3 decisions (dana: withdraw approval, …) have"),
        ({"outcome": True}, "1 decision (dana: withdraw approval) and the outcome have"),
        ({"decisions": 0, "oldest": (), "outcome": True}, "the outcome has"),
    ):
        shown = status().model_copy(update={"unrecorded": outage.model_copy(update=changes)})
        assert list(problems(shown)) == [
            f"{who} been waiting since {since} and cannot be recorded yet: The disk is full."
        ]


def test_a_plan_kept_after_a_failed_edit_can_be_decided() -> None:
    outage = Unrecorded(decisions=1, outcome=False, cause="The disk is full.", since=NOON)
    waiting = status_of(in_review({"text": "a"}), source="workflow")
    for shown, heading in (
        (waiting, "To decide"),
        (waiting.model_copy(update={"unrecorded": outage}), "To send another decision"),
    ):
        console = Console(StringIO())
        console.print(deciding_page(shown, TemporalAccess()))
        assert console.stream.getvalue().strip().splitlines()[0].strip() == heading  # type: ignore[attr-defined]


def test_status_shows_a_problem_and_watch_reports_it_once() -> None:
    before = status()
    shown = with_step_attempt(before, Attempt(attempt=2, last_error="It is busy."))
    (said,) = problems(shown)
    console = Console(StringIO())
    console.print(run_page(shown, NOON))
    assert said in console.stream.getvalue()  # type: ignore[attr-defined]
    assert [line for _, line in changes_between(before, shown)] == [said]
    assert list(changes_between(shown, shown)) == []


def test_watch_explains_why_a_plan_is_in_review_again_and_asks_again() -> None:
    before = status_of(in_review({"text": "a"}), source="workflow")
    why = "the edit by erik could not be drafted: there is no such account"
    again = before.model_copy(update={"reopened_at": LATER, "edit_failed": why})
    drafting = before.model_copy(update={"state": "drafting"})
    for seen in (before, drafting):
        assert [line for _, line in changes_between(seen, again)] == [
            f"plan-1 is in review again, because {why}"
        ]
    assert decision_key(before) != decision_key(again)


def test_a_supplied_plan_is_checked_and_not_drafted() -> None:
    drafting = status().model_copy(update={"state": "drafting", "revision": 0, "request": ""})
    assert waiting_words(drafting) == "plan-1: the plan is being checked"
    with_words = drafting.model_copy(update={"request": "Do it."})
    assert waiting_words(with_words) == "plan-1: a plan is being drafted (revision 1)"
    assert waiting_words(with_words, is_supplied=True) == "plan-1: the plan is being checked"
    again = drafting.model_copy(update={"revision": 1})
    assert waiting_words(again, is_supplied=True) == "plan-1: a plan is being drafted (revision 2)"
