"""Parse a duration that was typed as an option's value."""

from datetime import timedelta

from plangate.cli.exits import WrongUsage
from plangate.domain.times import durations


def read_timeout(text: str) -> timedelta:
    """Return how long a review may take.

    Raises:
        WrongUsage: ``text`` is not a duration, or is too long or too short for a review.
    """
    try:
        return timedelta(seconds=durations.read_duration(text))
    except ValueError as error:
        raise WrongUsage(f"The timeout {error}.") from None
