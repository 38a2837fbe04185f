"""Measure the duration of the model's outage over all attempts of the activity that drafts.

An outage of the records is not counted here: `workflows.recording` and `activities.waiting_for_records` wait
until it is over.

The heartbeat details contain the duration, and Temporal passes them to the next attempt. A new worker can
therefore continue the count, without the duration in the workflow's messages.
"""

from datetime import timedelta
from typing import Final

from temporalio import activity

from activities.heartbeat import ServerClock

_LATEST_TIME: Final = 1e11  # seconds since 1970, in the year 5138; larger values are not from this class


class Outage:
    """Adds up the time between failures, without the time that each attempt waited for a worker."""

    def __init__(self, limit: timedelta, clock: ServerClock) -> None:
        self._limit = limit
        self._clock = clock

    def record_failure(self) -> timedelta | None:
        """Count a failure; return the duration of the outage if it exceeds the limit.

        Call it once per attempt, after all other heartbeats.
        """
        info = activity.info()
        now = self._clock.now().timestamp()
        seconds = 0.0
        match info.heartbeat_details:
            case [int() | float() as before, int() | float() as last] if (
                0 <= before < _LATEST_TIME and last < _LATEST_TIME
            ):
                unattended = info.started_time - info.current_attempt_scheduled_time
                seconds = before + max(now - last - unattended.total_seconds(), 0.0)
            case _:
                pass  # the first failure, or details that cannot be used
        activity.heartbeat(seconds, now)
        return timedelta(seconds=seconds) if seconds >= self._limit.total_seconds() else None
