"""Find errors in the rules of a parsed policy, such as unknown roles and tools, or names used twice."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from plangate.domain.faults import Fault, FaultPath
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE
from plangate.domain.plans.duplicates import Duplicate
from plangate.domain.plans.plan import Plan
from plangate.domain.plans.tool import ToolDeclaration
from plangate.domain.policies.policy import DEFAULT_RULE, Rule
from plangate.domain.policies.viewers import Viewers
from plangate.policy.conditions import Condition, Unclear
from plangate.policy.policy_input import numbers_of, sample_steps, variables_of_steps

_ANY_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)  # conditions have no access to it


class Known(NamedTuple):
    """What a policy is checked against: all tools, and the roles of active people."""

    tools: Mapping[str, ToolDeclaration]
    roles: Collection[str] | None


def faults_of_name(name: str, at: FaultPath, names: set[str]) -> Iterator[Fault]:
    """Yield an error if the name is already used or reserved; ``names`` contains the names so far."""
    if name == DEFAULT_RULE or name in names:
        why = "is reserved for [default]" if name == DEFAULT_RULE else "is also another rule's name"
        yield Fault((*at, "name"), f"{why}; choose another name")
    names.add(name)


def faults_of_rule(rule: Rule, at: FaultPath, known: Known | None) -> Iterator[Fault]:
    """Yield the errors in what a rule requires."""
    in_needs = (*at, "needs")
    named = [need.role for need in rule.needs]
    for role in dict.fromkeys(named):
        if named.count(role) > 1:
            yield Fault(in_needs, f"lists the role {role} more than once; add up the counts")
        yield from faults_of_role(role, in_needs, known)
    yield from _faults_of_escalations(rule, at, known)
    yield from _faults_of_reminders(rule, at)
    of_review = (rule.timeout_seconds, rule.working, rule.remind, rule.approval_valid_for)
    of_consent = (rule.batch, rule.notify_details)
    if (
        any((*of_review, *of_consent, rule.cooling_seconds)) or rule.assurance > Assurance.TYPED
    ) and not rule.needs:
        without = (
            "assurance, timeout, remind, approval_valid_for, settle, batch and notify_details have no effect"
        )
        yield Fault(at, f"needs no approval, so {without}; remove them")


def _faults_of_escalations(rule: Rule, at: FaultPath, known: Known | None) -> Iterator[Fault]:
    at = (*at, "escalate")
    for role in dict.fromkeys(one.to for one in rule.escalations):
        if role == ANYONE:
            yield Fault(at, f"{ANYONE} would be everyone but the requester; use a role")
        yield from faults_of_role(role, at, known)
    for one in rule.escalations:
        if one.role in (ANYONE, one.to):
            yield Fault(at, f"{one.to} may already approve for {one.role} from the beginning; remove it")
        if rule.timeout_seconds is not None and one.after_seconds >= rule.timeout_seconds:
            yield Fault(at, f"to {one.to} begins no earlier than the review ends; make after shorter")


def _faults_of_reminders(rule: Rule, at: FaultPath) -> Iterator[Fault]:
    if rule.timeout_seconds is not None and any(one >= rule.timeout_seconds for one in rule.remind):
        yield Fault((*at, "remind"), "has a reminder that would come before the review begins; shorten it")


def faults_of_times(rules: Iterable[Rule]) -> Iterator[Fault]:
    """Yield an error if approvals may expire before the cooling-off time is over."""
    rules = list(rules)
    longest = max(rules, key=lambda rule: rule.cooling_seconds or 0)
    shortest = min(rules, key=lambda rule: rule.approval_valid_for or math.inf)
    if longest.cooling_seconds and longest.cooling_seconds >= (shortest.approval_valid_for or math.inf):
        yield Fault(
            (),
            f"has a settle in the rule {longest.name} that is at least as long as the approval_valid_for in "
            f"{shortest.name}: if both match a plan, none of its steps can begin; make settle shorter",
        )


def faults_of_role(role: str, at: FaultPath, known: Known | None) -> Iterator[Fault]:
    """Yield an error if no active person has a role."""
    if role == ANYONE or known is None:
        return
    if known.roles is None:
        yield Fault(at, f"requires {role}, but no list of people is configured; set PLANGATE_PEOPLE")
    elif role not in known.roles:
        there = ", ".join(sorted(known.roles)) or "none"
        yield Fault(at, f"no active person has the role {role}; existing roles: {there}")


def faults_of_viewers(viewers: Viewers, at: FaultPath, known: Known | None) -> Iterator[Fault]:
    """Yield the errors in a rule about who may see a run."""
    if not viewers.who and not viewers.roles:
        yield Fault(at, "includes no people; list the people who may see the run in who or roles")
    if ANYONE in viewers.roles:
        yield Fault((*at, "roles"), "everyone in the list may already see every run; use other roles")
    if known is not None and known.roles is None:
        yield Fault(
            at, "restricts who may see a run, but no list of people is configured; set PLANGATE_PEOPLE"
        )
        return
    for role in viewers.roles:
        yield from faults_of_role(role, (*at, "roles"), known)


def faults_of_condition(condition: Condition, tools: Mapping[str, ToolDeclaration]) -> Iterator[str]:
    """Yield the reason why a condition is never true, if that is the case."""
    unknown = list(condition.unknown_words(tools))
    yield from unknown
    if unknown or not tools:
        return
    reasons = []
    for step in sample_steps(tools):
        plan = Plan(summary="x", steps=(step,))
        twice = Duplicate(step=1, tool=step.tool, workflow_id="x", its_step=1, state="executed", at=_ANY_TIME)
        (variables,) = variables_of_steps(
            plan, numbers_of(tools), request="x", requester="x", duplicates=(twice,)
        )
        try:
            condition.holds(variables, lambda _limit: 1.5)
        except Unclear as error:
            reasons.append(str(error))
    if len(reasons) == len(tools):
        yield f"is neither true nor false for a step of any tool: {reasons[0]}"
