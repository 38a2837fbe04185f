"""Policies: how the rules that match the steps of a plan combine into its requirement."""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeVar

from plangate.domain.base import Frozen
from plangate.domain.decisions.decision import Resolution
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE
from plangate.domain.plans.duplicates import Duplicate
from plangate.domain.plans.plan import Plan
from plangate.domain.policies.escalation import Escalation, escalations_for_all
from plangate.domain.policies.requirement import (
    ONE_APPROVAL,
    Need,
    Requirement,
    Resolvers,
    approving_roles,
    roles_of,
)
from plangate.domain.policies.rolling_totals import RecentSum
from plangate.domain.policies.viewers import Viewers, together
from plangate.domain.times.calendars import Calendar
from plangate.domain.times.working_time import WorkingTime

DEFAULT_RULE: Final = "default"

Part = TypeVar("Part", WorkingTime, Calendar)


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
        escalations=escalations_for_all((roles_of(rule.needs), rule.escalations) for rule in demanding),
        remind=_reminders(rule.remind for rule in demanding),
        windows=_each_once((rule.window,) for rule in timing),
        freezes=_each_once(rule.freezes for rule in timing),
    )


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
        escalations=escalations_for_all((roles_of(part.needs), part.escalations) for part in demanding),
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


def _each_once(parts: Iterable[Iterable[Part | None]]) -> tuple[Part, ...]:
    return tuple(dict.fromkeys(one for part in parts for one in part if one is not None))


def _reminders(parts: Iterable[Iterable[int]]) -> tuple[int, ...]:
    return tuple(sorted({seconds for part in parts for seconds in part}, reverse=True))


def _most_seconds(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _least(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)
