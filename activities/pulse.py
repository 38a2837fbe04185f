"""What every activity shows of itself: its heartbeat, its name, and the server's time."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from temporalio import activity

HEARTBEAT_EVERY: Final = timedelta(seconds=1)


@contextmanager
def beating() -> Iterator[None]:
    """Send a heartbeat every second while the block runs, so that a dead worker is noticed soon.

    The first one comes after a second: the start of the attempt counts as one, and most end before.
    What an earlier attempt put into its heartbeats is handed on.
    """
    details = activity.info().heartbeat_details
    loop, seconds = asyncio.get_running_loop(), HEARTBEAT_EVERY.total_seconds()
    timer: asyncio.TimerHandle

    def beat() -> None:
        nonlocal timer
        activity.heartbeat(*details)
        timer = loop.call_later(seconds, beat)

    timer = loop.call_later(seconds, beat)
    try:
        yield
    finally:
        timer.cancel()


class ServerClock:
    """The Temporal server's time, carried on from this attempt's start; the worker's own may be wrong."""

    def __init__(self) -> None:
        self._started = activity.info().started_time
        self._begun = time.monotonic()

    def now(self) -> datetime:
        """Return the server's time, aware, in UTC."""
        return self._started + timedelta(seconds=time.monotonic() - self._begun)


def this_worker() -> str:
    """Return the identity under which this worker signs what it writes down."""
    return activity.client().identity
