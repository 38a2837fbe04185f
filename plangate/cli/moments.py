"""Read a time that was typed after an option: a day, a time of day, or an age."""

from datetime import UTC, datetime, timedelta

from plangate.cli.exits import WrongUsage
from plangate.domain.durations import HOW_TO_WRITE, read_seconds
from plangate.presentation.clock import now


def moment_of(text: str) -> datetime:
    """Return the time; a day or a time without a zone is in UTC.

    Raises:
        WrongUsage: it cannot be read.
    """
    seconds = read_seconds(text)
    try:
        if seconds is not None:
            return now() - timedelta(seconds=seconds)
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise WrongUsage(
            f"The time {text!r} cannot be read; write a day like 2026-05-03 (UTC). For how long ago, "
            f"{HOW_TO_WRITE}."
        ) from None
