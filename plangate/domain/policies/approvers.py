"""Who may approve a plan or resolve a held run, and whether the approvals of a plan are enough.

The rules of the policy determine the roles and the proof of identity that a plan's approvals need
(`plangate.policy.policy_file`, docs/policy.md); they are recorded with the plan as its `Requirement`. A
person may approve if they have one of these roles, their own or a delegated one
(`plangate.domain.people.people`). The requester and the authors of the plan may not (`RunState.excluded`),
nor can delegates in their name. Whenever an approval is received, `covered` counts how many of the required
approvals there are, each for the person and the role with which the total is largest.

A held run may be resolved by people with the roles in `Requirement.resolving`: those of the matching resolve
rules, or by default any role that could approve (`can_resolve`). The same people are excluded.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cache
from itertools import count as counting
from typing import Final

from plangate.domain.people.people import Approver, identity, same_person
from plangate.domain.policies.requirement import Requirement

MOST_SEARCH_STEPS: Final = 4_000  # about 0.3 seconds of CPU time, during which it blocks the run


def too_weak(requirement: Requirement, approver: Approver) -> str | None:
    """Return the reason why an approval's proof is too weak for a requirement, or None."""
    if approver.assurance < requirement.assurance:
        return f"{approver.name}'s approval is not {requirement.assurance}"
    if approver.batch is not None and not requirement.batch:
        return f"{approver.name} approved it together with other plans"
    return None


def can_resolve(requirement: Requirement, approver: Approver, excluded: Sequence[str]) -> bool:
    """Return whether a person has a role of each group that may resolve; ``excluded`` is as in `covered`."""
    return all(countable_roles(approver, roles, excluded) for roles in requirement.resolving.any_of)


def satisfied(requirement: Requirement, approvers: Sequence[Approver], excluded: Sequence[str]) -> bool:
    """Return whether these approvers meet the requirement."""
    return covered(requirement, approvers, excluded) == sum(need.count for need in requirement.needs)


def covered(
    requirement: Requirement,
    approvers: Sequence[Approver],
    excluded: Sequence[str],
    *,
    most_steps: int = MOST_SEARCH_STEPS,
) -> int:
    """Return how many of the required approvals these people give, under the best assignment.

    No approval counts twice, and no two approvals count for the same person, whether they act themselves or
    through a delegate. The requester and the authors, who are ``excluded``, never count. A decision with less
    assurance than required does not count. After ``most_steps`` steps, the search returns the best assignment
    so far, which never counts too many approvals.
    """
    demanded = {need.role: need.count for need in requirement.needs}
    counted = [one for one in _once_each(approvers) if one.assurance >= requirement.assurance]
    ways = [countable_roles(approver, demanded, excluded) for approver in counted]
    return _most(ways, demanded, most_steps)


def _once_each(approvers: Iterable[Approver]) -> Iterable[Approver]:
    return {identity(approver.name): approver for approver in approvers}.values()


def countable_roles(
    approver: Approver, demanded: Container[str], excluded: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Return every pair of a person and a required role for which this approval can count."""
    if _is_excluded(approver.name, excluded):
        return ()
    return tuple(
        (identity(standing.person), role)
        for standing in approver.standings
        if not _is_excluded(standing.person, excluded)
        for role in standing.roles
        if role in demanded
    )


def represented(
    requirement: Requirement, approvers: Sequence[Approver], excluded: Sequence[str]
) -> tuple[str, ...]:
    """Return the people for whom one of these approvals counts, so that no other approval can count for them.

    An approval by a person who may act for several people leaves open for whom it counts. If an approval does
    not count at all, or the search ends early, the result is empty.
    """
    if covered(requirement, approvers, excluded, most_steps=MOST_SEARCH_STEPS // 10) < len(approvers):
        return ()
    demanded = {need.role for need in requirement.needs}
    ways = [{person for person, _ in countable_roles(one, demanded, excluded)} for one in approvers]
    return tuple(sorted({person for persons in ways if len(persons) == 1 for person in persons}))


def without_represented(approver: Approver, represented: Sequence[str]) -> Approver:
    """Return a person without the roles of people for whom an approval counts already."""
    left = tuple(one for one in approver.standings if identity(one.person) not in represented)
    return approver.model_copy(update={"standings": left})


def _is_excluded(name: str, excluded: Sequence[str]) -> bool:
    return any(same_person(name, one) for one in excluded)


def _most(ways: Sequence[Sequence[tuple[str, str]]], demanded: Mapping[str, int], most_steps: int) -> int:
    """Return how many of these approvals can count together: no person twice, no role more than required.

    The memoized search starts with the approvals that have the fewest alternatives, and stops at the upper
    bound. It ignores a person for whom no later approval can count. With twenty people who delegate many
    roles to each other, it could still take too long. In that case it returns the best result so far, which
    never counts too many approvals.
    """
    if len(ways) == 1:  # true in nearly all cases
        return int(any(demanded.get(role) for _, role in ways[0]))
    ways = sorted(ways, key=len)
    later: list[frozenset[str]] = [frozenset()]
    able: list[Counter[str]] = [Counter()]
    for some in reversed(ways):
        later.append(later[-1] | {person for person, _ in some})
        able.append(able[-1] + Counter({role for _, role in some}))
    later.reverse()
    able.reverse()
    steps = counting()

    @cache
    def most(index: int, still: tuple[tuple[str, int], ...], used: frozenset[str]) -> int:
        places = sum(min(left, able[index][role]) for role, left in still)
        limit = min(len(ways) - index, places, len(later[index] - used))
        if not limit or next(steps) > most_steps:
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
