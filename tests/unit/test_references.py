"""A reference is allowed only if its value is known to be valid; it refers to a single field of a receipt."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, JsonValue

from activities.execution import _arguments
from plangate.domain.errors import PlanInvalid, StepUnready, ToolRefused
from plangate.domain.plans.drafting import check_plan
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.plans.references import references_in
from plangate.domain.plans.tool import Receipt, Reference, RetrySafety, ToolArguments, ToolDeclaration
from plangate.domain.runs.resolved_references import resolve_references
from plangate.domain.runs.run import StepProgress, StepState
from tests.support.fakes import NoteArguments, Notebook

LIMIT = 20


class Ticket(BaseModel):
    number: int
    url: str
    share: float
    tags: list[str]
    owner: str | None
    raw: JsonValue


class OpenArguments(ToolArguments):
    title: str


class CloseArguments(ToolArguments):
    number: int | Reference
    url: str | Reference | None = None
    share: float | Reference = 0.0
    tags: list[str] | Reference = Field(default=[])
    extra: JsonValue | Reference = None
    amount: int = 0
    body: JsonValue = None
    names: tuple[str | Reference, ...] = ()


def declared(name: str, arguments: type[ToolArguments], receipt: type[BaseModel] | None) -> ToolDeclaration:
    return ToolDeclaration(name, f"{name} it.", arguments, RetrySafety.LOOK_UP, receipt=receipt)


TOOLS = {
    "open": declared("open", OpenArguments, Ticket),
    "close": declared("close", CloseArguments, None),
}


def plan(**arguments: Any) -> dict[str, Any]:
    """A plan of three steps; the third closes a ticket of the first or second."""
    opened = {"tool": "open", "arguments": {"title": "Lamp"}}
    return {
        "summary": "Open and close",
        "steps": [opened, opened, {"tool": "close", "arguments": {"number": 7, **arguments}}],
    }


def of(step: int, name: str) -> dict[str, Any]:
    return {"from_step": step, "field": name}


def faults(raw: object) -> list[str]:
    with pytest.raises(PlanInvalid) as caught:
        check_plan(raw, TOOLS, LIMIT)
    return [str(fault) for fault in caught.value.faults]


# Checking a plan

FITS = [
    ("number", "number"), ("url", "url"), ("url", "owner"), ("share", "share"), ("share", "number"),
    ("tags", "tags"), ("extra", "raw"), ("extra", "number"), ("extra", "tags"),
]  # fmt: skip


@pytest.mark.parametrize(("argument", "field"), FITS)
def test_a_reference_to_a_field_of_the_same_type_is_part_of_the_plan(argument, field):
    checked = check_plan(plan(**{argument: of(2, field)}), TOOLS, LIMIT)

    assert references_in(checked.steps[2].arguments) == {argument: Reference(from_step=2, field=field)}


@given(
    argument=st.sampled_from(["number", "url", "share", "tags"]),
    field=st.sampled_from([*Ticket.model_fields]),
    step=st.integers(1, 2),
)
def test_any_other_type_is_an_error_that_states_both_types(argument, field, step):
    raw = plan(**{argument: of(step, field)})
    if (argument, field) in FITS:
        check_plan(raw, TOOLS, LIMIT)
    else:
        (fault,) = faults(raw)
        assert f"the {field} of step {step} is " in fault
        assert f"{argument} must be " in fault


@given(step=st.integers(3, 40), field=st.text(min_size=1, max_size=20))
def test_a_step_can_refer_only_to_earlier_steps(step, field):
    (fault,) = faults(plan(number=of(step, field)))

    assert f"refers to step {step}, which is not before this one" in fault


@given(field=st.text(min_size=1, max_size=40).filter(lambda name: name not in Ticket.model_fields))
def test_an_unknown_receipt_field_is_an_error_that_lists_the_known_ones(field):
    (fault,) = faults(plan(number=of(1, field)))

    assert "it has: number, owner, raw, share, tags, url" in fault


def test_the_receipt_of_a_tool_without_fields_cannot_be_referenced():
    raw = plan()
    raw["steps"].append({"tool": "close", "arguments": {"number": of(3, "number")}})

    (fault,) = faults(raw)

    assert "it has: none" in fault


@pytest.mark.parametrize(
    "arguments",
    [
        {"amount": of(1, "number")},
        {"body": of(1, "number")},
        {"body": {"ticket": [of(1, "number")]}},
        {"extra": {"ticket": of(1, "number")}},
        {"names": [of(1, "url")]},
    ],
)
def test_a_reference_where_none_is_allowed_is_an_error_and_never_a_value(arguments):
    assert faults(plan(**arguments))


@pytest.mark.parametrize(
    "value",
    [
        {"from_step": 0, "field": "number"},
        {"from_step": "1", "field": "number"},
        {"from_step": True, "field": "number"},
        {"from_step": 1, "field": ""},
        {"from_step": 1},
        {"from_step": 1, "field": "number", "or": 2},
    ],
)
def test_an_invalid_reference_is_not_a_value_of_another_type(value):
    assert faults(plan(number=value))
    assert check_plan(plan(body=value), TOOLS, LIMIT).steps[2].arguments["body"] == value


class Linked(BaseModel):
    number: int


@pytest.mark.parametrize(("source", "is_fault"), [(1, False), (2, False), (3, True), (4, True), (99, True)])
def test_a_reference_selects_an_earlier_step_even_if_the_step_returns_such_a_field(
    source: int, is_fault: bool
) -> None:
    tools = {"close": declared("close", CloseArguments, Linked)}
    first = {"tool": "close", "arguments": {"number": 1}}
    proposed = {
        "summary": "Close",
        "steps": [first, first, {"tool": "close", "arguments": {"number": of(source, "number")}}, first],
    }
    if is_fault:
        with pytest.raises(PlanInvalid):
            check_plan(proposed, tools, LIMIT)
    else:
        check_plan(proposed, tools, LIMIT)


# Immediately before a step


def progress(*receipts: dict[str, Any] | StepState) -> list[StepProgress]:
    return [
        StepProgress(state=one)
        if isinstance(one, StepState)
        else StepProgress(state=StepState.DONE, receipt=Receipt(summary="opened", details=one))
        for one in receipts
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values=st.lists(JSON, min_size=1, max_size=5), data=st.data())
def test_the_value_is_exactly_that_of_the_named_field_and_step(values, data):
    step = data.draw(st.integers(1, len(values)))
    steps = progress(*({"it": value, "other": None} for value in values))

    assert resolve_references({"number": of(step, "it"), "title": "it"}, steps) == {
        "number": values[step - 1]
    }


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (StepState.SKIPPED, "was skipped"),
        (StepState.DONE, "marked that step as done"),
        (StepState.FAILED, "is not done"),
        (StepState.IN_DOUBT, "is not done"),
        (StepState.UNDONE, "is not done"),
        (StepState.PENDING, "is not done"),
    ],
)
def test_a_step_without_a_receipt_yields_no_value(state, said):
    with pytest.raises(StepUnready, match=rf"the number of step 2.*{said}"):
        resolve_references({"number": of(2, "number")}, progress({"number": 1}, state))


@given(step=st.integers(1, 9), field=st.text(min_size=1, max_size=200).filter(lambda name: name != "number"))
def test_a_missing_field_or_step_yields_no_value(step, field):
    with pytest.raises(StepUnready):
        resolve_references({"number": of(step, field)}, progress({"number": 1}))


class Close(Notebook):
    """A tool that only supplies a declaration."""

    def __init__(self) -> None:
        self.declaration = TOOLS["close"]


def arguments_with(argument: str, value: JsonValue) -> ToolArguments:
    checked: Plan = check_plan(plan(**{argument: of(2, dict(FITS)[argument])}), TOOLS, LIMIT)
    step: Step = checked.steps[2]
    resolved = {**step.arguments, argument: value}
    return _arguments(Close(), step, resolved)


@given(argument=st.sampled_from(["number", "url", "share", "tags"]), value=JSON)
def test_a_value_of_the_wrong_type_never_reaches_the_tool(argument, value):
    kinds: dict[str, tuple[type, ...]] = {
        "number": (int,), "url": (str, type(None)), "share": (int, float), "tags": (list,)
    }  # fmt: skip
    fits = isinstance(value, kinds[argument]) and not isinstance(value, bool)
    fits = fits and (argument != "tags" or all(isinstance(tag, str) for tag in value))
    if fits:
        assert getattr(arguments_with(argument, value), argument) == value
    else:
        with pytest.raises(ToolRefused, match=rf"A value from an earlier step cannot be used.*{argument}"):
            arguments_with(argument, value)


def test_a_returned_reference_is_not_resolved():
    with pytest.raises(ToolRefused, match="cannot be used"):
        arguments_with("number", of(1, "number"))


def test_a_note_accepts_no_references(tmp_path):
    notes = {"note": Notebook("note", tmp_path / "notes.tsv").declaration}
    raw = {"summary": "Note it", "steps": [{"tool": "note", "arguments": {"text": of(1, "text")}}]}

    with pytest.raises(PlanInvalid):
        check_plan(raw, notes, LIMIT)
    assert not references_in(NoteArguments(text="x").model_dump())
