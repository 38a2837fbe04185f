"""How long something took, the time included for which the machine slept.

`time.monotonic` stands still while a laptop's lid is closed, on Linux and on macOS. That is right for a limit
on work that sleeps as well, and wrong for what goes on elsewhere: the Temporal server's time, and how long
it waits for a heartbeat.
"""

import time
from typing import Final

# Linux has a clock of its own for it; on macOS and the BSDs the system's monotonic clock counts sleep, unlike
# the one that Python has under that name on macOS.
_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Return the seconds since some moment, by a clock that never goes back and counts sleep."""
    return time.clock_gettime(_CLOCK)
