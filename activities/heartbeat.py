"""What every activity shows of itself: its heartbeat, its name, and the server's time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from temporalio import activity

from plangate.elapsed import elapsed

HEARTBEAT_EVERY: Final = timedelta(seconds=1)


class Pulse:
    """Whether the server may still count on this attempt; not once it has missed the heartbeats.

    A machine that slept sends the next heartbeat as it wakes up, too late: by then the server has given the
    attempt up, and no other heartbeat brings it back.
    """

    def __init__(self) -> None:
        self._patience = activity.info().heartbeat_timeout
        self._last = elapsed()
        self._is_lost = False

    @property
    def is_lost(self) -> bool:
        """Whether so long a time lay between two heartbeats, or lies behind the last one."""
        pause = timedelta(seconds=elapsed() - self._last)
        if self._patience and pause >= self._patience:
            self._is_lost = True
        return self._is_lost

    def beat(self) -> None:
        """Take note of a heartbeat."""
        self._is_lost = self.is_lost
        self._last = elapsed()


@contextmanager
def beating() -> Iterator[Pulse]:
    """Send a heartbeat every second while the block runs, so that a dead worker is noticed soon.

    The first one comes after a second: the start of the attempt counts as one, and most end before.
    What an earlier attempt put into its heartbeats is handed on.
    """
    details = activity.info().heartbeat_details
    loop, seconds = asyncio.get_running_loop(), HEARTBEAT_EVERY.total_seconds()
    pulse = Pulse()
    timer: asyncio.TimerHandle

    def beat() -> None:
        nonlocal timer
        pulse.beat()
        activity.heartbeat(*details)
        timer = loop.call_later(seconds, beat)

    timer = loop.call_later(seconds, beat)
    try:
        yield pulse
    finally:
        timer.cancel()


class ServerClock:
    """The Temporal server's time, carried on from this attempt's start, through any sleep of the machine."""

    def __init__(self) -> None:
        self._started = activity.info().started_time
        self._begun = elapsed()

    def now(self) -> datetime:
        """Return the server's time, aware, in UTC."""
        return self._started + timedelta(seconds=elapsed() - self._begun)


def this_worker() -> str:
    """Return the identity under which this worker signs what it writes down."""
    return activity.client().identity
