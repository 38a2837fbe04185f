"""References: arguments that take their value from the receipt of an earlier step.

A reference is the object ``{"from_step": 2, "field": "number"}`` in place of an argument whose type allows a
`Reference`. It is part of the plan and its fingerprint. It is resolved just before the step
(`plangate.domain.runs.resolved_references`), and its value is recorded.

Resolving does not depend on the tools: it treats every argument of this form as a reference. A plan must
therefore not contain such an object anywhere else, neither as another argument nor nested in one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from plangate.domain.faults import Fault, FaultPath
from plangate.domain.plans.plan import ProposedStep
from plangate.domain.plans.tool import Reference, ToolArguments, ToolDeclaration


def references_in(arguments: Mapping[str, JsonValue]) -> dict[str, Reference]:
    """Return the arguments that have the form of a reference, by name."""
    read = {name: _read(value) for name, value in arguments.items()}
    return {name: reference for name, reference in read.items() if reference is not None}


def reference_faults(
    steps: Sequence[ProposedStep], number: int, tools: Mapping[str, ToolDeclaration], at: FaultPath
) -> list[Fault]:
    """Return the errors in the references of step ``number``, at path ``at``."""
    step, model = steps[number - 1], tools[steps[number - 1].tool].arguments
    faults = []
    for path, reference in _located_references(step.arguments):
        name = str(path[0])
        if len(path) > 1 or name not in referable_arguments(model):
            problem: str | None = f"{reference} cannot be used here; write the value itself"
        elif reference.from_step >= number:
            problem = f"refers to step {reference.from_step}, which is not before this one"
        else:
            source = tools.get(steps[reference.from_step - 1].tool)
            problem = _type_fault(source.receipt if source else None, reference, model, name)
        if problem:
            faults.append(Fault((*at, "arguments", *path), problem))
    return faults


def referable_arguments(model: type[ToolArguments]) -> list[str]:
    """Return the arguments that may be references."""
    return [name for name, field in model.model_fields.items() if Reference in get_args(field.annotation)]


def _located_references(value: JsonValue, path: FaultPath = ()) -> Iterator[tuple[FaultPath, Reference]]:
    """Yield every object that has the form of a reference, with its path."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references_at(item, (*path, index))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _references_at(item, (*path, name))


def _references_at(value: JsonValue, path: FaultPath) -> Iterator[tuple[FaultPath, Reference]]:
    reference = _read(value)
    if reference is not None:
        yield path, reference
    else:
        yield from _located_references(value, path)


def _read(value: JsonValue) -> Reference | None:
    """Return a value as a reference, if it has the form of one."""
    if isinstance(value, dict) and value.keys() == Reference.model_fields.keys():
        try:
            return Reference.model_validate(value)
        except ValidationError:
            pass  # an object of the tool with the same field names
    return None


def _type_fault(
    receipt: type[BaseModel] | None, reference: Reference, arguments: type[ToolArguments], name: str
) -> str | None:
    """Return the reason why a field of a receipt cannot be used as an argument."""
    fields = receipt.model_fields if receipt is not None else {}
    if reference.field not in fields:
        known = ", ".join(sorted(fields)) or "none"
        return (
            f"the receipt of step {reference.from_step} has no field {reference.field!r} for a reference; "
            f"it has: {known}"
        )
    offered = _types(fields[reference.field].annotation)
    wanted = _types(arguments.model_fields[name].annotation)
    if "anything" not in wanted and not offered <= wanted:
        return f"{reference} is {_alternatives(offered)}, but {name} must be {_alternatives(wanted)}"
    return None


def _types(annotation: Any) -> frozenset[str]:
    """Return the JSON types that an annotation allows, except a reference; a number may be an integer."""
    if Reference in get_args(annotation):
        parts = [one for one in get_args(annotation) if one is not Reference]
        return frozenset[str]().union(*map(_types, parts))
    schema = TypeAdapter(annotation).json_schema()
    types = {str(one.get("type", "anything")) for one in schema.get("anyOf", [schema])}
    return frozenset(types | {"integer"} if "number" in types else types)


def _alternatives(types: frozenset[str]) -> str:
    shown = types - {"integer"} if "number" in types else types
    return " or ".join(sorted(shown))
