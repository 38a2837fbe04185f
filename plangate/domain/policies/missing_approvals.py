"""Which approvals of a plan are still missing, when an approval may count for one role or for another.

`missing` tries how many more approvals by people of each role would count (`approvers.covered`).
`still_missing` tries every choice of roles, to find which of them together complete the requirement.
"""

import operator
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import chain, islice, product
from typing import Final

from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE, Approver, PersonRoles
from plangate.domain.policies.approvers import MOST_SEARCH_STEPS, countable_roles, covered
from plangate.domain.policies.requirement import Missing, Need, Requirement, alone, roles_of

_MOST_CHOICES: Final = 50


def missing(
    requirement: Requirement, approvers: Sequence[Approver], excluded: Sequence[str]
) -> tuple[Need, ...]:
    """Return for each role how many more approvals by people of this role would count.

    If a person with several roles has approved, the next approval may be by one role or by another. Both are
    returned, so the sum can be larger than the number of missing approvals; `still_missing` tells them apart.
    A role is left out if one approval would not count, even if the second would.
    """
    steps = MOST_SEARCH_STEPS // (2 * len(requirement.needs) + 1)
    have = covered(requirement, approvers, excluded, most_steps=steps)
    still = []
    for need in requirement.needs:
        placeholders = _placeholders([need.role] * need.count)
        counts = [
            covered(requirement, [*approvers, *more], excluded, most_steps=steps) - have
            for more in ((placeholders[:1], placeholders) if need.count > 1 else (placeholders,))
        ]
        if counts[0] > 0:
            still.append(Need(role=need.role, count=max(counts)))
    return tuple(still)


def still_missing(
    requirement: Requirement, approvers: Sequence[Approver], excluded: Sequence[str]
) -> tuple[Missing, ...]:
    """Return how many approvals are missing, and the choices of roles that complete the requirement.

    Each choice takes ``count`` approvals from each `Missing`. No other choice of so few approvals completes
    the requirement.
    """
    needs = missing(requirement, approvers, excluded)
    total = sum(need.count for need in requirement.needs)
    steps = MOST_SEARCH_STEPS // (len(requirement.needs) + 1)
    have = covered(requirement, approvers, excluded, most_steps=steps)
    if sum(need.count for need in needs) <= total - have:
        return tuple(map(alone, needs))
    found: list[Missing] = []
    for part in _linked(requirement, approvers, excluded):
        needed = requirement.model_copy(update={"needs": part})
        found += _choices(
            needed, approvers, excluded, tuple(need for need in needs if need.role in roles_of(part))
        )
    by_anyone = [
        one for one in found if any(need.role == ANYONE and need.count >= one.count for need in one.of)
    ]
    if not by_anyone:
        return tuple(found)
    count = sum(one.count for one in by_anyone)  # everyone has this role, so it includes the others
    return (*(one for one in found if one not in by_anyone), alone(Need(role=ANYONE, count=count)))


def missing_after(
    missing: Sequence[Missing], approver: Approver, excluded: Sequence[str]
) -> tuple[Missing, ...]:
    """Return what is missing once this person has approved."""
    roles = dict.fromkeys(role for one in missing for role in one.roles)
    own = {role for _, role in countable_roles(approver, roles, excluded)}
    met = [one for one in missing if own.intersection(one.roles)]
    others = [one for one in missing if one not in met]
    left = sum(one.count for one in met) - 1
    if left < 1:
        return tuple(others)
    choices = product(*(tuple(_selections(one.of, one.count)) for one in met))
    before = [Counter(chain.from_iterable(one)) for one in islice(choices, _MOST_CHOICES + 1)]
    if any(one.is_open for one in met) or len(before) > _MOST_CHOICES:
        return (*others, Missing(count=left))
    after = {tuple(sorted((one - Counter([role])).elements())) for one in before for role in own & one.keys()}
    return (*others, *_parts(list(map(Counter, after)), list(roles)))


def _linked(
    requirement: Requirement, approvers: Sequence[Approver], excluded: Sequence[str]
) -> Iterator[tuple[Need, ...]]:
    """Yield the needs in groups, so that no approval can count for needs of different groups."""
    roles = [need.role for need in requirement.needs]
    groups: list[frozenset[tuple[str, ...]]] = [frozenset({(role,)}) for role in roles]
    for approver in approvers:
        ways = countable_roles(approver, roles, excluded)
        own = frozenset(chain.from_iterable(((role,), ("person", person)) for person, role in ways))
        groups = [*(one for one in groups if not own & one), own.union(*(one for one in groups if own & one))]
    while roles:
        group = next(one for one in groups if (roles[0],) in one)
        yield tuple(need for need in requirement.needs if (need.role,) in group)
        roles = [role for role in roles if (role,) not in group]


def _choices(
    requirement: Requirement, approvers: Sequence[Approver], excluded: Sequence[str], needs: tuple[Need, ...]
) -> Iterator[Missing]:
    """Yield the missing approvals of a group: those that are certain, then the choice for the others.

    ``needs`` are those that the next approval may meet.
    """
    enough = sum(need.count for need in requirement.needs)
    steps = MOST_SEARCH_STEPS // (len(requirement.needs) + 1)
    left = enough - covered(requirement, approvers, excluded, most_steps=steps)
    all_choices = list(islice(_selections(requirement.needs, left), _MOST_CHOICES + 1))
    few = all_choices if len(all_choices) <= _MOST_CHOICES else []

    def is_complete(roles: Sequence[str]) -> bool:
        steps, more = MOST_SEARCH_STEPS // len(few), _placeholders(roles)
        return covered(requirement, [*approvers, *more], excluded, most_steps=steps) == enough

    complete = [Counter(one) for one in few if is_complete(one)]
    if not complete:
        yield Missing(count=left, of=needs, is_open=True)
        return
    yield from _parts(complete, [need.role for need in requirement.needs])


def _parts(complete: Sequence[Counter[str]], roles: Sequence[str]) -> Iterator[Missing]:
    """Yield the parts of these equally long choices of roles, which all complete a requirement."""
    certain = reduce(operator.and_, complete)
    other = reduce(operator.or_, complete) - certain
    yield from (alone(Need(role=role, count=certain[role])) for role in roles if certain[role])
    choice = tuple(Need(role=role, count=other[role]) for role in roles if other[role])
    if choice:
        count = complete[0].total() - certain.total()
        is_open = sum(1 for _ in _selections(choice, count)) > len(complete)
        yield Missing(count=count, of=choice, is_open=is_open)


def _selections(needs: Sequence[Need], count: int) -> Iterator[tuple[str, ...]]:
    """Yield the roles of every selection of ``count`` of the approvals that are needed."""
    if not needs:
        yield from () if count else ((),)
        return
    first, *others = needs
    fewest = max(0, count - sum(need.count for need in others))
    for number in range(fewest, min(first.count, count) + 1):
        for more in _selections(others, count - number):
            yield (*[first.role] * number, *more)


def _placeholders(roles: Sequence[str]) -> list[Approver]:
    """Return an approver with each of these roles; no person can have their names."""
    names = [f"\0{number}" for number in range(len(roles))]
    return [
        Approver(name=name, standings=(PersonRoles(person=name, roles=(role,)),), assurance=max(Assurance))
        for name, role in zip(names, roles, strict=True)
    ]
