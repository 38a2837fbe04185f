"""Write log lines that can wait until an activity has sent its result.

After a pause, writing a line takes 0.3 ms, and the run would wait for it (docs/decisions/0021).
"""

import asyncio
from collections.abc import Callable
from typing import Final

_SECONDS: Final = 0.003  # by then the result has been sent to the server


def log_later(write: Callable[[], None]) -> None:
    """Schedule ``write``, which logs, to run shortly in the context of the current activity."""
    asyncio.get_running_loop().call_later(_SECONDS, write)
