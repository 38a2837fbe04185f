"""A run may only report an outcome that its record confirms."""

from datetime import datetime, timedelta

import pytest

from activities.closing import ending
from plangate.domain.runs.audit import Closed, Outcome, Reopened
from plangate.domain.runs.fold import apply
from plangate.domain.runs.run import RunState
from tests.support.build import DEADLINE, NOON, approved, arrival, decide, done, drafted, state_after

WAITING = state_after(drafted())
HOUR = timedelta(hours=1)
REJECTED = decide(WAITING, arrival("reject", by="erik"))
DONE = apply(apply(approved(), done(1)), done(2))


@pytest.mark.parametrize(
    ("record", "outcome", "is_allowed"),
    [
        (WAITING, Outcome.REJECTED, False),
        (approved(), Outcome.REJECTED, False),
        (decide(WAITING, arrival("reject", by="nobody", plan="0" * 12)), Outcome.REJECTED, False),
        (apply(WAITING, Closed(outcome=Outcome.EXPIRED)), Outcome.REJECTED, False),
        (REJECTED, Outcome.REJECTED, True),
        (state_after(), Outcome.EXECUTED, False),
        (apply(approved(), done(1)), Outcome.EXECUTED, False),
        (DONE, Outcome.EXECUTED, True),
        (WAITING, Outcome.WITHDRAWN, True),
    ],
)
def test_an_outcome_must_be_recorded(record: RunState, outcome: Outcome, is_allowed: bool) -> None:
    assert (ending(record, outcome, "", DEADLINE).outcome is outcome) is is_allowed


def test_a_run_expires_at_its_deadline_and_not_earlier() -> None:
    late = Reopened(
        fingerprint=drafted().fingerprint, step=1, lost=(), reopened_at=NOON, deadline=DEADLINE + HOUR
    )
    assert not expires(WAITING, DEADLINE - timedelta(seconds=1))
    assert expires(WAITING, DEADLINE)
    assert not expires(apply(approved(), late), DEADLINE)
    assert expires(apply(approved(), late), DEADLINE + HOUR)
    assert not expires(state_after(), DEADLINE)


def expires(record: RunState, at: datetime) -> bool:
    return ending(record, Outcome.EXPIRED, "", at).outcome is Outcome.EXPIRED


def test_an_outcome_that_contradicts_the_record_is_replaced() -> None:
    assert ending(DONE, Outcome.WITHDRAWN, "", DEADLINE) == Closed(
        outcome=Outcome.EXECUTED,
        reason="the run reported the outcome withdrawn, but every step is done or skipped",
    )
    assert ending(WAITING, Outcome.EXECUTED, "", DEADLINE) == Closed(
        outcome=Outcome.FAILED,
        reason="the run reported the outcome executed, but not every step is done or skipped",
    )


@pytest.mark.parametrize("outcome", Outcome)
def test_a_recorded_rejection_ends_the_run_regardless_of_its_report(outcome: Outcome) -> None:
    """The worker that admitted it may have died before the run received the result."""
    assert ending(REJECTED, outcome, "", DEADLINE).outcome is Outcome.REJECTED
