"""A file is not used while it is being saved, regardless of how it is saved and how much is readable."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from plangate.domain.errors import DirectoryUnavailable, FileInvalid
from plangate.policy import complete_file
from plangate.policy.complete_file import UNCHANGED_SECONDS, CompleteFile, read_complete
from plangate.policy.people_file import PeopleFile
from tests.support.times import times

SAVES = times(300)
BEFORE = '[[person]]\nname = "dana"\nroles = ["ops"]\n\n[[person]]\nname = "erik"\n'
AFTER = '[[person]]\nname = "erik"\n\n[[person]]\nname = "dana"\nroles = ["ops"]\nactive = false\n'


class Clock:
    """A clock that a test sets: the time since the files were actually written."""

    later = 0.0

    def __init__(self) -> None:
        self.began = 0.0

    def now(self) -> float:
        return self.began + self.later

    def of_file(self, path: Path) -> Callable[[], float]:
        """Return a clock whose time of day is ``later`` seconds after the file was last touched."""

        def now() -> float:
            stat = path.stat()
            return max(stat.st_mtime, stat.st_ctime) + self.later

        return now


@pytest.fixture(autouse=True)
def _waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete_file, "UNCHANGED_SECONDS", 2.0)


def saved_in_place(path: Path, content: bytes) -> list[Callable[[], None]]:
    """Truncate the file, then write it in pieces, as most editors and every shell do."""
    half = len(content) // 2

    def fill(piece: bytes) -> Callable[[], None]:
        def act() -> None:
            with path.open("ab") as file:
                file.write(piece)

        return act

    return [lambda: os.truncate(path, 0), fill(content[:half]), fill(content[half:])]


def renamed_over(path: Path, content: bytes) -> list[Callable[[], None]]:
    """Write the file elsewhere and rename it, but only half of it first, like a tool that saves twice."""

    def act(piece: bytes) -> Callable[[], None]:
        def replace() -> None:
            draft = path.with_suffix(".new")
            draft.write_bytes(piece)
            draft.replace(path)

        return replace

    return [act(content[: len(content) // 2]), act(content)]


def overwritten(path: Path, content: bytes) -> list[Callable[[], None]]:
    """Overwrite the file from its beginning, and truncate it to its length last."""

    def over(piece: bytes) -> Callable[[], None]:
        def act() -> None:
            with path.open("r+b") as file:
                file.write(piece)

        return act

    return [over(content[: len(content) // 3]), over(content), lambda: os.truncate(path, len(content))]


@pytest.mark.parametrize("save", [saved_in_place, renamed_over, overwritten])
def test_a_partly_saved_file_is_never_used(
    tmp_path: Path, save: Callable[[Path, bytes], list[Callable[[], None]]]
) -> None:
    rng = random.Random(7)
    path, clock = tmp_path / "people.toml", Clock()
    path.write_text(BEFORE)
    file = CompleteFile(path, clock.of_file(path), clock.now)
    clock.later = 10
    assert file.read() == BEFORE.encode()
    used = BEFORE.encode()
    for number in range(SAVES // 3):
        content = (AFTER + "# x" * rng.randint(0, 40) + f"\n# {number}\n").encode()
        for act in save(path, content):
            clock.began += 1000  # the file has been unchanged for a long time
            clock.later = 0
            act()
            for _ in range(rng.randint(0, 3)):
                clock.later = min(clock.later + rng.random(), UNCHANGED_SECONDS - 0.01)
                assert file.read() in (None, content if path.read_bytes() == content else None)
        clock.later = UNCHANGED_SECONDS + 0.01  # file timestamps are less precise
        used = file.read() or b""
        assert used == content


def test_a_truncated_list_of_people_makes_decisions_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "people.toml"
    path.write_text(BEFORE)
    directory = PeopleFile(path)
    with pytest.raises(DirectoryUnavailable, match=r"can proceed until it has not changed for 2 seconds"):
        directory.people()
    monkeypatch.setattr(complete_file, "UNCHANGED_SECONDS", 0.0)
    dana = directory.people().find("dana")
    assert dana is not None
    assert dana.active
    monkeypatch.setattr(complete_file, "UNCHANGED_SECONDS", 2.0)
    path.write_text(AFTER.removesuffix("active = false\n"))
    with pytest.raises(DirectoryUnavailable):
        directory.people()


def test_a_file_dated_in_the_future_is_used_once_it_has_stayed_unchanged(tmp_path: Path) -> None:
    path, clock = tmp_path / "people.toml", Clock()
    path.write_text(BEFORE)
    file = CompleteFile(path, lambda: 0.0, clock.now)
    assert file.read() is None
    clock.later = 1.9
    assert file.read() is None
    clock.later = 2.0
    assert file.read() == BEFORE.encode()


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    path, clock = tmp_path / "people.toml", Clock()
    path.write_text(BEFORE)
    file = CompleteFile(path, clock.of_file(path), clock.now)
    clock.later = 2.01
    first = file.read()
    assert first is not None
    assert file.read() is first


def test_a_link_changed_during_a_read_yields_neither_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both files are old and have the same length; only the check before the read reveals the change."""
    old, new, path = tmp_path / "old", tmp_path / "new", tmp_path / "people.toml"
    old.write_text("old-")
    new.write_text("new-")
    path.symlink_to(old)
    later, real, looks = new.stat().st_ctime + 1000, os.stat, 0

    def stat(path: Path) -> os.stat_result:
        nonlocal looks
        looks += 1
        if looks == 2:  # after reading
            path.unlink()
            path.symlink_to(new)
        return real(path)

    file = CompleteFile(path, now=lambda: later)
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", stat)
        assert file.read() is None
    assert looks == 2
    assert file.read() == b"new-"


def test_a_command_waits_until_a_save_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete_file, "UNCHANGED_SECONDS", 0.3)
    path = tmp_path / "people.toml"
    path.write_text(BEFORE)
    assert read_complete(path) == BEFORE.encode()
    monkeypatch.setattr(complete_file, "UNCHANGED_SECONDS", 3.0)
    monkeypatch.setattr(complete_file, "_LONGEST_WAIT", 0.2)
    path.write_text(AFTER)
    with pytest.raises(FileInvalid, match="keeps changing"):
        read_complete(path)


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "people.toml"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(FileInvalid, match="not a plain file"):
            CompleteFile(path).read()
