"""Write files atomically and durably: after a crash at any moment, a file is complete or absent.

`write_once` never replaces a file, so a file that exists after a crash was written completely. `write_over`
always replaces the file. `write_user_file` replaces only regular files. If several processes call `move`
or `delete_if_exists` on the same file, exactly one of them succeeds.
"""

import errno
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
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
    """Write ``content`` to ``path``, readable by this user only, unless the file exists.

    Returns:
        Whether it was written.

    Raises:
        OSError: the folder cannot be written to.
    """
    with _temporary(path, (content,)) as part:
        try:  # unlike a rename, a hard link never replaces the file of another attempt
            path.hardlink_to(part)
        except FileExistsError:
            return False
    _sync_folder(path.parent)
    return True


def write_over(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, readable by this user only, replacing any file there.

    Raises:
        OSError: the folder cannot be written to.
    """
    _write_parts_over(path, (content,))


def _write_parts_over(path: Path, parts: Iterable[bytes]) -> None:
    with _temporary(path, parts) as part:
        part.replace(path)
    _sync_folder(path.parent)


def write_user_file(path: Path, content: bytes) -> None:
    """Write ``content`` to a path that a person typed, like `write_user_file_parts`.

    Raises:
        OSError: it cannot be written; EINVAL if something other than a regular file is there.
    """
    write_user_file_parts(path, (content,))


def write_user_file_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Write ``parts``, one after the other, to a path that a person typed, replacing only a regular file.

    The write ends with a rename, which would replace a device, pipe or link instead of writing to it.

    Raises:
        OSError: it cannot be written; EINVAL if something other than a regular file is there.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"it is {_KINDS.get(stat.S_IFMT(mode), 'not a regular file')}", str(path))
    if not path.parent.is_dir():
        raise OSError(errno.ENOENT, f"there is no folder {path.parent}", str(path))
    _write_parts_over(path, parts)


def move(path: Path, to: Path) -> None:
    """Rename a file within its folder, and replace any file with the new name.

    Raises:
        FileNotFoundError: the file does not exist.
        OSError: the folder cannot be written to.
    """
    path.replace(to)
    _sync_folder(to.parent)


def delete_if_exists(path: Path) -> bool:
    """Delete a file and return whether it existed.

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
def _temporary(path: Path, parts: Iterable[bytes]) -> Iterator[Path]:
    """Write ``parts`` durably to a hidden temporary file next to ``path``; delete it on exit."""
    make_private_folder(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)  # regardless of the umask
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        yield part
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the file's name durable, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
