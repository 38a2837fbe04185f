"""Rolling totals: the meaning of `recent(tool, argument, window, by)` in a policy's condition.

A sum adds up the amounts that other plans reserved or spent in a window of time, and those of the whole plan
being evaluated. The amounts of other plans are recorded (`RecentSum`), so a later evaluation gives the same
result. Amounts are exact decimals. This module uses no clock and no database: `plangate.records.reservations`
stores the amounts, and `activities.rolling_totals` reserves them. docs/policy.md describes the arguments.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final
from zoneinfo import ZoneInfo

from pydantic import Field, JsonValue

from plangate.domain.base import Frozen
from plangate.domain.escaping import visible
from plangate.domain.people.people import identity
from plangate.domain.plans.plan import Plan, canonical_json
from plangate.domain.times.durations import read_duration

REQUESTER: Final = "requester"
"""The value of ``by`` for a separate sum for each requester; it never refers to an argument."""
CURRENCY: Final = "currency"
"""If a tool has an argument with this name, a sum includes only steps in which it has the same value."""
DAY: Final = "day"
RESERVED_FOR: Final = timedelta(days=3)
"""How long a reservation is valid after the last claim of its plan, if the run never records a result."""
_MOST_DIGITS: Final = 15  # digits that a CEL double represents exactly
_EXACT: Final = Context(prec=120, traps=[Inexact, InvalidOperation])
_LARGEST: Final = 30  # digits before or after the decimal point of one amount
_ZONE: Final = re.compile(r"day(?: ([A-Za-z][A-Za-z0-9_+\-/]*))?")


class UnknownSum(Exception):
    """A sum is unknown; ``str()`` explains why. The policy decides how to treat it."""


class Limit(Frozen):
    """A call to ``recent`` as written in a condition; ``by`` is empty for a single total."""

    tool: str
    argument: str
    window: str
    by: str = ""

    def __str__(self) -> str:
        """Return the call."""
        words = (self.tool, self.argument, self.window, *([self.by] if self.by else []))
        return f"recent({', '.join(map(repr, words))})"


class Scope(Frozen):
    """The scope of a sum.

    Attributes:
        of: the person, or the value of the argument ``by`` as JSON; empty for a single total.
        currency: the value of the tool's argument ``currency``; empty if it has none.
    """

    tool: str
    argument: str
    by: str = Field(default="", exclude_if=lambda value: not value)
    of: str = Field(default="", exclude_if=lambda value: not value)
    currency: str = Field(default="", exclude_if=lambda value: not value)

    @property
    def id(self) -> str:
        """A fixed-length id of the scope."""
        return hashlib.sha256(canonical_json([self.by, self.of, self.currency])).hexdigest()


class RecentSum(Scope):
    """One sum at the time when a plan was evaluated.

    Attributes:
        window: as written in the condition.
        others: the amount that other plans reserved or spent in the window, as a decimal; None if it is not
            known.
        own: the amount that the plan adds; None if an amount is not known before its step.
    """

    window: str
    others: str | None
    own: str | None

    def is_of(self, scope: Scope) -> bool:
        """Return whether this is the sum of that scope."""
        return all(getattr(self, name) == getattr(scope, name) for name in Scope.model_fields)

    @property
    def total(self) -> Decimal | None:
        """The total of the other plans and this one; None if it is not known."""
        if self.others is None or self.own is None:
            return None
        return summed((Decimal(self.others), Decimal(self.own)))


def wrong_window(window: str) -> str | None:
    """Return the reason why ``window`` is invalid, or None if it is valid."""
    zone = _ZONE.fullmatch(window)
    if zone is not None:
        return None if _zone(zone[1]) else f"unknown time zone {zone[1]}; use a name such as Europe/Berlin"
    try:
        read_duration(window)
    except ValueError as error:
        return f"the window {error}, or 'day', or 'day Europe/Berlin'"
    return None


def window_start(window: str, now: datetime) -> datetime:
    """Return the beginning, in UTC, of a window that ends at ``now``.

    A day begins at local midnight, or the first existing time after it, and has 23 to 25 hours if clocks
    change.

    Raises:
        UnknownSum: the time zone is not available on this machine.
    """
    named = _ZONE.fullmatch(window)
    if named is None:
        return now - timedelta(seconds=read_duration(window))
    zone = _zone(named[1])
    if zone is None:
        raise UnknownSum(f"the time zone {named[1]} is not available on this machine")
    return datetime.combine(now.astimezone(zone).date(), datetime.min.time(), zone).astimezone(UTC)


def amount_of(value: JsonValue) -> Decimal | None:
    """Return an argument as an exact amount; None if it is not a number, or is too large.

    A negative amount is treated as 0, so that it cannot offset others.
    """
    amount = decimal_of(value)
    return None if amount is None else max(amount, Decimal(0))


def decimal_of(value: JsonValue) -> Decimal | None:
    """Return a number, or a string with a number, as a JSON decimal; None if it is neither, or too large."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = value if isinstance(value, str) else repr(value)
    if len(text) > 2 * _LARGEST or not text.isascii() or "_" in text:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, str) or exponent < -_LARGEST or amount.adjusted() > _LARGEST:
        return None
    return amount


def summed(amounts: Iterable[Decimal]) -> Decimal:
    """Return the exact sum."""
    total = Decimal(0)
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total


def written(amount: Decimal) -> str:
    """Return an amount as a plain decimal, without an exponent."""
    return format(amount, "f")


def scope_of(limit: Limit, arguments: Mapping[str, JsonValue], person: str) -> Scope | None:
    """Return the scope that a step of the limit's tool adds to; None if it is not known before the step.

    Args:
        limit: a call to ``recent``.
        arguments: the arguments of the step.
        person: the person for whom the plan is evaluated, if the sum is by requester.
    """
    currency = arguments.get(CURRENCY)
    value = None if limit.by == REQUESTER else arguments.get(limit.by)
    if isinstance(currency, dict) or isinstance(value, dict):  # a reference to an earlier step
        return None
    of = ""
    if limit.by == REQUESTER:
        of = person
    elif limit.by:
        of = _json(_normalized(value) if isinstance(value, str) else value)
    return Scope(
        tool=limit.tool,
        argument=limit.argument,
        by=limit.by,
        of=of,
        currency=_currency(currency),
    )


def sums_wanted(limits: Iterable[Limit], plan: Plan, people: Sequence[str]) -> tuple[RecentSum, ...]:
    """Return the sums that are needed to evaluate a plan, each with only the plan's own amount."""
    wanted: dict[tuple[str, str], RecentSum] = {}
    for limit in limits:
        for person in people if limit.by == REQUESTER else ("",):
            for step in plan.steps:
                scope = scope_of(limit, step.arguments, person) if step.tool == limit.tool else None
                if scope is None:
                    continue
                own = _own(limit, plan, scope, person)
                key = (f"{scope.tool} {scope.argument} {scope.id}", limit.window)
                wanted[key] = RecentSum(
                    **dict(scope), window=limit.window, others="0", own=None if own is None else written(own)
                )
    return tuple(wanted.values())


def recent_sum(limit: Limit, *, plan: Plan, number: int, person: str, sums: Sequence[RecentSum]) -> float:
    """Return the value of ``recent`` for step ``number`` (from 1) of a plan.

    For a step of another tool it is the largest value of any step in the plan, and 0 if no step uses the
    limit's tool.

    Raises:
        UnknownSum: an amount or its scope is not known, or the sum has too many digits.
    """
    step = plan.steps[number - 1]
    steps = [step] if step.tool == limit.tool else [one for one in plan.steps if one.tool == limit.tool]
    totals = [_total(limit, plan, one.arguments, person, sums) for one in steps]
    total = max(totals, default=Decimal(0))
    if len(total.normalize(_EXACT).as_tuple().digits) > _MOST_DIGITS:
        raise UnknownSum(f"{limit} has more than {_MOST_DIGITS} digits")
    return float(total)


def _total(
    limit: Limit, plan: Plan, arguments: Mapping[str, JsonValue], person: str, sums: Sequence[RecentSum]
) -> Decimal:
    scope = scope_of(limit, arguments, person)
    if scope is None:
        raise UnknownSum(f"{limit} is not known before the step runs")
    if CURRENCY in arguments and not scope.currency:
        raise UnknownSum(f"{limit} is not known, because a step has no currency")
    own = _own(limit, plan, scope, person)
    if own is None:
        raise UnknownSum(f"{limit} is not known, because a step has no known amount")
    for one in sums:
        if one.window == limit.window and one.is_of(scope):
            if one.others is None:
                raise UnknownSum(f"{limit} is not known, because a step of another plan has no known amount")
            return summed((Decimal(one.others), own))
    raise UnknownSum(f"{limit} is not recorded")


def _own(limit: Limit, plan: Plan, scope: Scope, person: str) -> Decimal | None:
    amounts = [
        amount_of(step.arguments.get(limit.argument))
        for step in plan.steps
        if step.tool == limit.tool and scope_of(limit, step.arguments, person) in (scope, None)
    ]
    known = [amount for amount in amounts if amount is not None]
    return summed(known) if len(known) == len(amounts) else None


def _currency(value: JsonValue) -> str:
    if isinstance(value, str):
        return _normalized(value).upper()
    return _json(value) if value else ""


def _normalized(text: str) -> str:
    """Return the form shared by strings that differ only in case, width, spaces or invisible characters."""
    words = visible(text).split()  # one by one, because `identity` does not normalize long strings
    return " ".join(" ".join(identity(word).casefold() for word in words).split())


def _json(value: JsonValue) -> str:
    return canonical_json(value).decode()


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name or "UTC")
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return None
