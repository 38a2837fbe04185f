"""Count failed attempts to sign in, and delay the next one after too many from an address or for a name."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

from sqlalchemy import delete, insert, select

from plangate.domain.people.people import identity
from plangate.web.database import WebDatabase, hash_of
from plangate.web.tables import attempts

WINDOW: Final = timedelta(minutes=10)
_NETWORK_BYTES: Final = 8  # of an IPv6 address; its owner can choose the other bytes


class AttemptKind(StrEnum):
    """The kind of attempt that is counted; the value is stored in the database."""

    ADDRESS = "address"
    NAME = "name"
    BEGUN = "begun"
    TOKEN = "token"  # noqa: S105  a kind

    @property
    def most(self) -> int:
        """The maximum number of failures within the window."""
        return MOST[self]


MOST: Final = {AttemptKind.ADDRESS: 30, AttemptKind.NAME: 10, AttemptKind.BEGUN: 100, AttemptKind.TOKEN: 100}
Counted = tuple[AttemptKind, str]


class Attempts:
    """Counts failures; successful attempts are not slowed down."""

    def __init__(self, database: WebDatabase) -> None:
        self._engine = database.engine

    def wait(self, counted: Iterable[Counted], now: datetime) -> timedelta | None:
        """Return how long to wait before the next attempt; None if it may be made now."""
        since = int((now - WINDOW).timestamp())
        longest = None
        with self._engine.connect() as connection:
            for kind, value in counted:
                newest = (
                    select(attempts.c.at)
                    .where(attempts.c.what == _key(kind, value), attempts.c.at > since)
                    .order_by(attempts.c.at.desc())
                    .offset(kind.most - 1)
                    .limit(1)
                )
                blocking = connection.execute(newest).scalar_one_or_none()
                if blocking is not None:
                    wait = timedelta(seconds=blocking - since)
                    longest = wait if longest is None else max(longest, wait)
        return longest

    def note(self, counted: Iterable[Counted], now: datetime) -> None:
        """Record a failed attempt, and delete those older than the window."""
        at = int(now.timestamp())
        with self._engine.begin() as connection:
            connection.execute(delete(attempts).where(attempts.c.at <= int((now - WINDOW).timestamp())))
            rows = [{"what": _key(kind, value), "at": at} for kind, value in counted]
            connection.execute(insert(attempts), rows)


def _key(kind: AttemptKind, value: str) -> str:
    return hash_of(f"{kind.value} {identity(value)}")


def network_of(address: str) -> str:
    """Return the network of an address; one machine can use many addresses of its network."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return address if parsed.version == 4 else parsed.packed[:_NETWORK_BYTES].hex()  # noqa: PLR2004
