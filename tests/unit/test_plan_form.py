"""A plan as a form: what is not touched comes back unchanged, and what is touched comes back as typed."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plangate.domain.faults import Fault
from plangate.domain.plan import ProposedPlan, ProposedStep, is_same_proposal, without_steps
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
    """Return the fields as a browser sends them: line breaks of an area become CRLF."""
    form = form_of(plan)
    fields = [form.summary, *(field for step in form.steps for field in step.fields)]
    for field in fields:
        assert "\r" not in field.text  # browsers would not keep it
        assert field.kind != "text" or "\n" not in field.text
    return {field.name: field.text.replace("\n", "\r\n") for field in fields}


@settings(max_examples=40)
@given(PLANS)
def test_a_form_that_is_sent_as_it_is_brings_the_same_plan(plan: ProposedPlan) -> None:
    assert is_same_proposal(plan_from(plan, as_sent(plan)), plan)


@settings(max_examples=40)
@given(PLANS)
def test_a_plan_in_json_that_is_sent_as_it_is_is_the_same_plan(plan: ProposedPlan) -> None:
    assert is_same_proposal(plan_in_json(json_of(plan).replace("\n", "\r\n")), plan)


@settings(max_examples=40)
@given(PLANS, st.integers(1, 3))
def test_a_step_that_is_ticked_is_struck_and_nothing_else_changes(plan: ProposedPlan, number: int) -> None:
    typed = {**as_sent(plan), f"strike-{number}": "yes"}
    if number > len(plan.steps) or len(plan.steps) == 1:
        return
    new = plan_from(plan, typed)
    kept = [step for one, step in enumerate(plan.steps, start=1) if one != number]
    assert is_same_proposal(new, ProposedPlan(summary=plan.summary, steps=tuple(kept)))


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
def test_a_value_of_another_type_is_a_fault_of_its_field_and_stays_typed(before: Any, typed: str) -> None:
    plan, sent = plan_of(value=before), {"s1-1": typed}
    with pytest.raises(FormFaults) as refused:
        plan_from(plan, sent)
    (field, _) = form_of(plan, sent, refused.value.faults).steps[0].fields
    assert field.fault
    assert field.text == typed


def test_a_worker_s_refusal_stands_at_the_value_that_it_names() -> None:
    said = "The plan cannot be used (1 fault): step 1, to[0]: is not a mail address"
    form = form_of(plan_of(to=["x"], text="y"), said=said)
    faults = {field.label: field.fault for field in form.steps[0].fields}
    assert faults == {"to": "step 1, to[0]: is not a mail address", "text": "", "reason": ""}
    assert form.faults == ()


def test_a_fault_of_no_field_stands_above_the_form() -> None:
    form = form_of(plan_of(text="y"), faults=[Fault(("steps",), "are too many")])
    assert form.faults == ("steps: are too many",)


def test_references_follow_their_step_when_one_before_is_struck() -> None:
    steps = [
        {"tool": "note", "arguments": {"text": "a"}},
        {"tool": "note", "arguments": {"text": "b"}},
        {"tool": "note", "arguments": {"text": {"from_step": 2, "field": "number"}}},
    ]
    plan = ProposedPlan.model_validate({"summary": "Three", "steps": steps})
    new = without_steps(plan, {1})
    assert new.steps[1].arguments["text"] == {"from_step": 1, "field": "number"}
    with pytest.raises(ValueError, match="step 3 needs the result of a step that is struck"):
        without_steps(plan, {2})
    with pytest.raises(ValueError, match="at least one step"):
        without_steps(plan, {1, 2, 3})
