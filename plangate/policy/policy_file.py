"""The policy that people write, as TOML: rules with a condition each, and what a plan needs where it holds.

A worker reads it once, at its start, and does not start with a broken one. It fails closed: where a condition
is neither true nor false of a step, a rule that demands counts as matched and a rule that frees does not.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from plangate.domain.assurance import Assurance, read_assurance
from plangate.domain.base import Frozen, Typed
from plangate.domain.durations import HOW_TO_WRITE, read_seconds
from plangate.domain.errors import FileInvalid
from plangate.domain.faults import sentences
from plangate.domain.people import ANYONE
from plangate.domain.plan import Plan
from plangate.domain.policy import DEFAULT_RULE, MAX_COUNT, ONE_APPROVAL, Need, Requirement, Rule, combined
from plangate.domain.request import LONGEST_TIMEOUT
from plangate.domain.tool import ToolDeclaration
from plangate.policy.conditions import Condition, Unclear, numbers_of, sample_steps, variables_of
from plangate.policy.settled_file import read_settled
from plangate.policy.toml_file import parse_toml, places, tables, unknown_names

_TEXT_OF_RULE: Final = 60

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[\w][\w .:/-]*$")]


class _NeedEntry(Typed):
    model_config = ConfigDict(strict=True)

    role: Name
    count: int = Field(default=1, ge=1, le=MAX_COUNT)


class _DefaultEntry(Typed):
    model_config = ConfigDict(strict=True)

    needs: list[_NeedEntry]
    assurance: Annotated[Assurance, BeforeValidator(read_assurance)] = Assurance.TYPED
    timeout: str | None = None
    approval_valid_for: str | None = None


class _RuleEntry(_DefaultEntry):
    name: Name
    when: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]


class UnclearMatch(Frozen):
    """A rule whose condition is neither true nor false of a step, and whether it counts as matched."""

    rule: str
    reason: str
    counts: bool


class StepExplanation(Frozen):
    """Which rules matched one step (from 1); the default where none did."""

    number: int
    tool: str
    rules: tuple[str, ...]
    unclear: tuple[UnclearMatch, ...] = ()


class Explanation(Frozen):
    """How a plan came to its requirement."""

    steps: tuple[StepExplanation, ...]
    requirement: Requirement


class _Known(NamedTuple):
    """What a policy is compared with: the tools that there are, and the roles that somebody has."""

    tools: Mapping[str, ToolDeclaration]
    roles: Collection[str] | None


class FilePolicy:
    """A policy as a file has it; implements `plangate.domain.policy.Policy`.

    Without ``tools`` the sums and counts are those that its conditions name.
    """

    def __init__(
        self,
        rules: Mapping[str, tuple[Rule, Condition]],
        default: Rule,
        tools: Mapping[str, ToolDeclaration] | None,
        text: str,
    ) -> None:
        self._rules = rules
        self._numbers = _named(rules) if tools is None else numbers_of(tools)
        self.default = default
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
            self._explain_step(plan, number, request, requester) for number in range(1, len(plan.steps) + 1)
        )
        matched = [[self._rules[name][0] for name in step.rules if name in self._rules] for step in steps]
        return Explanation(steps=steps, requirement=combined(matched, self.default, self.policy_hash))

    def _explain_step(self, plan: Plan, number: int, request: str, requester: str) -> StepExplanation:
        variables = variables_of(plan, number, self._numbers, request=request, requester=requester)
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
            number=number,
            tool=plan.steps[number - 1].tool,
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
        roles: the roles that somebody has; None where there is no list of people.

    Raises:
        FileInvalid: with every fault, each with its rule and place.
    """
    return _parsed(path, read_settled(path), _Known(tools, roles))


def policy_in(text: str) -> FilePolicy:
    """Read a policy that was kept as a text, by its own words: the tools and roles of then are not known.

    Raises:
        FileInvalid: it is none that this release can read.
    """
    return _parsed(Path("the policy"), text.encode(), None)


def _named(rules: Mapping[str, tuple[Rule, Condition]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for _, condition in rules.values():
        for tool, arguments in condition.numbers().items():
            found[tool] = found.get(tool, frozenset()) | arguments
    return found


def _parsed(path: Path, raw: bytes, known: _Known | None) -> FilePolicy:
    document = parse_toml(path, raw)
    people = "this is a list of people, and belongs in PLANGATE_PEOPLE"
    faults = unknown_names(document, ("rule", "default"), {"person": people})
    where = places(raw, "rule")
    rules: dict[str, tuple[Rule, Condition]] = {}
    names: set[str] = set()
    for index, entry in enumerate(tables(document, "rule", faults)):
        place = (
            f"rule {str(entry.get('name', index + 1))[:_TEXT_OF_RULE]!r} ({where.get(index, 'in a list')})"
        )
        condition = _condition(entry.get("when"), place, known, faults)
        rule = _rule(entry, place, known, faults)
        if rule is None:
            continue
        if rule.name == DEFAULT_RULE or rule.name in names:
            why = "is kept for [default]" if rule.name == DEFAULT_RULE else "is another rule's too"
            faults.append(f"{place}.name: {why}; choose another name")
        names.add(rule.name)
        if condition is not None:
            rules[rule.name] = (rule, condition)
    default = _default(document.get("default"), faults)
    faults += _faults_of_rule(default, "[default]", known)
    if not document:
        faults.append(
            "it is empty; write a rule, under [[rule]], or at least what every plan needs, under [default]"
        )
    if faults:
        raise FileInvalid(str(path), faults)
    return FilePolicy(rules, default, known.tools if known else None, raw.decode())


def _condition(when: object, place: str, known: _Known | None, faults: list[str]) -> Condition | None:
    if not isinstance(when, str):
        return None  # that it is missing, or no text, is said with the rest of the rule
    try:
        condition = Condition(when)
    except ValueError as error:
        faults.append(f"{place}.when: {error}")
        return None
    if known is not None:
        faults += _faults_of_condition(condition, place, known.tools)
    return condition


def _rule(entry: dict[str, Any], place: str, known: _Known | None, faults: list[str]) -> Rule | None:
    try:
        typed = _RuleEntry.model_validate(entry)
    except ValidationError as error:
        faults += sentences(error, place)
        return None
    rule = _as_rule(typed, typed.name, place, faults)
    faults += _faults_of_rule(rule, place, known)
    return rule


def _default(entry: object, faults: list[str]) -> Rule:
    if entry is None:
        return Rule(name=DEFAULT_RULE, needs=ONE_APPROVAL.needs)
    try:
        typed = _DefaultEntry.model_validate(entry)
    except ValidationError as error:
        faults += sentences(error, "[default]")
        return Rule(name=DEFAULT_RULE, needs=ONE_APPROVAL.needs)
    return _as_rule(typed, DEFAULT_RULE, "[default]", faults)


def _as_rule(entry: _DefaultEntry, name: str, place: str, faults: list[str]) -> Rule:
    return Rule(
        name=name,
        needs=tuple(Need(role=need.role, count=need.count) for need in entry.needs),
        assurance=entry.assurance,
        timeout_seconds=_seconds(entry.timeout, f"{place}.timeout", faults),
        approval_valid_for=_seconds(entry.approval_valid_for, f"{place}.approval_valid_for", faults),
    )


def _seconds(text: str | None, place: str, faults: list[str]) -> int | None:
    if text is None:
        return None
    seconds = read_seconds(text)
    if seconds is None:
        faults.append(f"{place}: {text!r} cannot be read; {HOW_TO_WRITE}")
    elif not 1 <= seconds <= LONGEST_TIMEOUT.total_seconds():
        faults.append(f"{place}: {text!r} is not between one second and {LONGEST_TIMEOUT.days} days")
    return seconds


def _faults_of_rule(rule: Rule, place: str, known: _Known | None) -> Iterator[str]:
    named = [need.role for need in rule.needs]
    for role in dict.fromkeys(named):
        if named.count(role) > 1:
            yield f"{place}.needs: names the role {role} more than once; add the counts up"
        if role == ANYONE or known is None:
            continue
        if known.roles is None:
            yield f"{place}.needs: asks for {role}, and there is no list of people; set PLANGATE_PEOPLE"
        elif role not in known.roles:
            there = ", ".join(sorted(known.roles)) or "none"
            yield f"{place}.needs: nobody active has the role {role}; the roles that somebody has: {there}"
    asks = rule.assurance > Assurance.TYPED or rule.timeout_seconds or rule.approval_valid_for
    if asks and not rule.needs:
        yield f"{place}: needs no approval, so assurance, timeout and approval_valid_for have no effect"


def _faults_of_condition(
    condition: Condition, place: str, tools: Mapping[str, ToolDeclaration]
) -> Iterator[str]:
    unknown = list(condition.unknown_words(tools))
    yield from (f"{place}.when: {fault}" for fault in unknown)
    if unknown or not tools:
        return
    reasons = []
    for step in sample_steps(tools):
        plan = Plan(summary="x", steps=(step,))
        try:
            condition.holds(variables_of(plan, 1, numbers_of(tools), request="x", requester="x"))
        except Unclear as error:
            reasons.append(str(error))
    if len(reasons) == len(tools):
        yield f"{place}.when: is neither true nor false of a step of any tool: {reasons[0]}"
