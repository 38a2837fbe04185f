"""The tool `refund_payment`: return money from a payment made through Stripe to the customer.

`payments` provides the details for the approver, and checks just before the refund that they are still valid.
`effects` makes the refund once; `client` sends it. A refund cannot be reversed, so there is no undo.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from activities.tools.stripe.account import Account
from activities.tools.stripe.effects import SETTLES_WITHIN, change, find, metadata_for, read, stripe_key
from activities.tools.stripe.minor_units import check_amount, to_minor
from activities.tools.stripe.payments import (
    FAILED_REFUND_STATES,
    PAYMENT,
    REFUND,
    REFUND_TOOL,
    SUCCEEDED,
    RefundReceipt,
    amount_in_words,
    check_response,
    check_result,
    details_of,
    not_refunded,
    payment_seen,
    refund_objection,
    refund_still_holds,
    seen_in_words,
    short_text,
    status_of,
    why,
)
from plangate.domain.errors import ToolRefused, ToolUnavailable
from plangate.domain.plans.money import in_words, one_currency
from plangate.domain.plans.tool import Receipt, RetrySafety, StepReceipt, ToolArguments, ToolDeclaration
from plangate.settings import Settings
from plangate.tool import DidNotHappen, EffectStatus, Happened, Reversed, Settled

if TYPE_CHECKING:
    from activities.tools.stripe.client import Json


class RefundArguments(ToolArguments):
    """One refund, as the approver sees it."""

    payment: str = Field(
        pattern=r"^pi_[A-Za-z0-9_]{1,250}$", description="Stripe's id of the payment; it begins with pi_"
    )
    amount: Decimal = Field(description="how much to refund, in the currency: 42.50, not 4250")
    currency: Annotated[str, AfterValidator(one_currency)] = Field(description="of the payment, such as EUR")

    @model_validator(mode="after")
    def _can_be_paid(self) -> Self:
        check_amount(self.amount, self.currency)
        return self


class RefundPayment:
    """Refunds a part of a payment, or all of it."""

    declaration: ClassVar[ToolDeclaration] = ToolDeclaration(
        name=REFUND_TOOL,
        description="Refund a payment made through Stripe, fully or partly, to its original payment method.",
        arguments=RefundArguments,
        identifying=("payment",),
        retry_safety=RetrySafety.VENDOR_KEY,
        seconds=60,
        receipt=RefundReceipt,
    )

    def __init__(self, account: Account) -> None:
        self._account = account

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build the tool for the account in the settings.

        Raises:
            SettingsInvalid: the address of the API cannot be used.
        """
        return cls(Account.from_settings(settings))

    @property
    def settles_within(self) -> timedelta:
        """How long a refund may stay pending."""
        return SETTLES_WITHIN

    def lacks(self) -> str | None:
        """Return what is missing: the key, or the library."""
        return self._account.lack

    def objection(self, arguments: RefundArguments) -> str | None:  # noqa: ARG002  the same signature for all
        """Return None, because no setting forbids a refund."""
        return None

    def preview(self, arguments: RefundArguments, observation: JsonValue) -> str:
        """Return ``Refund 42.50 EUR of payment pi_1 (250.00 EUR, "Ana Perez", card ending 4242, …)``."""
        preview = f"Refund {in_words(arguments.amount, arguments.currency)} of payment {arguments.payment}"
        return f"{preview} ({seen_in_words(observation)})" if isinstance(observation, dict) else preview

    async def observe(self, arguments: RefundArguments) -> JsonValue:
        """Return the payment's status and how much of it can be refunded.

        Raises:
            ToolRefused: it cannot be refunded in this way.
        """
        payment = await read(self._account.api.payment(arguments.payment))
        check_response(payment, "payment", {"object": PAYMENT, "id": arguments.payment})
        try:
            seen = payment_seen(payment)
        except (ArithmeticError, LookupError, TypeError, ValueError):
            raise ToolUnavailable("Stripe's answer about the payment cannot be used.") from None
        objection = refund_objection(arguments.amount, arguments.currency, seen)
        if objection:
            raise ToolRefused(objection)
        return seen

    def still_holds(
        self, arguments: RefundArguments, seen: JsonValue, now: JsonValue, receipts: Sequence[StepReceipt]
    ) -> bool:
        """Return whether the payment is unchanged, apart from this run's refunds."""
        if not isinstance(seen, dict) or not isinstance(now, dict):
            return False
        return refund_still_holds(arguments.amount, arguments.currency, seen, now, receipts)

    async def act(self, arguments: RefundArguments, idempotency_key: str) -> Receipt:
        """Refund the amount, and check that Stripe's response is about that refund."""
        key = stripe_key(idempotency_key)
        expected = _expected(arguments)
        parameters = {
            "payment_intent": arguments.payment,
            "amount": expected["amount"],
            "metadata": metadata_for(key),
        }
        refund = await change(self._account.api.create_refund(parameters, key))
        check_result(refund, "refund", {**expected, "metadata": metadata_for(key)})
        if status_of(refund) in FAILED_REFUND_STATES:
            raise ToolRefused(not_refunded(refund))
        return _receipt(refund)

    async def find_out(self, arguments: RefundArguments, idempotency_key: str) -> EffectStatus:
        """Look for the refund among the payment's refunds, or return whether it may be repeated."""
        key = stripe_key(idempotency_key)
        pages = self._account.api.refunds_of(arguments.payment)
        found = await find(pages, key, f"the refunds of {arguments.payment}", _expected(arguments))
        if not isinstance(found, dict):
            return found
        # With the same key, Stripe would repeat its first response, as if the refund had not failed.
        has_failed = status_of(found) in FAILED_REFUND_STATES
        return DidNotHappen(not_refunded(found)) if has_failed else Happened(_receipt(found))

    async def find_settlement(
        self,
        arguments: RefundArguments,
        receipt: Receipt,
        idempotency_key: str,  # noqa: ARG002  the receipt identifies the refund
    ) -> Settled | Reversed | None:
        """Return whether a pending refund has arrived or failed.

        Raises:
            ToolUnavailable: Stripe is currently unavailable, or its response is about another refund.
        """
        name = str(receipt.details["refund"])
        refund = await read(self._account.api.refund(name))
        check_response(refund, "refund", {**_expected(arguments), "id": name})
        if status_of(refund) == SUCCEEDED:
            return Settled(f"{amount_in_words(refund)} was refunded ({refund.get('id')}).")
        if status_of(refund) in FAILED_REFUND_STATES:
            return Reversed(f"The refund of {amount_in_words(refund)} did not arrive: {why(refund)}.")
        return None


def _expected(arguments: RefundArguments) -> dict[str, object]:
    """Return the fields that the refund must have at Stripe."""
    return {
        "object": REFUND,
        "payment_intent": arguments.payment,
        "amount": to_minor(arguments.amount, arguments.currency),
        "currency": arguments.currency.lower(),
    }


def _receipt(refund: "Json") -> Receipt:
    details = {**details_of(refund, "refund"), "payment": short_text(refund.get("payment_intent"))}
    status = str(details["status"])
    is_final = status == SUCCEEDED
    summary = f"Refunded {amount_in_words(refund)} of payment {details['payment']} ({details['refund']})"
    how = status.replace("_", " ") or "unknown"
    pending = "" if is_final else f"; its status at Stripe is {how}, so it may still fail"
    return Receipt(summary=f"{summary}{pending}", details=details, final=is_final)
