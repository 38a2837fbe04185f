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


@pytest.mark.parametrize(
    ("after", "removed"),
    [
        ({"bodies": "ac"}, (2,)),
        ({"bodies": "b"}, (1, 3)),
        ({"bodies": "ac", "summary": "t"}, None),
        ({"bodies": "ac", "reason": "r"}, None),
        ({"bodies": "ac", "tool": "send"}, None),
        ({"bodies": "ac", "not_before": "2026-12-01T09:00:00Z"}, None),
        ({"bodies": "ca"}, None),
        ({"bodies": "ad"}, None),
        ({"bodies": "abc"}, None),
        ({"bodies": "abcd"}, None),
        ({"bodies": "d"}, None),
    ],
)
def test_any_other_change_is_not_only_a_removal(
    after: dict[str, JsonValue], removed: tuple[int, ...] | None
) -> None:
    def plan(
        bodies: str, summary: str = "s", tool: str = "call", reason: str = "", **more: JsonValue
    ) -> ProposedPlan:
        steps = [{"tool": tool, "arguments": {"body": body}, "reason": reason} for body in bodies]
        return ProposedPlan.model_validate({"summary": summary, "steps": steps, **more})

    before = Plan(summary="s", steps=tuple(Step(tool="call", arguments={"body": body}) for body in "abc"))
    assert removed_steps(before, plan(**after)) == removed  # type: ignore[arg-type]
