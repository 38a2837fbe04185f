"""The clock on the wall: only for telling people how long something is from now, never for deciding."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment by this machine."""
    return datetime.now(UTC)  # noqa: TID251  what is shown is relative to the reader's own now
