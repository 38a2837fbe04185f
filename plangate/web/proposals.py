"""Keep the passkeys that people proposed on this web server, and invitations to propose one.

A proposed key is not valid until it is in the list of people, or an enroller has confirmed it. Only the
SHA-256 of an invitation is stored, so no one can propose a key with a copy of the database.
"""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.engine import Engine

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.people.people import identity
from plangate.signing.public_keys import thumbprint_of
from plangate.web.database import hash_of
from plangate.web.passkeys import Registered
from plangate.web.tables import invitations, passkeys

INVITED_FOR: Final = timedelta(hours=24)
MOST_KEYS: Final = 20  # maximum keys per person
_TOKEN_BYTES: Final = 32


class ProposedKey(Frozen):
    """One passkey that was registered here.

    Attributes:
        key_id: its thumbprint.
        name: the name that the person gave it.
        public: the line for the list of people, ``passkey:…``.
        credential_id: its id on the authenticator.
    """

    key_id: str
    name: str
    public: str
    credential_id: str
    created_at: AwareDatetime
    used_at: AwareDatetime | None


class TooManyKeys(ValueError):
    """The person has reached the limit of proposed keys."""


class KeyOfAnother(ValueError):
    """Another person has proposed this key."""


class Proposals:
    """Keeps proposed keys and invitations in the web server's database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keys_of(self, person: str) -> tuple[ProposedKey, ...]:
        """Return the passkeys that a person registered here, oldest first."""
        with self._engine.begin() as connection:
            rows = connection.execute(
                select(passkeys).where(passkeys.c.person == identity(person)).order_by(passkeys.c.created_at)
            ).all()
        return tuple(map(_read, rows))

    def keys(self) -> tuple[tuple[str, ProposedKey], ...]:
        """Return every passkey registered here, oldest first, each with its owner's normalized name."""
        with self._engine.begin() as connection:
            rows = connection.execute(select(passkeys).order_by(passkeys.c.created_at)).all()
        return tuple((row.person, _read(row)) for row in rows)

    def propose(self, person: str, name: str, made: Registered, now: datetime) -> str:
        """Store a person's new passkey, and return its thumbprint; a known passkey is not changed.

        Raises:
            TooManyKeys: the person has `MOST_KEYS`.
            KeyOfAnother: another person has proposed it.
        """
        key_id = thumbprint_of(made.public)
        known = self.keys_of(person)
        if len(known) >= MOST_KEYS:
            raise TooManyKeys
        with self._engine.begin() as connection:
            kept = connection.execute(select(passkeys).where(passkeys.c.key_id == key_id)).first()
            if kept is not None and kept.person != identity(person):
                raise KeyOfAnother
            if kept is None:
                connection.execute(
                    insert(passkeys).values(
                        key_id=key_id,
                        person=identity(person),
                        name=name,
                        public=made.public,
                        credential_id=made.credential_id,
                        created_at=int(now.timestamp()),
                    )
                )
        return key_id

    def forget(self, person: str, key_id: str) -> None:
        """Delete a person's proposal; a key that is already valid stays valid."""
        with self._engine.begin() as connection:
            connection.execute(
                delete(passkeys).where(passkeys.c.key_id == key_id, passkeys.c.person == identity(person))
            )

    def note_used(self, person: str, credential_id: str, now: datetime) -> None:
        """Record that a person's passkey has signed."""
        with self._engine.begin() as connection:
            connection.execute(
                update(passkeys)
                .where(passkeys.c.credential_id == credential_id, passkeys.c.person == identity(person))
                .values(used_at=int(now.timestamp()))
            )

    def invite(self, person: str, now: datetime) -> str:
        """Return the token of a new invitation for a person; it works once, for `INVITED_FOR`."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        at = int(now.timestamp())
        with self._engine.begin() as connection:
            connection.execute(delete(invitations).where(invitations.c.ends_at <= at))
            connection.execute(
                insert(invitations).values(
                    token_hash=hash_of(token), person=person, ends_at=at + int(INVITED_FOR.total_seconds())
                )
            )
        return token

    def invited(self, token: str, now: datetime) -> str | None:
        """Return the person of an invitation; None if it was used, has expired or never existed."""
        with self._engine.begin() as connection:
            row = connection.execute(
                select(invitations).where(invitations.c.token_hash == hash_of(token))
            ).one_or_none()
        return None if row is None or row.ends_at <= int(now.timestamp()) else str(row.person)

    def use_invitation(self, token: str, now: datetime) -> str | None:
        """Mark an invitation as used, and return its person; None in the same cases as `invited`."""
        with self._engine.begin() as connection:
            row = connection.execute(
                delete(invitations)
                .where(invitations.c.token_hash == hash_of(token))
                .returning(invitations.c.person, invitations.c.ends_at)
            ).one_or_none()
        return None if row is None or row.ends_at <= int(now.timestamp()) else str(row.person)


def _read(row: Row[Any]) -> ProposedKey:
    """Convert a row of the table; the columns have type ``Any``."""
    return ProposedKey(
        key_id=row.key_id,
        name=row.name,
        public=row.public,
        credential_id=row.credential_id,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        used_at=None if row.used_at is None else datetime.fromtimestamp(row.used_at, UTC),
    )
