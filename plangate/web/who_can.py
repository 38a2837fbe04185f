"""Who can still give what a run waits for, by name, from the list of people as it is now."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from plangate.domain import policy
from plangate.domain.absence import away_until, stand_ins
from plangate.domain.assurance import Assurance
from plangate.domain.people import ANYONE, Approver, People, same_person
from plangate.domain.policy import Need
from plangate.domain.run import Phase
from plangate.domain.status import Status


@dataclass(frozen=True, slots=True)
class Gone:
    """A person who is away, until when, and who decides for them meanwhile."""

    name: str
    until: datetime
    stand_ins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Something that a run waits for.

    Attributes:
        count: how many approvals; 0 for the resolution of a held step.
        roles: the roles of which one is needed; empty for any person.
        names: the people who can give it; None without a list of people.
        away: those of them who are away.
    """

    count: int
    roles: tuple[str, ...]
    names: tuple[str, ...] | None
    away: tuple[Gone, ...] = ()


def wanted_of(status: Status, people: People | None, now: datetime) -> tuple[Wanted, ...]:
    """Return what the run waits for, and who can give it."""
    requirement = status.requirement
    if requirement is None:
        return ()
    if status.state == Phase.HELD:
        return tuple(_resolution(status, roles, people, now) for roles in requirement.resolving.any_of)
    if status.state != Phase.IN_REVIEW:
        return ()
    return tuple(_approval(status, need, people, now) for need in status.still_needed)


def _approval(status: Status, need: Need, people: People | None, now: datetime) -> Wanted:
    able = [
        one.name
        for one in _approvers(people, now)
        if not any(same_person(one.name, name) for name in status.approved_by)
        and policy.ways_of(one, {need.role}, _barred(status))
    ]
    roles = () if need.role == ANYONE else (need.role,)
    return _wanted(need.count, roles, able, people, now)


def _resolution(status: Status, roles: tuple[str, ...], people: People | None, now: datetime) -> Wanted:
    assert status.requirement is not None
    able = [
        one.name
        for one in _approvers(people, now)
        if policy.can_resolve(status.requirement, one, _barred(status))
    ]
    named = tuple(role for role in roles if role != ANYONE)
    return _wanted(0, named, able, people, now)


def _wanted(
    count: int, roles: tuple[str, ...], able: Sequence[str], people: People | None, now: datetime
) -> Wanted:
    if people is None:
        return Wanted(count, roles, None)
    persons = [person for name in able if (person := people.find(name)) is not None]
    gone = tuple(
        Gone(person.name, until, stand_ins(person, people, now))
        for person in persons
        if (until := away_until(person, now)) is not None
    )
    return Wanted(count, roles, tuple(able), gone)


def _approvers(people: People | None, now: datetime) -> Iterator[Approver]:
    for person in people.persons if people is not None else ():
        approver = people.identify(person.name, now).approver if people is not None else None
        if approver is not None:
            yield approver.model_copy(update={"assurance": Assurance.SIGNED})


def _barred(status: Status) -> tuple[str, ...]:
    return (status.requester, *status.authors)
