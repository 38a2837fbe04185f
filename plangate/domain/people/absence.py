"""Find out who is away, and who gets their messages.

An absence only redirects messages. Only a delegation transfers the right to decide
(`plangate.domain.decisions.delegations`), so a person who is away can still decide.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

from plangate.domain.people.people import Absence, People, Person, is_valid_at, same_person


def absence_of(person: Person, at: datetime) -> Absence | None:
    """Return the person's absence at that time, or the one that ends last if several overlap."""
    now = [one for one in person.absences if one.since <= at < one.until]
    return max(now, key=lambda one: one.until, default=None)


def away_until(person: Person, at: datetime) -> datetime | None:
    """Return when an absent person is back, after all absences that follow without a gap."""
    until: datetime | None = None
    while (now := absence_of(person, until or at)) is not None:
        until = now.until
    return until


class Absences:
    """The people who are away at a given time, and their substitutes. Each person is looked up once."""

    def __init__(self, people: People, at: datetime) -> None:
        self._people = people
        self._at = at
        self._next: dict[str, tuple[str, ...] | None] = {}

    def recipients_for(
        self, name: str, may_receive: Callable[[str], bool] = lambda _: True
    ) -> tuple[str, ...]:
        """Return the recipients of a message for this person: the person, unless they are away.

        Messages for an absent person go to the substitute given for the absence, or else to the people to
        whom they have delegated roles. A substitute who is away is replaced by their own substitute. If no
        one is left, the absent person gets the message: a message is never dropped.

        Args:
            name: the person the message is for.
            may_receive: whether a person may receive this message, for example because they may see its run.
        """
        person = self._people.find(name)
        if person is None:
            return (name,)
        found: list[str] = []
        seen: set[str] = set()
        waiting = [person.name]
        for one in waiting:  # the list grows during the loop
            if one in seen:
                continue
            seen.add(one)
            following = self._following(one)
            if following is not None:
                waiting += following
            elif one == person.name or may_receive(one):
                found.append(one)
        return tuple(found) or (person.name,)

    def is_away(self, name: str) -> bool:
        """Return whether this person is away, even if no one else gets their messages."""
        person = self._people.find(name)
        return person is not None and self._following(person.name) is not None

    def _following(self, name: str) -> tuple[str, ...] | None:
        """Return the people who get an absent person's messages, as named in the list; None if not away."""
        if name not in self._next:
            person = self._people.find(name)
            is_away = person is not None and absence_of(person, self._at) is not None
            others = _instead_of(person, self._people, self._at) if person is not None else ()
            self._next[name] = tuple(one.name for one in others) if is_away else None
        return self._next[name]


def delegates_of(person: Person, people: People, at: datetime) -> tuple[str, ...]:
    """Return the people who may decide for a person through a delegation."""
    return tuple(dict.fromkeys(one.name for one in _delegates_to(person, people, at)))


def _instead_of(person: Person, people: People, at: datetime) -> Iterator[Person]:
    absence = absence_of(person, at)
    named = people.find(absence.to) if absence is not None and absence.to else None
    if named is not None and named.active and not same_person(named.name, person.name):
        yield named
    else:
        yield from _delegates_to(person, people, at)


def _delegates_to(person: Person, people: People, at: datetime) -> Iterator[Person]:
    for one in person.delegates:
        other = people.find(one.to)
        is_delegated = is_valid_at(one, at) and any(role in person.roles for role in one.roles)
        if is_delegated and other is not None and other.active and not same_person(other.name, person.name):
            yield other
