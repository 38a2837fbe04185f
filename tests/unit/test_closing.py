"""A run may call itself what its record bears out, and nothing else."""

import pytest

from activities.closing import _can_end_so
from plangate.domain.audit import Closed, Outcome
from plangate.domain.run import RunState, apply
from tests.unit.test_review import approved, arrival, decide, done, drafted, state_after

WAITING = state_after(drafted())
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
    assert _can_end_so(record, outcome) is is_so
