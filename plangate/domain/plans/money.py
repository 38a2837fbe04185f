"""Amounts of money: a `Decimal` with its currency, with no more decimal places than the currency has.

The places follow ISO 4217. Recently withdrawn currencies are included, because payments in them can still be
refunded. Codes without minor units (gold, test codes) are excluded, because payments cannot use them.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

MAX_DIGITS: Final = 15  # total digits of an amount; JSON represents this many exactly

_BY_PLACES: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD "
    "CDF CHE CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
    "GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA "
    "MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON "
    "RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS "
    "UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG ZWL",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
PLACES: Final[Mapping[str, int]] = MappingProxyType({
    code: places for places, codes in _BY_PLACES.items() for code in codes.split()
})  # fmt: skip
"""Each currency (three capital letters) with its number of decimal places."""


def places_of(currency: str) -> int:
    """Return the number of decimal places of a currency.

    Raises:
        ValueError: there is no such currency.
    """
    places = PLACES.get(currency)
    if places is None:
        raise ValueError(f"{currency!r} is not a currency; use a code of ISO 4217, such as EUR")
    return places


def one_currency(currency: str) -> str:
    """Return the code of a currency in capital letters.

    Raises:
        ValueError: there is no such currency.
    """
    code = currency.upper() if currency.isascii() else currency
    places_of(code)
    return code


def payable(amount: Decimal, currency: str) -> Decimal:
    """Return an amount with the places of its currency, unchanged in value: 42.5 EUR becomes 42.50.

    Raises:
        ValueError: it is not above zero, not finite, too large, or has more decimal places than the currency.
    """
    places = places_of(currency)
    if not amount.is_finite():
        raise ValueError("is not a number")
    if amount <= 0:
        raise ValueError("must be more than 0")
    if amount.adjusted() + 1 + places > MAX_DIGITS:
        raise ValueError(f"is too large: it may have {MAX_DIGITS - places} digits before the point")
    rounded = amount.quantize(Decimal(1).scaleb(-places))
    if rounded != amount:
        least = Decimal(1).scaleb(-places)
        raise ValueError(
            f"has more decimal places than {currency}, whose smallest amount is {least} {currency}"
        )
    return rounded


def in_words(amount: Decimal, currency: str) -> str:
    """Return an amount in the form ``1,234.50 EUR``, with all decimal places of its currency."""
    return f"{amount:,.{places_of(currency)}f} {currency}"
