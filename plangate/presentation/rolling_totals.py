"""Write the rolling totals that the rules checked for a plan, as text for its pages.

Workflows import this module: it is deterministic and needs no terminal.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from plangate.domain.escaping import cut, one_line
from plangate.domain.plurals import counted
from plangate.domain.policies.rolling_totals import DAY, REQUESTER, RecentSum
from plangate.domain.times.durations import read_seconds
from plangate.presentation.durations import duration_in_words

NEEDS_MORE: Final = "a rolling total requires more approvals than the plan has"
_SHOWN: Final = 12
_LONGEST: Final = 60
_UNITS: Final = {"d": "day", "h": "hour", "m": "minute"}
_SIMPLE: Final = re.compile(r"([0-9]{1,9})([dhm])")


def sum_lines(sums: Sequence[RecentSum]) -> Iterator[str]:
    """Yield each sum, such as 'with this plan 1,480 EUR in 24 hours: amount of refund, by rita'."""
    for one in sums[:_SHOWN]:
        yield _words(one)
    if len(sums) > _SHOWN:
        yield f"and {len(sums) - _SHOWN} more; --json shows them all"


def _words(one: RecentSum) -> str:
    currency = f" {cut(one_line(one.currency), _LONGEST)}" if one.currency else ""
    what = f"{one.argument} of {one.tool}"
    if one.by == REQUESTER:
        what += f", by {cut(one_line(one.of), _LONGEST)}"
    elif one.by:
        what += f", {one.by} {cut(one_line(one.of), _LONGEST)}"
    if one.total is None:
        return f"{what}{window_words(one.window)}: not known, because an amount is not known before its step"
    return f"with this plan {one.total:,f}{currency}{window_words(one.window)}: {what}"


def window_words(window: str) -> str:
    """Return ' in 24 hours', or ' today (Europe/Berlin)'."""
    if window.startswith(DAY):
        return f" today ({window.removeprefix(DAY).strip() or 'UTC'})"
    simple = _SIMPLE.fullmatch(window)
    if simple is not None:  # 24h is written as 24 hours, as in the rule, not as a day
        return f" in {counted(int(simple[1]), _UNITS[simple[2]])}"
    seconds = read_seconds(window)
    return f" in {window if seconds is None else duration_in_words(timedelta(seconds=seconds))}"
