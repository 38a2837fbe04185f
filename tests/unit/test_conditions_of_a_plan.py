"""A condition that does not depend on the step is evaluated once for the whole plan."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from plangate.policy.conditions import Condition, ConditionsOfPlan, Unclear

STEPS = [{"number": number, "arguments": {"amount": number * 10}} for number in range(1, 6)]


class Counted(Mapping[str, Any]):
    """Variables that count how often they are read."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self.reads = 0
        self._variables = variables

    def __getitem__(self, name: str) -> Any:
        self.reads += 1
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def results(condition: Condition, conditions: ConditionsOfPlan | None) -> tuple[list[bool | str], int]:
    """Return the result for each step, and the number of variables that were read."""
    found: list[bool | str] = []
    reads = 0
    for step in STEPS:
        variables = Counted({"plan": {"steps": STEPS}, "step": step})
        recent = lambda _limit, number=step["number"]: float(number)  # noqa: E731  one sum for each step
        try:
            holds = conditions.holds if conditions else lambda one, *rest: one.holds(*rest)
            found.append(holds(condition, variables, recent))
        except Unclear as error:
            found.append(str(error))
        reads += variables.reads
    return found, reads


@pytest.mark.parametrize(
    ("text", "depends"),
    [
        ("plan.steps.exists(one, one.arguments.amount > 30)", False),
        ("plan.steps.all(one, one.missing)", False),
        ("plan.summary == 'x'", False),
        ("step.arguments.amount > 30", True),
        (".step.arguments.amount > 30", True),
        ("plan.steps.exists(one, one.number > step.number)", True),
        ("plan.steps.exists(one, step.arguments.missing)", True),
        ("recent('refund', 'amount', '24h') > 2.0", True),
        ("[1].exists(one, recent('refund', 'amount', '24h') > 2.0)", True),
    ],
)
def test_a_condition_has_the_same_results_but_is_evaluated_as_often_as_necessary(
    text: str, depends: bool
) -> None:
    condition = Condition(text)
    alone, all_reads = results(condition, None)
    together, reads = results(condition, ConditionsOfPlan())
    assert together == alone
    assert condition.depends_on_step is depends
    assert reads == all_reads if depends else reads * len(STEPS) == all_reads > 0
