"""When an effect may have begun: by that time a vendor's list and its memory of a key are judged."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from activities.attempt import _began_at
from plangate.domain.audit import Claimed, Event, Released, StepInDoubt

pytestmark = pytest.mark.quick
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
OTHER = Claimed(step=1, idempotency_key="other", fingerprint="f" * 64, attempt=1)
CLAIMED = OTHER.model_copy(update={"idempotency_key": "mine"})
RELEASED = Released(step=1, attempt=1, reason="away")
DOUBTED = StepInDoubt(step=1, reason="lost")


@pytest.mark.parametrize(
    ("events", "minutes"),
    [
        ([CLAIMED], 0),
        ([CLAIMED, CLAIMED, CLAIMED], 0),  # the first of those whose end is not known
        ([OTHER, CLAIMED], 1),
        ([CLAIMED, RELEASED, CLAIMED, CLAIMED], 2),  # else a late effect would be waited for too shortly
        ([CLAIMED, DOUBTED, CLAIMED], 2),
    ],
)
def test_it_is_the_first_claim_whose_end_is_not_known(events: list[Event], minutes: int) -> None:
    entries = [SimpleNamespace(event=one, at=NOON + timedelta(minutes=n)) for n, one in enumerate(events)]
    trail = cast("Any", SimpleNamespace(entries=lambda: entries))
    assert _began_at(trail, "mine") == NOON + timedelta(minutes=minutes)
