"""The states of a payment at Stripe, and their meaning for the step, its receipt and its undo. Pure."""

from typing import Final

from pydantic import JsonValue

from activities.tools.stripe.payments import (
    SUCCEEDED,
    Json,
    amount_in_words,
    details_of,
    short_text,
    status_of,
)
from plangate.domain.plans.tool import Receipt

MADE: Final = frozenset({SUCCEEDED, "processing", "requires_capture"})
BEFORE_CAPTURE: Final = frozenset({
    "requires_action", "requires_capture", "requires_confirmation", "requires_payment_method",
})  # fmt: skip
CANCELED: Final = "canceled"
FAILED: Final = {CANCELED: "was cancelled", "requires_payment_method": "failed"}
"""The states of a payment that has failed, as Stripe documents them."""
NOT_MADE: Final = frozenset({*FAILED, "requires_action", "requires_confirmation"})


def receipt_of(payment: Json) -> Receipt:
    """Return the receipt of a payment that was made."""
    details, amount = details_of(payment, "payment"), amount_in_words(payment)
    status, named = details["status"], details["payment"]
    summary = {
        SUCCEEDED: f"Charged {amount} ({named})",
        "requires_capture": f"Authorized {amount} ({named}); not captured yet",
    }.get(str(status), f"Charged {amount} ({named}); still processed, so it may fail")
    return Receipt(summary=summary, details=details, final=status == SUCCEEDED)


def not_made(payment: Json) -> str:
    """Return the error for a payment that was not made."""
    status, named = short_text(payment.get("status")), short_text(payment.get("id"))
    if status == "requires_action":
        return f"The payment was not made: its customer would have to confirm it ({named})."
    return f"The payment was not made: its status at Stripe is {status.replace('_', ' ')} ({named})."


def unknown_status(payment: Json) -> str:
    """Return the error for a payment status without a known meaning."""
    status = short_text(payment.get("status")) or "nothing"
    return f"The status of the payment {short_text(payment.get('id'))} is not known: Stripe reports {status}."


def cancelled(payment: str) -> Receipt:
    """Return the receipt for an undo that cancelled the payment."""
    return Receipt(summary=f"Cancelled the payment {payment}", details={"payment": payment})


def undone(payment: str, refund: Json) -> Receipt:
    """Return the receipt for an undo that refunded the payment."""
    details: dict[str, JsonValue] = {"payment": payment, "refund": short_text(refund.get("id"))}
    is_final = status_of(refund) == SUCCEEDED
    return Receipt(
        summary=f"Refunded {amount_in_words(refund)} of payment {payment}", details=details, final=is_final
    )


def expiry(details: Json) -> str:
    """Return when a card expires, such as ``2030-12``; empty if it is not known."""
    month, year = details.get("exp_month"), details.get("exp_year")
    return f"{year}-{month:02d}" if isinstance(month, int) and isinstance(year, int) else ""
