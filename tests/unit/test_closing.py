"""A run may call itself what its record bears out, and nothing else."""

from datetime import timedelta

import pytest

from activities.closing import _can_end_so
from plangate.domain.audit import Closed, Outcome, Reopened
from plangate.domain.run import RunState, apply
from tests.support.build import DEADLINE, NOON, approved, arrival, decide, done, drafted, state_after

WAITING = state_after(drafted())
HOUR = timedelta(hours=1)
REJECTED = decide(WAITING, arrival("reject", by="erik"))
DONE = apply(apply(approved(), done(1)), done(2))


@pytest.mark.parametrize(
    ("record", "outcome", "is_so"),
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
def test_an_outcome_has_to_be_on_the_record(record: RunState, outcome: Outcome, is_so: bool) -> None:
    assert _can_end_so(record, outcome, DEADLINE) is is_so


def test_a_run_expires_at_its_deadline_and_not_before() -> None:
    late = Reopened(
        fingerprint=drafted().fingerprint, step=1, lost=(), reopened_at=NOON, deadline=DEADLINE + HOUR
    )
    assert not _can_end_so(WAITING, Outcome.EXPIRED, DEADLINE - timedelta(seconds=1))
    assert _can_end_so(WAITING, Outcome.EXPIRED, DEADLINE)
    assert not _can_end_so(apply(approved(), late), Outcome.EXPIRED, DEADLINE)
    assert _can_end_so(apply(approved(), late), Outcome.EXPIRED, DEADLINE + HOUR)
    assert not _can_end_so(state_after(), Outcome.EXPIRED, DEADLINE)
