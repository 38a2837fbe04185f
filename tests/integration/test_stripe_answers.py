"""Responses from Stripe that do not match the request: nothing is concluded from them.

Each response is localstripe's own, with one change.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from activities.tools.stripe.effects import METADATA, stripe_key
from activities.tools.stripe.payment import CreatePayment, PaymentArguments
from activities.tools.stripe.refund import RefundArguments, RefundPayment
from plangate.domain.errors import EffectUnknown, ToolRefused, ToolUnavailable
from plangate.domain.plans.tool import Receipt
from plangate.settings import Settings
from plangate.tool import DidNotHappen, Happened, NotFound, Repeatable, Reversed, Settled, Unknown
from tests.support.faulty_server import Answer, FaultyServer, Request, forwarded
from tests.support.stripe_server import KEY, StripeServer, stripe_server
from tests.support.times import times

Edit = Callable[[Any], Any]
GONE = object()
WRONG: dict[str, list[Any]] = {
    "object": [GONE, None, "charge", 7, []],
    "id": [GONE, None, "", "xx_other", 7],
    "amount": [GONE, None, 1, 4_251, 4_250.0, "4250", True],
    "currency": [GONE, None, "usd", "EUR", 7],
    "payment_intent": [GONE, None, "pi_other", {"id": "pi_other"}],
}
INVALID_PAGES: list[Any] = [
    {},
    [],
    {"object": "list", "data": [], "has_more": True},
    {"object": "list", "data": None, "has_more": False},
    {"object": "list", "data": None, "has_more": True},
    {"object": "list", "data": []},
    {"object": "list", "data": [], "has_more": 0},
    {"object": "list", "has_more": False},
    {"object": "list", "data": {"0": {}}, "has_more": False},
    {"object": "list", "data": ["re_1", "re_2"], "has_more": True},
    {"object": "list", "data": [{"id": "re_1"}], "has_more": False},
    {"data": [], "has_more": False},
    {"object": "charge", "id": "ch_1", "refunded": True},
    {"object": "search_result", "data": [], "has_more": False},
    {"error": {"type": "api_error", "message": "down"}},
]


@dataclass
class AlteringProxy:
    """A proxy that changes a server's successful answers to a method and path."""

    upstream: str
    edits: dict[tuple[str, str], Edit] = field(default_factory=dict)

    def __call__(self, request: Request) -> Answer:
        answer = forwarded(self.upstream, request)
        edit = self.edits.get((request.method, request.path.split("/")[2]))
        if edit is None or answer.status != 200:
            return answer
        return Answer(200, edit(json.loads(answer.raw)))


@dataclass
class Shop:
    """Both tools, connected to localstripe through that proxy."""

    stripe: StripeServer
    proxy: AlteringProxy
    front: FaultyServer
    refunds: RefundPayment
    payments: CreatePayment
    settling: list[tuple[Any, Receipt]] = field(default_factory=list)

    def alter(self, method: str, path: str, edit: Edit) -> None:
        self.proxy.edits[method, path] = edit

    def posts(self) -> int:
        return self.front.count("POST")

    async def charged(self, key: str, **more: Any) -> tuple[PaymentArguments, Receipt]:
        arguments = a_payment(*self.stripe.customer(), **more)
        return arguments, await self.payments.act(arguments, key)

    async def refunded(self, key: str) -> tuple[RefundArguments, Receipt]:
        arguments = a_refund(self.stripe.paid())
        return arguments, await self.refunds.act(arguments, key)


@pytest.fixture(scope="module")
def shared_shop() -> Iterator[Shop]:
    with stripe_server() as stripe:
        proxy = AlteringProxy(stripe.url)
        with FaultyServer(answer=proxy) as front:
            given = stripe.settings(front.url)
            yield Shop(
                stripe,
                proxy,
                front,
                RefundPayment.from_settings(given),
                CreatePayment.from_settings(given),
            )


@pytest.fixture
def shop(shared_shop: Shop) -> Shop:
    shared_shop.proxy.edits.clear()
    shared_shop.front.reset_counts()
    return shared_shop


def a_refund(payment: str) -> RefundArguments:
    given = {"payment": payment, "amount": 42.5, "currency": "EUR"}
    return RefundArguments.model_validate_json(json.dumps(given))


def a_payment(customer: str, method: str, **more: Any) -> PaymentArguments:
    given = {"customer": customer, "payment_method": method, "amount": 42.5, "currency": "EUR", **more}
    return PaymentArguments.model_validate_json(json.dumps(given))


def with_(name: str, value: Any) -> Edit:
    """Return an edit that sets a field, or removes it."""

    def edit(answer: Any) -> Any:
        kept = {one: old for one, old in answer.items() if one != name}
        return kept if value is GONE else {**kept, name: value}

    return edit


def both(first: Edit, second: Edit) -> Edit:
    return lambda answer: second(first(answer))


def wrong(*names: str) -> Iterator[tuple[str, Edit]]:
    for name in names:
        for value in WRONG[name]:
            yield f"{name} {'gone' if value is GONE else value!r}", with_(name, value)


# ---- reading ------------------------------------------------------------------------------------


async def assert_unusable(shop: Shop, path: str, edits: Any, ask: Callable[[], Awaitable[Any]]) -> None:
    """Check that no such response to a read is used, and that none leads to a request."""
    before = shop.posts()
    for said, edit in edits:
        shop.alter("GET", path, edit)
        with pytest.raises(ToolUnavailable, match=r"does not match|cannot be used|not known"):
            pytest.fail(f"{said}: {await ask()}")
    assert shop.posts() == before
    shop.proxy.edits.clear()
    await ask()


async def test_a_settlement_is_used_only_for_the_requested_refund(shop: Shop) -> None:
    arguments, receipt = await shop.refunded("settles")
    edits = [*wrong("object", "id", "amount", "currency", "payment_intent")]
    for status in ("succeeded", "failed"):
        shop.stripe.control(f"refunds/{receipt.details['refund']}", {"status": status})
        await assert_unusable(
            shop, "refunds", edits, lambda: shop.refunds.find_settlement(arguments, receipt, "settles")
        )


@pytest.mark.parametrize("capture", ["automatic", "manual"])
async def test_a_payment_is_settled_and_undone_only_by_answers_about_it(shop: Shop, capture: str) -> None:
    arguments, receipt = await shop.charged(f"of {capture}", capture=capture)
    edits = [*wrong("object", "id", "amount", "currency")]
    edits += [(f"{said}, cancelled", both(edit, with_("status", "canceled"))) for said, edit in edits]
    tool, key = shop.payments, f"of {capture}:undo"
    for ask in (
        lambda: tool.find_settlement(arguments, receipt, key),
        lambda: tool.find_out_undo(arguments, receipt, key),
        lambda: tool.undo(arguments, receipt, key),
    ):
        await assert_unusable(shop, "payment_intents", edits, ask)


async def test_approvers_are_shown_only_the_payment_and_the_card_of_a_plan(shop: Shop) -> None:
    refund, charge = a_refund(shop.stripe.paid()), a_payment(*shop.stripe.customer())
    await assert_unusable(
        shop, "payment_intents", wrong("object", "id"), lambda: shop.refunds.observe(refund)
    )
    await assert_unusable(
        shop, "payment_methods", wrong("object", "id"), lambda: shop.payments.observe(charge)
    )


@pytest.mark.parametrize(
    "charge",
    [None, "ch_1", {}, {"amount_refunded": "0"}, {"amount_refunded": None}, {"amount_captured": 1.5}],
)
async def test_the_refundable_amount_is_not_guessed(shop: Shop, charge: Any) -> None:
    def edit(payment: Any) -> Any:
        is_changed = isinstance(charge, dict) and charge
        return {**payment, "latest_charge": {**payment["latest_charge"], **charge} if is_changed else charge}

    shop.alter("GET", "payment_intents", edit)
    with pytest.raises(ToolUnavailable, match="how much of the payment can be refunded"):
        await shop.refunds.observe(a_refund(shop.stripe.paid()))


async def test_a_disputed_payment_is_not_refunded(shop: Shop) -> None:
    payment = shop.stripe.paid()
    seen = await shop.refunds.observe(a_refund(payment))
    shop.alter(
        "GET",
        "payment_intents",
        lambda one: {**one, "latest_charge": {**one["latest_charge"], "disputed": True}},
    )
    with pytest.raises(ToolRefused, match=f"{payment} is disputed, so it cannot be refunded"):
        await shop.refunds.observe(a_refund(payment))
    assert isinstance(seen, dict)
    assert not shop.refunds.still_holds(a_refund(payment), seen, {**seen, "disputed": True}, ())


# ---- look-ups -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", INVALID_PAGES, ids=lambda one: json.dumps(one)[:50])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "second"])
async def test_an_answer_that_is_not_a_page_of_the_list_rules_nothing_out(
    shop: Shop, page: Any, is_first: bool
) -> None:
    refund, charge = a_refund(shop.stripe.paid()), a_payment(*shop.stripe.customer())
    other = {"id": "xx_1", "metadata": {}}
    of_refunds = {**other, "object": "refund", "payment_intent": refund.payment}
    of_payments = {**other, "object": "payment_intent", "customer": charge.customer}

    looks_up: list[tuple[str, Any, Callable[[], Awaitable[Any]]]] = [
        ("refunds", of_refunds, lambda: shop.refunds.find_out(refund, "never")),
        ("payment_intents", of_payments, lambda: shop.payments.find_out(charge, "never")),
    ]
    for path, entry, ask in looks_up:
        pages = iter([{"object": "list", "data": [entry], "has_more": True}, page])
        shop.alter("GET", path, lambda _: page if is_first else next(pages))  # noqa: B023  called immediately
        with pytest.raises(ToolUnavailable, match=r"cannot be used|could not be parsed"):
            pytest.fail(str(await ask()))


@pytest.mark.parametrize("name", ["object", "payment_intent"])
async def test_a_list_of_other_objects_rules_nothing_out(shop: Shop, name: str) -> None:
    arguments, _ = await shop.refunded(f"list of other {name}")
    for _, edit in wrong(name):
        shop.alter("GET", "refunds", lambda page: {**page, "data": [edit(one) for one in page["data"]]})  # noqa: B023
        for key in (f"list of other {name}", "never"):
            with pytest.raises(ToolUnavailable, match="not requested"):
                await shop.refunds.find_out(arguments, key)


@pytest.mark.parametrize("name", ["amount", "currency"])
async def test_an_object_with_the_key_and_another_amount_leaves_the_step_in_doubt(
    shop: Shop, name: str
) -> None:
    refund, _ = await shop.refunded(f"refund of another {name}")
    charge, _ = await shop.charged(f"charge of another {name}")
    for _, edit in wrong(name):
        for path in ("refunds", "payment_intents"):
            shop.alter("GET", path, lambda page: {**page, "data": [edit(one) for one in page["data"]]})  # noqa: B023
        for found in (
            await shop.refunds.find_out(refund, f"refund of another {name}"),
            await shop.payments.find_out(charge, f"charge of another {name}"),
        ):
            assert isinstance(found, Unknown)
            assert f"has this key, but a different {name}. Look for plangate = plangate-" in found.reason


async def test_a_list_longer_than_the_limit_rules_nothing_out() -> None:
    """A complete list proves that the effect did not happen, once no earlier request can still arrive."""
    asked: list[str] = []
    entry = {"object": "refund", "payment_intent": "pi_1", "metadata": {}}

    def endless(request: Request) -> Answer:
        asked.append(request.query)
        data = [{**entry, "id": f"re_{len(asked)}"}]
        return Answer(200, {"object": "list", "data": data, "has_more": len(asked) < pages})

    for pages, kind in ((1_000, Unknown), (3, NotFound)):
        asked.clear()
        with FaultyServer(answer=endless) as server:
            tool = RefundPayment.from_settings(Settings(stripe_api_key=KEY, stripe_api_base=server.url))
            found = await tool.find_out(a_refund("pi_1"), "key")
        assert isinstance(found, Repeatable)
        assert type(found.later) is kind
        assert len(asked) == min(pages, 50)
        assert "starting_after=re_2" in asked[2]


# ---- changes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["object", "id", "amount", "currency", "payment_intent", "metadata"])
async def test_an_answer_about_another_refund_leaves_the_refund_in_doubt(shop: Shop, name: str) -> None:
    values = [*WRONG[name]] if name in WRONG else [GONE, {}, {METADATA: "other"}, "x"]
    values = values if name != "id" else [GONE, None, "", 7]  # any other object may be the new refund
    arguments = a_refund(shop.stripe.paid(amount=100_000))
    for value in values:
        shop.alter("POST", "refunds", with_(name, value))
        with pytest.raises(EffectUnknown, match=r"does not match|could not be parsed"):
            pytest.fail(f"{value!r}: {await shop.refunds.act(arguments, f'refund by {name}')}")
    assert isinstance(await shop.refunds.find_out(arguments, f"refund by {name}"), Happened)
    assert len(shop.stripe.refunds(arguments.payment)) == 1


@pytest.mark.parametrize("name", ["object", "id", "amount", "currency", "customer", "metadata", "status"])
async def test_an_answer_about_another_payment_leaves_the_payment_in_doubt(shop: Shop, name: str) -> None:
    more = {"customer": [GONE, None, "cus_other"], "metadata": [GONE, {}], "status": [GONE, None, "new", 7]}
    values = [GONE, None, "", 7] if name == "id" else {**WRONG, **more}[name]
    arguments = a_payment(*shop.stripe.customer())
    for value in values:
        shop.alter("POST", "payment_intents", with_(name, value))
        with pytest.raises(EffectUnknown, match=r"does not match|is not known|could not be parsed"):
            pytest.fail(f"{value!r}: {await shop.payments.act(arguments, f'pay by {name}')}")
    assert isinstance(await shop.payments.find_out(arguments, f"pay by {name}"), Happened)
    assert len(shop.stripe.payments(arguments.customer)) == 1


# In these two, the undo reads the payment as it was before its first attempt.


@pytest.mark.parametrize("name", ["object", "id", "amount", "currency", "status"])
async def test_an_undo_cancels_only_what_stripe_reports_as_cancelled(shop: Shop, name: str) -> None:
    arguments, receipt = await shop.charged(f"hold by {name}", capture="manual")
    for value in [GONE, None, "requires_capture", "succeeded"] if name == "status" else WRONG[name]:
        shop.alter("POST", "payment_intents", with_(name, value))
        shop.alter("GET", "payment_intents", with_("status", "requires_capture"))
        with pytest.raises(
            EffectUnknown, match=r"does not match the requested cancellation|could not be parsed"
        ):
            pytest.fail(f"{value!r}: {await shop.payments.undo(arguments, receipt, f'cancel by {name}')}")
    shop.proxy.edits.clear()
    assert isinstance(await shop.payments.find_out_undo(arguments, receipt, f"cancel by {name}"), Happened)


@pytest.mark.parametrize("name", ["object", "id", "amount", "currency", "payment_intent", "metadata"])
async def test_an_undo_refunds_only_what_stripe_reports_as_refunded(shop: Shop, name: str) -> None:
    more = {"metadata": [GONE, {}], "id": [GONE, None, "", 7]}
    arguments, receipt = await shop.charged(f"charge by {name}")
    before = shop.stripe.get(f"payment_intents/{receipt.details['payment']}", **{"expand[]": "latest_charge"})
    for value in {**WRONG, **more}[name]:
        shop.alter("POST", "refunds", with_(name, value))
        shop.alter("GET", "payment_intents", lambda _: before)
        with pytest.raises(EffectUnknown, match=r"does not match the requested refund|could not be parsed"):
            pytest.fail(f"{value!r}: {await shop.payments.undo(arguments, receipt, f'undo by {name}')}")
    shop.proxy.edits.clear()
    found = await shop.payments.find_out_undo(arguments, receipt, f"undo by {name}")
    assert found == Happened(await shop.payments.undo(arguments, receipt, f"undo by {name}"))


async def test_a_partial_refund_leaves_the_undo_in_doubt(shop: Shop) -> None:
    arguments, receipt = await shop.charged("half")
    fields = {"metadata[plangate]": stripe_key("half:undo"), "amount": 100}
    shop.stripe.post("refunds", payment_intent=receipt.details["payment"], **fields)

    found = await shop.payments.find_out_undo(arguments, receipt, "half:undo")

    assert isinstance(found, Unknown)
    assert "1.00 EUR of the payment" in found.reason
    assert "41.50 EUR of it was not" in found.reason


async def test_an_undo_refunds_the_remaining_amount(shop: Shop) -> None:
    arguments, receipt = await shop.charged("left")
    shop.stripe.post("refunds", payment_intent=receipt.details["payment"], amount=1_000)

    undone = await shop.payments.undo(arguments, receipt, "left:undo")

    assert undone.summary.startswith("Refunded 32.50 EUR")
    assert await shop.payments.find_out_undo(arguments, receipt, "left:undo") == Happened(undone)


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_an_undo_whose_refund_failed_is_refused(shop: Shop, status: str) -> None:
    arguments, receipt = await shop.charged(f"back {status}")
    undone = await shop.payments.undo(arguments, receipt, f"back {status}:undo")
    shop.stripe.control(f"refunds/{undone.details['refund']}", {"status": status})

    found = await shop.payments.find_out_undo(arguments, receipt, f"back {status}:undo")

    assert isinstance(found, DidNotHappen)
    assert "could not refund the payment" in found.refusal


@pytest.mark.parametrize(
    ("status", "said"),
    [("processing", "still being processed"), ("new", "reports new"), (None, "nothing")],
)
async def test_a_payment_in_no_final_state_is_undone_later(shop: Shop, status: Any, said: str) -> None:
    arguments, receipt = await shop.charged(f"in {status}")
    shop.alter("GET", "payment_intents", with_("status", status))
    before = shop.posts()
    with pytest.raises(ToolUnavailable, match=said):
        await shop.payments.undo(arguments, receipt, f"in {status}:undo")
    assert shop.posts() == before


# ---- the meaning of a status --------------------------------------------------------------------

REFUND_ENDS: Mapping[Any, type] = {"succeeded": Settled, "failed": Reversed, "canceled": Reversed}
PAYMENT_ENDS: Mapping[Any, type] = {
    "succeeded": Settled,
    "canceled": Reversed,
    "requires_payment_method": Reversed,
}
OPEN = st.sampled_from([
    "pending", "processing", "requires_action", "requires_capture", "requires_confirmation",
    GONE, None, 7, [], {}, True, "", "Failed", "failed ", "cancelled", "canceled\n", "brand_new",
])  # fmt: skip
STATUSES = st.one_of(st.sampled_from([*REFUND_ENDS, *PAYMENT_ENDS]), OPEN, st.text(max_size=20))


@settings(max_examples=times(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STATUSES)
@example("failed")
@example("canceled")
@example("requires_payment_method")
@example("requires_action")
@example(GONE)
async def test_only_states_documented_by_stripe_as_final_are_final(shop: Shop, status: Any) -> None:
    """In all other states, the effect is looked up again."""
    if not shop.settling:
        shop.settling += [await shop.refunded("refund ends"), await shop.charged("charge ends")]
    (refund, refunded), (charge, charged) = shop.settling
    for path in ("refunds", "payment_intents"):
        shop.alter("GET", path, with_("status", status))
    known = status if isinstance(status, str) else None
    assert isinstance(
        await shop.refunds.find_settlement(refund, refunded, "ends"), REFUND_ENDS.get(known, type(None))
    )
    assert isinstance(
        await shop.payments.find_settlement(charge, charged, "ends"), PAYMENT_ENDS.get(known, type(None))
    )
    shop.proxy.edits.clear()


@pytest.mark.parametrize("status", ["canceled", "requires_payment_method", "requires_action"])
async def test_a_payment_that_failed_before_it_was_looked_up_is_refused(shop: Shop, status: str) -> None:
    charge, _ = await shop.charged(f"failed as {status}")
    shop.alter(
        "GET",
        "payment_intents",
        lambda page: {**page, "data": [{**one, "status": status} for one in page["data"]]},
    )
    found = await shop.payments.find_out(charge, f"failed as {status}")
    assert isinstance(found, DidNotHappen)
    assert found.refusal.startswith("The payment was not made: ")
