"""Keep the sessions of people who signed in, in the web server's own database.

A session is identified by a random token in a cookie. The database stores only the token's SHA-256, so no one
can sign in with a copy of the database.
"""

import secrets
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import (
    ColumnElement,
    delete,
    insert,
    select,
    update,
)

from plangate.domain.base import Frozen
from plangate.domain.people.assurance import Assurance
from plangate.web.database import WebDatabase, hash_of
from plangate.web.tables import sessions

IDLE: Final = timedelta(hours=8)
LONGEST: Final = timedelta(hours=24)
_NOTED_EVERY: Final = timedelta(minutes=1)  # the time of the last use is not updated at every request
_TOKEN_BYTES: Final = 32


class Session(Frozen):
    """A signed-in person.

    Attributes:
        token_hash: the key of the session in the database.
        person: the person's name, as in the list of people if there is one.
        assurance: the proof of who they are: ``typed`` or ``login``.
        form_token: a token in each form of this session, against requests forged by other sites.
    """

    token_hash: str
    person: str
    assurance: Assurance
    form_token: str


class Sessions:
    """Starts, finds and ends sessions."""

    def __init__(self, database: WebDatabase) -> None:
        self._engine = database.engine

    def begin(self, person: str, assurance: Assurance, now: datetime) -> str:
        """Start a session and return its token; expired sessions are deleted."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        at = int(now.timestamp())
        with self._engine.begin() as connection:
            connection.execute(delete(sessions).where(_ended(now)))
            connection.execute(
                insert(sessions).values(
                    token_hash=hash_of(token),
                    person=person,
                    assurance=assurance.value,
                    form_token=secrets.token_urlsafe(_TOKEN_BYTES),
                    began_at=at,
                    used_at=at,
                )
            )
        return token

    def find(self, token: str, now: datetime) -> Session | None:
        """Return the session with this token, if it has not expired."""
        name, at = hash_of(token), int(now.timestamp())
        with self._engine.begin() as connection:
            row = connection.execute(
                select(sessions).where(sessions.c.token_hash == name, ~_ended(now))
            ).one_or_none()
            if row is None:
                return None
            if at - row.used_at >= _NOTED_EVERY.total_seconds():
                connection.execute(update(sessions).where(sessions.c.token_hash == name).values(used_at=at))
        return Session(
            token_hash=name,
            person=row.person,
            assurance=Assurance(row.assurance),
            form_token=row.form_token,
        )

    def end(self, session: Session) -> None:
        """End a session."""
        with self._engine.begin() as connection:
            connection.execute(delete(sessions).where(sessions.c.token_hash == session.token_hash))


def _ended(now: datetime) -> ColumnElement[bool]:
    at = int(now.timestamp())
    idle, longest = int(IDLE.total_seconds()), int(LONGEST.total_seconds())
    return (sessions.c.used_at <= at - idle) | (sessions.c.began_at <= at - longest)
