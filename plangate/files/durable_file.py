"""Files that are whole and on the disk, or not there: a crash at any moment leaves the one or the other.

`write_once` never replaces: it makes the mere existence of a file the answer to 'did it happen?' after a
crash. `write_over` always does. `write_for_a_person` replaces a plain file only. Of all who `move` or
`take_away` one file, one alone succeeds.
"""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plangate.files.private_files import make_private_folder

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def write_once(path: Path, content: bytes) -> bool:
    """Write ``content`` to ``path``, for this user alone; where a file lies there already, leave that one.

    Return whether it was written.

    Raises:
        OSError: the folder cannot be written to.
    """
    with _beside(path, content) as part:
        try:  # unlike a rename, a link never replaces what another attempt has written meanwhile
            path.hardlink_to(part)
        except FileExistsError:
            return False
    _sync_folder(path.parent)
    return True


def write_over(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, for this user alone, in place of what is there.

    Raises:
        OSError: the folder cannot be written to.
    """
    with _beside(path, content) as part:
        part.replace(path)
    _sync_folder(path.parent)


def write_for_a_person(path: Path, content: bytes) -> None:
    """Write ``content`` to a path that a person named: to a new file, or in place of a plain one.

    What is written is renamed into place, so that a device, a pipe, a folder or a link of that name would be
    gone, or written to by halves: they are refused.

    Raises:
        OSError: it cannot be written; with EINVAL where something else than a plain file is there.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"it is {_KINDS.get(stat.S_IFMT(mode), 'no plain file')}", str(path))
    if not path.parent.is_dir():
        raise OSError(errno.ENOENT, f"there is no folder {path.parent}", str(path))
    write_over(path, content)


def move(path: Path, to: Path) -> None:
    """Give a file another name in its folder, in place of what has that name.

    Raises:
        FileNotFoundError: it is not there.
        OSError: the folder cannot be written to.
    """
    path.replace(to)
    _sync_folder(to.parent)


def take_away(path: Path) -> bool:
    """Delete a file; return whether it was there.

    Raises:
        OSError: the folder cannot be written to.
    """
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    _sync_folder(path.parent)
    return True


@contextmanager
def _beside(path: Path, content: bytes) -> Iterator[Path]:
    """Have ``content`` on the disk in a hidden file beside ``path``, which is gone behind the block."""
    make_private_folder(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)  # a umask may have taken more away
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield part
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the name itself survive a power failure, not only what the file holds."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
