"""References: arguments that take their value from the receipt of an earlier step.

A reference is the object ``{"from_step": 2, "field": "number"}`` in place of an argument whose type allows a
`Reference`. It is part of the plan and its fingerprint. It is resolved just before the step, and its value is
on the record.
"""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from plangate.domain.errors import StepUnready
from plangate.domain.faults import Fault, FaultPath
from plangate.domain.plan import ProposedStep
from plangate.domain.run import StepProgress
from plangate.domain.tool import Reference, ToolArguments, ToolDeclaration


def references_in(arguments: Mapping[str, JsonValue]) -> dict[str, Reference]:
    """Return the arguments that have the form of a reference, by name."""
    found = {}
    for name, value in arguments.items():
        if isinstance(value, dict) and value.keys() == Reference.model_fields.keys():
            try:
                found[name] = Reference.model_validate(value)
            except ValidationError:
                continue  # an object of the tool's own that has these names
    return found


def reference_faults(
    steps: Sequence[ProposedStep], number: int, tools: Mapping[str, ToolDeclaration], at: FaultPath
) -> list[Fault]:
    """Return what is wrong with the references of step ``number``, whose path is ``at``."""
    declaration = tools[steps[number - 1].tool]
    faults = []
    for name, reference in _references(declaration.arguments, steps[number - 1].arguments).items():
        if reference.from_step >= number:
            problem: str | None = f"refers to step {reference.from_step}, which is not before this one"
        else:
            source = tools.get(steps[reference.from_step - 1].tool)
            problem = _unfit(source.receipt if source else None, reference, declaration.arguments, name)
        if problem:
            faults.append(Fault((*at, "arguments", name), problem))
    return faults


def referable_arguments(model: type[ToolArguments]) -> list[str]:
    """Return the arguments that may be references."""
    return [name for name, field in model.model_fields.items() if Reference in get_args(field.annotation)]


def resolve_references(
    arguments: Mapping[str, JsonValue], steps: Sequence[StepProgress]
) -> dict[str, JsonValue]:
    """Return the value of each argument that is a reference, from the receipts of the steps so far.

    Raises:
        StepUnready: the step has no receipt, or its receipt no such field.
    """
    return {name: _value(steps, reference) for name, reference in references_in(arguments).items()}


def _value(steps: Sequence[StepProgress], reference: Reference) -> JsonValue:
    source = reference.from_step
    receipt = steps[source - 1].receipt if source <= len(steps) else None
    if receipt is None:
        raise StepUnready(f"It needs {reference}, and that step has no receipt.")
    if reference.field not in receipt.details:
        raise StepUnready(f"It needs {reference}, and the receipt of that step does not have it.")
    return receipt.details[reference.field]


def _references(model: type[ToolArguments], arguments: Mapping[str, JsonValue]) -> dict[str, Reference]:
    """Return the references among the arguments whose type allows one."""
    allowed = referable_arguments(model)
    return {name: one for name, one in references_in(arguments).items() if name in allowed}


def _unfit(
    receipt: type[BaseModel] | None, reference: Reference, arguments: type[ToolArguments], name: str
) -> str | None:
    """Return why a field of a receipt cannot be the value of an argument."""
    fields = receipt.model_fields if receipt is not None else {}
    if reference.field not in fields:
        known = ", ".join(sorted(fields)) or "none"
        return (
            f"the receipt of step {reference.from_step} has no field {reference.field!r} for a reference; "
            f"it has: {known}"
        )
    offered = _types(fields[reference.field].annotation)
    wanted = _types(arguments.model_fields[name].annotation)
    if not offered <= wanted:
        return f"{reference} is {_or(offered)}, and {name} must be {_or(wanted)}"
    return None


def _types(annotation: Any) -> frozenset[str]:
    """Return the JSON types that an annotation allows, apart from a reference."""
    parts = [one for one in get_args(annotation) if one is not Reference]
    kept = annotation if Reference not in get_args(annotation) else parts[0]
    if len(parts) > 1 and kept is not annotation:
        return frozenset().union(*map(_types, parts))
    schema = TypeAdapter(kept).json_schema()
    return frozenset(str(one.get("type", "anything")) for one in schema.get("anyOf", [schema]))


def _or(types: frozenset[str]) -> str:
    return " or ".join(sorted(types))
