"""Amounts in other plans are included if their steps may still act or were done within the window."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from plangate.domain.policies.rolling_totals import RESERVED_FOR, RecentSum
from plangate.records.database import Database
from plangate.records.reservations import Reservation, ReservationState, reserve, reserved_steps, with_others
from plangate.records.tables import reservations, runs
from tests.support.build import NOON
from tests.support.fresh_records import fresh_records

MIDNIGHT = NOON.replace(hour=0)
TICK = timedelta(microseconds=1)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = fresh_records(tmp_path / "records.db")
    known = {"chain_id": "c", "requester": "rita", "opened_at": NOON, "entry_count": 0, "head_hash": ""}
    with opened.write() as connection:
        connection.execute(insert(runs), [{"workflow_id": name, **known} for name in ("mine", "other")])
    yield opened
    opened.close()


def put(
    database: Database, at: datetime, amount: str = "1", *, run: str = "other", plan: str = "a" * 64
) -> None:
    row = Reservation(tool="refund", argument="amount", step=1, amount=Decimal(amount))
    with database.write() as connection:
        reserve(connection, [row], run=run, plan=plan, now=at)


def spend(database: Database, at: datetime) -> None:
    with database.write() as connection:
        connection.execute(update(reservations).values(state=ReservationState.SPENT.value, at=at))


def others(database: Database, window: str, now: datetime, *, run: str = "mine", plan: str = "b" * 64) -> str:
    wanted = RecentSum(tool="refund", argument="amount", window=window, others="0", own="0")
    with database.read() as connection:
        (found,) = with_others(connection, [wanted], run=run, plan=plan, now=now)
    assert found.others is not None
    return found.others


@pytest.mark.parametrize(
    ("window", "now", "first"),
    [
        ("24h", NOON, NOON - timedelta(hours=24)),
        ("day", NOON, MIDNIGHT),  # midnight belongs only to the new day
        ("day", MIDNIGHT, MIDNIGHT),
    ],
)
def test_a_window_includes_its_first_instant(
    database: Database, window: str, now: datetime, first: datetime
) -> None:
    put(database, first, "7")
    spend(database, first)
    assert others(database, window, now) == "7"
    spend(database, first - TICK)
    assert others(database, window, now) == "0"


@pytest.mark.parametrize("window", ["1h", "24h", "30d"])
def test_a_reservation_counts_longer_than_a_short_window(database: Database, window: str) -> None:
    put(database, NOON, "7")
    for later in (timedelta(hours=2), timedelta(days=2), RESERVED_FOR - TICK):
        assert others(database, window, NOON + later) == "7"
    assert others(database, window, NOON + RESERVED_FOR) == ("7" if window == "30d" else "0")


def test_a_plan_excludes_itself_and_includes_all_others(database: Database) -> None:
    put(database, NOON, "1", run="mine", plan="b" * 64)
    put(database, NOON, "2", run="mine", plan="a" * 64)  # an earlier plan of the same run
    put(database, NOON, "4", run="other", plan="b" * 64)
    assert others(database, "24h", NOON) == "6"


def test_claiming_again_renews_the_reservation_of_a_plan(database: Database) -> None:
    put(database, NOON)
    later = NOON + RESERVED_FOR - TICK
    with database.write() as connection:
        assert reserved_steps(connection, run="other", plan="a" * 64, now=later) == {1}
        assert reserved_steps(connection, run="other", plan="a" * 64, now=NOON + RESERVED_FOR) == frozenset()
        reserve(connection, [], run="other", plan="a" * 64, now=later)
        after = later + RESERVED_FOR - TICK
        assert reserved_steps(connection, run="other", plan="a" * 64, now=after) == {1}
