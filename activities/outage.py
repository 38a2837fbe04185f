"""How long what an activity depends on has been away, counted over all of its attempts.

The count travels in the activity's heartbeats, which Temporal hands to the next attempt: a new worker goes on
with it, and what is handed on by the workflow needs no field for it.
"""

from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities.pulse import ServerClock


class Outage:
    """Counts the time between failures, without the time for which no worker took the activity up."""

    def __init__(self, patience: timedelta, clock: ServerClock) -> None:
        self._patience = patience
        self._clock = clock

    def goes_on(self) -> timedelta | None:
        """Take note of a failure; return how long they have been going on if that is too long by now.

        Call it once in an attempt, when nothing else sends a heartbeat any more.
        """
        info = activity.info()
        now = self._clock.now()
        away = timedelta(0)
        match info.heartbeat_details:
            case [int() | float() as seconds, int() | float() as last]:
                gap = now - datetime.fromtimestamp(last, UTC)
                unattended = info.started_time - info.current_attempt_scheduled_time
                away = timedelta(seconds=seconds) + max(gap - unattended, timedelta(0))
            case _:
                pass  # the first failure
        activity.heartbeat(away.total_seconds(), now.timestamp())
        return away if away >= self._patience else None
