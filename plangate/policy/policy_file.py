"""Read the policy, a TOML file of rules, each with a condition and what a plan needs if it holds.

A worker reads it once, at its start, and does not start if it has faults. It fails closed: if a condition
is neither true nor false of a step, a rule that demands approvals matches and a rule without needs does not.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from plangate.domain.assurance import Assurance, read_assurance
from plangate.domain.base import Frozen, Typed
from plangate.domain.durations import read_timeout
from plangate.domain.errors import FileInvalid
from plangate.domain.faults import Fault, FaultPath
from plangate.domain.people import ANYONE
from plangate.domain.plan import Plan, Step
from plangate.domain.policy import DEFAULT_RULE, MAX_COUNT, ONE_APPROVAL, Need, Requirement, Rule, combined
from plangate.domain.stops import StopRules
from plangate.domain.tool import ToolDeclaration
from plangate.domain.validation import faults_in
from plangate.policy.conditions import Condition, Unclear
from plangate.policy.policy_input import numbers_of, sample_steps, variables_of_steps
from plangate.policy.settled_file import read_settled
from plangate.policy.stop_rules import STOP_TABLES, read_stop_rules
from plangate.policy.toml_file import Name, parse_toml, places, tables, unknown_names

_TEXT_OF_RULE: Final = 60
_DEFAULT: Final = ("[default]",)


def _seconds(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("must be text such as '4h'")  # noqa: TRY004  pydantic takes a ValueError for a fault
    return read_timeout(value)


Seconds = Annotated[int, BeforeValidator(_seconds)]


class _NeedEntry(Typed):
    model_config = ConfigDict(strict=True)

    role: Name
    count: int = Field(default=1, ge=1, le=MAX_COUNT)


class _DefaultEntry(Typed):
    model_config = ConfigDict(strict=True)

    needs: list[_NeedEntry]
    assurance: Annotated[Assurance, BeforeValidator(read_assurance)] = Assurance.TYPED
    timeout: Seconds | None = None
    approval_valid_for: Seconds | None = None


class _RuleEntry(_DefaultEntry):
    name: Name
    when: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]


class UnclearMatch(Frozen):
    """A rule whose condition is neither true nor false of a step, and whether it matches then."""

    rule: str
    reason: str
    counts: bool


class StepExplanation(Frozen):
    """Which rules matched one step (from 1); the default if none did."""

    number: int
    tool: str
    rules: tuple[str, ...]
    unclear: tuple[UnclearMatch, ...] = ()


class Explanation(Frozen):
    """How a plan came to its requirement."""

    steps: tuple[StepExplanation, ...]
    requirement: Requirement


class _Known(NamedTuple):
    """What a policy is checked against: all tools, and the roles that active people have."""

    tools: Mapping[str, ToolDeclaration]
    roles: Collection[str] | None


class FilePolicy:
    """A policy from a file; implements `plangate.domain.policy.Policy`.

    Without ``tools``, ``totals`` and ``counts`` hold only what its conditions name.
    """

    def __init__(
        self,
        rules: Mapping[str, tuple[Rule, Condition]],
        default: Rule,
        tools: Mapping[str, ToolDeclaration] | None,
        text: str,
        stop_rules: StopRules | None = None,
    ) -> None:
        self._rules = rules
        self._numbers = _named(rules) if tools is None else numbers_of(tools)
        self.default = default
        self.stop_rules = stop_rules or StopRules()
        self.text = text
        self.policy_hash = hashlib.sha256(text.encode()).hexdigest()

    @property
    def rules(self) -> tuple[tuple[Rule, str], ...]:
        """All rules but the default, each with its condition, in the order of the file."""
        return tuple((rule, condition.source) for rule, condition in self._rules.values())

    def requirement_for(self, plan: Plan, *, request: str, requester: str) -> Requirement:
        """Return what this plan needs."""
        return self.explain(plan, request=request, requester=requester).requirement

    def explain(self, plan: Plan, *, request: str, requester: str) -> Explanation:
        """Return what this plan needs, and which rule asked for it at which step."""
        steps = tuple(
            self._explain_step(step, variables)
            for step, variables in zip(
                plan.steps,
                variables_of_steps(plan, self._numbers, request=request, requester=requester),
                strict=True,
            )
        )
        matched = [[self._rules[name][0] for name in step.rules if name in self._rules] for step in steps]
        return Explanation(steps=steps, requirement=combined(matched, self.default, self.policy_hash))

    def _explain_step(self, step: Step, variables: Mapping[str, Any]) -> StepExplanation:
        matched, unclear = [], []
        for name, (rule, condition) in self._rules.items():
            try:
                counts = condition.holds(variables)
            except Unclear as error:
                counts = bool(rule.needs)
                unclear.append(UnclearMatch(rule=name, reason=str(error), counts=counts))
            if counts:
                matched.append(name)
        return StepExplanation(
            number=variables["step"]["number"],
            tool=step.tool,
            rules=tuple(matched) or (DEFAULT_RULE,),
            unclear=tuple(unclear),
        )


def read_policy(
    path: Path, tools: Mapping[str, ToolDeclaration], roles: Collection[str] | None
) -> FilePolicy:
    """Read a policy.

    Args:
        path: the TOML file.
        tools: all tools that a plan can use, by name.
        roles: the roles that active people have; None if there is no list of people.

    Raises:
        FileInvalid: carries every fault.
    """
    return _parsed(path, read_settled(path), _Known(tools, roles))


def policy_in(text: str) -> FilePolicy:
    """Read a policy from the text that the records keep, without checking its tools and roles.

    Raises:
        FileInvalid: this release cannot read it.
    """
    return _parsed(Path("the policy"), text.encode(), None)


def checked_policy(
    text: str, tools: Mapping[str, ToolDeclaration], roles: Collection[str] | None
) -> FilePolicy:
    """Read a policy from its text; the rest is as in `read_policy`.

    Raises:
        FileInvalid: carries every fault.
    """
    return _parsed(Path("the policy"), text.encode(), _Known(tools, roles))


def _named(rules: Mapping[str, tuple[Rule, Condition]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for _, condition in rules.values():
        for tool, arguments in condition.numbers().items():
            found[tool] = found.get(tool, frozenset()) | arguments
    return found


def _parsed(path: Path, raw: bytes, known: _Known | None) -> FilePolicy:
    document = parse_toml(path, raw)
    people = "this is a list of people, and belongs in PLANGATE_PEOPLE"
    faults = unknown_names(document, ("rule", "default", *STOP_TABLES), {"person": people})
    where = places(raw, "rule")
    rules: dict[str, tuple[Rule, Condition]] = {}
    names: set[str] = set()
    for index, entry in enumerate(tables(document, "rule", faults)):
        name = str(entry.get("name", index + 1))[:_TEXT_OF_RULE]
        at: FaultPath = (f"rule {name!r} ({where.get(index, 'in a list')})",)
        condition = _condition(entry.get("when"), (*at, "when"), known, faults)
        rule = _rule(entry, at, known, faults)
        if rule is None:
            continue
        if rule.name == DEFAULT_RULE or rule.name in names:
            why = "is reserved for [default]" if rule.name == DEFAULT_RULE else "is also another rule's name"
            faults.append(Fault((*at, "name"), f"{why}; choose another name"))
        names.add(rule.name)
        if condition is not None:
            rules[rule.name] = (rule, condition)
    default = _default(document.get("default"), faults)
    faults += _faults_of_rule(default, _DEFAULT, known)
    stop_rules = read_stop_rules(document, default.assurance, (known.roles or ()) if known else None, faults)
    if not document:
        hint = "write a rule, under [[rule]], or at least what every plan needs, under [default]"
        faults.append(Fault((), f"is empty; {hint}"))
    if faults:
        raise FileInvalid(str(path), faults)
    return FilePolicy(rules, default, known.tools if known else None, raw.decode(), stop_rules)


def _condition(when: object, at: FaultPath, known: _Known | None, faults: list[Fault]) -> Condition | None:
    if not isinstance(when, str):
        return None  # `_rule` reports that it is missing or not text
    try:
        condition = Condition(when)
    except ValueError as error:
        faults.append(Fault(at, str(error)))
        return None
    if known is not None:
        faults += (Fault(at, message) for message in _faults_of_condition(condition, known.tools))
    return condition


def _rule(entry: dict[str, Any], at: FaultPath, known: _Known | None, faults: list[Fault]) -> Rule | None:
    try:
        typed = _RuleEntry.model_validate(entry)
    except ValidationError as error:
        faults += faults_in(error, at)
        return None
    rule = _as_rule(typed, typed.name)
    faults += _faults_of_rule(rule, at, known)
    return rule


def _default(entry: object, faults: list[Fault]) -> Rule:
    if entry is None:
        return Rule(name=DEFAULT_RULE, needs=ONE_APPROVAL.needs)
    try:
        typed = _DefaultEntry.model_validate(entry)
    except ValidationError as error:
        faults += faults_in(error, _DEFAULT)
        return Rule(name=DEFAULT_RULE, needs=ONE_APPROVAL.needs)
    return _as_rule(typed, DEFAULT_RULE)


def _as_rule(entry: _DefaultEntry, name: str) -> Rule:
    return Rule(
        name=name,
        needs=tuple(Need(role=need.role, count=need.count) for need in entry.needs),
        assurance=entry.assurance,
        timeout_seconds=entry.timeout,
        approval_valid_for=entry.approval_valid_for,
    )


def _faults_of_rule(rule: Rule, at: FaultPath, known: _Known | None) -> Iterator[Fault]:
    in_needs = (*at, "needs")
    named = [need.role for need in rule.needs]
    for role in dict.fromkeys(named):
        if named.count(role) > 1:
            yield Fault(in_needs, f"names the role {role} more than once; add the counts up")
        if role == ANYONE or known is None:
            continue
        if known.roles is None:
            yield Fault(in_needs, f"asks for {role}, but there is no list of people; set PLANGATE_PEOPLE")
        elif role not in known.roles:
            there = ", ".join(sorted(known.roles)) or "none"
            yield Fault(in_needs, f"no active person has the role {role}; roles that people have: {there}")
    asks = rule.assurance > Assurance.TYPED or rule.timeout_seconds or rule.approval_valid_for
    if asks and not rule.needs:
        yield Fault(
            at, "needs no approval, so assurance, timeout and approval_valid_for have no effect; remove them"
        )


def _faults_of_condition(condition: Condition, tools: Mapping[str, ToolDeclaration]) -> Iterator[str]:
    unknown = list(condition.unknown_words(tools))
    yield from unknown
    if unknown or not tools:
        return
    reasons = []
    for step in sample_steps(tools):
        plan = Plan(summary="x", steps=(step,))
        (variables,) = variables_of_steps(plan, numbers_of(tools), request="x", requester="x")
        try:
            condition.holds(variables)
        except Unclear as error:
            reasons.append(str(error))
    if len(reasons) == len(tools):
        yield f"is neither true nor false of a step of any tool: {reasons[0]}"
