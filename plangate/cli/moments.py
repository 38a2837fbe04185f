"""Parse a time that was typed as an option's value: a date, a time, or an age."""

from datetime import UTC, datetime, timedelta

from plangate.cli.exits import WrongUsage
from plangate.domain.times.durations import read_seconds
from plangate.presentation.clock import now


def moment_of(text: str) -> datetime:
    """Return the time; a date, or a time without a zone, is in UTC.

    Raises:
        WrongUsage: it cannot be parsed.
    """
    seconds = read_seconds(text)
    try:
        if seconds is not None:
            return now() - timedelta(seconds=seconds)
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise WrongUsage(
            f"The time {text!r} cannot be parsed; use a date such as 2026-05-03 (UTC), or a duration such "
            "as 7d, 30m or 1h30m."
        ) from None
