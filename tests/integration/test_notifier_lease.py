"""Only one process at a time has the lease to send notices, in any order and with any clock."""

from datetime import timedelta

import pytest

from plangate.notifications.ledger import shared_time
from plangate.records.database import Database
from plangate.records.notifier_lease import Lease, lock_lease, take_lease
from tests.support.build import NOON
from tests.support.postgres import PostgresServer


def taken(database: Database, holder: str) -> bool:
    """Return whether this process gets the lease, in a separate transaction."""
    with database.write() as connection:
        return take_lease(connection, lock_lease(connection), holder, shared_time(connection)) is not None


def test_a_transaction_older_than_the_lease_does_not_take_it_again(
    postgres: PostgresServer,
) -> None:
    url = postgres.new_records()
    slow, quick = Database(url), Database(url)
    with slow.write() as connection:
        began = shared_time(connection)
        assert taken(quick, "quick")
        before = lock_lease(connection)
        assert before.holder == "quick"
        assert shared_time(connection) > began
        assert take_lease(connection, before, "slow", shared_time(connection)) is None
    assert not taken(slow, "slow")
    slow.close()
    quick.close()


@pytest.mark.parametrize(
    ("held_for", "is_free"),
    [(-1, True), (0, True), (1, False), (8, False), (15, False), (17, True), (86_400, True)],
)
def test_a_lease_is_free_once_it_expired_or_if_the_clock_was_far_ahead(held_for: int, is_free: bool) -> None:
    lease = Lease(holder="other", held_until=NOON + timedelta(seconds=held_for))
    assert lease.is_free(NOON) is is_free
