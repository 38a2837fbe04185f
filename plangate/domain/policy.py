"""Who may approve: the approvals that a plan needs, and whether it has them.

A policy derives a `Requirement` from each revision of a plan; it is recorded with the plan. `covered`
compares the approvals with it whenever one is received, and decides for which people and roles each counts.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cache
from itertools import count as counting
from typing import Final, Protocol, TypeVar

from pydantic import Field

from plangate.domain.assurance import Assurance
from plangate.domain.base import Frozen
from plangate.domain.calendars import Calendar
from plangate.domain.decision import Resolution
from plangate.domain.duplicates import Duplicate
from plangate.domain.escalation import Escalation, LaterApprovers, escalations_for_all, too_early
from plangate.domain.limits import RecentSum
from plangate.domain.people import ANYONE, Approver, PersonRoles, identity, same_person
from plangate.domain.plan import Plan
from plangate.domain.plurals import counted
from plangate.domain.viewers import Viewers, missing_viewers, together
from plangate.domain.working_time import WorkingTime

MAX_COUNT: Final = 20
DEFAULT_RULE: Final = "default"
HOLD_SECONDS: Final = 72 * 3600
LONGEST_COOLING: Final = 24 * 3600
_MOST_SEARCH_STEPS: Final = 4_000  # about 0.3 seconds of CPU time, during which it blocks the run


Part = TypeVar("Part", WorkingTime, Calendar)


class Need(Frozen):
    """A number of approvals by people of one role; ``anyone`` is every person but the requester."""

    role: str
    count: int = Field(ge=1, le=MAX_COUNT)

    def __str__(self) -> str:
        """Return a human-readable description."""
        who = "anyone but the requester" if self.role == ANYONE else self.role
        return f"{counted(self.count, 'approval')} by {who}"


def needs_in_words(needs: Iterable[Need], later_approvers: Sequence[LaterApprovers] = ()) -> str:
    """Return a description of needs, each with the roles that may also approve later, and from when."""
    parts = []
    for need in needs:
        later = "".join(f" ({one})" for one in later_approvers if one.role == need.role)
        parts.append(f"{need}{later}")
    return " and ".join(parts)


class Resolvers(Frozen):
    """The people who may resolve a held run, and the resolutions that they may choose.

    Attributes:
        any_of: groups of roles; a person needs one role of each group.
        assurance: the minimum proof of identity; the assurance of the requirement also applies.
        resolutions: the permitted resolutions in addition to ``abort``; empty for all.
        rules: the rules that require this.
    """

    any_of: tuple[tuple[str, ...], ...]
    assurance: Assurance = Assurance.TYPED
    resolutions: tuple[Resolution, ...] = ()
    rules: tuple[str, ...] = ()

    def allows(self, resolution: Resolution) -> bool:
        """Return whether this resolution is allowed; ``abort`` always is, because it has no effect."""
        return resolution is Resolution.ABORT or not self.resolutions or resolution in self.resolutions

    def __str__(self) -> str:
        """Return a human-readable description."""
        groups = [
            " or ".join("anyone but the requester" if role == ANYONE else role for role in roles)
            for roles in self.any_of
        ]
        if len(groups) > 1:
            groups = [f"({one})" if " or " in one else one for one in groups]
        return " and ".join(groups) + ("" if self.assurance is Assurance.TYPED else f", {self.assurance}")


class Requirement(Frozen):
    """What the policy requires for one plan; without needs, the plan runs without approval.

    Attributes:
        needs: for each role, the largest count that any matching rule requires, in the order of the rules.
        assurance: the proof of identity that a decision must have.
        approval_valid_for: seconds after which an approval is too old for a step to start.
        timeout_seconds: time limit of a review, if a rule sets one; the request may set a shorter one.
        working: its time limits in working time; the earliest end applies.
        rules: the rules that require this, or that exempted the plan.
        policy_hash: SHA-256 of the policy file; empty if there is none.
        resolvers: the people who may resolve a held run, if a rule limits them; default: see `resolving`.
        hold_seconds: time limit of a hold; None for `HOLD_SECONDS`.
        strike_keeps_approver: whether a person who only removed steps may still approve.
        cooling_seconds: how many seconds after the last approval the first step must wait; None for no wait.
        batch: whether it may be approved together with similar plans, with one passkey confirmation on a
            page.
        notify_details: whether notices may include the previews of its steps.
        seen_by: the people who may see the run in addition to those who may decide on it; empty for everyone
            in the list of people.
        windows: the calendars of windows: steps may begin only in the working time of all of them.
        freezes: the calendars of freezes: no step begins during the working time of any of them.
        escalations: the roles that may also approve after a review has lasted for a given time.
        remind: how many seconds before the deadline the people who can still approve are reminded.
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
    cooling_seconds: int | None = Field(default=None, exclude_if=lambda value: value is None)
    batch: bool = Field(default=False, exclude_if=lambda value: not value)
    notify_details: bool = Field(default=False, exclude_if=lambda value: not value)
    seen_by: tuple[Viewers, ...] = Field(default=(), exclude_if=lambda value: not value)
    windows: tuple[Calendar, ...] = Field(default=(), exclude_if=lambda value: not value)
    freezes: tuple[Calendar, ...] = Field(default=(), exclude_if=lambda value: not value)
    working: tuple[WorkingTime, ...] = Field(default=(), exclude_if=lambda value: not value)
    escalations: tuple[Escalation, ...] = Field(default=(), exclude_if=lambda value: not value)
    remind: tuple[int, ...] = Field(default=(), exclude_if=lambda value: not value)

    def __str__(self) -> str:
        """Return a human-readable description."""
        if not self.needs:
            return "no approval" + (f" (rule: {', '.join(self.rules)})" if self.rules else "")
        return " and ".join(map(str, self.needs)) + self.proof_words

    @property
    def resolving(self) -> Resolvers:
        """The people who may resolve a held run; by default, those who could approve the plan.

        A resolution needs at least the proof of identity that an approval needs.
        """
        found = self.resolvers or Resolvers(any_of=(approving_roles(self.needs),))
        return found.model_copy(update={"assurance": max(found.assurance, self.assurance)})

    @property
    def asked(self) -> tuple[str, ...]:
        """The roles that may approve, now or later; empty if no approval is needed."""
        return tuple(dict.fromkeys([*_roles(self.needs), *(one.to for one in self.escalations)]))

    @property
    def longest_hold(self) -> int:
        """How long the run may be held, in seconds."""
        return self.hold_seconds or HOLD_SECONDS

    @property
    def proof_words(self) -> str:
        """The required assurance as a suffix of the needs on a page; empty if a typed name is enough."""
        return "" if self.assurance is Assurance.TYPED else f", {self.assurance}"


class Rule(Frozen):
    """The approvals that one rule requires if it matches; without needs, it exempts the step.

    Its window and freezes apply in both cases.
    """

    name: str
    needs: tuple[Need, ...] = ()
    assurance: Assurance = Assurance.TYPED
    timeout_seconds: int | None = None
    approval_valid_for: int | None = None
    cooling_seconds: int | None = None
    batch: bool = False
    notify_details: bool = False
    window: Calendar | None = None
    freezes: tuple[Calendar, ...] = ()
    working: WorkingTime | None = None
    escalations: tuple[Escalation, ...] = ()
    remind: tuple[int, ...] = ()

    @property
    def limits_times(self) -> bool:
        """Whether the rule limits when steps may begin."""
        return self.window is not None or bool(self.freezes)


class ResolveRule(Frozen):
    """The people who may resolve a held run if this rule matches: those with one of the roles.

    ``resolutions`` contains those that they may choose in addition to ``abort``; empty for all.
    """

    name: str
    roles: tuple[str, ...]
    assurance: Assurance = Assurance.TYPED
    resolutions: tuple[Resolution, ...] = ()


class Matched(Frozen):
    """The rules that matched one step.

    ``times`` contains rules that only limit when the step begins: their condition is neither true nor false
    for it, and they need no approval. ``unclear`` contains the names of resolve rules with such a condition.
    """

    rules: tuple[Rule, ...] = ()
    times: tuple[Rule, ...] = ()
    resolve: tuple[ResolveRule, ...] = ()
    see: tuple[Viewers, ...] = ()
    unclear: frozenset[str] = frozenset()


class Policy(Protocol):
    """Derives the requirement of a plan."""

    def requirement_for(
        self,
        plan: Plan,
        *,
        request: str,
        requester: str,
        recent: Sequence[RecentSum] = (),
        duplicates: Sequence[Duplicate] = (),
    ) -> Requirement:
        """Return what this plan needs: a pure function of the arguments.

        ``recent`` contains the rolling totals that its conditions use, as far as they are known;
        ``duplicates`` contains the equal steps of other runs.
        """
        ...


ONE_APPROVAL: Final = Requirement(needs=(Need(role=ANYONE, count=1),))


class OneApproval:
    """The default without a policy file: one approval of every plan, by anyone but the requester."""

    def requirement_for(
        self,
        plan: Plan,
        *,
        request: str,
        requester: str,
        recent: Sequence[RecentSum] = (),
        duplicates: Sequence[Duplicate] = (),
    ) -> Requirement:
        """Return one approval."""
        del plan, request, requester, recent, duplicates
        return ONE_APPROVAL


def combined(
    matched: Sequence[Matched],
    default: Rule,
    policy_hash: str,
    *,
    hold_seconds: int | None = None,
    strike_keeps_approver: bool = False,
) -> Requirement:
    """Combine the rules that matched each step with what the policy requires for every plan.

    This takes the largest count for each role, the shortest time limits, the longest cooling off, the
    strongest proof, and all reminders, windows and freezes; windows and freezes also apply if their rule
    needs no approval. It keeps only the escalations that every rule with the role allows. A step without a
    matching rule gets ``default``. A plan needs no approval only if no matching rule requires one. Approval
    together with other plans, and details in notices, must be allowed by every rule that requires approvals.
    """
    asked = [rule for one in matched for rule in (one.rules or (default,))]
    demanding = [rule for rule in asked if rule.needs]
    timing = [
        rule for rule in (*asked, *(rule for one in matched for rule in one.times)) if rule.limits_times
    ]
    counts: dict[str, int] = {}
    for need in (need for rule in demanding for need in rule.needs):
        counts[need.role] = max(need.count, counts.get(need.role, 0))
    needs = tuple(Need(role=role, count=count) for role, count in counts.items())
    return Requirement(
        needs=needs,
        assurance=max((rule.assurance for rule in demanding), default=Assurance.TYPED),
        approval_valid_for=_least(rule.approval_valid_for for rule in demanding),
        timeout_seconds=_least(rule.timeout_seconds for rule in demanding),
        rules=tuple(dict.fromkeys(rule.name for rule in (*(demanding or asked), *timing))),
        policy_hash=policy_hash,
        resolvers=resolvers_of(matched, approving_roles(needs)),
        hold_seconds=hold_seconds,
        strike_keeps_approver=strike_keeps_approver,
        cooling_seconds=_most_seconds(rule.cooling_seconds for rule in demanding),
        batch=bool(demanding) and all(rule.batch for rule in demanding),
        notify_details=bool(demanding) and all(rule.notify_details for rule in demanding),
        seen_by=together(*(one.see for one in matched)),
        working=_each_once((rule.working,) for rule in demanding if rule.working),
        escalations=escalations_for_all((_roles(rule.needs), rule.escalations) for rule in demanding),
        remind=_reminders(rule.remind for rule in demanding),
        windows=_each_once((rule.window,) for rule in timing),
        freezes=_each_once(rule.freezes for rule in timing),
    )


def too_weak(requirement: Requirement, approver: Approver) -> str | None:
    """Return the reason why an approval's proof is too weak for a requirement, or None."""
    if approver.assurance < requirement.assurance:
        return f"{approver.name}'s approval is not {requirement.assurance}"
    if approver.batch is not None and not requirement.batch:
        return f"{approver.name} approved it together with other plans"
    return None


def strictest(one: Requirement, other: Requirement) -> Requirement:
    """Combine two requirements of the same plan for different requesters into one that satisfies both."""
    if one == other:
        return one
    demanding = [part for part in (one, other) if part.needs] or [one, other]
    counts: dict[str, int] = {}
    for need in (need for part in demanding for need in part.needs):
        counts[need.role] = max(need.count, counts.get(need.role, 0))
    needs = tuple(Need(role=role, count=count) for role, count in counts.items())
    return Requirement(
        needs=needs,
        assurance=max(one.assurance, other.assurance),
        approval_valid_for=_least((one.approval_valid_for, other.approval_valid_for)),
        timeout_seconds=_least((one.timeout_seconds, other.timeout_seconds)),
        rules=tuple(dict.fromkeys(name for part in demanding for name in part.rules)),
        policy_hash=one.policy_hash,
        resolvers=_strictest_resolvers(one, other, approving_roles(needs)),
        hold_seconds=_least((one.hold_seconds, other.hold_seconds)),
        strike_keeps_approver=one.strike_keeps_approver and other.strike_keeps_approver,
        cooling_seconds=_most_seconds((one.cooling_seconds, other.cooling_seconds)),
        batch=any(part.needs for part in demanding) and all(part.batch for part in demanding),
        notify_details=any(part.needs for part in demanding)
        and all(part.notify_details for part in demanding),
        seen_by=together(one.seen_by, other.seen_by),
        working=_each_once((one.working, other.working)),
        escalations=escalations_for_all((_roles(part.needs), part.escalations) for part in demanding),
        remind=_reminders((one.remind, other.remind)),
        windows=_each_once((one.windows, other.windows)),
        freezes=_each_once((one.freezes, other.freezes)),
    )


def _strictest_resolvers(
    one: Requirement, other: Requirement, approving: tuple[str, ...]
) -> Resolvers | None:
    """Return the people who may resolve under both requirements; None for the default, the approvers."""
    both = one.resolving, other.resolving
    groups = dict.fromkeys(roles for part in both for roles in part.any_of if ANYONE not in roles)
    any_of = tuple(groups) or ((ANYONE,),)
    if one.resolvers is None and other.resolvers is None and any_of == (approving,):
        return None
    is_limited = any(part.resolutions for part in both)
    return Resolvers(
        any_of=any_of,
        assurance=max(part.assurance for part in both),
        resolutions=tuple(one for one in Resolution if is_limited and all(part.allows(one) for part in both)),
        rules=tuple(dict.fromkeys(name for part in both for name in part.rules)),
    )


def resolvers_of(matched: Sequence[Matched], approving: tuple[str, ...]) -> Resolvers | None:
    """Combine the resolve rules that matched any step; None if none did.

    A person must satisfy all of them, and may choose what all of them allow. If no rule clearly matches a
    step, they must also have a role that could approve the plan: a rule with an unclear condition can only
    reduce who may resolve.
    """
    rules = {rule.name: rule for one in matched for rule in one.resolve}
    if not rules:
        return None
    has_own = (any(rule.name not in one.unclear for rule in one.resolve) for one in matched)
    groups = [rule.roles for rule in rules.values()] + ([] if all(has_own) else [approving])
    limited = [set(rule.resolutions) for rule in rules.values() if rule.resolutions]
    allowed = {Resolution.ABORT, *set.intersection(*limited)} if limited else set()
    return Resolvers(
        any_of=tuple(dict.fromkeys(groups)),
        assurance=max(rule.assurance for rule in rules.values()),
        resolutions=tuple(one for one in Resolution if one in allowed),
        rules=tuple(rules),
    )


def approving_roles(needs: Iterable[Need]) -> tuple[str, ...]:
    """Return the roles that can approve a plan with these needs; `ANYONE` if it needs no approval."""
    return tuple(need.role for need in needs) or (ANYONE,)


def can_resolve(requirement: Requirement, approver: Approver, barred: Sequence[str]) -> bool:
    """Return whether this person has a role from each group that may resolve; ``barred`` as in `covered`."""
    return all(countable_roles(approver, roles, barred) for roles in requirement.resolving.any_of)


def asks_for_less(requirement: Requirement, demanded: Requirement) -> str | None:
    """Return what is missing from a requirement compared with the demanded one; None if nothing is.

    A person with any role is also `ANYONE`, so additional approvals by a role may replace those by `ANYONE`.
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
    times = _allows_other_times(requirement, demanded)
    if times is not None:
        return times
    if requirement.longest_hold > demanded.longest_hold:
        return f"a hold of at most {demanded.longest_hold} seconds"
    if requirement.strike_keeps_approver and not demanded.strike_keeps_approver:
        return "that people who removed steps do not approve"
    if requirement.batch and not demanded.batch:
        return "that it is approved alone, not together with other plans"
    if requirement.notify_details and not demanded.notify_details:
        return "that notices do not say what its steps do"
    times = _begins_at_more_times(requirement, demanded)
    if times is not None:
        return times
    viewers = missing_viewers(requirement.seen_by, demanded.seen_by)
    if viewers is not None:
        return f"that only {viewers} may see it"
    return _resolved_by_more(requirement.resolving, demanded.resolving)


def _begins_at_more_times(requirement: Requirement, demanded: Requirement) -> str | None:
    """Return what is missing if steps may begin at times that the demanded requirement forbids."""
    for window in demanded.windows:
        if window not in requirement.windows:
            return f"that steps begin only in the window {window.name}"
    for freeze in demanded.freezes:
        if freeze not in requirement.freezes:
            return f"that no step begins in the freeze {freeze.name}"
    return None


def _allows_other_times(requirement: Requirement, demanded: Requirement) -> str | None:
    """Return what is missing if approvals or the review may last longer, or more people approve later."""
    if _is_longer(requirement.approval_valid_for, demanded.approval_valid_for):
        return f"approvals that are no older than {demanded.approval_valid_for} seconds"
    if _is_longer(requirement.timeout_seconds, demanded.timeout_seconds):
        return f"a review of at most {demanded.timeout_seconds} seconds"
    for limit in demanded.working:
        if limit not in requirement.working:
            return f"a review of at most {limit}"
    early = too_early(requirement.escalations, demanded.escalations, _roles(demanded.needs))
    if early is not None:
        return f"no approval by {early.to} for {early.role} after only {early.after_seconds} seconds"
    if not set(requirement.remind).issuperset(demanded.remind):
        return "each of its reminders"
    if (requirement.cooling_seconds or 0) < (demanded.cooling_seconds or 0):
        return f"{demanded.cooling_seconds} seconds between the last approval and the first step"
    return None


def _resolved_by_more(resolving: Resolvers, demanded: Resolvers) -> str | None:
    """Return what is missing if more people may resolve, or in more ways, than demanded."""
    for roles in demanded.any_of:
        if ANYONE not in roles and not any(set(roles).issuperset(group) for group in resolving.any_of):
            return f"resolutions by {' or '.join(roles)} only"
    if resolving.assurance < demanded.assurance:
        return f'resolutions with the assurance "{demanded.assurance}"'
    for one in Resolution:
        if resolving.allows(one) and not demanded.allows(one):
            return f"no resolution '{one}'"
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
    most_steps: int = _MOST_SEARCH_STEPS,
) -> int:
    """Return how many of the required approvals these people give, under the best assignment.

    Each approver counts once, and each person in whose name they act counts once. The requester and the
    authors, who are ``barred``, never count. A decision with less assurance than required does not count.
    After ``most_steps`` steps, the search returns the best assignment so far, which never counts too many
    approvals.
    """
    demanded = {need.role: need.count for need in requirement.needs}
    counted = [one for one in _once_each(approvers) if one.assurance >= requirement.assurance]
    ways = [countable_roles(approver, demanded, barred) for approver in counted]
    return _most(ways, demanded, most_steps)


def missing(
    requirement: Requirement, approvers: Sequence[Approver], barred: Sequence[str]
) -> tuple[Need, ...]:
    """Return how many approvals are still missing for each role."""
    steps = _MOST_SEARCH_STEPS // (len(requirement.needs) + 1)
    have = covered(requirement, approvers, barred, most_steps=steps)
    still = []
    for need in requirement.needs:
        placeholders = [_placeholder_approver(number, need.role) for number in range(need.count)]
        more = covered(requirement, [*approvers, *placeholders], barred, most_steps=steps) - have
        if more > 0:
            still.append(Need(role=need.role, count=more))
    return tuple(still)


def _once_each(approvers: Iterable[Approver]) -> Iterable[Approver]:
    return {identity(approver.name): approver for approver in approvers}.values()


def countable_roles(
    approver: Approver, demanded: Container[str], barred: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Return every pair of a person and a required role for which this approval can count."""
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


def _placeholder_approver(number: int, role: str) -> Approver:
    name = f"\0{number}"  # no person can have this name
    return Approver(name=name, standings=(PersonRoles(person=name, roles=(role,)),), assurance=max(Assurance))


def _roles(needs: Iterable[Need]) -> list[str]:
    return [need.role for need in needs]


def _each_once(parts: Iterable[Iterable[Part | None]]) -> tuple[Part, ...]:
    return tuple(dict.fromkeys(one for part in parts for one in part if one is not None))


def _reminders(parts: Iterable[Iterable[int]]) -> tuple[int, ...]:
    return tuple(sorted({seconds for part in parts for seconds in part}, reverse=True))


def _most_seconds(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _least(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)
