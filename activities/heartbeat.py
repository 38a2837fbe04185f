"""Provide an activity's heartbeats, the server's time, and the identity of this worker."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from temporalio import activity

from plangate.elapsed import elapsed

HEARTBEAT_EVERY: Final = timedelta(seconds=1)


class Heartbeats:
    """Tracks whether this attempt's heartbeats were sent in time.

    A suspended machine sends its next heartbeat after it resumes. By then, the attempt has timed out on
    the server, and a later heartbeat does not change that.
    """

    def __init__(self) -> None:
        self._timeout = activity.info().heartbeat_timeout
        self._last = elapsed()
        self._are_missed = False

    @property
    def are_missed(self) -> bool:
        """Whether the heartbeat timeout passed between two heartbeats, or since the last one."""
        pause = timedelta(seconds=elapsed() - self._last)
        if self._timeout and pause >= self._timeout:
            self._are_missed = True
        return self._are_missed

    def sent(self) -> None:
        """Record that a heartbeat was sent."""
        self._are_missed = self.are_missed
        self._last = elapsed()


@contextmanager
def heartbeating() -> Iterator[Heartbeats]:
    """Send a heartbeat every second while the block runs, so that the server detects a dead worker.

    The first one is sent after a second, because the start of the attempt counts as a heartbeat and most
    attempts are shorter. The details of an earlier attempt's heartbeats are sent again.
    """
    details = activity.info().heartbeat_details
    loop, seconds = asyncio.get_running_loop(), HEARTBEAT_EVERY.total_seconds()
    heartbeats = Heartbeats()
    timer: asyncio.TimerHandle

    def beat() -> None:
        nonlocal timer
        heartbeats.sent()
        activity.heartbeat(*details)
        timer = loop.call_later(seconds, beat)

    timer = loop.call_later(seconds, beat)
    try:
        yield heartbeats
    finally:
        timer.cancel()


class ServerClock:
    """The Temporal server's time, from this attempt's start; correct even if the machine was suspended."""

    def __init__(self) -> None:
        self._started = activity.info().started_time
        self._begun = elapsed()

    def now(self) -> datetime:
        """Return the server's time as an aware datetime in UTC."""
        return self._started + timedelta(seconds=elapsed() - self._begun)


def this_worker() -> str:
    """Return the identity under which this worker appends to the trail."""
    return activity.client().identity
