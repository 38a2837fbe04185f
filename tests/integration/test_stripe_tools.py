"""The payment tools against localstripe, which runs as a process behind an idempotency proxy."""

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from activities.tools.stripe.effects import stripe_key
from activities.tools.stripe.payment import CreatePayment, PaymentArguments
from activities.tools.stripe.refund import RefundArguments, RefundPayment
from plangate.domain.errors import EffectUnknown, SettingsInvalid, ToolRefused, ToolUnavailable
from plangate.domain.plans.tool import Receipt, StepReceipt
from plangate.settings import Settings
from plangate.tool import DidNotHappen, Happened, NotFound, Repeatable, Reversed, Settled, Unknown
from tests.support.faulty_server import Answer, FaultyServer
from tests.support.stripe_server import KEY, StripeServer, stripe_server


@pytest.fixture(scope="module")
def stripe() -> Iterator[StripeServer]:
    with stripe_server() as server:
        yield server


@pytest.fixture
def refunds(stripe: StripeServer) -> RefundPayment:
    return RefundPayment.from_settings(stripe.settings())


@pytest.fixture
def payments(stripe: StripeServer) -> CreatePayment:
    return CreatePayment.from_settings(stripe.settings())


def a_refund(payment: str, amount: float = 42.5, currency: str = "EUR") -> RefundArguments:
    given = {"payment": payment, "amount": amount, "currency": currency}
    return RefundArguments.model_validate_json(json.dumps(given))


def a_payment(customer: str, method: str, **more: Any) -> PaymentArguments:
    given = {"customer": customer, "payment_method": method, "amount": 42.5, "currency": "EUR", **more}
    return PaymentArguments.model_validate_json(json.dumps(given))


# ---- refunds --------------------------------------------------------------------------------------


async def test_a_refund_is_made_once_under_its_key(stripe, refunds):
    payment = stripe.paid()

    first = await refunds.act(a_refund(payment), "key")
    again = await refunds.act(a_refund(payment), "key")

    assert again == first
    assert first.final
    (made,) = stripe.refunds(payment)
    assert (made["amount"], made["id"]) == (4_250, first.details["refund"])
    assert await refunds.find_out(a_refund(payment), "key") == Happened(first)


async def test_the_preview_shows_the_amount_the_method_and_the_time_of_the_payment(stripe, refunds):
    payment = stripe.paid()
    seen = await refunds.observe(a_refund(payment))

    said = refunds.preview(a_refund(payment), seen)

    assert said.startswith(
        f'Refund 42.50 EUR of payment {payment} (250.00 EUR, "Kim Doe", card ending 4242, '
    )
    stripe.post("refunds", payment_intent=payment, amount=10_000)
    said = refunds.preview(a_refund(payment), await refunds.observe(a_refund(payment)))
    assert said.endswith(", 150.00 EUR of it not yet refunded)")


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        (250.01, "EUR", "only 250.00 EUR of it is left"),
        (42.5, "USD", "was made in EUR, so it cannot be refunded in USD"),
    ],
)
async def test_a_refund_that_exceeds_the_payment_is_refused_in_the_draft(
    stripe, refunds, amount, currency, said
):
    with pytest.raises(ToolRefused, match=said):
        await refunds.observe(a_refund(stripe.paid(), amount, currency))


async def test_a_refunded_authorized_or_unknown_payment_is_refused_in_the_draft(stripe, refunds):
    spent, held = stripe.paid(), stripe.paid(capture_method="manual")
    stripe.post("refunds", payment_intent=spent)

    for payment, said in [
        (spent, "all of it was refunded"),
        (held, "is authorized but not captured: cancel it instead"),
        ("pi_never", r"Stripe refused \(404\)"),
    ]:
        with pytest.raises(ToolRefused, match=said):
            await refunds.observe(a_refund(payment))


async def test_refunds_by_this_run_are_expected_and_refunds_by_others_are_not(stripe, refunds):
    payment = stripe.paid()
    first, second = a_refund(payment, 100), a_refund(payment, 150)
    seen = await refunds.observe(second)
    receipt = await refunds.act(first, "first")

    own = StepReceipt(**dict(receipt), tool="refund_payment")
    now = await refunds.observe(second)
    assert refunds.still_holds(second, seen, now, [own])
    assert not refunds.still_holds(second, seen, now, [])
    assert not refunds.still_holds(a_refund(payment, 150.01), seen, now, [own])

    stripe.post("refunds", payment_intent=payment, amount=1)
    now = await refunds.observe(a_refund(payment, 1))
    assert not refunds.still_holds(a_refund(payment, 1), seen, now, [own])


async def test_a_pending_refund_is_not_final_and_settles_or_is_reversed(stripe, refunds):
    payment = stripe.paid()
    stripe.control("pending", {"pending": True})
    receipt = await refunds.act(a_refund(payment), "pending")
    stripe.control("pending", {"pending": False})

    assert not receipt.final
    assert "may still fail" in receipt.summary
    assert await refunds.find_settlement(a_refund(payment), receipt, "pending") is None
    name = receipt.details["refund"]
    stripe.control(f"refunds/{name}", {"status": "succeeded"})
    settled = await refunds.find_settlement(a_refund(payment), receipt, "pending")
    assert settled == Settled(f"42.50 EUR was refunded ({name}).")
    stripe.control(f"refunds/{name}", {"status": "failed"})
    reversed_ = await refunds.find_settlement(a_refund(payment), receipt, "pending")
    assert reversed_ == Reversed("The refund of 42.50 EUR did not arrive: failed.")
    failed = f"Stripe could not refund the payment {payment}: failed."
    assert await refunds.find_out(a_refund(payment), "pending") == DidNotHappen(failed)


# ---- after the vendor has discarded the key -------------------------------------------------------


async def test_an_effect_is_found_by_its_metadata_on_all_pages_after_the_key_expired(stripe):
    payment = stripe.paid(amount=1_000_000)
    keys = {stripe_key(f"key {number}"): f"key {number}" for number in range(120)}
    for key in keys:
        stripe.post("refunds", payment_intent=payment, amount=4250, **{"metadata[plangate]": key})
    stripe.control("forget")
    # The server lists refunds of the same second in any order.
    first_page = [one["id"] for one in stripe.get("refunds", payment_intent=payment, limit=100)["data"]]
    wanted = next(one for one in stripe.refunds(payment) if one["id"] not in first_page)

    with FaultyServer(upstream=stripe.url) as counted:
        tool = RefundPayment.from_settings(stripe.settings(counted.url))
        found = await tool.find_out(a_refund(payment), keys[wanted["metadata"]["plangate"]])
        assert isinstance(found, Happened)
        assert found.receipt.details["refund"] == wanted["id"]
        assert counted.count("GET", "/v1/refunds") == 2


async def test_a_call_without_a_trace_may_be_repeated_only_while_the_vendor_keeps_the_key(
    stripe, refunds, payments
):
    customer, method = stripe.customer()

    for found in (
        await refunds.find_out(a_refund(stripe.paid()), "never"),
        await payments.find_out(a_payment(customer, method), "never"),
    ):
        assert isinstance(found, Repeatable)
        assert found.within is not None
        assert timedelta() < found.within < timedelta(hours=24)
        assert isinstance(found.later, NotFound)
        assert "plangate = plangate-" in found.later.reason


async def test_a_lookup_without_permission_rules_nothing_out(stripe):
    with FaultyServer(upstream=stripe.url) as server:
        tool = RefundPayment.from_settings(Settings(stripe_api_key="rk_test_x", stripe_api_base=server.url))
        found = await tool.find_out(a_refund("pi_1"), "key")

    assert isinstance(found, Repeatable)
    assert isinstance(found.later, Unknown)


# ---- payments -------------------------------------------------------------------------------------


async def test_a_payment_is_made_once_under_its_key_and_found_again(stripe, payments):
    customer, method = stripe.customer()
    arguments = a_payment(customer, method)
    tool = payments.having_observed(await payments.observe(arguments))

    first = await tool.act(arguments, "pay")

    assert await tool.act(arguments, "pay") == first
    assert await tool.find_out(arguments, "pay") == Happened(first)
    (made,) = stripe.payments(customer)
    assert (made["amount"], made["status"], made["id"]) == (4_250, "succeeded", first.details["payment"])
    assert first.final


async def test_the_preview_names_customer_and_card(stripe, payments):
    customer, method = stripe.customer()
    for more, said in [
        ({}, "Charge 42.50 EUR to"),
        ({"capture": "manual"}, "Authorize (not capture) 42.50 EUR of"),
    ]:
        arguments = a_payment(customer, method, **more)
        shown = payments.preview(arguments, await payments.observe(arguments))
        assert shown == f'{said} customer {customer} ("Kim Doe", kim@example.org), card ending 4242'


async def test_a_card_of_another_customer_is_refused_in_the_draft(stripe, payments):
    (customer, _), (_, other) = stripe.customer(), stripe.customer()

    with pytest.raises(ToolRefused, match="is not saved for the customer"):
        await payments.observe(a_payment(customer, other))


@pytest.mark.parametrize(
    ("number", "said"), [("4000000000000341", "card_declined"), ("4000002500003155", "confirm")]
)
async def test_a_declined_payment_is_refused_and_did_not_happen(stripe, payments, number, said):
    arguments = a_payment(*stripe.customer(number))

    for _ in range(2):
        with pytest.raises(ToolRefused, match=said):
            await payments.act(arguments, f"declined-{number}")

    found = await payments.find_out(arguments, f"declined-{number}")
    assert isinstance(found, DidNotHappen)
    assert "The payment was not made" in found.refusal


async def test_the_undo_cancels_an_authorized_payment(stripe, payments):
    customer, method = stripe.customer()
    arguments = a_payment(customer, method, capture="manual")
    receipt = await payments.act(arguments, "hold")
    assert not receipt.final
    assert await payments.find_settlement(arguments, receipt, "hold") is None
    assert isinstance(await payments.find_out_undo(arguments, receipt, "hold:undo"), Repeatable)

    await payments.undo(arguments, receipt, "hold:undo")

    (made,) = stripe.payments(customer)
    assert made["status"] == "canceled"
    assert isinstance(await payments.find_out_undo(arguments, receipt, "hold:undo"), Happened)
    assert isinstance(await payments.find_settlement(arguments, receipt, "hold"), Reversed)


async def test_the_undo_refunds_a_captured_payment_once(stripe, payments):
    customer, method = stripe.customer()
    arguments = a_payment(customer, method)
    receipt = await payments.act(arguments, "charge")
    assert isinstance(await payments.find_out_undo(arguments, receipt, "charge:undo"), Repeatable)

    undone = await payments.undo(arguments, receipt, "charge:undo")
    assert await payments.undo(arguments, receipt, "charge:undo") == undone

    (refund,) = stripe.refunds(str(receipt.details["payment"]))
    assert refund["amount"] == 4_250
    assert await payments.find_out_undo(arguments, receipt, "charge:undo") == Happened(undone)


def test_the_stand_in_lists_payments_as_stripe_does_in_their_current_state(stripe):
    customer, method = stripe.customer()
    fields = {"customer": customer, "payment_method": method, "amount": 4_250, "currency": "eur"}
    stripe.paid()
    made = [stripe.post("payment_intents", **fields)["id"] for _ in range(2)]
    assert [one["id"] for one in stripe.payments(customer)] == made[::-1]
    made.append(stripe.post("payment_intents", **fields)["id"])
    stripe.post(f"payment_intents/{made[0]}/cancel")

    first = stripe.get("payment_intents", customer=customer, limit=2)
    last = stripe.get("payment_intents", customer=customer, limit=2, starting_after=made[1])

    assert [[one["id"] for one in page["data"]] for page in (first, last)] == [made[:0:-1], made[:1]]
    assert [page["has_more"] for page in (first, last)] == [True, False]
    assert last["data"][0]["status"] == "canceled"


async def test_the_settlement_of_a_partly_captured_payment_states_the_paid_amount():
    kept = {"id": "pi_1", "object": "payment_intent", "amount": 4_250, "currency": "eur"}
    kept |= {"status": "succeeded", "amount_received": 1_000}
    receipt = Receipt(summary="Authorized", details={"payment": "pi_1"}, final=False)
    with FaultyServer(answer=lambda _request: Answer(200, kept)) as server:
        payments = CreatePayment.from_settings(Settings(stripe_api_key=KEY, stripe_api_base=server.url))
        found = await payments.find_settlement(a_payment("cus_1", "pm_1", capture="manual"), receipt, "hold")
    assert found == Settled("Of the payment of 42.50 EUR (pi_1), only 10.00 EUR was captured and is paid.")


async def test_an_answer_about_another_payment_or_card_is_not_shown_to_approvers():
    other = {"id": "pi_2", "status": "succeeded", "amount": 90_000, "currency": "eur", "customer": "cus_1"}
    with FaultyServer(answer=lambda _request: Answer(200, other)) as server:
        settings = Settings(stripe_api_key=KEY, stripe_api_base=server.url)
        with pytest.raises(ToolUnavailable, match="does not match the requested payment:"):
            await RefundPayment.from_settings(settings).observe(a_refund("pi_1"))
        with pytest.raises(ToolUnavailable, match="does not match the requested payment method:"):
            await CreatePayment.from_settings(settings).observe(a_payment("cus_1", "pm_1"))


# ---- settings and arguments -----------------------------------------------------------------------


def test_without_a_suitable_key_the_tools_report_the_setting():
    for tool in (RefundPayment, CreatePayment):
        assert "PLANGATE_STRIPE_API_KEY" in str(tool.from_settings(Settings()).lacks())
        public = tool.from_settings(Settings(stripe_api_key="pk_test_123")).lacks()
        assert "PLANGATE_STRIPE_API_KEY" in str(public)
        assert "pk_test_123" not in str(public)
        assert tool.from_settings(Settings(stripe_api_key="rk_test_123")).lacks() is None


def test_without_the_library_the_tools_say_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "stripe", None)  # as Python marks modules that cannot be imported

    for tool in (RefundPayment, CreatePayment):
        assert "pip install 'plangate[stripe]'" in str(
            tool.from_settings(Settings(stripe_api_key="rk_test_1")).lacks()
        )


@pytest.mark.parametrize(
    "base", ["http://stripe.example", "stripe.example", "https://u:p@stripe.example", "ftp://x", "https://"]
)
def test_the_key_is_not_sent_unencrypted(base):
    with pytest.raises(SettingsInvalid, match="PLANGATE_STRIPE_API_BASE"):
        RefundPayment.from_settings(Settings(stripe_api_key="sk_test_1", stripe_api_base=base))


async def test_an_answer_about_another_refund_leaves_the_step_in_doubt(stripe, refunds):
    payment = stripe.paid()
    await refunds.act(a_refund(payment), "fits")
    odd = {"id": "re_1", "amount": 4_251, "currency": "eur", "payment_intent": payment, "status": "succeeded"}

    with FaultyServer(answer=lambda _: Answer(200, odd)) as server:
        tool = RefundPayment.from_settings(stripe.settings(server.url))
        with pytest.raises(EffectUnknown, match="object, amount, metadata differ"):
            await tool.act(a_refund(payment), "odd")
