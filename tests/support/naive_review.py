"""A second, simple review, based on the design alone: who may approve, and when there are enough approvals.

It tries every assignment of approvals to required roles, and shares only the terms of the cases with the
code. `case_of` generates people, requirements and decisions; `in_review`, `people_of` and `arrival_of`
convert the case for the code under test.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from random import Random

from plangate.domain.decisions.decision import Arrival, Choice, Decision, Via
from plangate.domain.people.people import ANYONE, Delegation, People, Person
from plangate.domain.plans.plan import Plan, Step, fingerprint_of
from plangate.domain.policies.escalation import Escalation
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.fold import fold
from plangate.domain.runs.run import RunState
from tests.support.build import NOON, RUN, drafted, requested
from tests.support.fakes import AUDIENCE

DEADLINE = NOON + timedelta(hours=10)
PLAN = Plan(summary="s", steps=(Step(tool="t", arguments={}),))
OLD, NEW = (fingerprint_of(PLAN, revision, RUN, AUDIENCE) for revision in (1, 2))
NAMES = ("rita", "dana", "erik", "fred", "gina")
ROLES = ("finance", "ops", "legal")


@dataclass
class NaiveDelegation:
    """A delegation of roles to another person, between two hours of the day."""

    to: str
    roles: tuple[str, ...]
    begins: int
    ends: int


@dataclass
class NaivePerson:
    roles: tuple[str, ...]
    active: bool
    delegations: tuple[NaiveDelegation, ...]


@dataclass
class MadeDecision:
    """One decision: the person and the spelling of the name, the decision, the plan and the hour."""

    by: str
    spelled: str
    choice: Choice
    plan: str
    hour: int


@dataclass
class Case:
    humans: dict[str, NaivePerson]
    needs: dict[str, int]
    valid_hours: int | None
    said: list[MadeDecision]
    later: list[tuple[str, int, str]]
    """The hour from which a role may approve instead of another one: (needed, hour, role)."""


def case_of(rng: Random) -> Case:
    """Generate people, requirements and decisions."""
    case = Case(
        humans={name: _human(rng) for name in NAMES},
        needs={
            role: rng.choice([1, 1, 2]) for role in rng.sample((*ROLES, ANYONE), rng.choice([1, 2, 2, 3]))
        },
        valid_hours=rng.choice([None, None, 2, 5]),
        said=sorted((_said(rng) for _ in range(rng.randint(3, 8))), key=lambda one: one.hour),
        later=[],
    )
    relieved = [role for role in case.needs if role != ANYONE] if rng.random() < 1 / 2 else []
    for role in relieved:
        to = rng.choice([one for one in ROLES if one != role])
        case.later.append((role, rng.choice([1, 2, 5, 9]), to))
    return case


def _human(rng: Random) -> NaivePerson:
    return NaivePerson(
        roles=tuple(rng.sample(ROLES, rng.choice([0, 1, 2, 2]))),
        active=rng.random() > 1 / 12,
        delegations=tuple(
            NaiveDelegation(
                to=rng.choice(NAMES),
                roles=tuple(rng.sample(ROLES, rng.randint(1, 2))),
                begins=rng.choice([0, 0, 0, 4]),
                ends=rng.choice([12, 12, 12, 3]),
            )
            for _ in range(rng.randint(0, 3))
        ),
    )


def _said(rng: Random) -> MadeDecision:
    by = rng.choice((*NAMES[1:], *NAMES[1:], *NAMES, "nobody"))
    return MadeDecision(
        by=by,
        spelled=rng.choice((by.lower(), by.upper(), by.title(), f" {by} ")),
        choice=rng.choice([Choice.APPROVE] * 20 + [Choice.REJECT, Choice.REQUEST_CHANGES]),
        plan=rng.choice([NEW] * 10 + [NEW[:8], OLD, OLD[:12], "0" * 12]),
        hour=rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10]),
    )


# ---- the simple rule -----------------------------------------------------------------------------


def capacities(case: Case, by: str, hour: int) -> list[tuple[str, str]]:
    """Return every (person, role) in which `by` can act at that hour; no one can act for the requester."""
    return with_later(case, own_capacities(case, by, hour), hour)


def with_later(case: Case, found: list[tuple[str, str]], hour: int) -> list[tuple[str, str]]:
    """Return these roles, and the roles that may approve in their place at that hour."""
    later = [(role, to) for role, begins, to in case.later if begins <= hour]
    return found + [(name, role) for role, to in later for name, own in found if own == to]


def own_capacities(case: Case, by: str, hour: int) -> list[tuple[str, str]]:
    human = case.humans.get(by)
    if human is None or not human.active or by == "rita":
        return []
    found = [(by, role) for role in (*human.roles, ANYONE)]
    for name, other in case.humans.items():
        for delegation in other.delegations:
            is_active = delegation.begins <= hour < delegation.ends
            if name not in (by, "rita") and delegation.to == by and is_active and other.active:
                found += [(name, role) for role in delegation.roles if role in other.roles]
    return found


def most_filled(needs: dict[str, int], people: Sequence[list[tuple[str, str]]]) -> int:
    """Return the largest number of required approvals that these people can give."""
    useful = [[None, *(way for way in set(ways) if way[1] in needs)] for ways in people]
    best = 0
    for ways in product(*useful):
        placed = [way for way in ways if way is not None]
        persons = [person for person, _ in placed]
        roles = Counter(role for _, role in placed)
        if len(set(persons)) == len(persons) and all(roles[role] <= needs[role] for role in roles):
            best = max(best, len(placed))
    return best


class Naive:
    """The review according to the design."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.approved: list[tuple[str, int, list[tuple[str, str]]]] = []
        self.over = False
        self.enough = False

    def accepts(self, one: MadeDecision) -> bool:
        if self.over or self.enough or not NEW.startswith(one.plan) or one.hour >= 10:
            return False
        human = self.case.humans.get(one.by)
        if human is None or not human.active:
            return False
        ways = capacities(self.case, one.by, one.hour)
        if one.choice is not Choice.APPROVE:
            if one.by != "rita" and most_filled(self.case.needs, [ways]) == 0:
                return False
            self.over = True
            return True
        if one.by == "rita" or any(one.by == by for by, _, _ in self.approved):
            return False
        before = [known for _, _, known in self.approved]
        if most_filled(self.case.needs, [*before, ways]) == most_filled(self.case.needs, before):
            return False
        self.approved.append((one.by, one.hour, ways))
        self.enough = most_filled(self.case.needs, [*before, ways]) == sum(self.case.needs.values())
        return True


# ---- the same case for the code -----------------------------------------------------------------


def at(hour: int) -> datetime:
    return NOON + timedelta(hours=hour)


def people_of(case: Case) -> People:
    return People(
        persons=tuple(
            Person(
                name=name.title(),
                roles=human.roles,
                active=human.active,
                delegates=tuple(
                    Delegation(
                        to=delegation.to,
                        roles=delegation.roles,
                        valid_from=at(delegation.begins),
                        valid_until=at(delegation.ends),
                    )
                    for delegation in human.delegations
                ),
            )
            for name, human in case.humans.items()
        )
    )


def in_review(case: Case) -> RunState:
    requirement = Requirement(
        needs=tuple(Need(role=role, count=count) for role, count in case.needs.items()),
        approval_valid_for=case.valid_hours * 3600 if case.valid_hours else None,
        escalations=tuple(
            Escalation(role=role, after_seconds=hour * 3600, to=to) for role, hour, to in case.later
        ),
    )
    drafts = (drafted(PLAN, revision, requirement=requirement, deadline=DEADLINE) for revision in (1, 2))
    return fold(RUN, (requested(requester="RITA "), *drafts))


def arrival_of(one: MadeDecision, number: int) -> Arrival:
    decision = Decision(decision=one.choice, by=one.spelled, plan=one.plan, comment="c")
    return Arrival(
        key=str(number), via=Via.SIGNAL, name=one.choice.value, received_at=at(one.hour), decision=decision
    )
