"""Record which plans a session has read to the end of every collapsed section, and which files it has opened.

Only such plans may be approved together. A plan with a PDF, or a file that no page shows, may be approved
once that file has been opened separately or downloaded. This does not prove that the person read it.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import delete, insert, select
from sqlalchemy.engine import Engine

from plangate.web.sessions import LONGEST, Session
from plangate.web.tables import files_taken, opened

_MOST: Final = 100


class Opened:
    """Keeps these records in the web server's database for as long as a session may last."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note(self, session: Session, workflow_id: str, fingerprint: str, now: datetime) -> None:
        """Record that a session has opened the whole plan with that fingerprint."""
        at = int(now.timestamp())
        too_old = at - int(LONGEST.total_seconds())
        this = {"session": session.token_hash, "fingerprint": fingerprint}
        with self._engine.begin() as connection:
            connection.execute(delete(opened).where(opened.c.at <= too_old))
            connection.execute(delete(opened).filter_by(**this))
            connection.execute(insert(opened).values(**this, workflow_id=workflow_id, at=at))

    def of(self, session: Session) -> dict[str, str]:
        """Return the run of each plan that a session has opened, by fingerprint, newest first."""
        query = select(opened.c.fingerprint, opened.c.workflow_id).filter_by(session=session.token_hash)
        with self._engine.begin() as connection:
            rows = connection.execute(query.order_by(opened.c.at.desc()).limit(_MOST))
            return {row.fingerprint: row.workflow_id for row in rows}

    def note_file(self, session: Session, sha256: str, now: datetime) -> None:
        """Record that a session has downloaded a file, or opened it separately."""
        at = int(now.timestamp())
        too_old = at - int(LONGEST.total_seconds())
        this = {"session": session.token_hash, "sha256": sha256}
        with self._engine.begin() as connection:
            connection.execute(delete(files_taken).where(files_taken.c.at <= too_old))
            connection.execute(delete(files_taken).filter_by(**this))
            connection.execute(insert(files_taken).values(**this, at=at))

    def files_of(self, session: Session) -> frozenset[str]:
        """Return the hashes of the files that a session has downloaded or opened separately."""
        query = select(files_taken.c.sha256).filter_by(session=session.token_hash)
        with self._engine.begin() as connection:
            return frozenset(connection.execute(query).scalars())
