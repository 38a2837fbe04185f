"""PostgreSQL: the administrator's settings and the server's later state are checked, not trusted."""

import os
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from plangate.domain.errors import RecordsUnavailable
from plangate.domain.runs.audit import StepFailed
from plangate.records.database import Database
from tests.support.postgres import URL_PASSWORD, USER, PostgresServer
from tests.support.record_writer import exit_codes, in_processes, migrate, note, run_ref, trail, write_down
from tests.support.small_file_system import small_file_system


def name_in(url: str) -> str:
    return url.rpartition("/")[2]


def set_default(postgres: PostgresServer, url: str, setting: str) -> None:
    """Set a default for every new session of this database."""
    with postgres.connect() as connection:
        connection.execute(f'ALTER DATABASE "{name_in(url)}" SET {setting}'.encode())


def shown(database: Database, setting: str) -> object:
    with database.write() as connection:
        return connection.execute(text(f"SHOW {setting}")).scalar()


def keys(database: Database) -> list[str]:
    return [entry.key for entry in trail(database)]


# ---- settings of the server's administrator ---------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "used"), [("off", "on"), ("local", "local"), ("on", "on"), ("remote_write", "remote_write")]
)
def test_every_commit_is_on_disk_before_it_is_confirmed_regardless_of_the_servers_default(
    postgres: PostgresServer, was: str, used: str
) -> None:
    url = postgres.new_database()
    set_default(postgres, url, f"synchronous_commit = {was}")
    database = Database(url)
    database.migrate()
    assert shown(database, "synchronous_commit") == used
    database.close()


def test_a_commit_survives_kill_9_even_if_the_server_does_not_wait_for_its_disk(
    postgres: PostgresServer,
) -> None:
    url = postgres.new_database()
    set_default(postgres, url, "synchronous_commit = off")
    database = Database(url)
    database.migrate()
    for number in range(5):
        write_down(database, run_ref(), note(f"entry {number}"))
    postgres.kill_9()
    postgres.start()
    assert keys(database) == ["requested", *(f"entry {number}" for number in range(5))]
    database.close()


@pytest.mark.parametrize("isolation", ["serializable", "repeatable read"])
def test_writers_read_what_others_committed_regardless_of_the_servers_default(
    postgres: PostgresServer, isolation: str
) -> None:
    url = postgres.new_database()
    set_default(postgres, url, f"default_transaction_isolation = '{isolation}'")
    assert exit_codes(in_processes(4, migrate, url)) == [0] * 4  # they compete for the tables
    database = Database(url)
    assert shown(database, "transaction_isolation") == "read committed"
    with database.read() as connection:
        assert connection.execute(text("SHOW transaction_isolation")).scalar() == "repeatable read"
        assert connection.execute(text("SHOW transaction_read_only")).scalar() == "on"
    database.close()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_store_every_text_is_reported_in_one_sentence(
    postgres: PostgresServer, encoding: str
) -> None:
    url = postgres.new_database()
    with postgres.connect() as connection:
        connection.execute(f'DROP DATABASE "{name_in(url)}"'.encode())
        connection.execute(
            f"CREATE DATABASE \"{name_in(url)}\" ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0".encode()
        )
    database = Database(url)
    for act in (database.migrate, lambda: trail(database)):
        with pytest.raises(RecordsUnavailable, match=f"encoding is {encoding}, .* ENCODING 'UTF8'"):
            act()
    database.close()


def test_text_is_utf_8_regardless_of_the_roles_settings(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    set_default(postgres, url, "client_encoding = 'LATIN1'")
    database = Database(url)
    database.migrate()
    write_down(database, run_ref(request="Überweise 12 € nach 東京"), note("one"))
    assert "東京" in trail(database)[0].written
    database.close()


def test_a_role_with_rights_only_in_its_database_is_enough(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with postgres.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS plain")
        connection.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
        connection.execute(f'ALTER DATABASE "{name_in(url)}" OWNER TO plain'.encode())
    database = Database(
        url.replace(f"{USER}:{URL_PASSWORD}", "plain:plain").replace("postgresql:", "postgres:")
    )
    database.migrate()
    write_down(database, run_ref(), note("one"))
    database.close()


def test_a_server_with_fsync_disabled_is_reported_to_the_operator(
    postgres: PostgresServer,
) -> None:
    database = Database(postgres.new_database())  # the tests' own server runs with this setting
    with capture_logs() as logged:
        database.migrate()
    assert "fsync = off" in logged[0]["event"]
    database.close()


# ---- read-only, replaced, a full disk --------------------------------------------------------------


def test_a_read_only_database_accepts_nothing_and_recovers_automatically(
    postgres: PostgresServer,
) -> None:
    url = postgres.new_records()
    database = Database(url)
    write_down(database, run_ref(), note("one"))
    try:
        with postgres.connect() as connection:  # while the connections are open
            connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            connection.execute("SELECT pg_reload_conf()")
        accepted = write_until_refused(database)
        for _ in range(3):
            with pytest.raises(RecordsUnavailable, match=r"does not accept writes now .* make it writable"):
                write_down(database, run_ref(), note("two"))
        assert keys(database) == ["requested", "one", *accepted]
    finally:
        with postgres.connect() as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")
    write_until_accepted(database, "three")
    assert keys(database) == ["requested", "one", *accepted, "three"]
    database.close()


def write_until_refused(database: Database) -> list[str]:
    """Write until the server has notified its sessions of a change; return the number of earlier writes."""
    accepted: list[str] = []
    for number in range(1000):
        try:
            write_down(database, run_ref(), note(f"before {number}"))
        except RecordsUnavailable:
            return accepted
        accepted.append(f"before {number}")
    raise AssertionError("It never refused a write.")


def write_until_accepted(database: Database, key: str) -> None:
    """Retry like an activity; the server notifies its sessions of a change after a delay."""
    for _ in range(200):
        try:
            write_down(database, run_ref(), note(key))
        except RecordsUnavailable:
            continue
        return
    raise AssertionError("It never accepted another write.")


def test_a_failover_to_a_standby_is_followed_and_read_only_connections_are_not_kept() -> None:
    primary = PostgresServer()
    primary.start()
    standby = PostgresServer(primary)
    try:
        standby.start()
        url = primary.new_database()
        one, both = (
            Database(url),
            Database(f"{url.replace(f':{primary.port}/', f':{primary.port},127.0.0.1:{standby.port}/')}"),
        )
        one.migrate()
        write_down(both, run_ref(), note("one"))
        of_standby = Database(url.replace(f":{primary.port}/", f":{standby.port}/"))
        wait_for_replay(primary, standby)  # until then, the database may not even exist there
        for _ in range(2):
            with pytest.raises(RecordsUnavailable, match="does not accept writes now"):
                write_down(of_standby, run_ref(), note("two"))
        assert keys(of_standby) == ["requested", "one"]  # it can be read
        primary.kill_9()
        with pytest.raises(RecordsUnavailable):
            write_down(one, run_ref(), note("two"))
        with standby.connect() as connection:
            connection.execute("SELECT pg_promote()")
        write_until_accepted(both, "three")
        write_down(of_standby, run_ref(), note("four"))
        assert keys(both) == ["requested", "one", "three", "four"]
        for database in (one, both, of_standby):
            database.close()
    finally:
        standby.remove()
        primary.remove()


def wait_for_replay(primary: PostgresServer, standby: PostgresServer) -> None:
    with primary.connect() as connection:
        written = connection.execute("SELECT pg_current_wal_lsn()").fetchone()
    with standby.connect() as connection:
        while connection.execute("SELECT pg_last_wal_replay_lsn() >= %s", written).fetchone() != (True,):
            pass


def test_another_database_under_the_same_name_stops_all_work_until_a_restart(
    postgres: PostgresServer,
) -> None:
    url = postgres.new_records()
    database = Database(url)
    write_down(database, run_ref(), note("one"))
    name = name_in(url)
    postgres.cut_connections(url)
    with postgres.connect() as connection:
        connection.execute(f'ALTER DATABASE "{name}" RENAME TO "{name}_before"'.encode())
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{name}_before"'.encode())
    for _ in range(2):
        with pytest.raises(RecordsUnavailable, match="a different database is now at this address"):
            write_down(database, run_ref(), note("two"))
        with pytest.raises(RecordsUnavailable, match="a different database is now at this address"):
            trail(database)
    with postgres.connect() as connection:
        connection.execute(f'DROP DATABASE "{name}"'.encode())
        connection.execute(f'ALTER DATABASE "{name}_before" RENAME TO "{name}"'.encode())
    write_down(database, run_ref(), note("two"))
    assert keys(database) == ["requested", "one", "two"]
    database.close()


@pytest.fixture
def small_disk(postgres: PostgresServer) -> Iterator[str]:
    """A database on a separate disk of 14 megabytes."""
    if postgres.user is None:
        pytest.skip("only root can make a small disk")
    with small_file_system(14, owner=postgres.user) as folder:
        url = postgres.new_database()
        try:
            with postgres.connect() as connection:
                connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'".encode())
                connection.execute(f'ALTER DATABASE "{name_in(url)}" SET TABLESPACE small'.encode())
            yield url
        finally:
            with postgres.connect() as connection:
                connection.execute(f'DROP DATABASE "{name_in(url)}" WITH (FORCE)'.encode())
                connection.execute("DROP TABLESPACE IF EXISTS small")


def failed(why: str) -> StepFailed:
    return StepFailed(step=1, reason=why)


def test_a_full_disk_of_the_server_is_reported_and_the_records_continue_once_there_is_space(
    small_disk: str,
) -> None:
    database = Database(small_disk)
    database.migrate()
    write_down(database, run_ref(), note("one"))
    with pytest.raises(RecordsUnavailable, match="disk of the database's server is full: free space on it"):
        write_down(database, run_ref("plan-2"), note("one", failed(os.urandom(8_000_000).hex())))
    write_down(database, run_ref(), note("two"))
    assert keys(database) == ["requested", "one", "two"]
    database.close()
