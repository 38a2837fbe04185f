"""A `Decimal` argument of a class tool is a number in the plan, and rules add such numbers up exactly."""

from decimal import Decimal
from typing import Annotated

from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from plangate.domain.plans.drafting import check_plan
from plangate.domain.plans.tool import RetrySafety, ToolArguments, ToolDeclaration
from plangate.policy.policy_input import numeric_arguments, variables_of_steps

Fee = Annotated[Decimal, Field(decimal_places=2)]


class PayArguments(ToolArguments):
    amount: Decimal = Field(gt=0)
    fee: Fee = Decimal(0)
    tip: Decimal | None = None


class PayMoreArguments(PayArguments):
    more: Decimal = Decimal(0)


def declared(arguments: type[ToolArguments]) -> dict[str, ToolDeclaration]:
    return {"pay": ToolDeclaration("pay", "Pay.", arguments, RetrySafety.UNKNOWABLE)}


CENTS = st.integers(1, 10**11).map(lambda cents: Decimal(cents).scaleb(-2))
SPELLED = st.sampled_from([str, float, lambda amount: f"{amount:E}"])


@given(
    st.lists(st.tuples(CENTS, SPELLED), min_size=1, max_size=20), st.sampled_from(["amount", "fee", "tip"])
)
def test_totals_are_the_sum_of_the_amounts_in_any_notation(amounts, name):
    tools = declared(PayMoreArguments)
    steps = [
        {"tool": "pay", "arguments": {"amount": 1, name: spell(amount)}, "reason": "due"}
        for amount, spell in amounts
    ]
    plan = check_plan({"summary": "Pay.", "steps": steps}, tools, 20)

    numbers = {"pay": numeric_arguments(PayMoreArguments)}
    seen = next(variables_of_steps(plan, numbers, request="", requester="rita"))

    assert seen["totals"]["pay"][name] == float(sum(amount for amount, _ in amounts))
    assert {"amount", "fee", "tip", "more"} <= set(seen["totals"]["pay"])


def test_sums_are_exact_in_decimal():
    steps = [{"tool": "pay", "arguments": {"amount": value}, "reason": "due"} for value in (0.1, 0.2)]
    plan = check_plan({"summary": "Pay.", "steps": steps}, declared(PayArguments), 2)

    seen = next(variables_of_steps(plan, {"pay": ("amount",)}, request="", requester="rita"))

    assert seen["totals"]["pay"]["amount"] == 0.3
