"""Durations as people type them: 72h, 30m, 7d, 1h30m."""

import re
from datetime import timedelta
from typing import Final

_HOW_TO_WRITE: Final = "use a form such as 72h, 30m, 45s, 7d or 1h30m"
DEFAULT_TIMEOUT: Final = timedelta(hours=72)
"""How long a review may take by default."""
LONGEST_TIMEOUT: Final = timedelta(days=365)
"""The maximum length of a review, and the longest validity of an approval; the minimum is one second."""
_UNITS: Final = ("weeks", "days", "hours", "minutes", "seconds")
_DURATION: Final = re.compile(
    # Spaces belong to the text before them, so that there is only one way to parse a text.
    r"\s*+" + "".join(rf"(?:([0-9]{{1,9}}+)\s*+{unit[0]}\s*+)?" for unit in _UNITS),
    re.IGNORECASE,
)


def read_seconds(text: str) -> int | None:
    """Return the duration in seconds; None if ``text`` is not one."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    counts = {unit: int(count or 0) for unit, count in zip(_UNITS, match.groups(), strict=True)}
    # Added up as a number, because a timedelta has a maximum.
    return sum(count * int(timedelta(**{unit: 1}).total_seconds()) for unit, count in counts.items())


def read_duration(text: str) -> int:
    """Return a duration in seconds, for example that of a review or of a window.

    Raises:
        ValueError: it is not a duration, or is not between one second and `LONGEST_TIMEOUT`.
    """
    seconds = read_seconds(text)
    if seconds is None:
        raise ValueError(f"{text!r} is not a valid duration; {_HOW_TO_WRITE}")
    if not 1 <= seconds <= LONGEST_TIMEOUT.total_seconds():
        raise ValueError(f"{text!r} is not between 1 second and {LONGEST_TIMEOUT.days} days; {_HOW_TO_WRITE}")
    return seconds
