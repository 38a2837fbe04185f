"""A plan as a form: one field for each value, typed by its JSON type, and the plan that a form brings back.

The form carries the plan that it was made from, so that a plan that is replaced meanwhile loses nothing of
what was typed. A text with characters that a page would not show is edited in JSON's notation.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, assert_never

from pydantic import JsonValue

from plangate.domain.drafting import plan_shaped
from plangate.domain.errors import PlanInvalid
from plangate.domain.escaping import many_lines
from plangate.domain.faults import Fault, FaultPath, path_words
from plangate.domain.plan import ProposedPlan, without_steps

_LONG: Final = 60  # characters, from which on a text gets an area of its own


class Kind(StrEnum):
    """How a value is typed."""

    TEXT = "text"
    LONG = "long"
    LINES = "lines"
    NUMBER = "number"
    FLAG = "flag"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class FormField:
    """One value of a plan.

    Attributes:
        name: of the field.
        label: the path of the value, as people read it.
        path: the same in the plan.
        text: the value, as it is typed.
        rows: the height of its area.
        fault: what is wrong with it; empty if nothing is known to be.
    """

    name: str
    label: str
    path: FaultPath
    kind: Kind
    text: str
    rows: int
    fault: str = ""


@dataclass(frozen=True, slots=True)
class StepForm:
    """The fields of one step; ``is_struck`` if its box was ticked."""

    number: int
    tool: str
    fields: tuple[FormField, ...]
    is_struck: bool


@dataclass(frozen=True, slots=True)
class PlanForm:
    """The form of a plan.

    Attributes:
        base: the plan that it was made from, as JSON.
        faults: what is wrong, and belongs to no field.
    """

    base: str
    summary: FormField
    not_before: FormField
    steps: tuple[StepForm, ...]
    faults: tuple[str, ...] = ()

    @property
    def has_faults(self) -> bool:
        """Whether anything is known to be wrong."""
        fields = [self.summary, self.not_before, *(field for step in self.steps for field in step.fields)]
        return bool(self.faults) or any(field.fault for field in fields)


class FormFaults(Exception):
    """A form brings back no plan; ``faults`` says why, by the paths of the plan that it was made from."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)


def form_of(
    plan: ProposedPlan, typed: Mapping[str, str] | None = None, faults: Sequence[Fault] = (), said: str = ""
) -> PlanForm:
    """Return the form of a plan.

    Args:
        plan: what it is made from.
        typed: what its fields hold instead.
        faults: what is wrong, each shown at the field that it belongs to.
        said: why a worker refused the plan, which names values as ``step 1, to``.
    """
    left = list(faults)
    fields = [_filled(one, typed, left, said) for one in _fields(plan)]
    steps = tuple(
        StepForm(
            number=number,
            tool=step.tool,
            fields=tuple(one for one in fields if one.path[:2] == ("steps", number - 1)),
            is_struck=f"strike-{number}" in (typed or {}),
        )
        for number, step in enumerate(plan.steps, start=1)
    )
    is_placed = any(field.fault for field in fields)
    general = [str(fault) for fault in left] + ([said] if said and not is_placed else [])
    return PlanForm(_base(plan), fields[0], fields[1], steps, tuple(general))


def plan_from(base: ProposedPlan, typed: Mapping[str, str]) -> ProposedPlan:
    """Return the plan that the fields of a form bring back.

    Raises:
        FormFaults: they bring none.
    """
    whole: dict[str, Any] = json.loads(_base(base))
    faults: list[Fault] = []
    for field in _fields(base):
        try:
            value = _value(field, typed.get(field.name, field.text))
        except ValueError as error:
            faults.append(Fault(field.path, str(error)))
        else:
            _put(whole, field.path, value)
    if not str(whole["not_before"]).strip():
        del whole["not_before"]
    if faults:
        raise FormFaults(faults)
    struck = {number for number in range(1, len(base.steps) + 1) if f"strike-{number}" in typed}
    try:
        changed = plan_shaped(whole)
        return without_steps(changed, struck) if struck else changed
    except PlanInvalid as error:
        raise FormFaults(error.faults) from None
    except ValueError as error:
        raise FormFaults([Fault((), str(error))]) from None


def plan_in_json(text: str) -> ProposedPlan:
    """Return the plan that a person typed as JSON.

    Raises:
        FormFaults: it is none.
    """
    try:
        return plan_shaped(_json(text))
    except PlanInvalid as error:
        raise FormFaults(error.faults) from None
    except ValueError as error:
        raise FormFaults([Fault((), str(error))]) from None


def json_of(plan: ProposedPlan) -> str:
    """Return a plan as JSON to be edited; characters that cannot be seen are escapes."""
    text = json.dumps(plan.model_dump(mode="json"), indent=2, ensure_ascii=False)
    return text if many_lines(text) == text else json.dumps(plan.model_dump(mode="json"), indent=2)


def _base(plan: ProposedPlan) -> str:
    return json.dumps(plan.model_dump(mode="json"))


def _fields(plan: ProposedPlan) -> Iterator[FormField]:
    yield _field("summary", ("summary",), plan.summary)
    begins = plan.not_before.isoformat() if plan.not_before else ""
    yield _field("not_before", ("not_before",), begins)
    for index, step in enumerate(plan.steps):
        at: FaultPath = ("steps", index)
        for number, (path, value) in enumerate(_leaves((), step.arguments), start=1):
            yield _field(f"s{index + 1}-{number}", (*at, "arguments", *path), value)
        yield _field(f"s{index + 1}-why", (*at, "reason"), step.reason)


def _leaves(path: FaultPath, values: Mapping[str, JsonValue]) -> Iterator[tuple[FaultPath, JsonValue]]:
    for name, value in values.items():
        if isinstance(value, dict) and value and "from_step" not in value:
            yield from _leaves((*path, name), value)
        else:
            yield (*path, name), value


def _field(name: str, path: FaultPath, value: JsonValue) -> FormField:
    kind, text = _typed(value)
    label = ".".join(map(str, path[3:])) if path[2:3] == ("arguments",) else str(path[-1])
    return FormField(name, label, path, kind, text, rows=min(20, text.count("\n") + 2 + len(text) // 60))


def _typed(value: JsonValue) -> tuple[Kind, str]:
    match value:
        case bool():
            return Kind.FLAG, json.dumps(value)
        case int() | float():
            return Kind.NUMBER, json.dumps(value)
        case str() if _is_visible(value):
            return (Kind.LONG if "\n" in value or len(value) > _LONG else Kind.TEXT), value
        case list() if value and all(isinstance(one, str) and _is_line(one) for one in value):
            return Kind.LINES, "\n".join(map(str, value))
        case _:
            text = json.dumps(value, ensure_ascii=False, indent=2)
            return Kind.JSON, text if _is_visible(text) else json.dumps(value, indent=2)


def _is_visible(text: str) -> bool:
    return many_lines(text) == text and "\r" not in text


def _is_line(text: str) -> bool:
    return bool(text.strip()) and "\n" not in text and _is_visible(text)


def _filled(field: FormField, typed: Mapping[str, str] | None, left: list[Fault], said: str) -> FormField:
    """Return a field with what was typed and its faults, which are taken out of ``left``."""
    text = field.text if typed is None else typed.get(field.name, field.text)
    own = [fault for fault in left if fault.path[: len(field.path)] == field.path]
    left[:] = [fault for fault in left if fault not in own]
    messages = [fault.message for fault in own]
    named = path_words(field.path)
    at = said.find(named)
    if at >= 0 and said[at + len(named) : at + len(named) + 1] in (":", "["):
        messages.append(said[at:].partition(";")[0])
    return FormField(field.name, field.label, field.path, field.kind, text, field.rows, "; ".join(messages))


def _value(field: FormField, typed: str) -> JsonValue:
    """Return the value that was typed.

    Raises:
        ValueError: it is not of its kind; the message reads after the value's name.
    """
    text = typed.replace("\r\n", "\n")
    match field.kind:
        case Kind.TEXT | Kind.LONG:
            return text
        case Kind.LINES:
            return [line for line in text.split("\n") if line.strip()]
        case Kind.FLAG:
            return text == "true"
        case Kind.NUMBER:
            value = _json(text)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError("must be a number, such as 42 or 42.50")  # noqa: TRY004  as all of these
            return value
        case Kind.JSON:
            return _json(text)
        case _:
            assert_never(field.kind)


def _json(text: str) -> JsonValue:
    """Return a value in JSON's notation.

    Raises:
        ValueError: it is none; the message reads after the value's name.
    """
    try:
        found: JsonValue = json.loads(text, object_pairs_hook=_each_name_once)
    except json.JSONDecodeError as error:
        raise ValueError(f'is not JSON (line {error.lineno}): write a text as "text"') from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    return found


def _each_name_once(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("has a name twice in one object")
    return found


def _put(whole: Any, path: FaultPath, value: JsonValue) -> None:
    """Set a value; ``Any`` stands for JSON."""
    *above, last = path
    for part in above:
        whole = whole[part]
    whole[last] = value
