"""An edit only removes steps if the remaining ones are equal as JSON, not as Python values."""

import pytest
from pydantic import JsonValue

from plangate.domain.plans.plan import Plan, ProposedPlan, Step, removed_steps


def _removed(before: JsonValue, after: JsonValue) -> tuple[int, ...] | None:
    steps = tuple(Step(tool="call", arguments={"body": body}) for body in (before, "struck"))
    kept = {"tool": "call", "arguments": {"body": after}}
    return removed_steps(
        Plan(summary="s", steps=steps), ProposedPlan.model_validate({"summary": "s", "steps": [kept]})
    )


@pytest.mark.parametrize(("before", "after"), [(1, True), (True, 1), (False, 0), ([1], [True]), ("1", 1)])
def test_a_value_of_another_type_is_a_change(before: JsonValue, after: JsonValue) -> None:
    assert _removed({"amount": before}, {"amount": after}) is None


@pytest.mark.parametrize(("before", "after"), [(1, 1), (1, 1.0), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_an_equivalent_json_notation_is_not_a_change(before: JsonValue, after: JsonValue) -> None:
    assert _removed(before, after) == (2,)
