"""The state of a message after an attempt to send, and the grouping of messages."""

from datetime import datetime, timedelta

import pytest

from plangate.notifications.notice import Attempted, Delivery, NoticeKind
from plangate.notifications.outgoing import (
    MAX_UNCONFIRMED_ATTEMPTS,
    MIN_ATTEMPTS,
    RETRIED_FOR,
    OutgoingMessage,
    outgoing,
    results_of,
)
from plangate.records.deliveries import DeliveryResult
from plangate.records.notices import DeliveryState
from tests.support.build import HOUR, NOON
from tests.unit.test_hourly_limit import GINA, Arrival

SECOND = timedelta(seconds=1)


def after(attempted: Attempted, *, now: datetime = NOON, rng: float = 0.5, **tried: object) -> DeliveryResult:
    """Return the state of a message after an attempt, given its earlier attempts."""
    part = Arrival(0, NoticeKind.NEEDED).due(1).model_copy(update=tried)
    (result,) = results_of(OutgoingMessage(*GINA, "m.1", (part,)), attempted, now, rng)
    return result


LATER = Attempted(delivery=Delivery.LATER)
IN_DOUBT = LATER.model_copy(update={"is_in_doubt": True})


@pytest.mark.parametrize(
    ("attempts", "pause"), [(0, 5 * SECOND), (1, 10 * SECOND), (9, 2560 * SECOND), (30, HOUR)]
)
def test_each_delay_is_twice_as_long_up_to_an_hour(attempts: int, pause: timedelta) -> None:
    assert after(LATER, attempts=attempts).next_at == NOON + pause


def test_no_attempt_is_earlier_than_the_time_given_by_the_server() -> None:
    named = NOON + timedelta(minutes=7)
    assert after(LATER.model_copy(update={"retry_at": named})).next_at == named
    assert after(LATER.model_copy(update={"retry_at": NOON - HOUR})).next_at == NOON + 5 * SECOND


def test_a_message_is_abandoned_after_a_day_and_enough_attempts() -> None:
    now = NOON + RETRIED_FOR
    for tries, state in ((MIN_ATTEMPTS, DeliveryState.GIVEN_UP), (MIN_ATTEMPTS - 1, DeliveryState.WAITING)):
        assert after(LATER, now=now, attempts=tries - 1, tried_at=NOON).state is state
    assert (
        after(LATER, now=now - 2 * HOUR, attempts=MIN_ATTEMPTS, tried_at=NOON).state is DeliveryState.WAITING
    )


def test_a_message_that_may_have_arrived_repeatedly_is_not_sent_again() -> None:
    for tries, state in (
        (MAX_UNCONFIRMED_ATTEMPTS, DeliveryState.GIVEN_UP),
        (MAX_UNCONFIRMED_ATTEMPTS - 1, DeliveryState.WAITING),
    ):
        assert after(IN_DOUBT, attempts=tries - 1, is_repeat=True).state is state
    assert after(LATER, attempts=MAX_UNCONFIRMED_ATTEMPTS, is_repeat=True).state is DeliveryState.WAITING
    assert after(IN_DOUBT).is_repeat
    # No earlier attempt arrived.
    first_copy = after(IN_DOUBT, attempts=MAX_UNCONFIRMED_ATTEMPTS - 1, is_repeat=False)
    assert first_copy.state is DeliveryState.WAITING


@pytest.mark.parametrize(("sent", "sizes"), [(0, [1, 2]), (1, [3])], ids=["with room", "half full"])
def test_informational_notices_are_grouped_once_half_of_the_hourly_limit_is_used(
    sent: int, sizes: list[int]
) -> None:
    kinds = (NoticeKind.NEEDED, NoticeKind.RELIEVED, NoticeKind.OUTCOME)
    due = [Arrival(0, kind).due(number) for number, kind in enumerate(kinds)]
    found = outgoing(due, {GINA: [NOON - SECOND] * 10 * sent}, NOON, per_hour=20, mark="m")
    assert sorted(len(one.parts) for one in found.messages) == sizes
