"""The variables of a policy's conditions; add new ones here.

The names that a condition may use, their values, and the table in docs/policy.md all follow from the fields
of `PolicyInput`, their types and their descriptions.
"""

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, Field, JsonValue

from plangate.domain.base import Frozen
from plangate.domain.plans.duplicates import Duplicate
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.plans.tool import ToolArguments, ToolDeclaration

Number = int | float


class RequestInput(Frozen):
    """The request."""

    text: str = Field(description="the text of the request")
    requester: str = Field(description="the name of the requester")

    @classmethod
    def of(cls, request: str, requester: str) -> "RequestInput":
        """Return the variable for a request."""
        return cls(text=_normalized(request), requester=_normalized(requester))


class StepInput(Frozen):
    """One step."""

    tool: str = Field(description="the name of the tool")
    number: int = Field(description="the position of the step in the plan, from 1")
    reason: str = Field(description="the planner's or the author's reason for the step")
    arguments: dict[str, JsonValue] = Field(description="its arguments with their types, defaults filled in")

    @classmethod
    def of(cls, step: Step, number: int) -> "StepInput":
        """Return the variable for step ``number``."""
        reason, arguments = _normalized(step.reason), _normalized(step.arguments)
        return cls(tool=step.tool, number=number, reason=reason, arguments=arguments)


class PlanInput(Frozen):
    """The whole plan."""

    summary: str = Field(description="the summary of the plan")
    steps: tuple[StepInput, ...] = Field(description="all steps; each has the same fields as `step`")

    @classmethod
    def of(cls, plan: Plan) -> "PlanInput":
        """Return the variable for a plan."""
        steps = tuple(StepInput.of(step, number) for number, step in enumerate(plan.steps, start=1))
        return cls(summary=_normalized(plan.summary), steps=steps)


class DuplicateInput(Frozen):
    """A step of another run that is the same as a step of this plan."""

    step: int
    tool: str
    workflow_id: str
    its_step: int
    state: str
    done: bool

    @classmethod
    def of(cls, duplicate: Duplicate) -> "DuplicateInput":
        """Return the variable for a duplicate."""
        return cls(**{name: getattr(duplicate, name) for name in cls.model_fields})


class PolicyInput(Frozen):
    """The variables of a condition.

    Strings are in Unicode normalization form C, like the conditions, so strings that look the same are equal.
    """

    request: RequestInput
    plan: PlanInput
    step: StepInput = Field(description="the step that the condition is evaluated for")
    totals: dict[str, dict[str, Number]] = Field(
        description="`totals.TOOL.ARGUMENT`: the sum of a numeric argument over all steps of that tool; 0 if "
        "no step has it. Write both names (or `totals['TOOL']['ARGUMENT']`): a condition cannot iterate over "
        "`totals`"
    )
    counts: dict[str, int] = Field(
        description="`counts.TOOL`: how many steps use the tool. Write the tool's name here, too"
    )
    duplicates: tuple[DuplicateInput, ...] = Field(
        default=(),
        description="the steps of other runs that duplicate a step of this plan; each has `step` (the "
        "number in this plan), `tool`, `workflow_id`, `its_step`, `state` and `done`; see "
        "[duplicates](#duplicates)",
    )

    @classmethod
    def of(
        cls,
        plan: Plan,
        numbers: Mapping[str, Collection[str]],
        *,
        request: str,
        requester: str,
        duplicates: Sequence[Duplicate] = (),
    ) -> "PolicyInput":
        """Return the variables for the first step of a plan.

        ``numbers`` maps each tool to its numeric arguments; their sum is 0 if no step has them.
        """
        seen = PlanInput.of(plan)
        used = Counter(one.tool for one in plan.steps)
        tools = {*numbers, *used}
        return cls(
            request=RequestInput.of(request, requester),
            plan=seen,
            step=seen.steps[0],
            totals={name: _totals(plan.steps, name, numbers.get(name, ())) for name in tools},
            counts={name: used[name] for name in tools},
            duplicates=tuple(map(DuplicateInput.of, duplicates)),
        )


def _fields(annotation: Any) -> Mapping[str, str]:
    """Return the fields of a variable with their descriptions; empty if it is a map with arbitrary names."""
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return {}
    return {name: field.description or "" for name, field in annotation.model_fields.items()}


FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    name: _fields(field.annotation) for name, field in PolicyInput.model_fields.items()
}
"""Each variable with its fields and their descriptions; a map with arbitrary names has no fields."""


FUNCTIONS: Final[Mapping[str, str]] = {
    "recent(TOOL, ARGUMENT, WINDOW, BY)": "the rolling total of a numeric argument: what other plans "
    "reserved or did in the window, and this whole plan. All four are string literals; see "
    "[rolling totals](#rolling-totals)"
}
"""The functions that are not part of CEL, each with its description."""


def variables_of_steps(
    plan: Plan,
    numbers: Mapping[str, Collection[str]],
    *,
    request: str,
    requester: str,
    duplicates: Sequence[Duplicate] = (),
) -> Iterator[dict[str, Any]]:
    """Yield the variables for each step of a plan, see `PolicyInput.of`; ``Any`` represents JSON."""
    seen = PolicyInput.of(plan, numbers, request=request, requester=requester, duplicates=duplicates)
    shared = seen.model_dump(mode="json")
    for step in shared["plan"]["steps"]:
        yield {**shared, "step": step}


def sample_steps(tools: Mapping[str, ToolDeclaration]) -> Iterator[Step]:
    """Yield a step of each tool with arguments of the right types, to test a condition."""
    for name, declaration in tools.items():
        schema = declaration.schema()
        arguments = {
            argument: _sample(described, schema) for argument, described in properties(schema).items()
        }
        yield Step(tool=name, arguments=arguments)


def numbers_of(tools: Mapping[str, ToolDeclaration]) -> dict[str, tuple[str, ...]]:
    """Return each tool with its numeric arguments."""
    return {name: numeric_arguments(declaration.arguments) for name, declaration in tools.items()}


@cache
def numeric_arguments(arguments: type[ToolArguments]) -> tuple[str, ...]:
    """Return the numeric arguments; cached, because building a schema takes longer than evaluating a plan."""
    schema = arguments.model_json_schema()
    described = properties(schema).items()
    return tuple(name for name, one in described if _types(one, schema) & {"integer", "number"})


@cache
def single_arguments(arguments: type[ToolArguments]) -> tuple[str, ...]:
    """Return the arguments that have one value: a string, a number or a Boolean, not a list."""
    schema = arguments.model_json_schema()
    single = {"string", "integer", "number", "boolean", "null"}
    reference = "object"  # a `plangate.domain.plans.tool.Reference` in place of the value
    return tuple(
        name
        for name, one in properties(schema).items()
        if (types := _types(one, schema)) - {reference} and types <= {*single, reference}
    )


def properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the properties of a JSON schema, which ``Any`` represents."""
    found: Mapping[str, Any] = schema.get("properties", {})
    return found


def _normalized(value: JsonValue) -> Any:
    """Return JSON with each string in normalization form C; names are unchanged, so they stay distinct."""
    match value:
        case str():
            return unicodedata.normalize("NFC", value)
        case list():
            return [_normalized(item) for item in value]
        case dict():
            return {name: _normalized(item) for name, item in value.items()}
        case _:
            return value


def _totals(steps: Sequence[Step], tool: str, numeric: Collection[str]) -> dict[str, Number]:
    """Return the sum of each numeric argument over all steps of one tool."""
    found: dict[str, list[Number]] = {name: [] for name in numeric}
    for step in steps:
        if step.tool == tool:
            for name, value in step.arguments.items():
                if isinstance(value, Number) and not isinstance(value, bool):
                    found.setdefault(name, []).append(value)
    return {name: _sum(values) for name, values in found.items()}


def _sum(values: Sequence[Number]) -> Number:
    """Return the sum of the numbers as written: 0.1 + 0.2 is 0.3."""
    if all(isinstance(value, int) for value in values):
        return sum(values)
    return float(sum(Decimal(repr(value)) for value in values))


def _resolved(described: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the alternatives in a JSON schema, following references."""
    if "$ref" in described:
        yield from _resolved(schema.get("$defs", {}).get(described["$ref"].rpartition("/")[2], {}), schema)
    elif "anyOf" in described:
        for one in described["anyOf"]:
            yield from _resolved(one, schema)
    else:
        yield described


def _types(described: Mapping[str, Any], schema: Mapping[str, Any]) -> set[str]:
    return {one.get("type", "") for one in _resolved(described, schema)}


def _sample(described: Mapping[str, Any], schema: Mapping[str, Any]) -> JsonValue:
    one = next(_resolved(described, schema))
    if "const" in one:
        const: JsonValue = one["const"]
        return const
    if "enum" in one:
        first: JsonValue = one["enum"][0]
        return first
    match one.get("type"):
        case "integer":
            return 1
        case "number":
            return 1.5
        case "boolean":
            return True
        case "array":
            return [_sample(one.get("items", {}), schema)]
        case "object":
            return {name: _sample(field, schema) for name, field in properties(one).items()}
        case "null":
            return None
        case _:
            return "x"
