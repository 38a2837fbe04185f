"""Create files and folders with access for this user only, regardless of the umask.

An existing folder is never changed, because it may be shared (``/tmp``). If others can access an existing
file of Plangate, their access is removed.
"""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_FOLDER: Final = 0o700
_FILE: Final = 0o600
_OTHERS: Final = 0o077


def make_private_folder(folder: Path) -> None:
    """Create a folder and its missing parents, with access for this user only.

    Raises:
        OSError: it cannot be created, or something other than a folder has its name.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        with suppress(FileExistsError):  # another process has just created it
            one.mkdir(mode=_FOLDER)
            one.chmod(_FOLDER)  # regardless of the umask
    if not folder.is_dir():
        raise NotADirectoryError(20, os.strerror(20), str(folder))


def open_private(path: str | Path, flags: int) -> int:
    """Open a file and return its descriptor; if ``flags`` create the file, only this user can access it.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, flags, _FILE)


def create_private_file(path: Path) -> bool:
    """Create an empty file and return True, or return False if it exists.

    An existing file is not opened, because closing it would release all locks of this process on it,
    including those of SQLite.

    Raises:
        OSError: it cannot be created.
    """
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE)
    except FileExistsError:
        return False
    try:
        os.fchmod(made, _FILE)  # regardless of the umask
    finally:
        os.close(made)
    return True


def remove_access_of_others(paths: Iterable[Path]) -> list[Path]:
    """Remove other users' access to the existing files; return the files that could not be changed."""
    left = []
    for path in paths:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & _OTHERS:
                path.chmod(mode & ~_OTHERS)
        except FileNotFoundError:
            continue
        except OSError:
            left.append(path)
    return left


def is_accessible_to_others(folder: Path) -> bool:
    """Return whether other users have any access to a folder."""
    try:
        return bool(folder.stat().st_mode & _OTHERS)
    except OSError:
        return False
