"""Describe a run that is followed for notices, and parse the names of its notices."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from plangate.domain.people.people import same_person
from plangate.domain.runs.run import RunState
from plangate.notifications.notice import NoticeKind
from plangate.records.notices import EarlierNotice


@dataclass(frozen=True, slots=True)
class Followed:
    """A run that is followed.

    Attributes:
        run: its state according to its trail.
        moved_at: when its last entry was recorded.
        ended_at: when it ended; None while it is open.
        earlier: the earlier notices about it.
    """

    run: RunState
    moved_at: datetime
    ended_at: datetime | None = None
    earlier: Sequence[EarlierNotice] = ()

    def times(self, kind: NoticeKind, person: str, key: str) -> int:
        """Return how often this person got a notice of this kind in a review or hold."""
        return sum(
            one.is_sent and one.kind == kind and same_person(one.person, person) and key_in(one.event) == key
            for one in self.earlier
        )


def key_in(event: str) -> str:
    """Return the review or hold to which an event belongs; empty if it belongs to neither."""
    return event.split(":")[1] if ":" in event else ""


def number_in(event: str) -> int:
    """Return the number of repetitions in an event's name; 0 if it has none, because the row was edited."""
    number = event.rpartition(":")[2]
    return int(number) if number.isascii() and number.isdecimal() else 0
