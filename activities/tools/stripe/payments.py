"""The details of a payment for the approver, and for the check just before a refund. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from pydantic import BaseModel, JsonValue

from activities.tools.stripe.minor_units import from_minor
from activities.tools.stripe.payers import person_in_words
from plangate.domain.errors import EffectUnknown, ToolUnavailable
from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.money import in_words
from plangate.domain.plans.tool import StepReceipt

PAYMENT: Final = "payment_intent"
REFUND: Final = "refund"
"""Stripe's names for its objects."""
SUCCEEDED: Final = "succeeded"
FAILED_REFUND_STATES: Final = frozenset({"failed", "canceled"})
"""The states of a failed refund."""
REFUND_TOOL: Final = "refund_payment"
_MAX_TEXT: Final = 100
_STATUS_TEXTS: Final = {
    "canceled": "was cancelled",
    "processing": "is still being processed",
    "requires_action": "waits for its customer to confirm it",
    "requires_capture": "is authorized but not captured: cancel it instead",
    "requires_confirmation": "was never confirmed",
    "requires_payment_method": "has failed or was never paid",
}
Json = Mapping[str, Any]


class PaymentReceipt(BaseModel):
    """The details of a payment that was made."""

    payment: str
    status: str
    amount: str
    currency: str


class RefundReceipt(BaseModel):
    """The details of a refund that was made."""

    refund: str
    payment: str
    status: str
    amount: str
    currency: str


def short_text(value: object) -> str:
    """Return a text from Stripe as one short line; empty if it is not text."""
    return cut(one_line(value), _MAX_TEXT) if isinstance(value, str) else ""


def status_of(entity: Json) -> str:
    """Return the status of a payment or a refund; empty if it is not text."""
    status = entity.get("status")
    return status if isinstance(status, str) else ""


def amount_in_words(entity: Json) -> str:
    """Return the amount of a Stripe payment or refund: ``42.50 EUR``."""
    currency = short_text(entity.get("currency")).upper()
    return in_words(from_minor(int(entity["amount"]), currency), currency)


def details_of(entity: Json, name: str) -> dict[str, JsonValue]:
    """Return the details of the receipt of a payment or a refund, with its id under ``name``."""
    currency = short_text(entity.get("currency")).upper()
    return {
        name: short_text(entity.get("id")),
        "status": short_text(entity.get("status")),
        "amount": str(from_minor(int(entity["amount"]), currency)),
        "currency": currency,
    }


def why(refund: Json) -> str:
    """Return the reason for a failed refund, in Stripe's words."""
    return (short_text(refund.get("failure_reason")) or short_text(refund.get("status"))).replace("_", " ")


def not_refunded(refund: Json) -> str:
    """Return the error for a failed refund, with the reason."""
    return f"Stripe could not refund the payment {short_text(refund.get('payment_intent'))}: {why(refund)}."


def payment_seen(payment: Json) -> dict[str, JsonValue]:
    """Return the state that a refund relies on: status, amounts and currency, payment method and time."""
    currency = short_text(payment.get("currency")).upper()
    charge = _charge(payment)
    paid, left = units_of(payment)
    seen: dict[str, JsonValue] = {
        "payment": short_text(payment.get("id")),
        "status": short_text(payment.get("status")),
        "paid": str(from_minor(paid, currency)),
        "refundable": str(from_minor(left, currency)),
        "currency": currency,
        "by": instrument(payment.get("payment_method")) or instrument(charge.get("payment_method_details")),
        "on": _day(payment.get("created")),
    }
    payer = _payer(payment, charge)
    seen = {**seen, "payer": payer} if payer else seen
    return {**seen, "disputed": True} if charge.get("disputed") else seen


def _payer(payment: Json, charge: Json) -> str:
    """Return the payer as recorded at Stripe: a name if there is one, else an email address or a description.

    The details of this payment are preferred to those of the customer, who may have several cards.
    """
    billed = [_part(whole, "billing_details") for whole in (charge, _part(payment, "payment_method"))]
    customer = _part(payment, "customer")
    known = (
        *(one.get("name") for one in (*billed, customer)),
        *(one.get("email") for one in billed),
        *(one.get("receipt_email") for one in (payment, charge)),
        customer.get("email"),
        customer.get("description"),
    )
    return next((text for text in (short_text(one).strip() for one in known) if text), "")


def units_of(payment: Json) -> tuple[int, int]:
    """Return how much of a payment was captured and how much of that is not refunded, in Stripe's units.

    Raises:
        ToolUnavailable: an amount is missing or not a whole number; or the payment has succeeded, but its
            charge, which contains the refunded amount, is missing.
    """
    charge = _charge(payment)
    captured = charge.get("amount_captured", payment.get("amount_received", payment.get("amount")))
    refunded = charge.get("amount_refunded", 0)
    is_known = bool(charge) or status_of(payment) != SUCCEEDED
    if not is_known or type(captured) is not int or type(refunded) is not int:
        raise ToolUnavailable("Stripe's answer does not say how much of the payment can be refunded.")
    paid = captured if charge.get("captured", True) else 0
    return paid, paid - refunded


def earlier_amount(refund: Json, paid: int) -> int:
    """Return the amount of a refund by an earlier request, if it is plausible; otherwise 0."""
    amount = refund.get("amount")
    return amount if type(amount) is int and 0 < amount <= paid else 0


def _charge(payment: Json) -> Json:
    return _part(payment, "latest_charge")


def _part(whole: Json, name: str) -> Json:
    """Return an object within another; empty if it is missing or was not expanded."""
    part = whole.get(name)
    return part if isinstance(part, Mapping) else {}


def instrument(method: object) -> str:
    """Return ``card ending 4242`` or ``sepa debit ending 3000``; empty if it is not known."""
    if not isinstance(method, Mapping):
        return ""
    kind = short_text(method.get("type"))
    details = method.get(kind)
    last = short_text(details.get("last4")) if isinstance(details, Mapping) else ""
    named = kind.replace("_", " ")
    return f"{named} ending {last}" if last else named


def seen_in_words(seen: Json) -> str:
    """Return ``250.00 EUR, "Ana Perez", card ending 4242, 3 May 2026``, with any earlier refunds."""
    currency, paid, left = str(seen["currency"]), Decimal(seen["paid"]), Decimal(seen["refundable"])
    payer = person_in_words(str(seen["payer"])) if seen.get("payer") else ""
    parts = [in_words(paid, currency), payer, str(seen["by"]), str(seen["on"])]
    if left != paid:
        parts.append(f"{in_words(left, currency)} of it not yet refunded")
    return ", ".join(part for part in parts if part)


def refund_objection(amount: Decimal, currency: str, seen: Json) -> str | None:
    """Return the reason why a payment cannot be refunded in this way, or None."""
    payment, paid_in, left = seen["payment"], str(seen["currency"]), Decimal(seen["refundable"])
    if seen["status"] != SUCCEEDED:
        status = str(seen["status"])
        return f"The payment {payment} cannot be refunded: it {_STATUS_TEXTS.get(status, f'is {status}')}."
    if currency != paid_in:
        return f"The payment {payment} was made in {paid_in}, so it cannot be refunded in {currency}."
    if seen.get("disputed"):
        return f"The payment {payment} is disputed, so it cannot be refunded: answer the dispute instead."
    if amount > left:
        rest = f"only {in_words(left, currency)} of it is left" if left > 0 else "all of it was refunded"
        return f"{in_words(amount, currency)} of the payment {payment} cannot be refunded: {rest}."
    return None


def refund_still_holds(
    amount: Decimal, currency: str, seen: Json, now: Json, receipts: Sequence[StepReceipt]
) -> bool:
    """Return whether only this run's refunds have changed the payment, and enough is left.

    A change of the payer's name does not matter, because the money goes back to the payment method.
    """
    own = sum(
        (
            Decimal(str(one.details["amount"]))
            for one in receipts
            if one.tool == REFUND_TOOL and one.details["payment"] == seen["payment"]
        ),
        Decimal(0),
    )
    is_same = Decimal(seen["refundable"]) - own == Decimal(now["refundable"])
    then, rest = (
        {name: value for name, value in one.items() if name not in ("refundable", "payer")}
        for one in (seen, now)
    )
    return is_same and rest == then and refund_objection(amount, currency, now) is None


def mismatches(value: Json, expected: Mapping[str, object]) -> list[str]:
    """Return the fields in which a Stripe object differs from the expected one: 4250.0 is not 4250."""
    return [
        name
        for name, required in expected.items()
        if type(value.get(name)) is not type(required) or value.get(name) != required
    ]


def check_result(value: Json, name: str, expected: Mapping[str, object]) -> None:
    """Check that Stripe's result matches the request.

    Raises:
        EffectUnknown: the response describes something else.
    """
    message = _mismatch(value, name, expected)
    if message:
        raise EffectUnknown(message)


def check_response(value: Json, name: str, expected: Mapping[str, object]) -> None:
    """Check that Stripe's response is about the requested object.

    Raises:
        ToolUnavailable: it is about another object.
    """
    message = _mismatch(value, name, expected)
    if message:
        raise ToolUnavailable(message)


def _mismatch(value: Json, name: str, expected: Mapping[str, object]) -> str:
    differing = mismatches(value, expected) + ([] if short_text(value.get("id")) else ["id"])
    differ = f"{', '.join(differing)} {'differs' if len(differing) == 1 else 'differ'}"
    return f"Stripe's answer does not match the requested {name}: {differ}." if differing else ""


def _day(created: object) -> str:
    if not isinstance(created, int):
        return ""
    try:
        day = datetime.fromtimestamp(created, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return f"{day.day} {day:%B %Y}"
