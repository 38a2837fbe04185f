"""How long a service that an activity needs has been away, counted over all of the activity's attempts.

The count travels in the activity's heartbeats, which Temporal hands to the next attempt: a new worker
continues it, and the workflow's messages need no field for it.
"""

from datetime import timedelta
from typing import Final

from temporalio import activity

from activities.heartbeat import ServerClock

_SANE: Final = 1e11  # seconds since 1970: some 3,000 years


class Outage:
    """Counts the time between failures, without the time for which no worker took the activity up."""

    def __init__(self, patience: timedelta, clock: ServerClock) -> None:
        self._patience = patience
        self._clock = clock

    def goes_on(self) -> timedelta | None:
        """Count a failure; return how long the outage has lasted if that is too long by now.

        Call it once in an attempt, when nothing else sends a heartbeat any more.
        """
        info = activity.info()
        now = self._clock.now().timestamp()
        seconds = 0.0
        match info.heartbeat_details:
            case [int() | float() as before, int() | float() as last] if 0 <= before < _SANE and last < _SANE:
                unattended = info.started_time - info.current_attempt_scheduled_time
                seconds = before + max(now - last - unattended.total_seconds(), 0.0)
            case _:
                pass  # the first failure
        activity.heartbeat(seconds, now)
        return timedelta(seconds=seconds) if seconds >= self._patience.total_seconds() else None
