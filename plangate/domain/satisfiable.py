"""Whether the approvals that a plan still lacks, or the resolution of a held run, can be given at all.

It asks who of the list of people could: active, not the requester or an author, with the role of their own or
lent to them, with a key if it has to be signed, and not away. A person who is away may still decide, but
nobody can count on it. What no one can give before the deadline is told at once, not at the deadline.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

from plangate.domain import policy
from plangate.domain.absence import away_until
from plangate.domain.assurance import Assurance
from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.escaping import one_line
from plangate.domain.people import Approver, People, Person, identity, in_force, same_person
from plangate.domain.policy import Requirement
from plangate.domain.run import Phase, RunState

_NAMED: Final = 3
_MOMENTS: Final = 50  # at which it is looked whether enough people are back


class Why(StrEnum):
    """Why a person who has the role cannot give what is needed."""

    AWAY = "away"
    NO_KEY = "no_key"
    INACTIVE = "inactive"
    BARRED = "barred"


class Hindered(Frozen):
    """A person who has the role and cannot give what is needed; ``until`` says how long they are away."""

    name: str
    why: Why
    until: AwareDatetime | None = None

    def __str__(self) -> str:
        """Return it in one clause."""
        name = one_line(self.name)
        match self.why:
            case Why.AWAY:
                return f"{name} is away until {_moment(self.until)}"
            case Why.NO_KEY:
                return f"{name} has no key to sign with"
            case Why.INACTIVE:
                return f"{name} is no longer active"
            case Why.BARRED:
                return f"{name} requested or edited the plan"
            case _:
                assert_never(self.why)


class Unmet(Frozen):
    """What a run needs and cannot get now.

    Attributes:
        what: what is needed, in words.
        able: who could give a part of it.
        hindered: who has the role, and why they cannot.
        possible_from: when enough people are back, if that is before the deadline; None for never.
    """

    what: str
    able: tuple[str, ...] = ()
    hindered: tuple[Hindered, ...] = ()
    possible_from: AwareDatetime | None = None

    def __str__(self) -> str:
        """Return it in one sentence without a full stop."""
        able = _listed([one_line(name) for name in self.able])
        who = f"only {able} could" if able else "no one could"
        why = f" ({_listed(list(map(str, self.hindered)))})" if self.hindered else ""
        when = f", and not before {_moment(self.possible_from)}" if self.possible_from else ""
        return f"{self.what}: {who}{why}{when}"


def unmet(run: RunState, people: People | None, at: datetime) -> tuple[Unmet, ...]:
    """Return what the run waits for and cannot get from anyone of the list now.

    Empty if it can, if it waits for no one, and without a list, where any name may decide.
    """
    if people is None or run.drafted is None:
        return ()
    requirement = run.drafted.requirement
    if run.phase is Phase.IN_REVIEW:
        return unmet_approvals(requirement, run.approvers, run.barred, people, at=at, until=run.deadline)
    if run.phase is Phase.HELD:
        return unmet_resolution(requirement, run.barred, people, at=at, until=run.deadline)
    return ()


def unmet_approvals(
    requirement: Requirement,
    approvers: Sequence[Approver],
    barred: Sequence[str],
    people: People,
    *,
    at: datetime,
    until: datetime | None,
) -> tuple[Unmet, ...]:
    """Return which of the approvals that are still needed the people of the list cannot give now.

    Args:
        requirement: of the plan.
        approvers: who approved so far.
        barred: the requester and the authors.
        people: the list of people.
        at: now.
        until: the deadline; a person who is back before it can still approve then.
    """
    asked = _Asked(people, barred, requirement.assurance, [one.name for one in approvers])
    roles = [need.role for need in requirement.needs]

    def lacking(when: datetime) -> tuple[policy.Need, ...]:
        more = _a_few(asked.able(at, when), roles, barred, sum(need.count for need in requirement.needs))
        return policy.missing(requirement, [*approvers, *more], barred)

    wanted = {need.role: need for need in policy.missing(requirement, approvers, barred)}
    possible = _first(asked.moments(at, until), lambda when: not lacking(when))
    return tuple(
        Unmet(
            what=str(wanted.get(need.role, need)),
            able=tuple(one.name for one in asked.able(at, at) if policy.ways_of(one, [need.role], barred)),
            hindered=tuple(asked.hindered((need.role,), at)),
            possible_from=possible,
        )
        for need in lacking(at)
    )


def unmet_resolution(
    requirement: Requirement,
    barred: Sequence[str],
    people: People,
    *,
    at: datetime,
    until: datetime | None,
) -> tuple[Unmet, ...]:
    """Return the resolution of a held run, if no one of the list can give it now. Arguments as above."""
    resolving = requirement.resolving
    asked = _Asked(people, barred, resolving.assurance, ())

    def is_able(when: datetime) -> bool:
        return any(policy.can_resolve(requirement, one, barred) for one in asked.able(at, when))

    if is_able(at):
        return ()
    roles = [role for group in resolving.any_of for role in group]
    return (
        Unmet(
            what=f"a resolution by {resolving}",
            hindered=tuple(asked.hindered(roles, at)),
            possible_from=_first(asked.moments(at, until), is_able),
        ),
    )


class _Asked:
    """The people of the list who could decide, but for those who did."""

    def __init__(
        self, people: People, barred: Sequence[str], assurance: Assurance, decided: Sequence[str]
    ) -> None:
        self._people = people
        self._barred = barred
        self._assurance = assurance
        done = {identity(name) for name in decided}
        self._persons = [one for one in people.persons if identity(one.name) not in done]
        self._lenders = tuple(one for one in people.persons if one.delegates)
        self._known: dict[datetime, dict[str, Approver]] = {}

    def moments(self, at: datetime, until: datetime | None) -> list[datetime]:
        """Return when the answer may change for the better, in order: ends of absences, begins of rights."""
        times = {
            time
            for person in self._people.persons
            for time in (
                *(one.until for one in person.absences),
                *(one.valid_from for one in person.keys),
                *(one.valid_from for one in person.delegates),
            )
            if time is not None and time > at and (until is None or time < until)
        }
        return sorted(times)[:_MOMENTS]

    def able(self, at: datetime, when: datetime) -> list[Approver]:
        """Return who could decide at some time from ``at`` to ``when``, with all that they then could."""
        merged: dict[str, Approver] = {}
        for time in (at, *(one for one in self.moments(at, None) if one <= when)):
            for name, approver in self._able_at(time).items():
                before = merged[name].standings if name in merged else ()
                standings = tuple(dict.fromkeys((*before, *approver.standings)))
                merged[name] = approver.model_copy(update={"standings": standings})
        return list(merged.values())

    def hindered(self, roles: Sequence[str], at: datetime) -> Iterator[Hindered]:
        """Yield who has one of the roles and cannot decide now, with the reason."""
        for person in self._persons:
            approver = self._identified(person.model_copy(update={"active": True}), at)
            if approver is None or not policy.ways_of(approver, roles, ()):
                continue
            why = self._why_not(person, approver, roles, at)
            if why is not None:
                until = away_until(person, at) if why is Why.AWAY else None
                yield Hindered(name=person.name, why=why, until=until)

    def _why_not(self, person: Person, approver: Approver, roles: Sequence[str], at: datetime) -> Why | None:
        if not person.active:
            return Why.INACTIVE
        if not policy.ways_of(approver, roles, self._barred):
            return Why.BARRED
        if self._proof(person, at) < self._assurance:
            return Why.NO_KEY
        return Why.AWAY if away_until(person, at) is not None else None

    def _able_at(self, at: datetime) -> dict[str, Approver]:
        if at not in self._known:
            self._known[at] = {
                person.name: approver.model_copy(update={"assurance": self._assurance})
                for person in self._persons
                if away_until(person, at) is None and self._proof(person, at) >= self._assurance
                if (approver := self._identified(person, at)) is not None
            }
        return self._known[at]

    def _identified(self, person: Person, at: datetime) -> Approver | None:
        """Return the same as the list does, which looks at everyone to find who lends."""
        few = self._people.model_copy(update={"persons": (person, *self._lenders)})
        return few.identify(person.name, at).approver

    def _proof(self, person: Person, at: datetime) -> Assurance:
        """Return the strongest proof of identity that the person can give at that time."""
        if any(in_force(key, at) for key in person.keys):
            return Assurance.SIGNED
        web = self._people.web.keys
        return Assurance.LOGIN if web is None or web else Assurance.TYPED


def _a_few(
    able: Sequence[Approver], roles: Sequence[str], barred: Sequence[str], enough: int
) -> list[Approver]:
    """Leave out people who add nothing: those without a role, and of many who are alike all but enough."""
    alike: dict[tuple[str, ...], int] = {}
    few = []
    for one in able:
        ways = policy.ways_of(one, roles, barred)
        if not ways:
            continue
        if all(same_person(person, one.name) for person, _ in ways):
            kind = tuple(sorted({role for _, role in ways}))
            alike[kind] = alike.get(kind, 0) + 1
            if alike[kind] > enough:
                continue
        few.append(one)
    return few


def _first(times: Iterable[datetime], holds: Callable[[datetime], bool]) -> datetime | None:
    return next((time for time in times if holds(time)), None)


def _moment(at: datetime | None) -> str:
    return f"{at:%a %Y-%m-%d %H:%M} UTC" if at is not None else "?"


def _listed(words: Sequence[str]) -> str:
    more = len(words) - _NAMED
    return ", ".join([*words[:_NAMED], *([f"and {more} more"] if more > 0 else [])])
