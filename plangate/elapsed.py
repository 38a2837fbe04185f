"""Elapsed time, including time when the machine was suspended.

On Linux and macOS, `time.monotonic` stops while the machine is suspended. That is correct for a limit on
local work, but wrong for something that continues on another machine, such as the Temporal server's wait for
a heartbeat.
"""

import time
from typing import Final

# Linux has a separate clock for this. On macOS and the BSDs, the system's monotonic clock includes suspended
# time, but Python's monotonic clock on macOS does not.
_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Return the seconds since a fixed time, from a steady clock that includes suspended time."""
    return time.clock_gettime(_CLOCK)
