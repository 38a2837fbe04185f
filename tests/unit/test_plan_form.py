"""A plan as a form: untouched values come back unchanged, and edited ones as typed."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue

from plangate.domain.faults import Fault
from plangate.domain.plans.plan import ProposedPlan, ProposedStep, is_same_proposal, without_steps
from plangate.web.form_fields import FormField
from plangate.web.language import languages
from plangate.web.plan_form import FormFaults, form_of, json_of, plan_from, plan_in_json

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80) | st.sampled_from(
    ["\nfirst line empty", "a\r\nb", "a\rb", "zero\u200bwidth", "\u202ereversed", " blanks ", "true", "7"]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(-1e9, 1e9) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)
STEPS = st.builds(
    ProposedStep,
    tool=st.just("note"),
    arguments=st.dictionaries(st.text("abcd_", min_size=1, max_size=8), VALUES, max_size=4),
    reason=TEXTS,
)
PLANS = st.builds(
    ProposedPlan, summary=TEXTS.filter(bool), steps=st.lists(STEPS, min_size=1, max_size=3).map(tuple)
)


def as_sent(plan: ProposedPlan) -> dict[str, str]:
    """Return the fields as a browser sends them: line breaks in a text area become CRLF."""
    form = form_of(plan)
    fields = [form.summary, *(field for step in form.steps for field in step.fields)]
    for field in fields:
        assert "\r" not in field.text  # browsers would not preserve it
        assert field.kind != "text" or "\n" not in field.text
    return {field.name: field.text.replace("\n", "\r\n") for field in fields}


@settings(max_examples=40)
@given(PLANS)
def test_an_unchanged_form_yields_the_same_plan(plan: ProposedPlan) -> None:
    assert is_same_proposal(plan_from(plan, as_sent(plan)), plan)


@settings(max_examples=40)
@given(PLANS)
def test_an_unchanged_plan_in_json_yields_the_same_plan(plan: ProposedPlan) -> None:
    assert is_same_proposal(plan_in_json(json_of(plan).replace("\n", "\r\n")), plan)


@settings(max_examples=40)
@given(PLANS, st.integers(1, 3))
def test_a_ticked_step_is_removed_and_nothing_else_changes(plan: ProposedPlan, number: int) -> None:
    typed = {**as_sent(plan), f"strike-{number}": "yes"}
    if number > len(plan.steps) or len(plan.steps) == 1:
        return
    new = plan_from(plan, typed)
    kept = [step for one, step in enumerate(plan.steps, start=1) if one != number]
    assert is_same_proposal(new, ProposedPlan(summary=plan.summary, steps=tuple(kept)))


class Money(BaseModel):
    """The arguments of an MCP server, whose amounts may also be text."""

    amount: Decimal


MONEY = Money.model_json_schema()


def plan_of(**arguments: Any) -> ProposedPlan:
    return ProposedPlan(summary="One", steps=(ProposedStep(tool="note", arguments=arguments),))


@pytest.mark.parametrize(
    ("before", "typed", "after"),
    [
        ("text", "7", "7"),
        (7, "8", 8),
        (42.5, "42.75", 42.75),
        (True, "false", False),
        (["a@example.org"], "a@example.org\r\n\r\nb@example.org\r\n", ["a@example.org", "b@example.org"]),
        (None, '"new"', "new"),
        ([], '["a"]', ["a"]),
    ],
)
def test_a_value_keeps_its_type(before: Any, typed: str, after: Any) -> None:
    new = plan_from(plan_of(value=before), {"s1-1": typed})
    assert is_same_proposal(new, plan_of(value=after))


@pytest.mark.parametrize(
    ("before", "typed"), [(7, "seven"), (7, "true"), (7, "1e999"), (None, "new"), (7, "")]
)
def test_a_value_of_another_type_is_an_error_in_its_field_and_is_kept(before: Any, typed: str) -> None:
    plan, sent = plan_of(value=before), {"s1-1": typed}
    with pytest.raises(FormFaults) as refused:
        plan_from(plan, sent)
    (field, _) = form_of(plan, sent, refused.value.faults).steps[0].fields
    assert field.fault
    assert field.text == typed


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("15,5", "Write 15.50, with a decimal point."),
        ("15,50", "Write 15.50, with a decimal point."),
        ("1.234,56", "Write 1234.56, with a decimal point."),
        ("1,234.56", "Write 1234.56, with a decimal point."),
        ("-1'234.5", "Write -1234.50, with a decimal point."),
        ("1 234", "Write 1234, without separators."),
        ("1\u202f234\u202f567", "Write 1234567, without separators."),
        ("1.234.567", "Write 1234567, without separators."),
        ("1,234,567", "Write 1234567, without separators."),
        ("1,500", "Write 1500 or 1.5: a comma could mean either."),
        ("1,085", "Write 1085 or 1.0850: a comma could mean either."),
        ("1.500", "Write 1500 or 1.5: a point could mean either."),
        ("-12.000", "Write -12000 or -12.0: a point could mean either."),
        ("fifteen", "must be a number, such as 42 or 42.50"),
        ("NaN", "must be a number, such as 42 or 42.50"),
        ("1,234,56", "must be a number, such as 42 or 42.50"),
        ("1,2,3", "must be a number, such as 42 or 42.50"),
    ],
)
def test_a_number_in_another_notation_is_an_error_that_shows_the_expected_one(typed: str, said: str) -> None:
    assert fault_of({"amount": 7}, "amount", typed, {}) == said
    assert languages()["de"].said(said) != said
    if said.startswith("Write"):  # the tool checks other texts
        assert fault_of({"amount": "7"}, "amount", typed, MONEY) == said
        assert fault_of({}, "amount", typed, MONEY) == said


@pytest.mark.parametrize(
    ("before", "typed"), [(1.5, "1.500"), (1, "1.000"), ("1.5", "1.500"), ("1.500", "2.500")]
)
def test_a_number_is_unclear_even_if_it_equals_the_previous_one(before: JsonValue, typed: str) -> None:
    """A person who reads 1.500 as thousands has changed the number."""
    assert "a point could mean either" in fault_of({"amount": before}, "amount", typed, MONEY)


@pytest.mark.parametrize("typed", ["7", "1500", "1.50", "0.125", "1.500"])
def test_a_clear_or_unchanged_amount_is_kept_as_text(typed: str) -> None:
    before = {"amount": "1.500"}
    assert changed(before, {"amount": typed}, MONEY) == {"amount": typed}


def test_an_unchanged_number_with_three_decimals_is_kept() -> None:
    plan = plan_of(rate=1.085)
    assert plan_from(plan, {"s1-1": "1.085"}).steps[0].arguments == {"rate": 1.085}


@given(st.integers(-(10**9), 10**9), st.integers(0, 99), st.sampled_from(["", ".", "'", " ", "\u202f"]))
def test_a_decimal_comma_is_an_error_that_shows_the_expected_notation(
    whole: int, cents: int, group: str
) -> None:
    said = fault_of({"amount": 7}, "amount", f"{whole:,}".replace(",", group) + f",{cents:02}", {})
    assert said == f"Write {whole}.{cents:02}, with a decimal point."


NOT_BEFORE = st.datetimes(
    datetime(2026, 1, 1),  # noqa: DTZ001  the strategy adds the zone
    datetime(2030, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, ZoneInfo("Asia/Kolkata")]),
)


@given(NOT_BEFORE)
def test_an_unchanged_time_keeps_its_seconds(at: datetime) -> None:
    plan = plan_of(text="y").model_copy(update={"not_before": at})
    assert plan_from(plan, {"not_before": form_of(plan).not_before.text}).not_before == at


@given(NOT_BEFORE)
def test_a_time_is_entered_in_utc_converted_by_the_script_or_removed(at: datetime) -> None:
    plan, minute = plan_of(text="y"), at.astimezone(UTC).replace(second=0, microsecond=0)
    typed = f"{minute:%Y-%m-%dT%H:%M}"
    assert plan_from(plan, {"not_before": typed}).not_before == minute
    by_script = {"not_before": "2001-01-01T00:00", "not_before_utc": f"{typed}:00.000Z"}
    assert plan_from(plan, by_script).not_before == minute
    assert form_of(plan, by_script).not_before.text == typed
    begun = plan.model_copy(update={"not_before": at})
    assert plan_from(begun, {"not_before": "", "not_before_utc": ""}).not_before is None


def test_a_workers_refusal_is_shown_at_the_value_that_it_refers_to() -> None:
    said = "The plan cannot be used (1 error): step 1, to[0]: is not an email address"
    form = form_of(plan_of(to=["x"], text="y"), refusal=said)
    faults = {field.label: field.fault for field in form.steps[0].fields}
    assert faults == {"to": "step 1, to[0]: is not an email address", "text": "", "reason": ""}
    assert form.faults == ()


def test_an_error_without_a_field_is_shown_above_the_form() -> None:
    form = form_of(plan_of(text="y"), faults=[Fault(("steps",), "are too many")])
    assert form.faults == ("steps: are too many",)


def test_references_follow_their_step_when_an_earlier_step_is_removed() -> None:
    steps = [
        {"tool": "note", "arguments": {"text": "a"}},
        {"tool": "note", "arguments": {"text": "b"}},
        {"tool": "note", "arguments": {"text": {"from_step": 2, "field": "number"}}},
    ]
    plan = ProposedPlan.model_validate({"summary": "Three", "steps": steps})
    new = without_steps(plan, {1})
    assert new.steps[1].arguments["text"] == {"from_step": 1, "field": "number"}
    with pytest.raises(ValueError, match="step 3 needs the result of a removed step"):
        without_steps(plan, {2})
    with pytest.raises(ValueError, match="at least one step"):
        without_steps(plan, {1, 2, 3})


# ---- forms for tool schemas ----------------------------------------------------------------------


SCHEMA: dict[str, Any] = {
    "type": "object",
    "$defs": {
        "Reference": {"type": "object", "properties": {"from_step": {"type": "integer"}}},
        "Kind": {"type": "string", "enum": ["big", "small"], "description": "how big"},
    },
    "properties": {
        "text": {"type": "string", "minLength": 1, "maxLength": 5, "description": "what it says"},
        "to": {"type": "array", "items": {"type": "string", "maxLength": 9}, "minItems": 1, "maxItems": 2},
        "kind": {"$ref": "#/$defs/Kind"},
        "amount": {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
        "count": {"anyOf": [{"type": "integer", "minimum": 1}, {"$ref": "#/$defs/Reference"}]},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "loud": {"type": "boolean"},
        "place": {"type": "object", "properties": {"city": {"type": "string"}, "zip": {"type": "string"}}},
    },
    "required": ["text", "to"],
}
WHOLE: dict[str, Any] = {
    "text": "hello",
    "to": ["a@b"],
    "kind": "big",
    "amount": 42.5,
    "count": 3,
    "note": None,
    "loud": False,
    "place": {"city": "Ulm"},
}


def fields_of(schema: dict[str, Any] = SCHEMA, **arguments: Any) -> dict[str, FormField]:
    form = form_of(plan_of(**arguments), schemas={"note": schema})
    return {field.label: field for field in form.steps[0].fields}


def changed(before: dict[str, Any], typed: dict[str, str], schema: dict[str, Any] = SCHEMA) -> Any:
    """Return the arguments from a form after these texts were typed into the fields with these labels."""
    names = {label: field.name for label, field in fields_of(schema, **before).items()}
    sent = {names[label]: text for label, text in typed.items()}
    return dict(plan_from(plan_of(**before), sent, {"note": schema}).steps[0].arguments)


def fault_of(before: dict[str, Any], label: str, typed: str, schema: dict[str, Any] = SCHEMA) -> str:
    with pytest.raises(FormFaults) as refused:
        changed(before, {label: typed}, schema)
    return "; ".join(fault.message for fault in refused.value.faults)


def test_a_form_has_a_suitable_described_field_for_each_argument_of_the_tool() -> None:
    fields = fields_of(**WHOLE)
    assert {label: field.kind.value for label, field in fields.items()} == {
        "text": "text",
        "to": "lines",
        "kind": "choice",
        "amount": "number",
        "count": "number",
        "note": "text",
        "loud": "flag",
        "place.city": "text",
        "place.zip": "text",
        "reason": "text",
    }
    assert [label for label, field in fields.items() if field.rules.is_required] == ["text", "to"]
    assert fields["text"].rules.help == "what it says"
    assert fields["kind"].rules.help == "how big"
    assert [text for text, _ in fields["kind"].choices] == ["big", "small"]


def test_an_optional_argument_can_be_added_or_omitted() -> None:
    before: dict[str, Any] = {"text": "hello", "to": ["a@b"]}
    assert set(fields_of(**before)) >= set(WHOLE) - {"place"}
    assert changed(before, {}) == before
    added = {"kind": "small", "amount": "7", "count": "2", "note": "x", "loud": "true"}
    wanted = {**before, "kind": "small", "amount": 7, "count": 2, "note": "x", "loud": True}
    assert changed(before, added) == wanted
    assert fault_of({"text": "hello"}, "to", "") == "is required"


def test_an_empty_field_is_null_if_the_tool_accepts_null() -> None:
    assert changed({**WHOLE, "note": "x"}, {"note": ""}) == WHOLE
    assert changed(WHOLE, {"note": "x"}) == {**WHOLE, "note": "x"}


@pytest.mark.parametrize(
    ("label", "typed", "said"),
    [
        ("text", "", "must not be empty"),
        ("text", "too long", "has 8 characters, more than the limit of 5"),
        ("to", "", "must not be empty"),
        ("to", "a\nb\nc", "has 3 entries, more than the limit of 2"),
        (
            "to",
            "a@b\nfar-too-long",
            "has a wrong entry 2, which has 12 characters, more than the limit of 9",
        ),
        ("kind", "huge", "must be one of: big, small"),
        ("amount", "0", "must be more than 0"),
        ("amount", "101", "must be at most 100"),
        ("count", "0", "must be at least 1"),
        ("count", "1.5", "must be a whole number"),
    ],
)
def test_a_value_that_the_tool_cannot_accept_is_an_error_in_its_field(
    label: str, typed: str, said: str
) -> None:
    assert fault_of(WHOLE, label, typed) == said


def test_an_unchanged_value_is_not_an_error_even_if_the_schema_disagrees() -> None:
    before = {"text": "longer than five", "to": [], "kind": "huge", "amount": -1}
    assert changed(before, {}) == before


def test_an_error_is_shown_at_the_original_step_even_if_other_steps_were_removed() -> None:
    steps = tuple(ProposedStep(tool="note", arguments={"text": text}) for text in "abc")
    form = form_of(ProposedPlan(summary="Three", steps=steps), {"strike-2": "yes"})
    (found,) = form.faults_at_fields([Fault(("steps", 1, "arguments", "text"), "is wrong")])
    assert found.path == ("steps", 2, "arguments", "text")
    outside = Fault(("steps", 7), "is wrong")
    assert form.faults_at_fields([outside]) == [outside]


PARTS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"type": "string"},
        {"type": "string", "enum": ["", " ", "a", "true"]},
        {"enum": ["a", 1, None]},
        {"type": "integer", "minimum": 0},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "array", "items": {"type": "string"}},
        {"type": "array"},
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/gone"}]},
        {"$ref": "#/$defs/loop"},
        {"type": ["string", "null"]},
        {"enum": "x", "minLength": "x", "anyOf": 3, "description": 7},
    ]
)
SCHEMAS = st.builds(
    lambda properties, required: {
        "properties": properties,
        "required": required,
        "$defs": {"loop": {"$ref": "#/$defs/loop"}},
    },
    st.dictionaries(st.text("abcd_", min_size=1, max_size=2), PARTS, max_size=4),
    st.lists(st.text("abcd_", min_size=1, max_size=2), max_size=2),
)


@settings(max_examples=60)
@given(STEPS, SCHEMAS)
def test_an_unchanged_form_gives_the_same_plan_for_any_schema(
    step: ProposedStep, schema: dict[str, Any]
) -> None:
    plan, schemas = ProposedPlan(summary="One", steps=(step,)), {"note": schema}
    form = form_of(plan, schemas=schemas)
    fields = [form.summary, *form.steps[0].fields]
    sent = {field.name: field.text.replace("\n", "\r\n") for field in fields}
    missing = {field.path for field in fields if field.rules.is_required and not _is_there(step, field)}
    if not missing:
        assert is_same_proposal(plan_from(plan, sent, schemas), plan)
        return
    with pytest.raises(FormFaults) as refused:
        plan_from(plan, sent, schemas)
    assert {fault.path for fault in refused.value.faults} == missing


def _is_there(step: ProposedStep, field: FormField) -> bool:
    found: Any = step.arguments
    for name in field.path[3:]:
        if name not in found:
            return False
        found = found[name]
    return True
