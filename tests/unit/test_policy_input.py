"""One model defines the variables of a condition: their names, their values and their reference."""

from pathlib import Path

import pytest

from plangate.domain.plans.plan import Plan, Step
from plangate.policy.conditions import Condition
from plangate.policy.policy_input import FIELDS, variables_of_steps
from plangate.policy.reference import with_lists

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "policy.md"
PLAN = Plan(
    summary="Cafe\u0301",
    steps=(
        Step(tool="refund", arguments={"amount": 1}),
        Step(tool="note", arguments={"text": "x"}, reason="because"),
    ),
)


def test_the_reference_is_current() -> None:
    text = REFERENCE.read_text("utf-8")
    assert with_lists(text) == text, "run make reference"


def test_a_document_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"markers .* are missing"):
        with_lists("# Policy\n")


def test_each_step_gets_every_variable_of_the_reference() -> None:
    numbers = {"refund": ("amount",), "mail": ()}
    first, second = variables_of_steps(PLAN, numbers, request="Pay", requester="rita")
    assert first.keys() == FIELDS.keys()
    assert all(first[name].keys() == fields.keys() for name, fields in FIELDS.items() if fields)
    assert first["totals"] == {"refund": {"amount": 1}, "note": {}, "mail": {}}
    assert first["counts"] == {"refund": 1, "note": 1, "mail": 0}
    assert second["step"] == second["plan"]["steps"][1]
    assert (second["step"]["number"], second["step"]["reason"]) == (2, "because")


def test_text_is_unicode_normalized() -> None:
    (first, _) = variables_of_steps(PLAN, {}, request="", requester="")
    assert Condition("plan.summary == 'Caf\u00e9'").holds(first)


@pytest.mark.parametrize("name", [f"{root}.{field}" for root, fields in FIELDS.items() for field in fields])
def test_a_condition_may_use_every_field_of_the_reference(name: str) -> None:
    condition = Condition(f"size(string({name})) > 0")
    assert list(condition.unknown_words({})) == []
