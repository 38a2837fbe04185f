"""How long, as people type it."""

from datetime import timedelta

from plangate.cli.exits import WrongUsage
from plangate.domain.durations import HOW_TO_WRITE, read_seconds
from plangate.domain.request import LONGEST_TIMEOUT


def read_timeout(text: str) -> timedelta:
    """Return the time that ``text`` means.

    Raises:
        WrongUsage: it means none, or one that no review may take.
    """
    seconds = read_seconds(text)
    if seconds is None:
        raise WrongUsage(f"The timeout {text!r} cannot be read; {HOW_TO_WRITE}.")
    if not 1 <= seconds <= LONGEST_TIMEOUT.total_seconds():
        raise WrongUsage(
            f"The timeout {text!r} is not between one second and {LONGEST_TIMEOUT.days} days; {HOW_TO_WRITE}."
        )
    return timedelta(seconds=seconds)
