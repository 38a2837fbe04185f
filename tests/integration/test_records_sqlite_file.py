"""Only the SQLite file at its path is ever written to, even if it is lost, replaced, read-only or full."""

import os
import random
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from plangate.domain.errors import OperatorError, RecordsMissing, RecordsUnavailable
from plangate.records.database import Database
from plangate.records.sqlite_file import raw
from plangate.records.trail import open_trail
from tests.support.fresh_records import fresh_records
from tests.support.record_writer import (
    in_a_process_that_holds_a_transaction,
    note,
    run_ref,
    trail,
    write_down,
)
from tests.support.small_file_system import small_file_system
from tests.support.times import times

SEQUENCES = times(60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "records.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = Database(path)
    opened.migrate()
    write_down(opened, run_ref(), note("first"))
    yield opened
    opened.close()


def keys_at(path: Path) -> set[str]:
    """Return the keys in the file at the path, as another program reads it."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return {key for (key,) in connection.execute("SELECT key FROM audit_entries")}


def refused(database: Database, key: str) -> str:
    with pytest.raises(RecordsUnavailable) as caught:
        write_down(database, run_ref(), note(key))
    return str(caught.value)


ENDINGS = ("", "-wal", "-shm")


def copied(path: Path, copy: Path) -> None:
    """Copy the records as described in the operations manual, including the whole log."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def move_away(path: Path) -> None:
    for end in ENDINGS:
        path.with_name(f"records.db{end}").rename(path.with_name(f"elsewhere{end}"))


def put_back(path: Path) -> None:
    for end in ENDINGS:
        path.with_name(f"records.db{end}").unlink(missing_ok=True)
        path.with_name(f"elsewhere{end}").rename(path.with_name(f"records.db{end}"))


# ---- single faults ----------------------------------------------------------------------------------


def test_a_missing_file_stops_all_work_until_it_is_restored_and_no_new_one_is_created(
    database: Database, path: Path
) -> None:
    path.rename(path.with_name("elsewhere"))
    assert "their file is missing; restore it" in refused(database, "second")
    with pytest.raises(RecordsUnavailable, match="missing"):
        trail(database)
    with pytest.raises(RecordsUnavailable, match="missing"):
        database.migrate()
    assert not path.exists()
    path.with_name("elsewhere").rename(path)
    write_down(database, run_ref(), note("second"))
    assert keys_at(path) == {"requested", "first", "second"}


def test_an_older_copy_stops_all_work_until_the_original_is_restored(database: Database, path: Path) -> None:
    copied(path, path.with_name("copy"))
    write_down(database, run_ref(), note("second"))
    move_away(path)
    path.with_name("copy").rename(path)
    for _ in range(2):
        assert "replaced by another one" in refused(database, "third")
        with pytest.raises(RecordsUnavailable, match="replaced by another one"):
            trail(database)
    put_back(path)
    write_down(database, run_ref(), note("third"))
    assert keys_at(path) == {"requested", "first", "second", "third"}


def test_a_complete_copy_is_used_once_the_file_is_lost(database: Database, path: Path) -> None:
    copied(path, path.with_name("copy"))
    for file in (path, path.with_name("records.db-wal"), path.with_name("records.db-shm")):
        file.unlink()
    assert "their file is missing; restore it" in refused(database, "second")
    path.with_name("copy").rename(path)
    assert "being reopened" in refused(database, "second")
    write_down(database, run_ref(), note("second"))
    assert keys_at(path) == {"requested", "first", "second"}


def test_a_read_finds_that_a_complete_copy_has_replaced_the_file(database: Database, path: Path) -> None:
    copied(path, path.with_name("copy"))
    move_away(path)
    path.with_name("copy").rename(path)
    with pytest.raises(RecordsUnavailable, match="being reopened"):
        trail(database)
    assert {entry.key for entry in trail(database)} == {"requested", "first"}


def test_a_copy_is_not_opened_while_the_log_of_the_lost_file_exists(database: Database, path: Path) -> None:
    copied(path, path.with_name("copy"))
    before = path.with_name("copy").read_bytes()
    path.with_name("copy").replace(path)
    assert "-wal and -shm; restore the old file" in refused(database, "second")
    assert path.read_bytes() == before
    path.with_name("records.db-wal").unlink()
    assert "-wal and -shm; restore the old file" in refused(database, "second")
    path.with_name("records.db-shm").unlink()
    assert "being reopened" in refused(database, "second")
    write_down(database, run_ref(), note("second"))
    assert keys_at(path) == {"requested", "first", "second"}


def test_a_continued_copy_is_used_and_one_of_another_installation_is_not(
    database: Database, path: Path, tmp_path: Path
) -> None:
    copied(path, path.with_name("copy"))
    other = Database(path.with_name("copy"))
    write_down(other, run_ref(), note("by others"))
    write_down(other, run_ref("plan-2"), note("by others"))
    other.close()
    foreign = Database(tmp_path / "foreign" / "records.db")
    foreign.migrate()
    write_down(foreign, run_ref(), note("first"))
    foreign.close()
    move_away(path)
    shutil.copy(tmp_path / "foreign" / "records.db", path)
    assert "in which some records are missing" in refused(database, "second")
    path.unlink()
    for left in path.parent.glob("records.db-*"):
        left.unlink()
    path.with_name("copy").rename(path)
    assert "being reopened" in refused(database, "second")
    write_down(database, run_ref(), note("second"))
    assert keys_at(path) == {"requested", "first", "by others", "second"}


def test_a_file_lost_during_a_transaction_is_not_reported_as_written(database: Database, path: Path) -> None:
    def write_and_delete_file() -> None:
        with database.write() as connection:
            open_trail(connection, run_ref()).append(note("second"))
            path.unlink()

    with pytest.raises(RecordsUnavailable, match="their file is missing"):
        write_and_delete_file()


def test_a_write_while_others_switch_to_a_copy_is_not_reported_as_written(
    database: Database, path: Path
) -> None:
    def read_elsewhere() -> None:
        in_thread(lambda: suppressed(lambda: trail(database)))

    def write_meanwhile() -> None:
        with database.write() as connection:
            open_trail(connection, run_ref()).append(note("second"))
            read_elsewhere()  # so that the pool has another connection
            copied(path, path.with_name("copy"))
            move_away(path)
            path.with_name("copy").rename(path)
            read_elsewhere()  # finds the copy complete
            read_elsewhere()

    with pytest.raises(RecordsUnavailable):
        write_meanwhile()
    assert keys_at(path) == {"requested", "first"}
    written = False
    while not written:
        with suppress(RecordsUnavailable):
            write_down(database, run_ref(), note("second"))
            written = True
    assert keys_at(path) == {"requested", "first", "second"}


def in_thread(act: Callable[[], object]) -> None:
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


def suppressed(act: Callable[[], object]) -> None:
    with suppress(RecordsUnavailable):
        act()


def test_a_file_made_read_only_is_not_written_even_if_it_is_open(database: Database, path: Path) -> None:
    path.chmod(0o400)
    assert " cannot be written: their file is read-only; let" in refused(database, "second")
    assert len(trail(database)) == 2  # reads still work
    path.chmod(0o600)
    write_down(database, run_ref(), note("second"))


def test_a_write_after_a_failed_one_uses_a_working_connection(database: Database, path: Path) -> None:
    def close_connection() -> None:
        with database.write() as connection:
            raw(connection).close()
            connection.exec_driver_sql("SELECT 1")

    def fail_after_a_change() -> None:
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE runs SET entry_count = 99")
            raise ValueError("stopped")

    def refuse_commit_and_rollback() -> None:
        with database.write() as connection:
            open_trail(connection, run_ref()).append(note("half-written"))
            raw(connection).set_authorizer(
                lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_TRANSACTION else 0
            )

    written = {"requested", "first"}
    for error, broken in (
        (RecordsUnavailable, close_connection),
        (ValueError, fail_after_a_change),
        (RecordsUnavailable, refuse_commit_and_rollback),
    ):
        with pytest.raises(error):
            broken()
        write_down(database, run_ref(), note(broken.__name__))
        written.add(broken.__name__)
        assert keys_at(path) == written


def test_a_removed_log_is_written_to_the_file_and_the_next_attempt_works(
    database: Database, path: Path
) -> None:
    path.with_name("records.db-wal").unlink()
    assert "their log" in refused(database, "second")
    write_down(database, run_ref(), note("third"))
    assert keys_at(path) == {"requested", "first", "third"}


def test_a_read_that_finds_the_log_removed_puts_it_into_the_file(database: Database, path: Path) -> None:
    path.with_name("records.db-wal").unlink()
    with pytest.raises(RecordsUnavailable, match="their log"):
        trail(database)
    assert {entry.key for entry in trail(database)} == {"requested", "first"}
    write_down(database, run_ref(), note("second"))
    assert keys_at(path) == {"requested", "first", "second"}


@pytest.mark.parametrize("seed", range(times(12)))
def test_a_log_removed_between_or_during_transactions_loses_no_confirmed_write(path: Path, seed: int) -> None:
    rng, database, log = random.Random(seed), fresh_records(path), path.with_name("records.db-wal")
    written = {"requested"}

    def read() -> None:
        trail(database)

    def write() -> None:
        write_down(database, run_ref(), note(f"{len(written)}"))
        written.add(f"{len(written)}")

    def read_twice_at_once() -> None:
        with database.read():
            read()

    def remove_during_a_read() -> None:
        with database.read():
            log.unlink()
            write()

    def remove_during_a_read_after_another() -> None:
        read_twice_at_once()
        remove_during_a_read()

    def remove_during_a_write() -> None:
        with database.write() as connection:
            open_trail(connection, run_ref()).append(note(f"{len(written)}"))
            log.unlink()
            in_thread(lambda: suppressed(read))
        written.add(f"{len(written)}")

    def some(*acts: Callable[[], None]) -> None:
        for act in rng.choices(acts, k=rng.randint(0, 3)):
            suppressed(act)

    write()
    some(read, read_twice_at_once, write)
    remove = [log.unlink, remove_during_a_read, remove_during_a_read_after_another, remove_during_a_write]
    suppressed(remove[seed % len(remove)])
    some(read, read_twice_at_once)
    suppressed(write)
    write()
    assert keys_at(path) == written
    database.close()
    assert keys_at(path) == written


def test_an_unwritable_folder_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "records.db").mkdir()
    with pytest.raises(RecordsUnavailable, match="unable to open"):
        Database(tmp_path / "records.db").migrate()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "records.db")
    with pytest.raises((OperatorError, RecordsUnavailable, RecordsMissing)):
        Database(tmp_path / "link").migrate()


def test_a_file_with_another_sqlite_encoding_or_mode_is_refused_or_corrected(tmp_path: Path) -> None:
    for pragma in ("encoding = 'UTF-16'", "journal_mode = MEMORY"):
        path = tmp_path / f"{len(pragma)}.db"
        with closing(sqlite3.connect(path)) as other:
            other.execute(f"PRAGMA {pragma}")
            other.execute("CREATE TABLE theirs (id INTEGER)")
        database = Database(path)
        if "UTF-16" in pragma:
            with pytest.raises(RecordsUnavailable, match="the encoding is UTF-16le"):
                database.migrate()
        else:
            database.migrate()
            with database.write() as connection:
                assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        database.close()


# ---- a full disk ------------------------------------------------------------------------------------


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of two megabytes."""
    with small_file_system(2) as folder:
        yield folder


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def test_a_full_disk_is_reported_and_the_records_continue_once_there_is_space(
    small_disk: Path,
) -> None:
    database = Database(small_disk / "records.db")
    database.migrate()
    write_down(database, run_ref(), note("first"))
    filler = small_disk / "filler"
    _fill(filler)
    assert " are unavailable: the disk is full: free space on it." in refused(database, "x" * 200_000)
    late = Database(small_disk / "records.db")
    with pytest.raises(RecordsUnavailable, match="the disk is full: free space on it"):
        write_down(late, run_ref(), note("y" * 200_000))
    filler.unlink()
    write_down(database, run_ref(), note("second"))
    assert keys_at(small_disk / "records.db") == {"requested", "first", "second"}
    late.close()
    database.close()


# ---- any sequence of faults -------------------------------------------------------------------------


def _gone(path: Path, kept: Path) -> None:
    path.rename(kept)


def _replaced_by_a_copy(path: Path, kept: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    path.rename(kept)
    copy.rename(path)


def _replaced_by_an_empty_file(path: Path, kept: Path) -> None:
    path.rename(kept)
    path.touch()


def _replaced_by_a_folder(path: Path, kept: Path) -> None:
    path.rename(kept)
    path.mkdir()


def _read_only(path: Path, kept: Path) -> None:
    path.chmod(0o444)
    kept.with_name("mode").touch()


FAULTS: list[Callable[[Path, Path], None]] = [
    _gone,
    _replaced_by_a_copy,
    _replaced_by_an_empty_file,
    _replaced_by_a_folder,
    _read_only,
]


def _put_back(path: Path, kept: Path) -> None:
    if path.is_dir():
        path.rmdir()
    if kept.exists():
        kept.replace(path)
    path.chmod(0o600)


def test_each_confirmed_write_is_at_the_path_after_any_fault(database: Database, path: Path) -> None:
    rng = random.Random(13)
    kept = path.with_name("elsewhere")
    written = {"requested", "first"}
    for number in range(SEQUENCES):
        fault = rng.choice(FAULTS)
        fault(path, kept)
        for attempt in range(rng.randint(1, 3)):
            with pytest.raises(RecordsUnavailable):
                write_down(database, run_ref(), note(f"lost {number} {attempt}"))
        _put_back(path, kept)
        write_down(database, run_ref(), note(f"kept {number}"))
        written.add(f"kept {number}")
        assert keys_at(path) == written, fault.__name__


# ---- file permissions -------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_records_are_private_to_their_user_from_the_first_byte(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        database = Database(path)
        database.migrate()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"records.db": 0o600, "records.db-wal": 0o600, "records.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    database.close()


@pytest.mark.usefixtures("database")
def test_records_open_to_others_are_made_private_when_a_worker_starts(path: Path) -> None:
    for file in path.parent.iterdir():
        file.chmod(0o666)
    again = Database(path)
    again.migrate()
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    again.close()


def test_two_processes_write_to_one_file_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "records.db")
    Database(tmp_path / "real" / "records.db").migrate()
    database = Database(tmp_path / "link.db")
    write_down(database, run_ref(), note("one"))
    other = in_a_process_that_holds_a_transaction(f"sqlite:///{tmp_path / 'real' / 'records.db'}")
    other.kill()
    other.join()
    write_down(database, run_ref(), note("two"))
    assert keys_at(tmp_path / "real" / "records.db") == {"requested", "one", "two"}
    database.close()


def test_connections_that_open_a_new_file_at_the_same_time_wait_for_each_other(tmp_path: Path) -> None:
    refusals: list[RecordsUnavailable] = []

    def write(database: Database, together: threading.Barrier) -> None:
        together.wait()
        try:
            with database.write() as connection:
                connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS written (number INTEGER)")
                connection.exec_driver_sql("INSERT INTO written VALUES (1)")
        except RecordsUnavailable as error:
            refusals.append(error)

    for round_number in range(100):
        path = tmp_path / f"{round_number}.db"
        path.touch()
        databases = [Database(path) for _ in range(6)]
        together = threading.Barrier(len(databases))
        writers = [threading.Thread(target=write, args=(database, together)) for database in databases]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        with closing(sqlite3.connect(path)) as connection:
            written = connection.execute("SELECT COUNT(*) FROM written").fetchone()
        for database in databases:
            database.close()
        assert not refusals
        assert written == (len(databases),)


def test_a_damaged_file_is_reported_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    path.write_bytes(b"no database" * 1_000)
    with pytest.raises(RecordsUnavailable) as raised:
        Database(path).migrate()
    assert str(raised.value) == (
        f"The records at sqlite:///{path} are unavailable: file is not a database; the file is damaged: "
        "restore it from a backup."
    )
