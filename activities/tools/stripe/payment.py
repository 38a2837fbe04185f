"""The tool `create_payment`: charge a payment method that a customer has saved at Stripe.

The customer is not present, so a payment that the customer would have to confirm is refused. Undoing a
payment cancels an authorization, or refunds a captured amount.
"""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from activities.tools.stripe.account import Account
from activities.tools.stripe.effects import SETTLES_WITHIN, change, find, metadata_for, read, stripe_key
from activities.tools.stripe.minor_units import check_amount, to_minor
from activities.tools.stripe.payers import person_in_words
from activities.tools.stripe.payment_states import (
    BEFORE_CAPTURE,
    CANCELED,
    FAILED,
    MADE,
    NOT_MADE,
    cancelled,
    expiry,
    not_made,
    receipt_of,
    undone,
    unknown_status,
)
from activities.tools.stripe.payments import (
    FAILED_REFUND_STATES,
    PAYMENT,
    REFUND,
    SUCCEEDED,
    PaymentReceipt,
    amount_in_words,
    check_response,
    check_result,
    earlier_amount,
    instrument,
    not_refunded,
    short_text,
    status_of,
    units_of,
)
from plangate.domain.errors import EffectUnknown, ToolRefused, ToolUnavailable
from plangate.domain.plans.money import in_words, one_currency
from plangate.domain.plans.tool import Receipt, RetrySafety, ToolArguments, ToolDeclaration
from plangate.settings import Settings
from plangate.tool import DidNotHappen, EffectStatus, Happened, Observes, Reversed, Settled, Unknown

if TYPE_CHECKING:
    from activities.tools.stripe.client import Json


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
        default="automatic", description="manual only authorizes the amount, to be captured later"
    )

    @model_validator(mode="after")
    def _can_be_paid(self) -> Self:
        check_amount(self.amount, self.currency)
        return self


class CreatePayment(Observes):
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
        """Build the tool for the account in the settings.

        Raises:
            SettingsInvalid: the address of the API cannot be used.
        """
        return cls(Account.from_settings(settings))

    def having_observed(self, seen: JsonValue) -> "CreatePayment":
        """Return the tool for a step whose payment method was observed when its plan was drafted."""
        return CreatePayment(self._account, seen)

    @property
    def settles_within(self) -> timedelta:
        """How long a payment may be processing, or stay authorized."""
        return SETTLES_WITHIN

    def lacks(self) -> str | None:
        """Return what is missing: the key, or the library."""
        return self._account.lack

    def objection(self, arguments: PaymentArguments) -> str | None:  # noqa: ARG002  the protocol
        """Return None, because no setting forbids a payment."""
        return None

    def preview(self, arguments: PaymentArguments, observation: JsonValue) -> str:
        """Return ``Charge 42.50 EUR to customer cus_1 ("Kim Doe", kim@example.org), card ending 4242``."""
        amount = in_words(arguments.amount, arguments.currency)
        does = "Charge {} to" if arguments.capture == "automatic" else "Authorize (not capture) {} of"
        seen = observation if isinstance(observation, dict) else {}
        known = ", ".join(person_in_words(str(seen[name])) for name in ("name", "email") if seen.get(name))
        who = f"{arguments.customer} ({known})" if known else arguments.customer
        by = seen.get("by") or arguments.payment_method
        return f"{does.format(amount)} customer {who}, {by}"

    async def observe(self, arguments: PaymentArguments) -> JsonValue:
        """Return the owner and the visible details of the payment method.

        Raises:
            ToolRefused: it does not belong to the customer.
        """
        method = await read(self._account.api.payment_method(arguments.payment_method))
        check_response(method, "payment method", {"object": "payment_method", "id": arguments.payment_method})
        customer = method.get("customer")
        customer = customer if isinstance(customer, Mapping) else {"id": customer}
        if customer.get("id") != arguments.customer:
            raise ToolRefused(
                f"The payment method {arguments.payment_method} is not saved for the customer "
                f"{arguments.customer}, so it cannot be charged."
            )
        kind = short_text(method.get("type"))
        details = method.get(kind)
        details = details if isinstance(details, Mapping) else {}
        seen = {
            "customer": arguments.customer,
            "name": short_text(customer.get("name")),
            "email": short_text(customer.get("email")),
            "type": kind,
            "by": instrument(method),
            "expires": expiry(details),
        }
        return {name: value for name, value in seen.items() if value}

    async def act(self, arguments: PaymentArguments, idempotency_key: str) -> Receipt:
        """Charge the amount, and check that Stripe's response is about that payment."""
        key = stripe_key(idempotency_key)
        expected = _expected(arguments)
        parameters = {
            "amount": expected["amount"],
            "currency": expected["currency"],
            "customer": arguments.customer,
            "payment_method": arguments.payment_method,
            "payment_method_types": [self._kind()],
            "capture_method": arguments.capture,
            "confirm": True,
            "off_session": True,
            "metadata": metadata_for(key),
        }
        payment = await change(self._account.api.create_payment(parameters, key))
        check_result(
            payment, "payment", {**expected, "customer": arguments.customer, "metadata": metadata_for(key)}
        )
        if status_of(payment) in NOT_MADE:
            raise ToolRefused(not_made(payment))
        if status_of(payment) not in MADE:
            raise EffectUnknown(unknown_status(payment))
        return receipt_of(payment)

    async def find_out(self, arguments: PaymentArguments, idempotency_key: str) -> EffectStatus:
        """Look for the payment among the customer's payments, or return whether it may be repeated."""
        customer = arguments.customer
        pages, where = self._account.api.payments_of(customer), f"the payments of {customer}"
        found = await find(pages, stripe_key(idempotency_key), where, _expected(arguments))
        if not isinstance(found, dict):
            return found
        if status_of(found) in NOT_MADE:  # with the same key, Stripe would repeat its first response
            return DidNotHappen(not_made(found))
        if status_of(found) not in MADE:
            raise ToolUnavailable(unknown_status(found))
        return Happened(receipt_of(found))

    async def undo(
        self,
        arguments: PaymentArguments,
        receipt: Receipt,
        idempotency_key: str,
    ) -> Receipt:
        """Cancel the payment if it was not captured, or else refund the remaining amount."""
        now, key = await self._now(arguments, receipt), stripe_key(idempotency_key)
        payment, status = short_text(now["id"]), status_of(now)
        if status == CANCELED:
            return Receipt(summary=f"The payment {payment} is cancelled", details={"payment": payment})
        if status in BEFORE_CAPTURE:
            canceled = await change(self._account.api.cancel_payment(payment, key))
            expected = {**_expected(arguments), "id": payment, "status": CANCELED}
            check_result(canceled, "cancellation", expected)
            return cancelled(payment)
        if status == "processing":
            raise ToolUnavailable(
                f"The payment {payment} is still being processed, and will be undone afterwards."
            )
        if status != SUCCEEDED:
            raise ToolUnavailable(unknown_status(now))
        paid, left = units_of(now)
        parameters = {"payment_intent": payment, "metadata": metadata_for(key)}
        refund = await change(self._account.api.create_refund(parameters, key))
        # If nothing was left, Stripe has repeated the response to an earlier request with this key.
        amount = left or earlier_amount(refund, paid)
        expected = {**_refund_of(payment, arguments), "amount": amount, "metadata": metadata_for(key)}
        check_result(refund, "refund", expected)
        if status_of(refund) in FAILED_REFUND_STATES:
            raise ToolRefused(not_refunded(refund))
        return undone(payment, refund)

    async def find_out_undo(
        self,
        arguments: PaymentArguments,
        receipt: Receipt,
        idempotency_key: str,
    ) -> EffectStatus:
        """Find out whether the payment is cancelled or refunded, or else whether to repeat the undo."""
        now = await self._now(arguments, receipt)
        payment = short_text(now["id"])
        if status_of(now) == CANCELED:
            return Happened(cancelled(payment))
        pages, where = self._account.api.refunds_of(payment), f"the refunds of {payment}"
        found = await find(pages, stripe_key(idempotency_key), where, _refund_of(payment, arguments))
        if not isinstance(found, dict):
            return found
        if (
            status_of(found) in FAILED_REFUND_STATES
        ):  # with the same key, Stripe would repeat its first response
            return DidNotHappen(not_refunded(found))
        _, left = units_of(now)
        if status_of(found) == SUCCEEDED and left > 0:
            rest = amount_in_words({**now, "amount": left})
            message = f"{amount_in_words(found)} of the payment {payment} was refunded, {rest} of it was not."
            return Unknown(f"{message} Look at {where} in Stripe's Dashboard.")
        return Happened(undone(payment, found))

    async def find_settlement(
        self,
        arguments: PaymentArguments,
        receipt: Receipt,
        idempotency_key: str,  # noqa: ARG002  the receipt identifies the payment
    ) -> Settled | Reversed | None:
        """Return whether a processing or authorized payment has succeeded or failed.

        Raises:
            ToolUnavailable: Stripe is currently unavailable, or its response is about another payment.
        """
        payment = await self._now(arguments, receipt)
        status, named = status_of(payment), f"{amount_in_words(payment)} ({payment.get('id')})"
        received = payment.get("amount_received")
        if status == SUCCEEDED and isinstance(received, int) and received != payment.get("amount"):
            part = amount_in_words({**payment, "amount": received})
            return Settled(f"Of the payment of {named}, only {part} was captured and is paid.")
        if status == SUCCEEDED:
            return Settled(f"The payment of {named} is paid.")
        failed = FAILED.get(status)
        return Reversed(f"The payment of {named} {failed}.") if failed else None

    async def _now(self, arguments: PaymentArguments, receipt: Receipt) -> "Json":
        """Return the current state of a receipt's payment.

        Raises:
            ToolUnavailable: Stripe is currently unavailable, or its response is about another payment.
            ToolRefused: the key may not read it.
        """
        name = str(receipt.details["payment"])
        payment = await read(self._account.api.payment(name))
        check_response(payment, "payment", {**_expected(arguments), "id": name})
        return payment

    def _kind(self) -> str:
        seen = self._seen if isinstance(self._seen, dict) else {}
        return str(seen.get("type") or "card")


def _expected(arguments: PaymentArguments) -> dict[str, object]:
    """Return the fields that the payment must have at Stripe."""
    amount = to_minor(arguments.amount, arguments.currency)
    return {"object": PAYMENT, "amount": amount, "currency": arguments.currency.lower()}


def _refund_of(payment: str, arguments: PaymentArguments) -> dict[str, object]:
    return {"object": REFUND, "payment_intent": payment, "currency": arguments.currency.lower()}
