"""Find out whether anyone can give a plan's missing approvals, or resolve a held run.

An active person in the list can do so if they have the role (their own or delegated), are not away, and have
a key if a signature is needed. The requester and the authors cannot. A person who is away may still decide,
but this is not relied on. If no one can decide before the deadline, people are notified immediately, not at
the deadline.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

from pydantic import Field

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.escaping import one_line
from plangate.domain.people.absence import away_until
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE, Approver, People, Person, identity, is_valid_at, same_person
from plangate.domain.plurals import joined
from plangate.domain.policies.approvers import can_resolve, countable_roles, satisfied
from plangate.domain.policies.escalation import LaterApprovers, with_later_roles
from plangate.domain.policies.missing_approvals import still_missing
from plangate.domain.policies.requirement import Requirement
from plangate.domain.runs.run import Phase, RunState

_NAMED: Final = 3
_MOMENTS: Final = 50  # the maximum number of future times at which to look for enough people


class WhyUnable(StrEnum):
    """The reasons why a person with the role cannot make the decision."""

    AWAY = "away"
    NO_KEY = "no_key"
    INACTIVE = "inactive"
    EXCLUDED = "barred"  # the name in JSON


class UnableDecider(Frozen):
    """A person with the role who cannot make the decision; ``until`` is the end of their absence."""

    name: str
    why: WhyUnable
    until: AwareDatetime | None = None

    def __str__(self) -> str:
        """Return a description in one clause."""
        name = one_line(self.name)
        match self.why:
            case WhyUnable.AWAY:
                return f"{name} is away until {_moment(self.until)}"
            case WhyUnable.NO_KEY:
                return f"{name} has no passkey"
            case WhyUnable.INACTIVE:
                return f"{name} is no longer active"
            case WhyUnable.EXCLUDED:
                return f"{name} requested or edited the plan"
            case _:
                assert_never(self.why)


class Unmet(Frozen):
    """A decision that a run needs, but that no one can make now.

    Attributes:
        what: the needed decision, as text.
        count: how many approvals; 0 for a resolution.
        roles: a person needs one of these roles; empty for any person.
        choice: a description, if the count and the roles are not enough to describe it.
        able: the people who could give at least one approval.
        hindered: the people with the role who cannot give it, with the reason.
        possible_from: when enough people are back, if before the deadline; otherwise None.
    """

    what: str
    count: int = 0
    roles: tuple[str, ...] = ()
    able: tuple[str, ...] = ()
    hindered: tuple[UnableDecider, ...] = ()
    possible_from: AwareDatetime | None = None
    choice: str = Field(default="", exclude_if=lambda value: not value)

    def __str__(self) -> str:
        """Return a description in one sentence without a full stop.

        People who are away can still decide, so they are listed with the people who can.
        """
        away = [one for one in self.hindered if one.why is WhyUnable.AWAY]
        able = _listed([one_line(name) for name in (*self.able, *(one.name for one in away))])
        who = f"only {able} can" if able else "no one can"
        if away:
            who += f", and {_listed(list(map(str, away)))}"
        others = [str(one) for one in self.hindered if one.why is not WhyUnable.AWAY]
        more = len(others) - _NAMED
        clauses = [who, *others[:_NAMED], *([f"{more} more cannot either"] if more > 0 else [])]
        if self.possible_from and self.possible_from not in [one.until for one in away]:
            clauses.append(f"from {_moment(self.possible_from)}, enough people can")
        return f"{self.what}: {'; '.join(clauses)}"


def unmet(run: RunState, people: People | None, at: datetime) -> tuple[Unmet, ...]:
    """Return the decisions that the run waits for, but that no one in the list can make now.

    Empty without a list, because any name may decide then.
    """
    return Deciders(people, at).unmet(run) if people is not None else ()


def strongest_proof(person: Person, people: People, at: datetime) -> Assurance:
    """Return the strongest proof of identity that a person in the list can give at that time."""
    if any(is_valid_at(key, at) for key in person.keys):
        return Assurance.SIGNED
    web = people.web.keys
    return Assurance.LOGIN if web is None or web else Assurance.TYPED


class Deciders:
    """The people in a list at a given time, prepared once for many runs."""

    def __init__(self, people: People, at: datetime) -> None:
        self._people = people
        self._at = at
        self._delegators = tuple(one for one in people.persons if one.delegates)
        self._able: dict[tuple[datetime, Assurance], dict[str, Approver]] = {}

    def unmet(self, run: RunState) -> tuple[Unmet, ...]:
        """Return the decisions that the run waits for, but that no one can make."""
        if run.drafted is None:
            return ()
        requirement = run.drafted.requirement
        if run.phase is Phase.IN_REVIEW:
            return self.unmet_approvals(
                requirement, run.approvers, run.excluded, run.deadline, later_approvers=run.later_approvers
            )
        if run.phase is Phase.HELD:
            return self.unmet_resolution(requirement, run.excluded, run.deadline)
        return ()

    def unmet_approvals(
        self,
        requirement: Requirement,
        approvers: Sequence[Approver],
        excluded: Sequence[str],
        until: datetime | None,
        *,
        later_approvers: Sequence[LaterApprovers] = (),
    ) -> tuple[Unmet, ...]:
        """Return the missing approvals that no one can give now.

        Args:
            requirement: the requirement of the plan.
            approvers: the people who have approved so far.
            excluded: the requester and the authors.
            until: the deadline; a person who returns before it can still approve.
            later_approvers: the roles that may also approve from a given time.
        """
        roles = [need.role for need in requirement.needs]
        enough = sum(need.count for need in requirement.needs)
        done = {identity(one.name) for one in approvers}

        def able(when: datetime) -> list[Approver]:
            found = self._able_until(when, requirement.assurance)
            return [
                with_later_roles(one, later_approvers, when)
                for one in found
                if identity(one.name) not in done
            ]

        def with_able(when: datetime) -> list[Approver]:
            return [*approvers, *_enough_people(able(when), roles, excluded, enough)]

        lacking = still_missing(requirement, with_able(self._at), excluded)
        if not lacking:
            return ()
        lacking_roles = {role for one in lacking for role in one.roles}
        still = still_missing(requirement, approvers, excluded)
        needed = [one for one in still if lacking_roles.intersection(one.roles)] or lacking
        later = [one.at for one in later_approvers if one.at > self._at and (until is None or one.at < until)]
        possible = _first(
            sorted([*self._moments(until), *later]),
            lambda when: satisfied(requirement, with_able(when), excluded),
        )
        begun = [one for one in later_approvers if one.at <= self._at]
        return tuple(
            Unmet(
                what=one.in_words(),
                count=one.count,
                roles=one.named,
                choice=one.choice,
                able=tuple(
                    person.name for person in able(self._at) if countable_roles(person, one.roles, excluded)
                ),
                hindered=tuple(
                    self._hindered(
                        [*one.roles, *(other.to for other in begun if other.role in one.roles)],
                        requirement.assurance,
                        excluded,
                        done,
                    )
                ),
                possible_from=possible,
            )
            for one in needed
        )

    def unmet_resolution(
        self, requirement: Requirement, excluded: Sequence[str], until: datetime | None
    ) -> tuple[Unmet, ...]:
        """Return the resolution of a held run if no one can give it now; see also `unmet_approvals`."""
        resolving = requirement.resolving

        def is_possible(when: datetime) -> bool:
            able = self._able_until(when, resolving.assurance)
            return any(can_resolve(requirement, one, excluded) for one in able)

        if is_possible(self._at):
            return ()
        roles = [role for group in resolving.any_of for role in group]
        return (
            Unmet(
                what=f"a resolution by {resolving}",
                roles=_named(roles),
                hindered=tuple(
                    one
                    for one in self._hindered(roles, resolving.assurance, excluded, set())
                    if one.why is not WhyUnable.AWAY or self._may_resolve(one.name, requirement, excluded)
                ),
                possible_from=_first(self._moments(until), is_possible),
            ),
        )

    def _may_resolve(self, name: str, requirement: Requirement, excluded: Sequence[str]) -> bool:
        """Return whether a person has a role from each group that may resolve, even if they are away."""
        approver = self._people.identify(name, self._at).approver
        return approver is not None and can_resolve(requirement, approver, excluded)

    def _moments(self, until: datetime | None) -> list[datetime]:
        """Return the times at which more people may be able to decide, in order."""
        times = {
            time
            for person in self._people.persons
            for time in (
                *(one.until for one in person.absences),
                *(one.valid_from for one in person.keys),
                *(one.valid_from for one in person.delegates),
            )
            if time is not None and time > self._at and (until is None or time < until)
        }
        return sorted(times)[:_MOMENTS]

    def _able_until(self, when: datetime, assurance: Assurance) -> list[Approver]:
        """Return the people who could decide at any time until ``when``, with all their roles until then."""
        now = self._able_at(self._at, assurance)
        merged = dict(now)
        for time in (one for one in (self._moments(None) if when > self._at else ()) if one <= when):
            for name, approver in self._able_at(time, assurance).items():
                before = merged[name].standings if name in merged else ()
                standings = tuple(dict.fromkeys((*before, *approver.standings)))
                merged[name] = approver.model_copy(update={"standings": standings})
        return list(merged.values())

    def _able_at(self, at: datetime, assurance: Assurance) -> dict[str, Approver]:
        if (at, assurance) not in self._able:
            self._able[at, assurance] = {
                person.name: approver.model_copy(update={"assurance": assurance})
                for person in self._people.persons
                if away_until(person, at) is None and strongest_proof(person, self._people, at) >= assurance
                if (approver := self._identified(person, at)) is not None
            }
        return self._able[at, assurance]

    def _hindered(
        self, roles: Sequence[str], assurance: Assurance, excluded: Sequence[str], done: Container[str]
    ) -> Iterator[UnableDecider]:
        """Yield each person who has one of the roles and cannot decide now, with the reason."""
        for person in self._people.persons:
            approver = self._identified(person.model_copy(update={"active": True}), self._at)
            if identity(person.name) in done or not approver or not countable_roles(approver, roles, ()):
                continue
            until = away_until(person, self._at)
            if not person.active:
                yield UnableDecider(name=person.name, why=WhyUnable.INACTIVE)
            elif not countable_roles(approver, roles, excluded):
                yield UnableDecider(name=person.name, why=WhyUnable.EXCLUDED)
            elif strongest_proof(person, self._people, self._at) < assurance:
                yield UnableDecider(name=person.name, why=WhyUnable.NO_KEY)
            elif until is not None:
                yield UnableDecider(name=person.name, why=WhyUnable.AWAY, until=until)

    def _identified(self, person: Person, at: datetime) -> Approver | None:
        """Identify a person as `People.identify` does, but search only the delegators for delegations."""
        few = self._people.model_copy(update={"persons": (person, *self._delegators)})
        return few.identify(person.name, at).approver


def _enough_people(
    able: Sequence[Approver], roles: Sequence[str], excluded: Sequence[str], enough: int
) -> list[Approver]:
    """Leave out people who make no difference: those without a role, and surplus people with equal roles."""
    counts: dict[tuple[str, ...], int] = {}
    few = []
    for one in able:
        ways = countable_roles(one, roles, excluded)
        if not ways:
            continue
        if all(same_person(person, one.name) for person, _ in ways):
            kind = tuple(sorted({role for _, role in ways}))
            counts[kind] = counts.get(kind, 0) + 1
            if counts[kind] > enough:
                continue
        few.append(one)
    return few


def _named(roles: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(role for role in roles if role != ANYONE))


def _first(times: Iterable[datetime], holds: Callable[[datetime], bool]) -> datetime | None:
    return next((time for time in times if holds(time)), None)


def _moment(at: datetime | None) -> str:
    return f"{at:%a %Y-%m-%d %H:%M} UTC" if at is not None else "?"


def _listed(words: Sequence[str]) -> str:
    """Return ``dana``, ``dana and kim`` or ``dana, kim, erik and 2 more``."""
    more = len(words) - _NAMED
    shown = [*words[:_NAMED], *([f"{more} more"] if more > 0 else [])]
    return joined(shown) if shown else ""
