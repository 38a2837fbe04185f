"""Plans and their fingerprints."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plangate.domain.errors import PlanInvalid
from plangate.domain.plans.drafting import check_plan
from plangate.domain.plans.plan import (
    Audience,
    Plan,
    Step,
    canonical_json,
    fingerprint_of,
    short,
    uncanonical,
)
from plangate.domain.plans.tool import RetrySafety, ToolArguments, ToolDeclaration
from tests.support.fakes import AUDIENCE


class NoteArguments(ToolArguments):
    text: str
    copies: int = 1


NOTE = ToolDeclaration("note", "Write a note.", NoteArguments, RetrySafety.UNKNOWABLE)
TOOLS = {"note": NOTE}
PLAN = Plan(summary="s", steps=(Step(tool="note", arguments={"text": "x", "copies": 1}, reason="r"),))


def test_the_fingerprint_is_the_sha256_of_the_canonical_json_of_all_its_parts() -> None:
    written_by_hand = (
        f'{{"installation":"{AUDIENCE.installation}","namespace":"default",'
        '"plan":{"steps":[{"arguments":{"copies":1,"text":"x"},"reason":"r","tool":"note"}],"summary":"s"},'
        '"revision":1,"workflow_id":"w"}'
    )
    assert fingerprint_of(PLAN, 1, "w", AUDIENCE) == hashlib.sha256(written_by_hand.encode()).hexdigest()


def _written_by(write: Callable[[Any], bytes], value: object) -> bytes | None:
    try:
        return write(value)
    except ValueError:
        return None


any_text = st.text(st.characters(exclude_categories=()))
any_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(st.sampled_from(("a", "B", "_", "é", "\U0001f600", "\uff01")) | any_text, inner)
    ),
    max_leaves=20,
)


@given(any_values)
@example({"a": '\x00\x1f\x7f"\\/\b\f\n\r\t\u2028\ud800'})
@example({"a": '\x00\x1f\x7f"\\/\b\f\n\r\t\u2028', "B": [None, True, False, -1, {"": 0}], "": {}})
@example([2**53, -(2**53)])
@example([2**53 - 1, -(2**53) + 1])
@example({1: "a"})
@example({"a": float("nan")})
@settings(max_examples=300, deadline=None)
def test_canonical_json_follows_rfc_8785(value: object) -> None:
    assert _written_by(canonical_json, value) == _written_by(rfc8785.dumps, value)


def test_people_see_the_first_twelve_digits() -> None:
    assert short(fingerprint_of(PLAN, 1, "w", AUDIENCE)) == fingerprint_of(PLAN, 1, "w", AUDIENCE)[:12]


@pytest.mark.parametrize(
    "other",
    [
        PLAN.model_copy(update={"summary": "t"}),
        PLAN.model_copy(update={"steps": PLAN.steps * 2}),
        PLAN.model_copy(update={"steps": (PLAN.steps[0].model_copy(update={"tool": "notes"}),)}),
        PLAN.model_copy(update={"steps": (PLAN.steps[0].model_copy(update={"reason": ""}),)}),
        PLAN.model_copy(
            update={"steps": (PLAN.steps[0].model_copy(update={"arguments": {"text": "x", "copies": "1"}}),)}
        ),
    ],
)
def test_any_difference_in_the_plan_changes_the_fingerprint(other: Plan) -> None:
    assert fingerprint_of(other, 1, "w", AUDIENCE) != fingerprint_of(PLAN, 1, "w", AUDIENCE)


def test_another_revision_run_installation_or_namespace_changes_the_fingerprint() -> None:
    other_place = Audience(installation="0" * 32, namespace="default")
    other_namespace = AUDIENCE.model_copy(update={"namespace": "staging"})
    fingerprints = {
        fingerprint_of(PLAN, 1, "w", AUDIENCE),
        fingerprint_of(PLAN, 2, "w", AUDIENCE),
        fingerprint_of(PLAN, 1, "v", AUDIENCE),
        fingerprint_of(PLAN, 1, "w", other_place),
        fingerprint_of(PLAN, 1, "w", other_namespace),
    }
    assert len(fingerprints) == 5


def test_the_order_of_arguments_does_not_affect_the_fingerprint() -> None:
    reordered = Plan(
        summary="s", steps=(Step(tool="note", arguments={"copies": 1, "text": "x"}, reason="r"),)
    )
    assert fingerprint_of(reordered, 1, "w", AUDIENCE) == fingerprint_of(PLAN, 1, "w", AUDIENCE)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2.0**53) + 1, 2.0**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(arguments=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_values, max_size=4))
def test_a_fingerprint_survives_a_round_trip_through_json(arguments: dict[str, object]) -> None:
    plan = Plan.model_validate({"summary": "s", "steps": ({"tool": "t", "arguments": arguments},)})
    assert not list(uncanonical(arguments))
    again = Plan.model_validate_json(plan.model_dump_json())
    assert fingerprint_of(again, 1, "w", AUDIENCE) == fingerprint_of(plan, 1, "w", AUDIENCE)
    loaded = Plan.model_validate_json(json.dumps(plan.model_dump(mode="json")))
    assert fingerprint_of(loaded, 1, "w", AUDIENCE) == fingerprint_of(plan, 1, "w", AUDIENCE)


@pytest.mark.parametrize("number", [2**53, float(2**53), 1e16, -1e16, 1e21, 1e308])
def test_a_number_outside_the_exact_range_is_refused_in_any_notation(number: float) -> None:
    (fault,) = uncanonical({"amount": number})
    assert fault.path == ("amount",)
    assert "too large to be exact in JSON; write it as text" in fault.message


@pytest.mark.parametrize("number", [10**350, -(10**4_000)])
def test_an_integer_larger_than_any_float_causes_one_short_error(number: int) -> None:
    (fault,) = uncanonical({"amount": number})
    assert "too large to be exact in JSON" in fault.message
    assert len(fault.message) < 200


def test_a_checked_plan_shows_every_argument_including_defaults() -> None:
    plan = check_plan({"summary": "s", "steps": [{"tool": "note", "arguments": {"text": "x"}}]}, TOOLS, 20)
    assert plan.steps[0].arguments == {"text": "x", "copies": 1}


def test_every_error_is_listed_with_its_location() -> None:
    raw = {
        "summary": "s",
        "steps": [
            {"tool": "nuke", "arguments": {}},
            {"tool": "note", "arguments": {"copies": "007", "more": 1}},
        ],
    }
    with pytest.raises(PlanInvalid) as caught:
        check_plan(raw, TOOLS, 1)
    faults = "\n".join(map(str, caught.value.faults))
    assert "steps: 2 steps are more than the limit of 1" in faults
    assert "step 1, tool: there is no tool called 'nuke'; the tools are: note" in faults
    assert "step 2, text: is missing" in faults
    assert "step 2, more: unknown field; remove it" in faults
    assert "step 2, copies: must be a whole number" in faults


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**53, -(2**60), "\ud800", {"\ud800": 1}, {1: 2}, b"x"]
)
def test_a_plan_that_json_would_change_is_refused(value: object) -> None:
    with pytest.raises(PlanInvalid):
        check_plan({"summary": "s", "steps": [{"tool": "note", "arguments": {"text": value}}]}, TOOLS, 20)


def test_a_plan_nested_too_deeply_is_refused() -> None:
    value: object = "x"
    for _ in range(5000):
        value = [value]
    with pytest.raises(PlanInvalid, match="nested deeper"):
        check_plan({"summary": "s", "steps": [{"tool": "note", "arguments": {"text": value}}]}, TOOLS, 20)
