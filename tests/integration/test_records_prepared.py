"""A prepared statement returns the same as SQLAlchemy, although it bypasses SQLAlchemy on SQLite."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import bindparam, insert, select, update

from plangate.records.database import Database
from plangate.records.prepared_statements import Prepared
from plangate.records.tables import runs
from tests.support.fresh_records import fresh_records

INSERT, SELECT = insert(runs), select(runs).where(runs.c.workflow_id == bindparam("run"))
CHANGE = update(runs).where(runs.c.workflow_id == bindparam("run"), runs.c.requester == "rita")
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=ZONES)  # noqa: DTZ001  its bounds are naive
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return fresh_records(tmp_path / "records.db")


@given(
    requester=TEXTS,
    opened=TIMES,
    deadline=st.none() | TIMES,
    count=st.integers(-(2**63), 2**63 - 1),
)
@settings(max_examples=100, deadline=None)
def test_values_are_returned_as_by_sqlalchemy(
    tmp_path_factory: pytest.TempPathFactory, requester: str, opened: datetime, deadline: datetime, count: int
) -> None:
    database = fresh_records(tmp_path_factory.mktemp("records") / "records.db")
    values = {
        "workflow_id": "one", "chain_id": "c", "requester": requester, "opened_at": opened,
        "entry_count": count, "head_hash": "h", "deadline": deadline,
    }  # fmt: skip
    with database.write() as connection:
        assert Prepared(INSERT)(connection, values, {**values, "workflow_id": "two"}).changed == 2
        assert Prepared(SELECT)(connection, {"run": "none"}).one_or_none() is None
        for name in ("one", "two"):
            ours = Prepared(SELECT)(connection, {"run": name}).one_or_none()
            theirs = connection.execute(SELECT, {"run": name}).one()
            assert ours._asdict() == theirs._asdict()
            assert ours.opened_at == opened
            assert ours.opened_at.tzinfo is UTC
    database.close()


def test_literals_in_a_statement_apply(database: Database) -> None:
    values = {"chain_id": "c", "opened_at": datetime.now(UTC), "entry_count": 1, "head_hash": "h"}
    change = Prepared(CHANGE)
    with database.write() as connection:
        for name in ("rita", "dana"):
            Prepared(INSERT)(connection, {"workflow_id": name, "requester": name, **values})
        assert change(connection, {"run": "rita", "entry_count": 2}).changed == 1
        assert change(connection, {"run": "dana", "entry_count": 2}).changed == 0
        assert change(connection, {"run": "rita", "head_hash": "other"}).changed == 1
        found = connection.execute(SELECT, {"run": "rita"}).one()
        assert (found.entry_count, found.head_hash) == (2, "other")


def test_several_rows_are_not_a_single_row(database: Database) -> None:
    values = {"chain_id": "c", "requester": "rita", "opened_at": datetime.now(UTC), "entry_count": 1}
    with database.write() as connection:
        for name in ("one", "two"):
            Prepared(INSERT)(connection, {"workflow_id": name, "head_hash": "h", **values})
        with pytest.raises(ValueError, match="unpack"):
            Prepared(select(runs))(connection, {}).one_or_none()


def test_a_missing_value_is_an_error_and_not_null(database: Database) -> None:
    with database.write() as connection, pytest.raises(ValueError, match="run"):
        Prepared(SELECT)(connection, {"rn": "misspelt"})
