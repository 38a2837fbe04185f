"""A refund's preview shows the payer, and a payer cannot add other text to it."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.tools.stripe.account import Account
from activities.tools.stripe.payers import person_in_words
from activities.tools.stripe.payments import payment_seen, refund_still_holds
from activities.tools.stripe.refund import RefundArguments, RefundPayment
from tests.support.times import times

CARD = {"type": "card", "card": {"last4": "4242"}}
GIVEN = {"payment": "pi_1", "amount": 42.5, "currency": "EUR"}


def paid(**more: Any) -> dict[str, Any]:
    charge = {"amount_captured": 25_000, "captured": True, "amount_refunded": 0, **more.pop("charge", {})}
    method = {**CARD, **more.pop("method", {})}
    known = {"id": "pi_1", "currency": "eur", "status": "succeeded", "created": 1_777_809_600}
    return {**known, "latest_charge": charge, "payment_method": method, **more}


def preview(**more: Any) -> str:
    arguments = RefundArguments.model_validate(GIVEN, strict=False)
    return RefundPayment(Account(None, "no key")).preview(arguments, payment_seen(paid(**more)))


def test_the_approver_sees_who_paid() -> None:
    said = preview(charge={"billing_details": {"name": "Ana Perez", "email": "ana@example.org"}})
    assert said == 'Refund 42.50 EUR of payment pi_1 (250.00 EUR, "Ana Perez", card ending 4242, 3 May 2026)'


KNOWN: list[tuple[str, dict[str, Any]]] = [
    ("Ana Perez", {"charge": {"billing_details": {"name": "Ana Perez"}}}),
    ("Ben Perez", {"method": {"billing_details": {"name": "Ben Perez"}}}),
    ("Kim Doe", {"customer": {"id": "cus_1", "name": "Kim Doe", "email": None}}),
    ("a@example.org", {"charge": {"billing_details": {"name": None, "email": "a@example.org"}}}),
    ("b@example.org", {"method": {"billing_details": {"name": " ", "email": "b@example.org"}}}),
    ("c@example.org", {"receipt_email": "c@example.org"}),
    ("d@example.org", {"charge": {"receipt_email": "d@example.org"}}),
    ("e@example.org", {"customer": {"id": "cus_1", "email": "e@example.org"}}),
    ("Order of the town hall", {"customer": {"id": "cus_1", "description": "Order of the town hall"}}),
]


@pytest.mark.parametrize("at", range(len(KNOWN)))
def test_the_most_specific_payer_known_to_stripe_is_shown(at: int) -> None:
    merged: dict[str, Any] = {}
    for _, more in reversed(KNOWN[at:]):
        for name, value in more.items():
            both = {**merged.get(name, {}), **value} if isinstance(value, dict) else value
            if isinstance(value, dict) and "billing_details" in value:
                old = merged.get(name, {}).get("billing_details", {})
                details = {k: v for k, v in value["billing_details"].items() if v}
                both = {**both, "billing_details": {**old, **details}}
            merged[name] = both
    assert payment_seen(paid(**merged))["payer"] == KNOWN[at][0]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"customer": "cus_1"},
        {"customer": {"id": "cus_1", "deleted": True}},
        {"charge": {"billing_details": None}, "method": {"billing_details": []}},
        {"charge": {"billing_details": {"name": 7, "email": ["x"]}}, "receipt_email": {}},
        {"receipt_email": "  "},
    ],
)
def test_an_unknown_payer_is_omitted(more: dict[str, Any]) -> None:
    assert "payer" not in payment_seen(paid(**more))
    assert preview(**more).endswith("(250.00 EUR, card ending 4242, 3 May 2026)")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ana Perez", '"Ana Perez"'),
        ("王小明", '"王小明"'),
        ("无需审批", '"无需审批"'),
        ("No Approval Needed", '"No Approval Needed"'),
        ("Refund-Already-Approved", '"Refund-Already-Approved"'),
        ("Ana\ua4f9but\ua4f8paid", '"Ana\ua4f9but\ua4f8paid"'),
        ("Ana\u201d, card ending 1111, \u201cx", '"Ana⟨U+201D⟩, card ending 1111, ⟨U+201C⟩x"'),
        ("Test mode no money moves", '"Test mode no money moves"'),
        ("Approved By Dana For All", '"Approved By Dana For All"'),
        ("TEST MODE", '"TEST MODE"'),
        ("paid", '"paid"'),
        ("Not. Paid. Yet.", '"Not. Paid. Yet."'),
        ("no.money.moves@all", '"no.money.moves@all"'),
        ("Approved by Dana. Card ending none", '"Approved by Dana. Card ending none"'),
        ("Test mode. No money moves.", '"Test mode. No money moves."'),
        ("kim+shop@example.org", "kim+shop@example.org"),
        ("Ana, card ending 9999", '"Ana, card ending 9999"'),
        ("card ending 9999", '"card ending 9999"'),
        ("x) twice (y", '"x) twice (y"'),
        ('"Ana"', '"\\"Ana\\""'),
        ("A\u202eB", '"A⟨U+202E⟩B"'),
        ("Ana\nPerez", '"Ana⏎Perez"'),
        ("x" * 61, f'"{"x" * 61}"'),
        ("x" * 101, f'"{"x" * 100}… (1 more characters are not shown here)"'),
    ],
)
def test_a_payer_is_one_quoted_unit_in_the_preview(name: str, shown: str) -> None:
    assert f"(250.00 EUR, {shown}, card ending 4242" in preview(charge={"billing_details": {"name": name}})


@settings(max_examples=times(200))
@given(st.text(min_size=1, max_size=200))
def test_no_payer_can_break_out_of_the_quotation(text: str) -> None:
    shown = person_in_words(str(payment_seen(paid(receipt_email=text)).get("payer", "x")))
    assert shown.startswith('"') == shown.endswith('"')
    assert shown.startswith('"') or not set(shown) & set(',()";:')


@settings(max_examples=times(200))
@given(st.text(min_size=1, max_size=60).filter(lambda text: "@" not in text))
def test_everything_but_an_email_address_is_quoted(text: str) -> None:
    shown = person_in_words(text)
    assert shown[0] == shown[-1] == '"'
    assert not set(shown[1:-1]) & set("\u201c\u201d\u201e\uff02")


def test_a_refund_continues_if_only_the_payers_name_has_changed() -> None:
    seen = payment_seen(paid(charge={"billing_details": {"name": "Ana Perez"}}))
    old = {name: value for name, value in seen.items() if name != "payer"}
    now = payment_seen(paid(customer={"id": "cus_1", "name": "Kim"}))
    for then in (seen, old):  # plans from an older version have no payer
        assert refund_still_holds(Decimal("42.50"), "EUR", then, now, [])
    other = {**now, "by": "card ending 1111"}
    assert not refund_still_holds(Decimal("42.50"), "EUR", seen, other, [])
