"""Find the people in the current list who can still make the decision that a run waits for.

The rule for who may approve is in `plangate.domain.policies.approvers`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from plangate.domain.people.absence import away_until, delegates_of
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE, Approver, People, same_person
from plangate.domain.policies import approvers
from plangate.domain.policies.escalation import with_later_roles
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.run import Phase
from plangate.domain.runs.satisfiable import strongest_proof
from plangate.domain.runs.status import Status


@dataclass(frozen=True, slots=True)
class AwayPerson:
    """A person who is away, with the end of their absence and the people who decide for them."""

    name: str
    until: datetime
    delegates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NeededDecision:
    """An approval or a resolution that a run waits for.

    Attributes:
        count: how many approvals; 0 for the resolution of a held step.
        roles: a person needs one of these roles; empty for any person.
        choice: a description, if the count and the roles are not enough to describe it.
        names: the people who can give it; None without a list of people.
        away: the absent people among them.
        keyless: the people with the role, but without the key that is needed to sign.
    """

    count: int
    roles: tuple[str, ...]
    names: tuple[str, ...] | None
    away: tuple[AwayPerson, ...] = ()
    keyless: tuple[str, ...] = ()
    choice: str = ""


def needed_decisions(status: Status, people: People | None, now: datetime) -> tuple[NeededDecision, ...]:
    """Return what the run waits for, with the people who can give it."""
    requirement = status.requirement
    if requirement is None:
        return ()
    known = approvers_now(people, now)
    excluded = (status.requester, *status.authors)
    if status.state == Phase.HELD:
        able = able_to_resolve(requirement, known, excluded)
        return tuple(
            _wanted(
                NeededDecision(0, tuple(role for role in roles if role != ANYONE), able),
                people,
                now,
                requirement.resolving.assurance,
            )
            for roles in requirement.resolving.any_of
        )
    if status.state != Phase.IN_REVIEW:
        return ()
    known = tuple(with_later_roles(one, status.reliefs, now) for one in known)
    return tuple(
        _wanted(
            NeededDecision(
                one.count,
                one.named,
                able_to_approve(one.of, known, excluded, status.approved_by, status.represented),
                choice=one.choice,
            ),
            people,
            now,
            requirement.assurance,
        )
        for one in status.lacks
    )


def _wanted(
    wanted: NeededDecision, people: People | None, now: datetime, assurance: Assurance
) -> NeededDecision:
    """Return ``wanted`` with absent people marked, and without people who cannot give the required proof."""
    if people is None:
        return replace(wanted, names=None)
    named = [person for name in wanted.names or () if (person := people.find(name)) is not None]
    able = [one for one in named if strongest_proof(one, people, now) >= assurance]
    away = tuple(
        AwayPerson(person.name, until, delegates_of(person, people, now))
        for person in able
        if (until := away_until(person, now)) is not None
    )
    keyless = tuple(one.name for one in named if one not in able)
    return replace(wanted, names=tuple(one.name for one in able), away=away, keyless=keyless)


def approvers_now(people: People | None, now: datetime) -> tuple[Approver, ...]:
    """Return each active person, with all their current roles and the strongest proof that they can give."""
    if people is None:
        return ()
    return tuple(
        approver.model_copy(update={"assurance": strongest_proof(person, people, now)})
        for person in people.persons
        if (approver := people.identify(person.name, now).approver) is not None
    )


def able_to_approve(
    needs: Iterable[Need],
    known: Iterable[Approver],
    excluded: Sequence[str],
    approved_by: Sequence[str],
    represented: Sequence[str],
) -> tuple[str, ...]:
    """Return the people whose approval can still satisfy one of these needs, regardless of their proof.

    ``represented`` are the people for whom an approval counts already.
    """
    roles = {need.role for need in needs}
    return tuple(
        one.name
        for one in known
        if not any(same_person(one.name, name) for name in approved_by)
        and approvers.countable_roles(approvers.without_represented(one, represented), roles, excluded)
    )


def able_to_resolve(
    requirement: Requirement, known: Iterable[Approver], excluded: Sequence[str]
) -> tuple[str, ...]:
    """Return the people who may resolve the held run, regardless of their proof."""
    return tuple(one.name for one in known if approvers.can_resolve(requirement, one, excluded))
