"""The approvals that a plan needs, and whether it has them.

A policy turns a plan into a `Requirement`, once for each revision; the requirement is recorded with the plan.
`covered` then counts approvals against it, each time one arrives.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cache
from itertools import count as counting
from typing import Final, Protocol

from pydantic import Field

from plangate.domain.assurance import Assurance
from plangate.domain.base import Frozen
from plangate.domain.people import ANYONE, Approver, Standing, identity, same_person
from plangate.domain.plan import Plan
from plangate.domain.plurals import counted

MAX_COUNT: Final = 20
DEFAULT_RULE: Final = "default"
HOLD_SECONDS: Final = 72 * 3600
_MOST_LOOKS: Final = 4_000  # a third of a second of CPU time, during which it blocks the run


class Need(Frozen):
    """A number of approvals by people of one role; ``anyone`` is every person but the requester."""

    role: str
    count: int = Field(ge=1, le=MAX_COUNT)

    def __str__(self) -> str:
        """Return it in words."""
        who = "anyone but the requester" if self.role == ANYONE else self.role
        return f"{counted(self.count, 'approval')} by {who}"


class Resolvers(Frozen):
    """Who may resolve a held run: people with one of the roles, at least with this proof of identity."""

    roles: tuple[str, ...]
    assurance: Assurance = Assurance.TYPED
    rules: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it in words."""
        roles = " or ".join("anyone but the requester" if role == ANYONE else role for role in self.roles)
        return roles + ("" if self.assurance is Assurance.TYPED else f", {self.assurance}")


class Requirement(Frozen):
    """What the policy demands of one plan; without needs it runs without approval.

    Attributes:
        needs: per role the largest count that any matching rule requires, in the order of the rules.
        assurance: the proof of identity that a decision must have.
        approval_valid_for: seconds after which an approval is too old for a step to start.
        timeout_seconds: time limit of a review, if a rule sets one; the request may set a shorter one.
        rules: the rules that demand this, or that exempted the plan.
        policy_hash: SHA-256 of the policy file; empty if there is none.
        resolvers: who may resolve a held run, if a rule says so; default: those who could approve the plan.
        hold_seconds: time limit of a hold; None for `HOLD_SECONDS`.
        strike_keeps_approver: whether a person who only struck steps may still approve.
    """

    needs: tuple[Need, ...] = ()
    assurance: Assurance = Assurance.TYPED
    approval_valid_for: int | None = None
    timeout_seconds: int | None = None
    rules: tuple[str, ...] = ()
    policy_hash: str = ""
    resolvers: Resolvers | None = Field(default=None, exclude_if=lambda value: value is None)
    hold_seconds: int | None = Field(default=None, exclude_if=lambda value: value is None)
    strike_keeps_approver: bool = Field(default=False, exclude_if=lambda value: not value)

    def __str__(self) -> str:
        """Return it in words."""
        if not self.needs:
            return "no approval" + (f" (rule: {', '.join(self.rules)})" if self.rules else "")
        return " and ".join(map(str, self.needs)) + self.proof_words

    @property
    def proof_words(self) -> str:
        """What follows the needs where people are shown them: empty if a typed name is enough."""
        return "" if self.assurance is Assurance.TYPED else f", {self.assurance}"


class Rule(Frozen):
    """What one rule asks for where it matches; without needs it frees what it matches."""

    name: str
    needs: tuple[Need, ...] = ()
    assurance: Assurance = Assurance.TYPED
    timeout_seconds: int | None = None
    approval_valid_for: int | None = None


class Policy(Protocol):
    """Derives the requirement of a plan."""

    def requirement_for(self, plan: Plan, *, request: str, requester: str) -> Requirement:
        """Return what this plan needs: a pure function of the arguments."""
        ...


ONE_APPROVAL: Final = Requirement(needs=(Need(role=ANYONE, count=1),))


class OneApproval:
    """The policy without a policy file: one approval of every plan, by anyone but the requester."""

    def requirement_for(self, plan: Plan, *, request: str, requester: str) -> Requirement:
        """Return one approval."""
        del plan, request, requester
        return ONE_APPROVAL


def combined(matched: Iterable[Sequence[Rule]], default: Rule, policy_hash: str) -> Requirement:
    """Combine the rules that matched each step (one sequence for each step).

    Per role the largest count, the shortest times, the strongest proof. A step that nothing matched gets
    ``default``; a plan is free only if no rule that matched any step demands anything.
    """
    asked = [rule for rules in matched for rule in (rules or (default,))]
    demanding = [rule for rule in asked if rule.needs]
    counts: dict[str, int] = {}
    for need in (need for rule in demanding for need in rule.needs):
        counts[need.role] = max(need.count, counts.get(need.role, 0))
    return Requirement(
        needs=tuple(Need(role=role, count=count) for role, count in counts.items()),
        assurance=max((rule.assurance for rule in demanding), default=Assurance.TYPED),
        approval_valid_for=_least(rule.approval_valid_for for rule in demanding),
        timeout_seconds=_least(rule.timeout_seconds for rule in demanding),
        rules=tuple(dict.fromkeys(rule.name for rule in (demanding or asked))),
        policy_hash=policy_hash,
    )


def asks_for_less(requirement: Requirement, demanded: Requirement) -> str | None:
    """Return what a requirement lacks of the demanded one; None if nothing.

    A person with any role counts for `ANYONE` too, so additional approvals of a role may replace it.
    """
    has = {need.role: need.count for need in requirement.needs}
    for need in demanded.needs:
        if need.role != ANYONE and has.get(need.role, 0) < need.count:
            return str(need)
    needed = sum(need.count for need in demanded.needs)
    if sum(has.values()) < needed:
        return f"{counted(needed, 'approval')} in all"
    if requirement.assurance < demanded.assurance:
        return f'the assurance "{demanded.assurance}"'
    if _is_longer(requirement.approval_valid_for, demanded.approval_valid_for):
        return f"approvals that are no older than {demanded.approval_valid_for} seconds"
    if _is_longer(requirement.timeout_seconds, demanded.timeout_seconds):
        return f"a review of at most {demanded.timeout_seconds} seconds"
    return None


def _is_longer(time: int | None, demanded: int | None) -> bool:
    return demanded is not None and (time is None or time > demanded)


def satisfied(requirement: Requirement, approvers: Sequence[Approver], barred: Sequence[str]) -> bool:
    """Return whether these approvers meet the requirement."""
    return covered(requirement, approvers, barred) == sum(need.count for need in requirement.needs)


def covered(
    requirement: Requirement,
    approvers: Sequence[Approver],
    barred: Sequence[str],
    *,
    most_looks: int = _MOST_LOOKS,
) -> int:
    """Return how many of the demanded approvals these people give, under the best assignment.

    Each approver counts once, and so does each person in whose name they act; the requester and authors, who
    are ``barred``, never count, and a decision with less assurance than required does not count. After
    ``most_looks`` at people and roles the best assignment found so far is returned, which is never too many.
    """
    demanded = {need.role: need.count for need in requirement.needs}
    counted = [one for one in _once_each(approvers) if one.assurance >= requirement.assurance]
    ways = [ways_of(approver, demanded, barred) for approver in counted]
    return _most(ways, demanded, most_looks)


def missing(
    requirement: Requirement, approvers: Sequence[Approver], barred: Sequence[str]
) -> tuple[Need, ...]:
    """Return which approvals would count now: per role, how many."""
    looks = _MOST_LOOKS // (len(requirement.needs) + 1)
    have = covered(requirement, approvers, barred, most_looks=looks)
    still = []
    for need in requirement.needs:
        helpers = [_placeholder_approver(number, need.role) for number in range(need.count)]
        more = covered(requirement, [*approvers, *helpers], barred, most_looks=looks) - have
        if more > 0:
            still.append(Need(role=need.role, count=more))
    return tuple(still)


def _once_each(approvers: Iterable[Approver]) -> Iterable[Approver]:
    return {identity(approver.name): approver for approver in approvers}.values()


def ways_of(
    approver: Approver, demanded: Container[str], barred: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Return every pair of a person and a demanded role for which this approval can count."""
    if _is_barred(approver.name, barred):
        return ()
    return tuple(
        (identity(standing.person), role)
        for standing in approver.standings
        if not _is_barred(standing.person, barred)
        for role in standing.roles
        if role in demanded
    )


def _is_barred(name: str, barred: Sequence[str]) -> bool:
    return any(same_person(name, one) for one in barred)


def _most(ways: Sequence[Sequence[tuple[str, str]]], demanded: Mapping[str, int], most_looks: int) -> int:
    """Return how many of these approvals can count at once: no person twice, no role more than demanded.

    A memoized search that starts with the approvals that have the fewest ways, and stops at the upper bound.
    A person whom no later approval can use is dropped. With twenty people who delegate many roles to
    each other it could still take too long: then it returns the best found so far, which is never too many.
    """
    if len(ways) == 1:  # as nearly always
        return int(any(demanded.get(role) for _, role in ways[0]))
    ways = sorted(ways, key=len)
    later: list[frozenset[str]] = [frozenset()]
    able: list[Counter[str]] = [Counter()]
    for some in reversed(ways):
        later.append(later[-1] | {person for person, _ in some})
        able.append(able[-1] + Counter({role for _, role in some}))
    later.reverse()
    able.reverse()
    looks = counting()

    @cache
    def most(index: int, still: tuple[tuple[str, int], ...], used: frozenset[str]) -> int:
        places = sum(min(left, able[index][role]) for role, left in still)
        limit = min(len(ways) - index, places, len(later[index] - used))
        if not limit or next(looks) > most_looks:
            return 0
        best = 0
        for person, role in ways[index]:
            left = dict(still)
            if person not in used and left[role]:
                left[role] -= 1
                found = most(index + 1, tuple(left.items()), (used | {person}) & later[index + 1])
                best = max(best, 1 + found)
                if best == limit:
                    return best
        return max(best, most(index + 1, still, used & later[index + 1]))

    return most(0, tuple(demanded.items()), frozenset())


def _placeholder_approver(number: int, role: str) -> Approver:
    name = f"\0{number}"  # no person can have this name
    return Approver(name=name, standings=(Standing(person=name, roles=(role,)),), assurance=max(Assurance))


def _least(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)
