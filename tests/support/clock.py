"""Control a test's clocks: set the server's time ahead for activities, and wait briefly in real time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from activities.heartbeat import ServerClock


@contextmanager
def clock_ahead(by: timedelta) -> Iterator[None]:
    """Set the clock of all activities ahead while the block runs.

    Make the run's clock catch up afterwards, by `WorkflowEnvironment.fast_forward`, so that all times on
    its trail agree.
    """
    now = ServerClock.now
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ServerClock, "now", lambda clock: now(clock) + by)
        yield


async def until_passed(moment: datetime | None) -> None:
    """Wait in real time until this moment, for when no worker runs and the server cannot skip time."""
    assert moment is not None
    await asyncio.sleep((moment - datetime.now(UTC)).total_seconds() + 0.05)
