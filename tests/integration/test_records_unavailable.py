"""A database is unavailable, refuses, or recovers: one plain error, no partial write, no password."""

import sqlite3
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from plangate.domain.errors import RecordsUnavailable, SettingsInvalid
from plangate.records.database import Database
from plangate.records.queries import pending_on_record
from plangate.records.trail import open_trail
from tests.support.fresh_records import fresh_records
from tests.support.postgres import PASSWORD, URL_PASSWORD, PostgresServer
from tests.support.record_writer import assert_unbroken, note, run_ref, trail, write_down

# The meanings of PostgreSQL's codes. The caller retries after each of them, transient or not.
SQLSTATES = {
    "23505": "a unique violation",
    "40P01": "a deadlock",
    "40001": "a serialization failure",
    "55P03": "a lock that is not available",
    "42501": "a missing permission",
    "42P01": "a missing table",
    "25006": "a read-only standby",
    "53100": "a full disk",
    "53300": "too many connections",
    "57P01": "a shutdown",
    "22001": "a value that is too long",
    "XX001": "a broken page",
}


@pytest.fixture
def on_postgres(postgres: PostgresServer) -> Database:
    return Database(postgres.new_records())


@pytest.mark.parametrize("code", SQLSTATES, ids=list(SQLSTATES.values()))
def test_each_postgresql_refusal_is_retryable_and_nothing_is_written(
    on_postgres: Database, code: str
) -> None:
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'said so' USING ERRCODE = '{code}'; END $$"

    def write_and_be_refused() -> None:
        with on_postgres.write() as connection:
            open_trail(connection, run_ref()).append(note("one"))
            connection.execute(text(raising))

    with pytest.raises(RecordsUnavailable, match=r"are unavailable: said so(; .*)?\.$") as caught:
        write_and_be_refused()
    advice = {"a read-only standby": "use the primary", "a full disk": "free space on it"}
    assert advice.get(SQLSTATES[code], "") in str(caught.value)
    assert trail(on_postgres) == ()
    on_postgres.close()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("INSERT INTO alembic_version SELECT version_num FROM alembic_version", "UNIQUE constraint failed"),
        ("SELECT * FROM no_such_table", "no such table"),
        ("PRAGMA max_page_count = 1", "full"),
        ("PRAGMA query_only = ON", "readonly"),
    ],
)
def test_each_sqlite_refusal_is_retryable_and_nothing_is_written(
    tmp_path: Path, statement: str, said: str
) -> None:
    database = fresh_records(tmp_path / "records.db")

    def write_and_be_refused() -> None:
        with database.write() as connection:
            connection.execute(text(statement))
            open_trail(connection, run_ref()).append(note("one", actor="x" * 100_000))

    with pytest.raises(RecordsUnavailable, match=said):
        write_and_be_refused()
    database.close()
    assert trail(Database(f"sqlite:///{tmp_path / 'records.db'}")) == ()


def test_a_file_that_is_not_a_database_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "records.db").write_text("this text file is not a database\n" * 99)
    database = Database(f"sqlite:///{tmp_path / 'records.db'}")
    not_a_database = pytest.raises(
        RecordsUnavailable,
        match=r"are unavailable: file is not a database; the file is damaged: restore it from a backup\.$",
    )
    with not_a_database:
        database.migrate()
    with not_a_database:
        pending_on_record(database)


def test_a_connection_lost_during_a_transaction_writes_nothing_and_the_next_one_works(
    postgres: PostgresServer,
) -> None:
    url = postgres.new_records()
    database = Database(url)
    write_down(database, run_ref(), note("one"))

    def write_and_disconnect() -> None:
        with database.write() as connection:
            open_trail(connection, run_ref()).append(note("two"))
            assert postgres.cut_connections(url) >= 1
            open_trail(connection, run_ref()).append(note("three"))

    with pytest.raises(RecordsUnavailable, match="terminat"):
        write_and_disconnect()
    write_down(database, run_ref(), note("four"))
    assert [entry.key for entry in trail(database)] == ["requested", "one", "four"]
    database.close()


def test_a_connection_lost_while_idle_has_no_effect(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    database = Database(url)
    database.migrate()
    assert postgres.cut_connections(url) == 1
    write_down(database, run_ref(), note("one"))
    assert postgres.cut_connections(url) == 1
    assert len(trail(database)) == 2
    database.close()


def test_a_killed_postgresql_leaves_no_partial_write_and_loses_nothing(
    postgres: PostgresServer,
) -> None:
    database = Database(postgres.new_records())
    write_down(database, run_ref(), note("one"))

    def write_and_kill_server() -> None:
        with database.write() as connection:
            open_trail(connection, run_ref()).append(note("two"))
            postgres.kill_9()
            for number in range(500):  # its child processes may continue for a moment
                open_trail(connection, run_ref()).append(note(f"three {number}"))
                time.sleep(0.01)

    try:
        with pytest.raises(RecordsUnavailable):
            write_and_kill_server()
        with pytest.raises(
            RecordsUnavailable,
            match=r"failed: Connection refused; check PLANGATE_DATABASE_URL, and whether the server runs\.$",
        ):
            write_down(database, run_ref(), note("four"))
        with pytest.raises(RecordsUnavailable):
            trail(database)
    finally:
        postgres.start()
    write_down(database, run_ref(), note("four"))
    assert [entry.key for entry in trail(database)] == ["requested", "one", "four"]
    assert_unbroken(trail(database))
    database.close()


def test_a_server_without_a_free_connection_is_explained(postgres: PostgresServer) -> None:
    with postgres.connect() as connection:
        connection.execute("CREATE ROLE many LOGIN PASSWORD 'pw' CONNECTION LIMIT 0")
    database = Database(f"postgresql://many:pw@127.0.0.1:{postgres.port}/postgres")
    with pytest.raises(
        RecordsUnavailable, match=r"; allow more connections on the server, or run fewer workers\.$"
    ):
        trail(database)
    with postgres.connect() as connection:
        connection.execute("DROP ROLE many")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://plangate:{secret}@127.0.0.1:{port}/no_such_database",
        "postgresql://plangate:{secret}X@127.0.0.1:{port}/postgres",
        "postgresql://nobody:{secret}@127.0.0.1:{port}/postgres",
        "postgresql://plangate:{secret}@127.0.0.1:1/postgres",
        "postgresql://plangate:{secret}@no-such-host.invalid/postgres",
        "postgresql:///postgres?host=127.0.0.1&port={port}&user=nobody&password={secret}",
        "postgresql://127.0.0.1:{port}/postgres?user=nobody&password={secret}",
        "postgresql://plangate:{secret}@127.0.0.1:{port}/postgres?sslmode=require",
        "postgresql://plangate:{secret}@127.0.0.1:{port}/postgres?sslmode=nonsense",
        "postgresql+asyncpg://nobody:{secret}@127.0.0.1:{port}/postgres",
    ],
)
def test_no_message_or_traceback_contains_the_password(postgres: PostgresServer, url: str) -> None:
    database = Database(url.format(secret=URL_PASSWORD, port=postgres.port))
    with pytest.raises(
        RecordsUnavailable,
        match=r"^The records at postgresql\+psycopg://.* are unavailable: .*; check PLANGATE_DATABASE_URL, ",
    ) as caught:
        database.migrate()
    error: BaseException | None = caught.value
    while error is not None:
        for secret in (PASSWORD, URL_PASSWORD, "pa:ss", "pa%3Ass"):
            assert secret not in str(error)
            assert secret not in repr(error)
        error = error.__cause__ or error.__context__
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "", "records.db", "postgresql", "postgresql://u:s3cret@h:port/db", "postgresql://u:pass@s3cret@h/db",
        "mysql://u:s3cret@h/db", "sqlite://", "sqlite:///:memory:", "postgresql://u@h:s3cret/db",
        "postgresql://u@h/db?no_such_option=s3cret", "sqlite:////tmp/a?mode=s3cret", "postgresql://u:s3cret@h,[::/d",
    ],
)  # fmt: skip
def test_an_invalid_url_is_reported_without_it(url: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"^PLANGATE_DATABASE_URL ") as caught:
        Database(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_an_error_does_not_contain_the_values_to_write(tmp_path: Path) -> None:
    database = fresh_records(tmp_path / "records.db")

    def write_and_be_refused() -> None:
        with database.write() as connection:
            connection.execute(text("DROP TABLE audit_entries"))
            open_trail(connection, run_ref(request="a private matter")).append(
                note("one", actor="a private matter")
            )

    with pytest.raises(RecordsUnavailable) as caught:
        write_and_be_refused()
    assert "a private matter" not in f"{caught.value} {caught.value.__cause__}"
    database.close()


def test_sqlite_has_each_confirmed_write_on_disk_before_it_continues(tmp_path: Path) -> None:
    database = fresh_records(tmp_path / "records.db")
    with database.write() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    database.close()
    with sqlite3.connect(tmp_path / "records.db") as plain:  # the mode belongs to the file
        assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    plain.close()
