"""The time when an effect may have begun, compared with a vendor's list and key lifetime."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from activities.claims import began_at, earlier_state_of
from activities.effect_once import EarlierState
from plangate.domain.runs.audit import Claimed, Event, Held, Released, StepInDoubt
from plangate.records.ledger import Effect, EffectState

pytestmark = pytest.mark.quick
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
OTHER = Claimed(step=1, idempotency_key="other", fingerprint="f" * 64, attempt=1)
CLAIMED = OTHER.model_copy(update={"idempotency_key": "mine"})
RELEASED = Released(step=1, attempt=1, reason="away")
HELD = Held(step=1, fingerprint="f" * 64, why="away", held_at=NOON, deadline=NOON)
IN_DOUBT = StepInDoubt(step=1, reason="lost")


@pytest.mark.parametrize(
    ("events", "minutes"),
    [
        ([CLAIMED], 0),
        ([CLAIMED, CLAIMED, CLAIMED], 0),  # the first claim without a known result
        ([OTHER, CLAIMED], 1),
        ([CLAIMED, OTHER, CLAIMED], 0),
        ([CLAIMED, RELEASED, CLAIMED, CLAIMED], 2),  # otherwise the wait for a late effect would be too short
        ([CLAIMED, IN_DOUBT, CLAIMED], 2),
    ],
)
def test_an_effect_may_have_begun_at_the_first_claim_without_a_known_result(
    events: list[Event], minutes: int
) -> None:
    assert began_at(trail_of(events), "mine") == NOON + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("events", "earlier"),
    [
        ([CLAIMED, RELEASED], EarlierState.NOTHING),
        ([CLAIMED, CLAIMED, RELEASED], EarlierState.RULED_OUT),
        ([CLAIMED, CLAIMED, CLAIMED, RELEASED], EarlierState.RULED_OUT),
        ([OTHER, CLAIMED, RELEASED], EarlierState.NOTHING),
        ([CLAIMED, OTHER, RELEASED], EarlierState.NOTHING),
        ([CLAIMED, CLAIMED, RELEASED, CLAIMED, RELEASED], EarlierState.NOTHING),
        ([CLAIMED, RELEASED, CLAIMED, CLAIMED, RELEASED], EarlierState.RULED_OUT),
        (
            [CLAIMED, CLAIMED, RELEASED, HELD],
            EarlierState.RULED_OUT,
        ),  # for example, when its attempts are used up
    ],
)
def test_a_claim_that_took_over_another_is_dated_by_the_abandoned_one(
    events: list[Event], earlier: EarlierState
) -> None:
    """The attempt that was considered dead may only have been slow and may have acted since then."""
    effect = Effect(
        idempotency_key="mine",
        workflow_id="run",
        fingerprint="f" * 64,
        step=1,
        state=EffectState.RELEASED,
        holder="worker",
        attempts=1,
    )
    assert earlier_state_of(trail_of(events), effect) is earlier


def trail_of(events: list[Event]) -> Any:
    entries = [SimpleNamespace(event=one, at=NOON + timedelta(minutes=n)) for n, one in enumerate(events)]
    return cast("Any", SimpleNamespace(entries=lambda: entries))
