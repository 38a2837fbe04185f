"""The tool `create_payment`: charge a payment method that a customer has saved at Stripe.

The customer is not there to confirm anything: a payment that asks for that is refused. The undo cancels what
was only authorized, and refunds what was captured.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from activities.tools.stripe.account import Account
from activities.tools.stripe.effects import SETTLES_WITHIN, changed, find, marked, read, stripe_key
from activities.tools.stripe.minor_units import check_amount, to_minor
from activities.tools.stripe.payments import (
    ENDED_BADLY,
    SUCCEEDED,
    PaymentReceipt,
    amount_in_words,
    details_of,
    instrument,
    returned,
    why,
    word,
)
from plangate.domain.errors import ToolRefused, ToolUnavailable
from plangate.domain.money import in_words, one_currency
from plangate.domain.tool import Receipt, RetrySafety, ToolArguments, ToolDeclaration
from plangate.settings import Settings
from plangate.tool import DidNotHappen, EffectStatus, Happened, Reversed, Settled, same_observation

if TYPE_CHECKING:
    from activities.tools.stripe.client import Json

_MADE: Final = frozenset({SUCCEEDED, "processing", "requires_capture"})
_BEFORE_CAPTURE: Final = frozenset({
    "requires_action", "requires_capture", "requires_confirmation", "requires_payment_method",
})  # fmt: skip
_CANCELED: Final = "canceled"


class PaymentArguments(ToolArguments):
    """One payment, as the approver sees it."""

    customer: str = Field(
        pattern=r"^cus_[A-Za-z0-9_]{1,250}$", description="Stripe's id of the customer; it begins with cus_"
    )
    payment_method: str = Field(
        pattern=r"^(pm|card|src|ba)_[A-Za-z0-9_]{1,250}$",
        description="Stripe's id of a saved payment method of that customer; it begins with pm_",
    )
    amount: Decimal = Field(description="how much to charge, in the currency: 42.50, not 4250")
    currency: Annotated[str, AfterValidator(one_currency)] = Field(description="such as EUR")
    capture: Literal["automatic", "manual"] = Field(
        default="automatic", description="manual only authorizes the amount; somebody captures it later"
    )

    @model_validator(mode="after")
    def _can_be_paid(self) -> Self:
        check_amount(self.amount, self.currency)
        return self


class CreatePayment:
    """Charges a saved payment method, or authorizes an amount on it."""

    declaration: ClassVar[ToolDeclaration] = ToolDeclaration(
        name="create_payment",
        description="Charge a payment method that a customer has saved at Stripe.",
        arguments=PaymentArguments,
        identifying=("customer", "amount", "currency"),
        retry_safety=RetrySafety.VENDOR_KEY,
        seconds=60,
        undoable=True,
        receipt=PaymentReceipt,
    )

    def __init__(self, account: Account, seen: JsonValue = None) -> None:
        self._account = account
        self._seen = seen

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build the tool for the account of the settings.

        Raises:
            SettingsInvalid: the address of the API cannot be used.
        """
        return cls(Account.from_settings(settings))

    def having_observed(self, seen: JsonValue) -> "CreatePayment":
        """Return the tool for a step whose payment method was observed when its plan was drafted."""
        return CreatePayment(self._account, seen)

    @property
    def settles_within(self) -> timedelta:
        """How long a payment may be processed, or stay authorized."""
        return SETTLES_WITHIN

    def lacks(self) -> str | None:
        """Return what is missing: the key, or the library."""
        return self._account.lack

    def objection(self, arguments: PaymentArguments) -> str | None:  # noqa: ARG002  the same for all
        """Return None: no setting forbids a payment."""
        return None

    def preview(self, arguments: PaymentArguments, observation: JsonValue) -> str:
        """Return ``Charge 42.50 EUR to customer cus_1 (Kim Doe, kim@example.org), card ending 4242``."""
        amount = in_words(arguments.amount, arguments.currency)
        does = "Charge {} to" if arguments.capture == "automatic" else "Authorize (not capture) {} of"
        seen = observation if isinstance(observation, dict) else {}
        known = ", ".join(str(seen[name]) for name in ("name", "email") if seen.get(name))
        who = f"{arguments.customer} ({known})" if known else arguments.customer
        by = seen.get("by") or arguments.payment_method
        return f"{does.format(amount)} customer {who}, {by}"

    async def observe(self, arguments: PaymentArguments) -> JsonValue:
        """Return whose payment method it is, and what can be seen of it.

        Raises:
            ToolRefused: it is not the customer's.
        """
        method = await read(self._account.api.payment_method(arguments.payment_method))
        if method.get("id") != arguments.payment_method:  # an approver would see the other one
            raise ToolUnavailable("Stripe's answer is about another payment method.")
        customer = method.get("customer")
        customer = customer if isinstance(customer, Mapping) else {"id": customer}
        if customer.get("id") != arguments.customer:
            raise ToolRefused(
                f"The payment method {arguments.payment_method} is not saved for the customer "
                f"{arguments.customer}, so it cannot be charged."
            )
        kind = word(method.get("type"))
        details = method.get(kind)
        details = details if isinstance(details, Mapping) else {}
        seen = {
            "customer": arguments.customer,
            "name": word(customer.get("name")),
            "email": word(customer.get("email")),
            "type": kind,
            "by": instrument(method),
            "expires": _expiry(details),
        }
        return {name: value for name, value in seen.items() if value}

    def still_holds(
        self,
        arguments: PaymentArguments,  # noqa: ARG002  the observation names all
        seen: JsonValue,
        now: JsonValue,
        receipts: Sequence[Receipt],  # noqa: ARG002  no step changes a payment method
    ) -> bool:
        """Return whether customer and payment method are as they were."""
        return same_observation(seen, now)

    async def act(self, arguments: PaymentArguments, idempotency_key: str) -> Receipt:
        """Charge the amount, and check that Stripe's answer is of that payment."""
        key = stripe_key(idempotency_key)
        amount = to_minor(arguments.amount, arguments.currency)
        parameters = {
            "amount": amount,
            "currency": arguments.currency.lower(),
            "customer": arguments.customer,
            "payment_method": arguments.payment_method,
            "payment_method_types": [self._kind()],
            "capture_method": arguments.capture,
            "confirm": True,
            "off_session": True,
            "metadata": marked(key),
        }
        payment = await changed(self._account.api.create_payment(parameters, key))
        expected = {"amount": amount, "currency": arguments.currency.lower(), "customer": arguments.customer}
        returned(payment, "payment", expected)
        if payment.get("status") not in _MADE:
            raise ToolRefused(_not_made(payment))
        return _receipt(payment)

    async def find_out(self, arguments: PaymentArguments, idempotency_key: str) -> EffectStatus:
        """Look the payment up among those of the customer; else say whether it may be repeated."""
        pages = self._account.api.payments_of(arguments.customer)
        found = await find(pages, stripe_key(idempotency_key), f"the payments of {arguments.customer}")
        if not isinstance(found, dict):
            return found
        return Happened(_receipt(found)) if found.get("status") in _MADE else DidNotHappen()

    async def undo(
        self,
        arguments: PaymentArguments,  # noqa: ARG002  the receipt names the payment
        receipt: Receipt,
        idempotency_key: str,
    ) -> Receipt:
        """Cancel the payment if it was not captured, else refund what is left of it."""
        payment, key = str(receipt.details["payment"]), stripe_key(idempotency_key)
        status = (await read(self._account.api.payment(payment))).get("status")
        if status == _CANCELED:
            return Receipt(summary=f"The payment {payment} is cancelled", details={"payment": payment})
        if status in _BEFORE_CAPTURE:
            canceled = await changed(self._account.api.cancel_payment(payment, key))
            returned(canceled, "cancellation", {"id": payment, "status": _CANCELED})
            return _cancelled(payment)
        if status != SUCCEEDED:
            raise ToolUnavailable(f"The payment {payment} is still being processed; it is undone when it is.")
        parameters = {"payment_intent": payment, "metadata": marked(key)}
        refund = await changed(self._account.api.create_refund(parameters, key))
        returned(refund, "refund", {"payment_intent": payment})
        if refund.get("status") in ENDED_BADLY:
            raise ToolRefused(f"Stripe could not refund the payment {payment}: {why(refund)}.")
        return _undone(payment, refund)

    async def find_out_undo(
        self,
        arguments: PaymentArguments,  # noqa: ARG002  the receipt names the payment
        receipt: Receipt,
        idempotency_key: str,
    ) -> EffectStatus:
        """Look whether the payment is cancelled, or its refund is there; else whether to repeat."""
        payment = str(receipt.details["payment"])
        now = await read(self._account.api.payment(payment))
        if now.get("status") == _CANCELED:
            return Happened(_cancelled(payment))
        pages = self._account.api.refunds_of(payment)
        found = await find(pages, stripe_key(idempotency_key), f"the refunds of {payment}")
        if not isinstance(found, dict):
            return found
        is_made = found.get("status") not in ENDED_BADLY
        return Happened(_undone(payment, found)) if is_made else DidNotHappen()

    async def find_settlement(
        self,
        arguments: PaymentArguments,  # noqa: ARG002  the receipt names the payment
        receipt: Receipt,
        idempotency_key: str,  # noqa: ARG002
    ) -> Settled | Reversed | None:
        """Return whether a payment that was processed or authorized is paid, or has failed."""
        payment = await read(self._account.api.payment(str(receipt.details["payment"])))
        status, named = payment.get("status"), f"{amount_in_words(payment)} ({payment.get('id')})"
        received = payment.get("amount_received")
        if status == SUCCEEDED and isinstance(received, int) and received != payment.get("amount"):
            part = amount_in_words({**payment, "amount": received})
            return Settled(f"Of the payment of {named}, only {part} was captured and is paid.")
        if status == SUCCEEDED:
            return Settled(f"The payment of {named} is paid.")
        if status in _MADE:
            return None
        failed = "was cancelled" if status == _CANCELED else "failed"
        return Reversed(f"The payment of {named} {failed}.")

    def _kind(self) -> str:
        seen = self._seen if isinstance(self._seen, dict) else {}
        return str(seen.get("type") or "card")


def _receipt(payment: "Json") -> Receipt:
    details, amount = details_of(payment, "payment"), amount_in_words(payment)
    status, named = details["status"], details["payment"]
    said = {
        SUCCEEDED: f"Charged {amount} ({named})",
        "requires_capture": f"Authorized {amount} ({named}); not captured yet",
    }.get(str(status), f"Charged {amount} ({named}); still processed, so it may fail")
    return Receipt(summary=said, details=details, final=status == SUCCEEDED)


def _not_made(payment: "Json") -> str:
    status, named = word(payment.get("status")), word(payment.get("id"))
    if status == "requires_action":
        return f"The payment was not made: its customer would have to confirm it ({named})."
    return f"The payment was not made: Stripe says {status.replace('_', ' ')} ({named})."


def _cancelled(payment: str) -> Receipt:
    return Receipt(summary=f"Cancelled the payment {payment}", details={"payment": payment})


def _undone(payment: str, refund: "Json") -> Receipt:
    details: dict[str, JsonValue] = {"payment": payment, "refund": word(refund.get("id"))}
    is_final = refund.get("status") == SUCCEEDED
    return Receipt(
        summary=f"Refunded {amount_in_words(refund)} of payment {payment}", details=details, final=is_final
    )


def _expiry(details: Mapping[str, Any]) -> str:
    month, year = details.get("exp_month"), details.get("exp_year")
    return f"{year}-{month:02d}" if isinstance(month, int) and isinstance(year, int) else ""
