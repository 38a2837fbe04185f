"""In every currency of ISO 4217, the approved amount is sent, or the plan is refused.

Each run tests 2,000 or more generated amounts; to test all of them, run
``PLANGATE_TEST_TIMES=20 make test ARGS=tests/unit/test_money.py``.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from urllib.parse import parse_qs

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from activities.tools.registry import declarations
from activities.tools.stripe.minor_units import from_minor, to_minor
from activities.tools.stripe.payments import payment_seen, refund_still_holds
from activities.tools.stripe.refund import RefundArguments, RefundPayment
from plangate.domain.errors import PlanInvalid
from plangate.domain.plans.drafting import check_plan
from plangate.domain.plans.money import PLACES, in_words, payable
from plangate.domain.plans.plan import Plan
from plangate.domain.plans.tool import StepReceipt
from plangate.policy.policy_input import numeric_arguments, variables_of_steps
from plangate.settings import Settings
from plangate.tool import arguments_for
from tests.support.faulty_server import Answer, FaultyServer, Request
from tests.support.times import times

CURRENCIES = st.sampled_from(sorted(PLACES))
# Stripe's rules for currencies, independent of the code: units of 1, and their required divisor.
UNITS = {
    **{code: (100, 1) for code, places in PLACES.items() if places == 2},
    **{code: (1, 1) for code, places in PLACES.items() if places == 0},
    **{code: (1_000, 10) for code, places in PLACES.items() if places == 3},
    **{code: (10_000, 1) for code, places in PLACES.items() if places == 4},
    "ISK": (100, 100),
    "UGX": (100, 100),
    "MGA": (1, 1),
}
WIDE = {ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"}
AMOUNTS = st.one_of(
    st.decimals("-1", 10**7, places=2),
    st.decimals(0, 10**5, places=3),
    st.integers(-10, 10**14).map(Decimal),
    st.integers(1, 10**12).map(lambda units: Decimal(units).scaleb(-2)),
    st.decimals(allow_nan=False, allow_infinity=False),
)


def plan_of(amount: str, currency: str, count: int = 1) -> Plan:
    """Return a checked plan whose JSON text has the amount in this spelling."""
    step = f'{{"payment": "pi_1", "amount": {amount}, "currency": "{currency}"}}'
    steps = ", ".join(
        f'{{"tool": "refund_payment", "arguments": {step}, "reason": "due"}}' for _ in range(count)
    )
    return check_plan(json.loads(f'{{"summary": "Refund", "steps": [{steps}]}}'), declarations(), 20)


def approved(plan: Plan) -> RefundArguments:
    arguments = arguments_for(declarations()["refund_payment"], plan.steps[0].arguments)
    assert isinstance(arguments, RefundArguments)
    return arguments


# ---- sent requests --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counterpart() -> Iterator[tuple[RefundPayment, FaultyServer]]:
    """A server that refunds the requested amount, and a tool that calls it."""

    def refund(request: Request) -> Answer:
        fields = {name: value[0] for name, value in parse_qs(request.body.decode()).items()}
        made = {"id": "re_1", "amount": int(fields["amount"]), "payment_intent": fields["payment_intent"]}
        made |= {"object": "refund", "metadata": {"plangate": fields["metadata[plangate]"]}}
        return Answer(200, {**made, "currency": current[0], "status": "succeeded"})

    with FaultyServer(answer=refund) as server:
        yield (
            RefundPayment.from_settings(Settings(stripe_api_key="sk_test_1", stripe_api_base=server.url)),
            server,
        )


current = [""]


@settings(max_examples=times(120), deadline=None)
@given(AMOUNTS, CURRENCIES)
@example(Decimal("42.50"), "EUR")
@example(Decimal(5), "ISK")
@example(Decimal("0.1"), "EUR")
async def test_the_request_has_the_approved_amount_in_stripes_units(counterpart, amount, currency):
    tool, server = counterpart
    try:
        plan = plan_of(f"{amount:f}" if -20 < amount.adjusted() < 20 else str(amount), currency)
    except PlanInvalid:
        assert not is_payable(amount, currency)
        return
    assert is_payable(amount, currency)
    server.reset_counts()
    current[0] = currency.lower()

    receipt = await tool.act(approved(plan), f"{amount} {currency}")

    (request,) = server.requests
    sent = int(parse_qs(request.body.decode())["amount"][0])
    assert sent == amount * UNITS[currency][0]
    assert Decimal(str(receipt.details["amount"])) == amount
    assert tool.preview(approved(plan), None) == f"Refund {in_words(amount, currency)} of payment pi_1"
    shown = re.match(r"Refund ([\d,.]+) ([A-Z]{3}) ", tool.preview(approved(plan), None))
    assert shown is not None
    assert (Decimal(shown[1].replace(",", "")), shown[2]) == (amount, currency)


def is_payable(amount: Decimal, currency: str) -> bool:
    """Return whether Stripe can pay the amount, given the table above and the limits of a JSON number."""
    units, step = UNITS[currency]
    if not 0 < amount < 10**13:
        return False
    if len(amount.normalize().as_tuple().digits) > 15:
        return False
    in_units = amount * units
    return in_units == in_units.to_integral_value() and in_units % step == 0 and in_units < 10**12


@settings(max_examples=times(1_600), deadline=None)
@given(AMOUNTS, CURRENCIES)
def test_stripes_units_and_amounts_correspond_one_to_one(amount, currency):
    try:
        units = to_minor(amount, currency)
    except ValueError:
        assert not is_payable(amount, currency) or len(amount.as_tuple().digits) > 15
        return
    assert from_minor(units, currency) == amount
    assert units == amount * UNITS[currency][0]
    assert payable(amount, currency) == amount


@pytest.mark.parametrize("currency", sorted(PLACES))
def test_every_currency_has_a_smallest_unit(currency):
    units, step = UNITS[currency]
    least = Decimal(step) / units

    assert to_minor(least, currency) == step
    for wrong in (least / 2, least / 10, least * Decimal("1.5"), Decimal(0), -least, Decimal(10) ** 13):
        with pytest.raises(
            ValueError, match=r"more decimal places|too precise|must be more than 0|too large"
        ):
            to_minor(wrong, currency)


@pytest.mark.parametrize(
    "amount", ["NaN", "Infinity", "-Infinity", "1e400", '"1e5000"', '"NaN"', "true", "null", "[]"]
)
def test_an_invalid_amount_is_refused_in_the_draft(amount):
    with pytest.raises((PlanInvalid, ValueError)):
        plan_of(amount, "EUR")


@settings(max_examples=times(100))
@given(
    st.from_regex("[-+ ]?[0-9_.,\u0660-\u0669\uff10-\uff19]{1,8}[eExX_ ]?[0-9_]{0,3}[ \n]?", fullmatch=True)
)
@example("42_50")
@example("4_2.5_0")
@example(" 42.50")
@example("+42.50")
@example("42.50".translate(WIDE))
@example("\u0664\u0662")
@example("42.50\n")
@example(".5")
@example("5.")
def test_a_string_is_an_amount_only_if_it_is_a_plain_number(text):
    is_number = re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][0-9]+)?", text) is not None
    try:
        plan = plan_of(json.dumps(text), "EUR")
    except PlanInvalid:
        assert not is_number or not is_payable(Decimal(text), "EUR")
        return
    assert is_number
    assert approved(plan).amount == Decimal(text)


@pytest.mark.parametrize("currency", ["EURO", "XXX", "XAU", "", "€", "E R"])
def test_an_unknown_currency_is_refused_in_the_draft(currency):
    with pytest.raises(PlanInvalid):
        plan_of("1", currency)


def test_a_currency_is_converted_to_upper_case():
    assert plan_of("1", "eur") == plan_of("1", "EUR")


@pytest.mark.parametrize("spelled", ["42.5", "42.50", "4.25e1", "42.500000", '"42.50"', '"4250E-2"'])
def test_an_amount_has_only_one_notation_in_the_plan(spelled):
    assert plan_of(spelled, "EUR") == plan_of("42.5", "EUR")


# ---- sums -----------------------------------------------------------------------------------------


@settings(max_examples=times(60))
@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=20))
@example([10, 20])
def test_totals_of_refunds_are_exact_to_the_cent(cents):
    steps = [
        {
            "tool": "refund_payment",
            "arguments": {"payment": "pi_1", "amount": one / 100, "currency": "EUR"},
            "reason": "due",
        }
        for one in cents
    ]
    plan = check_plan({"summary": "Refund", "steps": steps}, declarations(), 20)
    numbers = {"refund_payment": numeric_arguments(RefundArguments)}

    seen = next(variables_of_steps(plan, numbers, request="", requester="rita"))

    assert seen["totals"]["refund_payment"]["amount"] == sum(cents) / 100


@settings(max_examples=times(300))
@given(
    st.integers(1, 10**8),
    st.lists(st.integers(1, 10**8), max_size=4),
    st.integers(0, 3),
    st.integers(1, 10**8),
)
def test_a_refund_continues_exactly_if_only_this_run_has_refunded_and_it_still_fits(
    paid, own, foreign, amount
):
    def seen_with(refunded: int) -> dict[str, JsonValue]:
        charge = {"amount": paid, "amount_captured": paid, "captured": True, "amount_refunded": refunded}
        return payment_seen({"id": "pi_1", "currency": "eur", "status": "succeeded", "latest_charge": charge})

    def receipt_of(tool: str, payment: str, units: int) -> StepReceipt:
        details = {"refund": "re", "payment": payment, "amount": str(Decimal(units).scaleb(-2))}
        return StepReceipt(summary="", details=details, tool=tool)

    receipts = [receipt_of("refund_payment", "pi_1", one) for one in own]
    receipts += [receipt_of("refund_payment", "pi_2", 100), receipt_of("note_refund", "pi_1", foreign)]
    now = seen_with(sum(own) + foreign)

    holds = refund_still_holds(Decimal(amount).scaleb(-2), "EUR", seen_with(0), now, receipts)

    assert holds == (foreign == 0 and amount <= paid - sum(own))
