"""Only one process at a time has the turn to send notices, in any order and with any clock."""

from datetime import timedelta

import pytest

from plangate.notifications.ledger import time_here
from plangate.records.database import Database
from plangate.records.notifier_turn import Turn, lock_turn, take_turn
from tests.support.build import NOON
from tests.support.postgres import PostgresServer


def taken(database: Database, holder: str) -> bool:
    """Return whether this process gets the turn, in a separate transaction."""
    with database.write() as connection:
        return take_turn(connection, lock_turn(connection), holder, time_here(connection)) is not None


def test_a_transaction_older_than_the_turn_does_not_take_it_again(
    postgres: PostgresServer,
) -> None:
    url = postgres.new_records()
    slow, quick = Database(url), Database(url)
    with slow.write() as connection:
        began = time_here(connection)
        assert taken(quick, "quick")
        before = lock_turn(connection)
        assert before.holder == "quick"
        assert time_here(connection) > began
        assert take_turn(connection, before, "slow", time_here(connection)) is None
    assert not taken(slow, "slow")
    slow.close()
    quick.close()


@pytest.mark.parametrize(
    ("held_for", "is_free"),
    [(-1, True), (0, True), (1, False), (8, False), (15, False), (17, True), (86_400, True)],
)
def test_a_turn_is_free_once_it_expired_or_if_the_clock_was_far_ahead(held_for: int, is_free: bool) -> None:
    turn = Turn(holder="other", held_until=NOON + timedelta(seconds=held_for))
    assert turn.is_free(NOON) is is_free
