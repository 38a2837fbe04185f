"""Read the policy, a TOML file of rules: each has a condition, and what a plan needs if the condition holds.

A worker reads it once, when it starts, and does not start if the policy has errors. It fails closed: if a
condition is neither true nor false for a step, a rule that requires approvals matches, and a rule without
needs does not. A resolve rule then also matches, and can only restrict who may resolve
(`plangate.domain.policies.policy.resolvers_of`); a see rule also matches, and can only restrict who may see
the run.
"""

import hashlib
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from plangate.domain.base import Frozen
from plangate.domain.decisions.delegations import DelegableRole, DelegationRules
from plangate.domain.errors import FileInvalid
from plangate.domain.faults import Fault, FaultPath
from plangate.domain.people.people import ANYONE
from plangate.domain.plans.duplicates import Duplicate
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.plans.tool import ToolDeclaration
from plangate.domain.policies.escalation import Escalation
from plangate.domain.policies.policy import DEFAULT_RULE, Matched, ResolveRule, Rule, combined
from plangate.domain.policies.requirement import ONE_APPROVAL, Need, Requirement
from plangate.domain.policies.rolling_totals import Limit, RecentSum, recent_sum
from plangate.domain.policies.viewers import Viewers
from plangate.domain.runs.stops import StopRules
from plangate.domain.times.calendars import Calendar
from plangate.domain.times.working_time import WorkingTime
from plangate.domain.validation import faults_in
from plangate.policy.calendars_file import TABLE as CALENDARS
from plangate.policy.calendars_file import faults_of_calendar, read_calendars
from plangate.policy.complete_file import read_complete
from plangate.policy.conditions import Condition, ConditionsOfPlan, RecentOf, Unclear
from plangate.policy.lost_escalations import LostEscalation, lost_escalations
from plangate.policy.policy_entries import (
    DefaultEntry,
    ResolveEntry,
    RuleEntry,
    SeeEntry,
    WholePolicy,
    WorkingTimeEntry,
)
from plangate.policy.policy_faults import (
    Known,
    faults_of_condition,
    faults_of_name,
    faults_of_role,
    faults_of_rule,
    faults_of_times,
    faults_of_viewers,
)
from plangate.policy.policy_input import numbers_of, variables_of_steps
from plangate.policy.stop_rules import STOP_TABLES, read_stop_rules
from plangate.policy.toml_file import parse_toml, places, tables, unknown_names

_TEXT_OF_RULE: Final = 60
_DEFAULT: Final = ("[default]",)
_OF_ALL: Final = tuple(WholePolicy.model_fields)
AnyRule = TypeVar("AnyRule", Rule, ResolveRule, Viewers)
Rules = Mapping[str, tuple[AnyRule, Condition]]
"""Rules by name, each with its condition, in file order."""
_Read = Callable[[dict[str, Any], FaultPath, Known | None, list[Fault]], AnyRule | None]
"""Reads one table (``Any`` represents TOML), or adds its errors."""


class UnclearMatch(Frozen):
    """A rule whose condition is neither true nor false for a step, and whether it then matches.

    ``resolves``: it limits who may resolve; a person then needs one of its roles, and a role that could
    approve the plan. ``sees``: it limits who may see the run. ``waits``: it needs no approval, and only its
    window and freezes apply.
    """

    rule: str
    reason: str
    counts: bool
    resolves: bool = False
    sees: bool = False
    waits: bool = False


class StepExplanation(Frozen):
    """The rules that matched one step (from 1); the default if none did.

    ``resolve`` contains the rules about who may resolve a held run; without such a rule, everyone who could
    approve the run may resolve it. ``see`` contains the rules about who may see the run; without such a rule,
    everyone in the list of people may see it. ``times`` contains the rules for which it is unclear whether
    they match; only their window and freezes apply.
    """

    number: int
    tool: str
    rules: tuple[str, ...]
    unclear: tuple[UnclearMatch, ...] = ()
    resolve: tuple[str, ...] = ()
    see: tuple[str, ...] = ()
    times: tuple[str, ...] = ()


class Explanation(Frozen):
    """How the requirement of a plan follows from the rules."""

    steps: tuple[StepExplanation, ...]
    requirement: Requirement
    lost_escalations: tuple[LostEscalation, ...] = ()


class FilePolicy:
    """A policy from a file; implements `plangate.domain.policies.policy.Policy`.

    Without ``tools``, the variables ``totals`` and ``counts`` contain only the names in its conditions.
    """

    def __init__(
        self,
        rules: Rules[Rule],
        default: Rule,
        tools: Mapping[str, ToolDeclaration] | None,
        text: str,
        *,
        resolve: Rules[ResolveRule] = MappingProxyType({}),
        see: Rules[Viewers] = MappingProxyType({}),
        whole: WholePolicy | None = None,
        stop_rules: StopRules | None = None,
        calendars: Mapping[str, Calendar] = MappingProxyType({}),
    ) -> None:
        self._rules = rules
        self._resolve = resolve
        self._see = see
        conditions = [condition for _, condition in (*rules.values(), *resolve.values(), *see.values())]
        self._limits = tuple(dict.fromkeys(limit for one in conditions for limit in one.limits))
        self._numbers = _named(conditions) if tools is None else numbers_of(tools)
        self.default = default
        self.whole = whole or WholePolicy()
        self.stop_rules = stop_rules or StopRules()
        self.calendars = calendars
        self.text = text
        self.policy_hash = hashlib.sha256(text.encode()).hexdigest()

    @property
    def rules(self) -> tuple[tuple[Rule, str], ...]:
        """All rules except the default, each with its condition, in file order."""
        return tuple((rule, condition.source) for rule, condition in self._rules.values())

    @property
    def resolve_rules(self) -> tuple[tuple[ResolveRule, str], ...]:
        """The rules about who may resolve, each with its condition, in file order."""
        return tuple((rule, condition.source) for rule, condition in self._resolve.values())

    @property
    def delegation_rules(self) -> DelegationRules:
        """The roles that people may delegate, each with the strongest proof that the role can need.

        The requirements of rules that match together are combined, so one rule's proof may apply to another
        rule's role. Each role therefore gets the strongest proof of all rules.
        """
        of_any_plan = [rule.assurance for rule, _ in self.rules]
        of_any_plan += [rule.assurance for rule, _ in self.resolve_rules]
        strongest = max([*of_any_plan, self.default.assurance])
        stops = [(role, self.stop_rules.assurance) for role in self.stop_rules.roles]
        stops += [(need.role, self.stop_rules.go_assurance) for need in self.stop_rules.go or ()]
        asked = {
            name: max([strongest, *(one for role, one in stops if role == name)])
            for name in self.whole.delegable
        }
        return DelegationRules(
            roles=tuple(DelegableRole(role=name, assurance=proof) for name, proof in asked.items())
        )

    @property
    def see_rules(self) -> tuple[tuple[Viewers, str], ...]:
        """The rules about who may see a run, each with its condition, in file order."""
        return tuple((viewers, condition.source) for viewers, condition in self._see.values())

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The rolling totals in its conditions, without duplicates."""
        return self._limits

    def requirement_for(
        self,
        plan: Plan,
        *,
        request: str,
        requester: str,
        recent: Sequence[RecentSum] = (),
        duplicates: Sequence[Duplicate] = (),
    ) -> Requirement:
        """Return the requirement of this plan."""
        return self.explain(
            plan, request=request, requester=requester, recent=recent, duplicates=duplicates
        ).requirement

    def explain(
        self,
        plan: Plan,
        *,
        request: str,
        requester: str,
        recent: Sequence[RecentSum] = (),
        duplicates: Sequence[Duplicate] = (),
    ) -> Explanation:
        """Return the requirement of this plan, and the rules that matched each of its steps."""
        sums = partial(recent_sum, plan=plan, person=requester, sums=recent)
        seen = variables_of_steps(
            plan, self._numbers, request=request, requester=requester, duplicates=duplicates
        )
        conditions = ConditionsOfPlan()
        steps = tuple(
            self._explain_step(step, variables, partial(sums, number=variables["step"]["number"]), conditions)
            for step, variables in zip(plan.steps, seen, strict=True)
        )
        requirement = combined(
            [self._matched(step) for step in steps],
            self.default,
            self.policy_hash,
            hold_seconds=self.whole.hold_timeout,
            strike_keeps_approver=self.whole.strike_keeps_approver,
        )
        names = dict.fromkeys(name for step in steps for name in step.rules)
        rules = [self._rules[name][0] if name in self._rules else self.default for name in names]
        lost = tuple(lost_escalations(rules, requirement.escalations))
        return Explanation(steps=steps, requirement=requirement, lost_escalations=lost)

    def _matched(self, step: StepExplanation) -> Matched:
        return Matched(
            rules=tuple(self._rules[name][0] for name in step.rules if name in self._rules),
            resolve=tuple(self._resolve[name][0] for name in step.resolve),
            see=tuple(self._see[name][0] for name in step.see),
            times=tuple(self._rules[name][0] for name in step.times),
            unclear=frozenset(one.rule for one in step.unclear if one.resolves),
        )

    def _explain_step(
        self, step: Step, variables: Mapping[str, Any], recent: RecentOf, conditions: ConditionsOfPlan
    ) -> StepExplanation:
        matched, unclear = [], []
        for name, (rule, condition) in self._rules.items():
            try:
                counts = conditions.holds(condition, variables, recent)
            except Unclear as error:
                counts = bool(rule.needs)
                waits = rule.limits_times and not counts
                unclear.append(UnclearMatch(rule=name, reason=str(error), counts=counts, waits=waits))
            if counts:
                matched.append(name)
        resolve, unclear_resolve = _restricting(self._resolve, variables, recent, conditions)
        see, unclear_see = _restricting(self._see, variables, recent, conditions)
        unclear += [one.model_copy(update={"resolves": True}) for one in unclear_resolve]
        unclear += [one.model_copy(update={"sees": True}) for one in unclear_see]
        return StepExplanation(
            number=variables["step"]["number"],
            tool=step.tool,
            rules=tuple(matched) or (DEFAULT_RULE,),
            unclear=tuple(unclear),
            times=tuple(one.rule for one in unclear if one.waits),
            resolve=tuple(resolve),
            see=tuple(see),
        )


def _restricting(
    rules: Rules[AnyRule], variables: Mapping[str, Any], recent: RecentOf, conditions: ConditionsOfPlan
) -> tuple[list[str], list[UnclearMatch]]:
    """Return the rules that match, including the unclear ones, and the unclear ones with their reasons."""
    matched: list[str] = []
    unclear: list[UnclearMatch] = []
    for name, (_, condition) in rules.items():
        try:
            counts = conditions.holds(condition, variables, recent)
        except Unclear as error:
            counts = True
            unclear.append(UnclearMatch(rule=name, reason=str(error), counts=True))
        if counts:
            matched.append(name)
    return matched, unclear


def read_policy(
    path: Path, tools: Mapping[str, ToolDeclaration], roles: Collection[str] | None
) -> FilePolicy:
    """Read a policy.

    Args:
        path: the TOML file.
        tools: all tools that a plan can use, by name.
        roles: the roles that active people have; None if there is no list of people.

    Raises:
        FileInvalid: the file has errors; the message lists all of them.
    """
    return _parsed(path, read_complete(path), Known(tools, roles))


def policy_in(text: str) -> FilePolicy:
    """Read a policy from its text in the records, without checking its tools and roles.

    Raises:
        FileInvalid: this release cannot parse it.
    """
    return _parsed(Path("the policy"), text.encode(), None)


def has_see_rules(text: str) -> bool:
    """Return whether a policy's text contains ``[[see]]`` rules; True if it is not valid TOML."""
    try:
        return bool(tomllib.loads(text).get("see"))
    except tomllib.TOMLDecodeError:
        return True


def roles_of_see_rules(text: str) -> tuple[frozenset[str], ...]:
    """Return the roles in each ``[[see]]`` rule of a policy's text; empty if it is not valid TOML."""
    try:
        return tuple(frozenset(one.get("roles", ())) for one in tomllib.loads(text).get("see", ()))
    except (tomllib.TOMLDecodeError, AttributeError, TypeError):
        return ()


def checked_policy(
    text: str, tools: Mapping[str, ToolDeclaration], roles: Collection[str] | None
) -> FilePolicy:
    """Read a policy from its text; see `read_policy`.

    Raises:
        FileInvalid: the file has errors; the message lists all of them.
    """
    return _parsed(Path("the policy"), text.encode(), Known(tools, roles))


def _named(conditions: Iterable[Condition]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for condition in conditions:
        for tool, arguments in condition.numbers().items():
            found[tool] = found.get(tool, frozenset()) | arguments
    return found


def _parsed(path: Path, raw: bytes, known: Known | None) -> FilePolicy:
    document = parse_toml(path, raw)
    people = "this is a list of people, and belongs in PLANGATE_PEOPLE"
    faults = unknown_names(
        document, ("rule", "resolve", "see", "default", CALENDARS, *_OF_ALL, *STOP_TABLES), {"person": people}
    )
    calendars = read_calendars(document, raw, faults, is_kept=known is None)
    names: set[str] = set()

    def rules_in(table: str, read: _Read[AnyRule]) -> dict[str, tuple[AnyRule, Condition]]:
        found: dict[str, tuple[AnyRule, Condition]] = {}
        for at, entry in _tables(document, raw, table, faults):
            rule = read(entry, at, known, faults)
            condition = _condition(entry.get("when"), at, known, faults)
            if rule is not None:
                faults.extend(faults_of_name(rule.name, at, names))
                found.update({rule.name: (rule, condition)} if condition else {})
        return found

    rule = partial(_rule, calendars=calendars)
    rules, resolve = rules_in("rule", rule), rules_in("resolve", _resolve_rule)
    see = rules_in("see", _see_rule)
    default = _default(document.get("default"), faults, calendars)
    faults += faults_of_rule(default, _DEFAULT, known)
    faults += faults_of_times([default, *(rule for rule, _ in rules.values())])
    whole = _whole(document, faults)
    for role in dict.fromkeys(whole.delegable):
        faults += faults_of_role(role, ("delegable",), known)
        if role == ANYONE:
            faults.append(Fault(("delegable",), f"everyone already has the role {ANYONE}; remove it"))
    roles = (known.roles or ()) if known else None
    stop_rules = read_stop_rules(document, default.assurance, roles, faults)
    if not document:
        hint = "write a rule, under [[rule]], or at least what every plan needs, under [default]"
        faults.append(Fault((), f"is empty; {hint}"))
    if faults:
        raise FileInvalid(str(path), faults)
    tools = known.tools if known else None
    return FilePolicy(
        rules,
        default,
        tools,
        raw.decode(),
        resolve=resolve,
        see=see,
        whole=whole,
        stop_rules=stop_rules,
        calendars=calendars,
    )


def _tables(
    document: dict[str, Any], raw: bytes, table: str, faults: list[Fault]
) -> Iterator[tuple[FaultPath, dict[str, Any]]]:
    """Yield each table with this name, and its location; ``Any`` represents TOML."""
    where = places(raw, table)
    for index, entry in enumerate(tables(document, table, faults)):
        name = str(entry.get("name", index + 1))[:_TEXT_OF_RULE]
        yield (f"{table} {name!r} ({where.get(index, 'in a list')})",), entry


def _condition(when: object, of: FaultPath, known: Known | None, faults: list[Fault]) -> Condition | None:
    at = (*of, "when")
    if not isinstance(when, str):
        return None  # `_rule` reports that it is missing or not text
    try:
        condition = Condition(when)
    except ValueError as error:
        faults.append(Fault(at, str(error)))
        return None
    if known is not None:
        faults += (Fault(at, message) for message in faults_of_condition(condition, known.tools))
    return condition


def _rule(
    entry: dict[str, Any],
    at: FaultPath,
    known: Known | None,
    faults: list[Fault],
    *,
    calendars: Mapping[str, Calendar],
) -> Rule | None:
    try:
        typed = RuleEntry.model_validate(_without_misplaced(entry, at, faults))
    except ValidationError as error:
        faults += faults_in(error, at)
        return None
    rule = _as_rule(typed, typed.name, at, calendars, faults)
    faults += faults_of_rule(rule, at, known)
    return rule


def _resolve_rule(
    entry: dict[str, Any], at: FaultPath, known: Known | None, faults: list[Fault]
) -> ResolveRule | None:
    try:
        typed = ResolveEntry.model_validate(_without_misplaced(entry, at, faults))
    except ValidationError as error:
        faults += faults_in(error, at)
        return None
    for role in dict.fromkeys(typed.roles):
        faults += faults_of_role(role, (*at, "roles"), known)
    return ResolveRule(
        name=typed.name,
        roles=tuple(dict.fromkeys(typed.roles)),
        assurance=typed.assurance,
        resolutions=tuple(dict.fromkeys(typed.resolutions or ())),
    )


def _see_rule(
    entry: dict[str, Any], at: FaultPath, known: Known | None, faults: list[Fault]
) -> Viewers | None:
    try:
        typed = SeeEntry.model_validate(_without_misplaced(entry, at, faults))
    except ValidationError as error:
        faults += faults_in(error, at)
        return None
    who, roles = tuple(dict.fromkeys(typed.who)), tuple(dict.fromkeys(typed.roles))
    viewers = Viewers(name=typed.name, who=who, roles=roles)
    faults += faults_of_viewers(viewers, at, known)
    return viewers


def _whole(document: dict[str, Any], faults: list[Fault]) -> WholePolicy:
    try:
        return WholePolicy.model_validate({name: document[name] for name in _OF_ALL if name in document})
    except ValidationError as error:
        faults += faults_in(error)
        return WholePolicy()


def _without_misplaced(entry: object, at: FaultPath, faults: list[Fault]) -> object:
    """Return a table without the keys that belong at the top of the file, and add an error for each key."""
    if not isinstance(entry, dict):
        return entry
    misplaced = [name for name in _OF_ALL if name in entry]
    faults += (
        Fault((*at, name), "applies to every plan; write it at the top, before the first table")
        for name in misplaced
    )
    return {name: value for name, value in entry.items() if name not in misplaced}


def _default(entry: object, faults: list[Fault], calendars: Mapping[str, Calendar]) -> Rule:
    if entry is None:
        return Rule(name=DEFAULT_RULE, needs=ONE_APPROVAL.needs)
    try:
        typed = DefaultEntry.model_validate(_without_misplaced(entry, _DEFAULT, faults))
    except ValidationError as error:
        faults += faults_in(error, _DEFAULT)
        return Rule(name=DEFAULT_RULE, needs=ONE_APPROVAL.needs)
    return _as_rule(typed, DEFAULT_RULE, _DEFAULT, calendars, faults)


def _as_rule(
    entry: DefaultEntry,
    name: str,
    at: FaultPath,
    calendars: Mapping[str, Calendar],
    faults: list[Fault],
) -> Rule:
    faults += faults_of_calendar(entry.window or "", (*at, "window"), calendars)
    for freeze in entry.freeze:
        faults += faults_of_calendar(freeze, (*at, "freeze"), calendars)
    faults += faults_of_calendar(entry.calendar or "", (*at, "calendar"), calendars)
    if entry.escalate and not entry.needs:
        faults.append(Fault((*at, "escalate"), "has no effect without approvals; remove it"))
    working, calendar = None, calendars.get(entry.calendar or "")
    if isinstance(entry.timeout, WorkingTimeEntry):
        if calendar is not None:
            working = WorkingTime(days=entry.timeout.days, hours=entry.timeout.hours, calendar=calendar)
        elif entry.calendar is None:
            faults.append(Fault((*at, "timeout"), "counts working time; set its calendar"))
    return Rule(
        name=name,
        needs=tuple(Need(role=need.role, count=need.count) for need in entry.needs),
        assurance=entry.assurance,
        timeout_seconds=entry.timeout if isinstance(entry.timeout, int) else None,
        approval_valid_for=entry.approval_valid_for,
        cooling_seconds=entry.settle,
        batch=entry.batch,
        notify_details=entry.notify_details,
        window=calendars.get(entry.window or ""),
        freezes=tuple(calendars[one] for one in dict.fromkeys(entry.freeze) if one in calendars),
        working=working,
        escalations=tuple(
            Escalation(role=need.role, after_seconds=one.after, to=one.to)
            for need in entry.needs
            for one in entry.escalate
        ),
        remind=tuple(dict.fromkeys(entry.remind)),
    )
