"""A workflow for `test_runs_in_the_loop`."""

import threading
import time

from temporalio import workflow
from temporalio.exceptions import ApplicationError


@workflow.defn
class Slow:
    """Holds its turn for so many seconds, and then fails if it was told to."""

    @workflow.run
    async def run(self, seconds: float, fails: bool = False) -> int:
        """Return the thread in which it had its turn."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass
        if fails:
            raise ApplicationError("It was told to.")
        return threading.get_ident()
