"""Files and folders for this user alone from their first byte, whatever the umask is.

A folder that exists is never changed, since it may be anybody's (``/tmp``); a file of ours that is open to
others is closed to them.
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
    """Make a folder, and those above it that are missing, for this user alone.

    Raises:
        OSError: it cannot be made, or something else has its name.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        with suppress(FileExistsError):  # another process was quicker, and made it in the same way
            one.mkdir(mode=_FOLDER)
            one.chmod(_FOLDER)  # a umask may have taken more away
    if not folder.is_dir():
        raise NotADirectoryError(20, os.strerror(20), str(folder))


def open_private(path: str | Path, flags: int) -> int:
    """Open a file and return its descriptor; where ``flags`` make it, it is for this user alone.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, flags, _FILE)


def create_private_file(path: Path) -> bool:
    """Make an empty file; leave one that is there untouched, and unopened. Return whether it was made.

    Unopened, because to close a file takes away all locks that this process has on it, SQLite's too.

    Raises:
        OSError: it cannot be made.
    """
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE)
    except FileExistsError:
        return False
    try:
        os.fchmod(made, _FILE)  # a umask may have taken more away
    finally:
        os.close(made)
    return True


def close_to_others(paths: Iterable[Path]) -> list[Path]:
    """Take away what others may do with these files, as far as they exist; return those left open to them."""
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


def is_open_to_others(folder: Path) -> bool:
    """Return whether users besides the owner may look into a folder, or write to it."""
    try:
        return bool(folder.stat().st_mode & _OTHERS)
    except OSError:
        return False
