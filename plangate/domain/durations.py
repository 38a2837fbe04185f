"""Lengths of time as people type them: 72h, 30m, 7d, 1h30m."""

import re
from datetime import timedelta
from typing import Final

HOW_TO_WRITE: Final = "write it like 72h, 30m, 45s, 7d or 1h30m"
_UNITS: Final = ("weeks", "days", "hours", "minutes", "seconds")
_DURATION: Final = re.compile(
    # Blanks belong to what stands before them, so that there is one way alone to share them out.
    r"\s*+" + "".join(rf"(?:([0-9]{{1,9}}+)\s*+{unit[0]}\s*+)?" for unit in _UNITS),
    re.IGNORECASE,
)


def read_seconds(text: str) -> int | None:
    """Return how many seconds ``text`` means; None if it means no length of time."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    counts = {unit: int(count or 0) for unit, count in zip(_UNITS, match.groups(), strict=True)}
    # Summed before it could be made a timedelta, which has an end.
    return sum(count * int(timedelta(**{unit: 1}).total_seconds()) for unit, count in counts.items())
