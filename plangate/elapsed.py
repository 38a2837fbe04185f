"""Elapsed time, including the time in which the machine slept.

On Linux and macOS, `time.monotonic` stops while the machine sleeps. That is right for a limit on local work,
but wrong for what continues elsewhere, such as the Temporal server's wait for a heartbeat.
"""

import time
from typing import Final

# Linux has a separate clock for it; on macOS and the BSDs the system's monotonic clock counts sleep, unlike
# the one that Python has under that name on macOS.
_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Return the seconds since a fixed moment, by a clock that never goes back and counts sleep."""
    return time.clock_gettime(_CLOCK)
