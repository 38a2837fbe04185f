"""Turn a plan into a form, with a field for each value that its tools accept, and a form into a plan.

The form contains the plan from which it was built. If that plan is replaced in the meantime, the typed values
are not lost.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from pydantic import JsonValue

from plangate.domain.errors import PlanInvalid
from plangate.domain.escaping import many_lines
from plangate.domain.faults import Fault, FaultPath, path_words
from plangate.domain.plans.drafting import as_proposed_plan
from plangate.domain.plans.plan import ProposedPlan, without_steps
from plangate.web.form_fields import (
    FormField,
    Kind,
    LeftOut,
    argument_fields,
    field_of,
    json_value,
    time_field,
    value_of,
)
from plangate.web.schemas import Schema

Schemas: TypeAlias = Mapping[str, Schema]
"""The argument schemas of tools, by name."""
NO_SCHEMAS: Final[Schemas] = {}


@dataclass(frozen=True, slots=True)
class StepForm:
    """The fields of one step; ``is_removed`` if the box to remove it was ticked."""

    number: int
    tool: str
    fields: tuple[FormField, ...]
    is_removed: bool


@dataclass(frozen=True, slots=True)
class PlanForm:
    """The form of a plan.

    Attributes:
        base: the plan from which it was built, as JSON.
        faults: the errors that belong to no field.
    """

    base: str
    summary: FormField
    not_before: FormField
    steps: tuple[StepForm, ...]
    faults: tuple[str, ...] = ()

    @property
    def has_faults(self) -> bool:
        """Whether there are known errors."""
        fields = [self.summary, self.not_before, *(field for step in self.steps for field in step.fields)]
        return bool(self.faults) or any(field.fault for field in fields)

    def with_faults(self, faults: Iterable[Fault]) -> "PlanForm":
        """Return the form with these errors above it, as for a plan that was typed as JSON."""
        return replace(self, faults=tuple(map(str, faults)))

    def faults_at_fields(self, faults: Iterable[Fault]) -> list[Fault]:
        """Return errors with the step numbers of the form; the submitted plan has no removed steps."""
        kept = [step.number - 1 for step in self.steps if not step.is_removed]
        return [_counted(fault, kept) for fault in faults]


class FormFaults(Exception):
    """A submitted form does not contain a valid plan; ``faults`` has the errors by path in the original."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)


def form_of(
    plan: ProposedPlan,
    typed: Mapping[str, str] | None = None,
    faults: Sequence[Fault] = (),
    refusal: str = "",
    *,
    schemas: Schemas = NO_SCHEMAS,
) -> PlanForm:
    """Return the form for a plan.

    Args:
        plan: the plan from which it is built.
        schemas: the argument schemas of its tools, as far as they are known.
        typed: the typed content of the fields, instead of the plan's values.
        faults: the errors, each shown at its field.
        refusal: the reason why a worker refused the plan; it refers to values as ``step 1, to``.
    """
    left = list(faults)
    fields = [_filled(one, typed, left, refusal) for one in _fields(plan, schemas)]
    steps = tuple(
        StepForm(
            number=number,
            tool=step.tool,
            fields=tuple(one for one in fields if one.path[:2] == ("steps", number - 1)),
            is_removed=f"strike-{number}" in (typed or {}),
        )
        for number, step in enumerate(plan.steps, start=1)
    )
    is_placed = any(field.fault for field in fields)
    general = [str(fault) for fault in left] + ([refusal] if refusal and not is_placed else [])
    return PlanForm(_base(plan), fields[0], fields[1], steps, tuple(general))


def plan_from(base: ProposedPlan, typed: Mapping[str, str], schemas: Schemas = NO_SCHEMAS) -> ProposedPlan:
    """Return the plan in the fields of a form that was built from the same schemas.

    Raises:
        FormFaults: they contain no valid plan.
    """
    whole: dict[str, Any] = json.loads(_base(base))
    faults: list[Fault] = []
    for field in _fields(base, schemas):
        try:
            value = value_of(field, _typed_in(field, typed))
        except LeftOut:
            continue
        except ValueError as error:
            faults.append(Fault(field.path, str(error)))
        else:
            _put(whole, field.path, value)
    if whole["not_before"] is None:
        del whole["not_before"]
    if faults:
        raise FormFaults(faults)
    removed = {number for number in range(1, len(base.steps) + 1) if f"strike-{number}" in typed}
    try:
        changed = as_proposed_plan(whole)
        return without_steps(changed, removed) if removed else changed
    except PlanInvalid as error:
        raise FormFaults(error.faults) from None
    except ValueError as error:
        raise FormFaults([Fault((), str(error))]) from None


def plan_in_json(text: str) -> ProposedPlan:
    """Return the plan that a person typed as JSON.

    Raises:
        FormFaults: it is not a valid plan.
    """
    try:
        return as_proposed_plan(json_value(text))
    except PlanInvalid as error:
        raise FormFaults(error.faults) from None
    except ValueError as error:
        raise FormFaults([Fault((), str(error))]) from None


def json_of(plan: ProposedPlan) -> str:
    """Return a plan as JSON for editing; invisible characters are escaped."""
    text = json.dumps(plan.model_dump(mode="json"), indent=2, ensure_ascii=False)
    return text if many_lines(text) == text else json.dumps(plan.model_dump(mode="json"), indent=2)


def _counted(fault: Fault, kept: Sequence[int]) -> Fault:
    match fault.path:
        case ("steps", int(index), *rest) if index < len(kept):
            return fault._replace(path=("steps", kept[index], *rest))
        case _:
            return fault


def _base(plan: ProposedPlan) -> str:
    return json.dumps(plan.model_dump(mode="json"))


def _fields(plan: ProposedPlan, schemas: Schemas) -> Iterator[FormField]:
    yield field_of("summary", ("summary",), plan.summary)
    yield time_field("not_before", ("not_before",), plan.not_before)
    for index, step in enumerate(plan.steps):
        at: FaultPath = ("steps", index)
        schema = schemas.get(step.tool, {})
        yield from argument_fields(f"s{index + 1}-", (*at, "arguments"), step.arguments, schema)
        yield field_of(f"s{index + 1}-why", (*at, "reason"), step.reason)


def _filled(field: FormField, typed: Mapping[str, str] | None, left: list[Fault], refusal: str) -> FormField:
    """Return a field with the typed text and its errors, which are removed from ``left``."""
    text = field.text if typed is None else _typed_in(field, typed)
    own = [fault for fault in left if fault.path[: len(field.path)] == field.path]
    left[:] = [fault for fault in left if fault not in own]
    messages = [fault.message for fault in own]
    named = path_words(field.path)
    at = refusal.find(named)
    if at >= 0 and refusal[at + len(named) : at + len(named) + 1] in (":", "["):
        messages.append(refusal[at:].partition(";")[0])
    return replace(field, text=text, fault="; ".join(messages))


def _typed_in(field: FormField, typed: Mapping[str, str]) -> str:
    """Return the text of a field; for a time, the UTC value from the page's script, if the script ran."""
    if field.kind is not Kind.TIME:
        return typed.get(field.name, field.text)
    in_utc = typed.get(f"{field.name}_utc", "")
    return in_utc[: len("2026-11-30T09:00")] or typed.get(field.name, field.text)


def _put(whole: Any, path: FaultPath, value: JsonValue) -> None:
    """Set a value whose object exists; ``Any`` is a JSON value."""
    *above, last = path
    for part in above:
        whole = whole[part]
    whole[last] = value
