"""Who is away, and who gets their messages meanwhile.

An absence moves messages only. The right to decide moves by a delegation alone
(`plangate.domain.delegations`), so a person who is away can still decide.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

from plangate.domain.people import Absence, People, Person, identity, in_force, same_person


def absence_of(person: Person, at: datetime) -> Absence | None:
    """Return the absence that the person is in at that time; the one that ends last, if they overlap."""
    now = [one for one in person.absences if one.since <= at < one.until]
    return max(now, key=lambda one: one.until, default=None)


def away_until(person: Person, at: datetime) -> datetime | None:
    """Return when the person is back who is away at that time, also if another absence follows at once."""
    until: datetime | None = None
    while (now := absence_of(person, until or at)) is not None:
        until = now.until
    return until


def told_instead(
    name: str, people: People, at: datetime, may_be_told: Callable[[str], bool] = lambda _: True
) -> tuple[str, ...]:
    """Return who gets a message for this person at that time: they themselves, unless they are away.

    Then it is the person whom their absence names, or else those to whom they have lent roles. If one of
    these is away too, those who stand in for them. If no one is left, it is the person themselves: a message
    is never dropped.

    Args:
        name: whom the message is for.
        people: the list of people.
        at: now.
        may_be_told: whether a person may have this message, for example because they may see its run.
    """
    person = people.find(name)
    if person is None:
        return (name,)
    found: dict[str, str] = {}
    seen: set[str] = set()
    waiting = [person]
    while waiting:
        one = waiting.pop(0)
        if identity(one.name) in seen:
            continue
        seen.add(identity(one.name))
        if absence_of(one, at) is not None:
            waiting += _instead_of(one, people, at)
        elif one is person or (one.active and may_be_told(one.name)):
            found[identity(one.name)] = one.name
    return tuple(found.values()) or (person.name,)


def stand_ins(person: Person, people: People, at: datetime) -> tuple[str, ...]:
    """Return who may decide for a person by what they have lent; nobody else decides for them."""
    return tuple(dict.fromkeys(one.name for one in _lent_to(person, people, at)))


def _instead_of(person: Person, people: People, at: datetime) -> Iterator[Person]:
    absence = absence_of(person, at)
    named = people.find(absence.to) if absence is not None and absence.to else None
    if named is not None and named.active and not same_person(named.name, person.name):
        yield named
    else:
        yield from _lent_to(person, people, at)


def _lent_to(person: Person, people: People, at: datetime) -> Iterator[Person]:
    for one in person.delegates:
        other = people.find(one.to)
        is_lent = in_force(one, at) and any(role in person.roles for role in one.roles)
        if is_lent and other is not None and other.active and not same_person(other.name, person.name):
            yield other
