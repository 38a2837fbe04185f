"""The inbox's own files: several programs may create them at the same time, and may be killed meanwhile."""

import re
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plangate.domain.errors import OperatorError
from plangate.records.database import Database
from plangate.web.database import WebDatabase
from plangate.web.index_tables import lines, metadata
from plangate.web.run_index import RunIndex
from plangate.web.tables import METADATA

TOGETHER = 6
ROUNDS = 15


def open_lists(path: Path) -> RunIndex:
    return RunIndex(Database(path.with_name("records.db")), path)


@pytest.mark.parametrize("opened", [WebDatabase.at, open_lists])
def test_programs_that_start_together_create_the_file_once(
    opened: Callable[[Path], WebDatabase | RunIndex], tmp_path: Path
) -> None:
    failed: list[Exception] = []

    def start(path: Path, together: threading.Barrier) -> None:
        together.wait()
        try:
            opened(path).close()
        except Exception as error:  # noqa: BLE001  any error fails the test
            failed.append(error)

    for number in range(ROUNDS):
        together = threading.Barrier(TOGETHER)
        arguments = (tmp_path / f"{number}" / "inbox.db", together)
        starting = [threading.Thread(target=start, args=arguments) for _ in range(TOGETHER)]
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()
        assert not failed


def test_lists_whose_creation_was_killed_are_created_again(tmp_path: Path) -> None:
    path = tmp_path / "lists.db"
    with closing(sqlite3.connect(path)) as killed:
        killed.execute("PRAGMA journal_mode=wal")  # the file is no longer empty, but has no tables
    index = open_lists(path)
    assert index.read(lines.select()) == []
    index.close()


def test_all_tables_are_created_in_one_transaction(tmp_path: Path) -> None:
    path = tmp_path / "web.db"
    path.touch()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        starting = threading.Thread(target=lambda: WebDatabase.at(path).close())
        starting.start()
        starting.join(0.2)
        assert starting.is_alive()  # it waits instead of failing
        other.execute("CREATE TABLE sessions (token_hash VARCHAR)")  # as an older inbox does
        other.execute("COMMIT")
        starting.join()
        names = {name for (name,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == set(METADATA.tables)


@pytest.mark.parametrize("content", [b"no database" * 1_000, b"damaged schema"])
def test_a_damaged_file_of_logins_is_reported_with_what_to_do(content: bytes, tmp_path: Path) -> None:
    damaged = tmp_path / "inbox.db"
    if content == b"damaged schema":
        WebDatabase.at(damaged).close()
        content = damaged.read_bytes().replace(b"CREATE TABLE", b"\x80REATE TABLE")
    damaged.write_bytes(content)
    with pytest.raises(OperatorError) as raised:
        WebDatabase.at(damaged)
    assert str(raised.value) == (
        f"The inbox's file {damaged} cannot be used: the file is damaged; stop all inboxes, type "
        f"mv {damaged} {damaged}.damaged, and start them again. The records are not affected, but everyone "
        "must log in again, and read plans again before approving; open invitations, passkeys that were not "
        "confirmed yet, and decision times are lost."
    )
    damaged.rename(f"{damaged}.damaged")
    WebDatabase.at(damaged).close()


@pytest.mark.parametrize("value", [0x05, 0xFA])
def test_lists_with_a_damaged_header_are_built_again(value: int, tmp_path: Path) -> None:
    path = tmp_path / "lists.db"
    open_lists(path).close()
    intact = path.read_bytes()
    for at in range(100):
        path.write_bytes(intact[:at] + bytes([value]) + intact[at + 1 :])
        index = open_lists(path)
        try:
            for table in metadata.sorted_tables:
                assert not index.read(table.select())
        finally:
            index.close()


def test_damaged_lists_are_not_removed_while_another_inbox_uses_them(tmp_path: Path) -> None:
    """The other inbox would go on with the removed file, and its lists would miss runs."""
    path = tmp_path / "lists.db"
    others = [open_lists(path), open_lists(path)]
    before = path.stat().st_ino
    with path.open("r+b") as file:
        file.seek(18)
        file.write(b"\xff")
    for other in others:
        with pytest.raises(OperatorError, match="stop all inboxes, then start them again"):
            open_lists(path)
        assert path.stat().st_ino == before
        other.close()
    index = open_lists(path)
    assert not index.read(lines.select())
    index.close()


@pytest.mark.parametrize("noise", [b"\x80", b"~", b"\xde\x80"])
def test_lists_with_a_damaged_name_are_built_again(noise: bytes, tmp_path: Path) -> None:
    path = tmp_path / "lists.db"
    open_lists(path).close()
    intact = path.read_bytes()
    names = {column.name for table in metadata.sorted_tables for column in table.c} | metadata.tables.keys()
    found = [one.start() for name in names for one in re.finditer(name.encode(), intact)]
    assert len(found) > 20
    for start in found:
        path.write_bytes(intact[:start] + noise + intact[start + len(noise) :])
        index = open_lists(path)
        for table in metadata.sorted_tables:
            assert not index.read(table.select())
        index.close()


@settings(max_examples=60)
@given(damage=st.data())
def test_damaged_lists_are_built_again(
    damage: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("lists") / "lists.db"
    open_lists(path).close()
    intact = path.read_bytes()
    start = damage.draw(st.integers(0, len(intact) - 1))
    noise = damage.draw(st.binary(min_size=1, max_size=600))
    is_cut = damage.draw(st.booleans())
    path.write_bytes(intact[:start] + noise + (b"" if is_cut else intact[start + len(noise) :]))
    index = open_lists(path)
    try:
        for table in metadata.sorted_tables:
            assert not index.read(table.select())
    finally:
        index.close()


@pytest.mark.parametrize(
    ("opened", "named"),
    [
        (
            WebDatabase.at,
            (
                "The inbox's file PATH/inbox.db cannot be created: Not a directory; let its user write to "
                "the folder"
            ),
        ),
        (
            open_lists,
            "The lock file PATH/inbox.lock cannot be used: Not a directory; make its folder writable",
        ),
    ],
)
def test_a_folder_that_cannot_be_used_is_reported_in_one_sentence(
    opened: Callable[[Path], WebDatabase | RunIndex], named: str, tmp_path: Path
) -> None:
    damaged = tmp_path / "folder"
    damaged.write_bytes(b"no folder")
    with pytest.raises(OperatorError) as raised:
        opened(damaged / "inbox.db")
    advice = ", or set PLANGATE_VAR_DIR."
    assert str(raised.value) == named.replace("PATH", str(damaged)) + advice
