"""Lock files, with which the processes of one machine take turns; a lock ends with its process."""

import fcntl
import os
from pathlib import Path

from plangate.domain.errors import OperatorError
from plangate.files.private_files import make_private_folder, open_private


def open_lock(path: Path) -> int:
    """Open a lock file; create it and its folder if they are missing.

    Raises:
        OperatorError: it cannot be used.
    """
    try:
        make_private_folder(path.parent)
        return open_private(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise OperatorError(
            f"The lock file {path} cannot be used: {error.strerror}; make its folder writable, or set "
            "PLANGATE_VAR_DIR."
        ) from error


def try_lock(file: int, kind: int) -> bool:
    """Take a lock if it is free, and return whether it was."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
