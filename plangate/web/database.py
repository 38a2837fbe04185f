"""Keep the web server's own data in a SQLite file: sessions, logins in progress, attempts to sign in.

It does not contain the records, and nothing in it can make a decision valid.
"""

import hashlib
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from plangate.domain.errors import OperatorError
from plangate.files.private_files import create_private_file, make_private_folder, remove_access_of_others
from plangate.records.database_errors import is_damaged, plain_words
from plangate.web.tables import METADATA

_LOST: Final = (
    ". The records are not affected, but everyone must log in again, and read plans again before approving; "
    "open invitations, passkeys that were not confirmed yet, and decision times are lost"
)


@dataclass(frozen=True, slots=True)
class WebDatabase:
    """The database."""

    engine: Engine

    @classmethod
    def at(cls, path: Path) -> "WebDatabase":
        """Open the database in this file, and create missing tables.

        Raises:
            OperatorError: the file cannot be used.
        """
        engine = engine_for(path)
        create_tables(engine, path, METADATA.create_all, lost=_LOST)
        return cls(engine)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def engine_for(path: Path) -> Engine:
    """Return the engine for a SQLite file of the web server."""
    return create_engine(URL.create("sqlite", database=str(path)))


def create_tables(
    engine: Engine, path: Path, create: Callable[[Connection], None], *, lost: str = ""
) -> None:
    """Create the file and its tables in one transaction, one process at a time.

    Other web servers and commands may start at the same time, and this process may be killed. ``lost`` states
    what is lost with a damaged file.

    Raises:
        OperatorError: the file cannot be used.
    """
    try:
        make_private_folder(path.parent)
        create_private_file(path)
        with writing(engine) as connection:
            create(connection)
    except OSError as error:
        raise OperatorError(
            f"The inbox's file {path} cannot be created: {error.strerror}; let its user write to the "
            "folder, or set PLANGATE_VAR_DIR."
        ) from error
    except (DBAPIError, UnicodeDecodeError) as error:
        if is_damaged(error):
            moved = shlex.join(["mv", str(path), f"{path}.damaged"])
            why = f"the file is damaged; stop all inboxes, type {moved}, and start them again{lost}"
        else:
            why = plain_words(error, path)
        raise OperatorError(f"The inbox's file {path} cannot be used: {why}.") from error
    remove_access_of_others([path])


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that holds SQLite's lock for writers from its beginning."""
    with engine.begin() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


def hash_of(secret: str) -> str:
    """Return the SHA-256 of a secret, as hex, so a copy of the database contains no secrets."""
    return hashlib.sha256(secret.encode()).hexdigest()
