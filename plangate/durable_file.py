"""Files that are whole and on the disk, or not there: a crash at any moment leaves the one or the other.

`write_once` never replaces: it makes the mere existence of a file the answer to 'did it happen?' after a
crash. `write_over` always does.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


@contextmanager
def _beside(path: Path, content: bytes) -> Iterator[Path]:
    """Have ``content`` on the disk in a hidden file beside ``path``, which is gone behind the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
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
