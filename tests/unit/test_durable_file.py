"""A written file is complete, private to this user, and only ever replaces a regular file."""

import ast
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from plangate.files.durable_file import write_once, write_over, write_user_file
from plangate.files.private_files import create_private_file, make_private_folder, remove_access_of_others
from plangate.settings import PROJECT

PACKAGES = ("plangate", "activities", "workflows")


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("_umask")
def test_files_and_folders_are_private_regardless_of_the_umask(tmp_path: Path) -> None:
    assert write_once(tmp_path / "a" / "b" / "file", b"once")
    write_over(tmp_path / "a" / "c" / "file", b"over")
    for folder in ("a", "a/b", "a/c"):
        assert mode(tmp_path / folder) == 0o700
    for file in ("a/b/file", "a/c/file"):
        assert mode(tmp_path / file) == 0o600


@pytest.mark.usefixtures("_umask")
def test_a_file_written_by_a_library_is_made_private_first(tmp_path: Path) -> None:
    assert create_private_file(tmp_path / "records.db")
    assert not create_private_file(tmp_path / "records.db")
    assert mode(tmp_path / "records.db") == 0o600


def test_only_two_modules_create_files_or_folders() -> None:
    """Scan the code: any other module would leave the mode to the umask."""
    files = [PROJECT / "worker.py", *(f for name in PACKAGES for f in (PROJECT / name).rglob("*.py"))]
    found = [
        f"{path.relative_to(PROJECT)}:{node.lineno}"
        for path in files
        if path.name not in ("durable_file.py", "private_files.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _makes_a_file(node)
    ]
    assert found == []


def _makes_a_file(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("mkdir", "makedirs", "touch", "write_text", "write_bytes", "mkfifo", "copy", "copyfile"):
        return not (name == "copy" and not call.args)  # the method of a dict
    if name != "open" or any(word.arg == "opener" for word in call.keywords):
        return False
    modes = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    flags = {node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute)}
    if "devnull" in flags:
        return False
    # Appending adds to an existing file.
    return "O_CREAT" in flags or any(mode.strip("bt+") in ("w", "x") for mode in modes)


def test_an_existing_folder_is_left_unchanged(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private_folder(tmp_path)
    write_over(tmp_path / "file", b"over")
    assert mode(tmp_path) == 0o755


def test_existing_files_become_private_to_the_user(tmp_path: Path) -> None:
    open_one, closed = tmp_path / "open", tmp_path / "closed"
    for file, before in ((open_one, 0o664), (closed, 0o400)):
        file.touch()
        file.chmod(before)
    assert remove_access_of_others([open_one, closed, tmp_path / "missing"]) == []
    assert (mode(open_one), mode(closed)) == (0o600, 0o400)


@pytest.mark.parametrize("kind", ["a folder", "a link", "a pipe", "a socket", "a device"])
def test_an_output_path_that_is_not_a_regular_file_is_refused_and_left_unchanged(
    tmp_path: Path, kind: str
) -> None:
    path, target = tmp_path / "out", tmp_path / "target"
    match kind:
        case "a folder":
            path.mkdir()
        case "a link":
            target.write_bytes(b"theirs")
            path.symlink_to(target)
        case "a pipe":
            os.mkfifo(path)
        case "a socket":
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(str(path))
        case _:
            path = Path("/dev/null")
    before = os.lstat(path)
    with pytest.raises(OSError, match=f"it is {kind}"):
        write_user_file(path, b"ours")
    assert (os.lstat(path).st_mode, os.lstat(path).st_ino) == (before.st_mode, before.st_ino)
    assert not target.exists() or target.read_bytes() == b"theirs"
    assert len(list(tmp_path.iterdir())) <= 2


def test_a_new_or_regular_file_is_written_atomically(tmp_path: Path) -> None:
    path = tmp_path / "out"
    for content in (b"first, and longer", b"second"):
        write_user_file(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError, match="there is no folder"):
        write_user_file(tmp_path / "missing" / "out", b"x")
