"""Explain database errors: the message in plain language, and what to do."""

import os
import re
from pathlib import Path
from typing import Final

READ_ONLY: Final = "25006"
_DISK_FULL: Final = "53100"
_NO_CONNECTION_LEFT: Final = "53300"
_BY_SQLSTATE: Final = {
    _DISK_FULL: "the disk of the database's server is full: free space on it",
    _NO_CONNECTION_LEFT: "allow more connections on the server, or run fewer workers",
    READ_ONLY: "it does not accept writes now (a standby, or set to read-only): use the primary, or make it "
    "writable",
}
# How the driver's messages begin if there is no connection; they have no SQLSTATE.
_NOT_CONNECTED: Final = (
    "connection failed",
    "connection is bad",
    "connection timeout",
    "failed to resolve host",
)
_NO_SLOT: Final = re.compile(r"too many (?:clients|connections)|remaining connection slots")
_CHECK_ADDRESS: Final = "check PLANGATE_DATABASE_URL, and whether the server runs"
_FULL: Final = "the disk is full: free space on it"
_READ_ONLY_FILE: Final = "it is read-only: let the worker's user write to the file and to its folder"
_DAMAGED_FILE: Final = "the file is damaged: restore it from a backup"
_OUT_OF_SPACE: Final = "No space left on device"
_LEAST_FREE: Final = 64 * 1024  # SQLite's index of the log grows by 32 KB


def plain_words(error: BaseException, file: Path | None) -> str:
    """Return the first line of a database's message, followed by what to do, if known.

    Args:
        error: SQLAlchemy's error, or the driver's own.
        file: SQLite's file; None with PostgreSQL.
    """
    cause = _cause(error)
    lines = str(cause).strip().splitlines()
    said = lines[0].rstrip(".") if lines else type(cause).__name__
    advice = _of_sqlite(cause, file) if file else _of_postgresql(cause, str(cause))
    if advice == _FULL and "full" in said:
        return advice  # the advice repeats the message
    return f"{said}; {advice}" if advice else said


def sqlstate(error: BaseException | None) -> str | None:
    """Return PostgreSQL's code for an error, if it has one."""
    return getattr(error, "sqlstate", None)


def is_damaged(error: BaseException) -> bool:
    """Return whether SQLite's file is damaged, or is not one of SQLite's files.

    Args:
        error: SQLAlchemy's error, or the driver's own.
    """
    if isinstance(error, UnicodeDecodeError):
        return True  # SQLite's message quotes a damaged schema
    said = str(_cause(error))  # SQLite's code is a general one, and Python's module has none
    is_unreadable = said == "unsupported file format" or said.startswith("Could not decode to UTF-8")
    return is_unreadable or _sqlite_name(error).startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT"))


def is_full(folder: Path) -> bool:
    """Return whether the disk of a folder is full."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _LEAST_FREE


def _cause(error: BaseException) -> BaseException:
    return getattr(error, "orig", None) or error


def _sqlite_name(error: BaseException) -> str:
    return getattr(_cause(error), "sqlite_errorname", None) or ""


def _of_sqlite(cause: BaseException, file: Path) -> str | None:
    name = _sqlite_name(cause)
    if name == "SQLITE_FULL" or (
        name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")) and is_full(file.parent)
    ):
        return _FULL
    if name.startswith("SQLITE_READONLY"):
        return _READ_ONLY_FILE
    if name.startswith("SQLITE_IOERR"):
        return f"check the disk ({name})"
    if is_damaged(cause):
        return _DAMAGED_FILE
    if name.startswith("SQLITE_CANTOPEN"):
        return "let the worker's user write to the file and to its folder"
    return None


def _of_postgresql(cause: BaseException, said: str) -> str | None:
    if _OUT_OF_SPACE in said:
        return _BY_SQLSTATE[_DISK_FULL]
    if said.startswith(_NOT_CONNECTED):
        return _BY_SQLSTATE[_NO_CONNECTION_LEFT] if _NO_SLOT.search(said) else _CHECK_ADDRESS
    return _BY_SQLSTATE.get(sqlstate(cause) or "")
