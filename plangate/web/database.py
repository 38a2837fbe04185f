"""Keep the web server's own data in a SQLite file: sessions, logins in progress, attempts to sign in.

It does not contain the records, and nothing in it can make a decision valid.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.engine import Engine

from plangate.files.private_files import create_private_file, make_private_folder, remove_access_of_others
from plangate.web.tables import METADATA


@dataclass(frozen=True, slots=True)
class WebDatabase:
    """The database."""

    engine: Engine

    @classmethod
    def at(cls, path: Path) -> "WebDatabase":
        """Open the database in this file, and create missing tables."""
        make_private_folder(path.parent)
        create_private_file(path)
        engine = create_engine(f"sqlite:///{path}")
        METADATA.create_all(engine)
        remove_access_of_others([path])
        return cls(engine)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def hash_of(secret: str) -> str:
    """Return the SHA-256 of a secret, as hex, so a copy of the database contains no secrets."""
    return hashlib.sha256(secret.encode()).hexdigest()
