"""Check that the working directory exists. A shell can still be in a directory that was deleted."""

from pathlib import Path

from plangate.domain.errors import OperatorError


def require_working_directory() -> None:
    """Check that the process has a working directory, which relative paths need.

    Raises:
        OperatorError: the directory was deleted, or cannot be read.
    """
    try:
        Path.cwd()
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        what = "no longer exists" if gone else f"cannot be read ({error.strerror})"
        raise OperatorError(
            f"The current directory {what}; change to another one, for example with: cd /"
        ) from None
