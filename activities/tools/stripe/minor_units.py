"""Stripe's amounts: whole numbers of a currency's smallest unit. The rest of Plangate uses decimals.

    most currencies        the places of ISO 4217: 42.50 EUR is 4250, 500 JPY is 500
    ISK, UGX               as if they had two places, always 00: 5 ISK is 500
    MGA                    none, although ISO 4217 has two: 500 MGA is 500
    three places           the last digit must be 0: 5.120 KWD is 5120, and 5.124 KWD cannot be paid

As documented at https://docs.stripe.com/currencies#special-cases. Its rules for HUF and TWD apply to payouts;
payments in these currencies have two places.
"""

from decimal import Decimal
from typing import Final

from plangate.domain.plans.money import payable, places_of

_PLACES: Final = {"ISK": 2, "UGX": 2, "MGA": 0}
_STEP: Final = {"ISK": 100, "UGX": 100}  # the number of units must be a multiple of this
_STEP_OF_THREE_PLACES: Final = 10
_LIMIT: Final = 10**12  # no currency has a higher limit; Stripe checks the limit for each currency


def to_minor(amount: Decimal, currency: str) -> int:
    """Return an amount in Stripe's units.

    Raises:
        ValueError: Stripe cannot pay it.
    """
    exact = payable(amount, currency).scaleb(_places(currency))
    units = int(exact)
    step = _STEP.get(currency, _STEP_OF_THREE_PLACES if _places(currency) == 3 else 1)  # noqa: PLR2004
    if units != exact or units % step:
        smallest = from_minor(step, currency)
        raise ValueError(f"is too precise: Stripe takes multiples of {smallest} {currency}")
    if units >= _LIMIT:
        raise ValueError(f"is too large: Stripe takes less than {from_minor(_LIMIT, currency):,} {currency}")
    return units


def check_amount(amount: Decimal, currency: str) -> None:
    """Check that Stripe can pay an amount.

    Raises:
        ValueError: Stripe cannot pay it; the message is for a model validator, whose errors do not include
            the field.
    """
    try:
        to_minor(amount, currency)
    except ValueError as error:
        raise ValueError(f"amount {error}") from None


def from_minor(units: int, currency: str) -> Decimal:
    """Return Stripe's units as an amount, with the currency's decimal places.

    Raises:
        ValueError: there is no such currency.
    """
    amount = Decimal(units).scaleb(-_places(currency))
    fitted = amount.quantize(Decimal(1).scaleb(-places_of(currency)))
    return fitted if fitted == amount else amount


def _places(currency: str) -> int:
    return _PLACES.get(currency, places_of(currency))
