"""Check a plan from a planner or a person: return a `Plan`, or raise one exception with all errors."""

import json
from collections.abc import Mapping
from typing import cast

from pydantic import JsonValue, ValidationError

from plangate.domain.errors import PlanInvalid
from plangate.domain.faults import Fault, FaultPath
from plangate.domain.plans.plan import (
    MAX_DRAFTED_BYTES,
    MAX_PLAN_BYTES,
    Plan,
    ProposedPlan,
    Step,
    canonical_json,
    uncanonical,
)
from plangate.domain.plans.references import reference_faults
from plangate.domain.plans.tool import ToolArguments, ToolDeclaration
from plangate.domain.validation import faults_in


def check_plan(raw: object, tools: Mapping[str, ToolDeclaration], max_steps: int) -> Plan:
    """Return ``raw`` as a plan whose arguments are complete and validated by the model of each tool.

    Raises:
        PlanInvalid: contains every error.
    """
    proposed = as_proposed_plan(raw)
    faults: list[Fault] = []
    if len(proposed.steps) > max_steps:
        faults.append(
            Fault(("steps",), f"{len(proposed.steps)} steps are more than the limit of {max_steps}")
        )
    steps: list[Step] = []
    for index, step in enumerate(proposed.steps):
        at: FaultPath = ("steps", index)
        if step.tool in tools and tools[step.tool].reads_only:
            faults.append(
                Fault((*at, "tool"), f"{step.tool} only reads, so it cannot be a step; leave it out")
            )
            continue
        try:
            arguments = _completed(step.tool, check_arguments(step.tool, step.arguments, tools, at), at)
        except PlanInvalid as error:
            faults.extend(error.faults)
            continue
        steps.append(Step(tool=step.tool, arguments=arguments, reason=step.reason))
    if not faults:
        faults = [
            fault
            for number in range(1, len(steps) + 1)
            for fault in reference_faults(steps, number, tools, ("steps", number - 1))
        ]
    if faults:
        raise PlanInvalid(faults)
    checked = Plan(summary=proposed.summary, not_before=proposed.not_before, steps=tuple(steps))
    size = _size_of(checked)
    if size > MAX_PLAN_BYTES:
        raise PlanInvalid([Fault((), f"has {size:,} bytes, more than the limit of {MAX_PLAN_BYTES:,}")])
    return checked


def check_drafted_size(plan: Plan) -> Plan:
    """Return a plan with previews and observations, if it fits into every message that contains it.

    Raises:
        PlanInvalid: it is too large.
    """
    size = _size_of(plan)
    if size > MAX_DRAFTED_BYTES:
        seen = sum(len(canonical_json(step.observation)) for step in plan.steps)
        problem = (
            f"has {size:,} bytes with its previews and with {seen:,} bytes that its tools observed, more "
            f"than the limit of {MAX_DRAFTED_BYTES:,}; split it into smaller plans"
        )
        raise PlanInvalid([Fault((), problem)])
    return plan


def _size_of(plan: Plan) -> int:
    return len(canonical_json(plan.model_dump(mode="json")))


def as_proposed_plan(raw: object) -> ProposedPlan:
    """Return ``raw`` as a proposed plan, without checking its tools.

    Raises:
        PlanInvalid: contains every error.
    """
    faults = list(uncanonical(raw))
    if faults:
        raise PlanInvalid(faults)
    try:
        return ProposedPlan.model_validate_json(json.dumps(raw), strict=True)
    except ValidationError as error:
        raise PlanInvalid(faults_in(error)) from None


def check_arguments(
    tool: str, arguments: Mapping[str, JsonValue], tools: Mapping[str, ToolDeclaration], at: FaultPath = ()
) -> ToolArguments:
    """Validate the arguments of one step, at path ``at``, with the model of its tool.

    Raises:
        PlanInvalid: the tool is unknown, or the arguments do not match its model.
    """
    declaration = tools.get(tool)
    if declaration is None:
        known = ", ".join(sorted(tools)) or "none"
        raise PlanInvalid([Fault((*at, "tool"), f"there is no tool called {tool!r}; the tools are: {known}")])
    faults = list(uncanonical(arguments, (*at, "arguments")))
    if faults:
        raise PlanInvalid(faults)
    try:
        return declaration.arguments.model_validate_json(json.dumps(arguments))
    except ValidationError as error:
        raise PlanInvalid(faults_in(error, (*at, "arguments"))) from None
    except Exception as error:
        raise _tool_bug(tool, error, at) from error


def complete(arguments: ToolArguments) -> dict[str, JsonValue]:
    """Return all arguments with their defaults as JSON: an approver must see everything that will run."""
    return cast("dict[str, JsonValue]", arguments.model_dump(mode="json"))


def _completed(tool: str, arguments: ToolArguments, at: FaultPath) -> dict[str, JsonValue]:
    """Return all arguments of a step as JSON.

    Raises:
        PlanInvalid: JSON cannot represent the values that the tool's model returned.
    """
    try:
        values = complete(arguments)
    except Exception as error:
        raise _tool_bug(tool, error, at) from error
    faults = list(uncanonical(values, (*at, "arguments")))
    if faults:
        raise PlanInvalid(faults)
    return values


def _tool_bug(tool: str, error: Exception, at: FaultPath) -> PlanInvalid:
    """Report that a tool's model failed; its bug must not block a run or the decisions on it."""
    problem = f"{tool} could not check these arguments ({type(error).__name__}); its author must fix it"
    return PlanInvalid([Fault((*at, "arguments"), problem)])
