"""A workflow for `test_runs_in_the_loop`, in a module of its own, as the sandbox wants it."""

import time

from temporalio import workflow
from temporalio.exceptions import ApplicationError


@workflow.defn
class Slow:
    """Holds its turn for so many seconds, and then fails if it was told to."""

    @workflow.run
    async def run(self, seconds: float, fails: bool = False) -> str:
        """Return that it is done."""
        with workflow.unsafe.sandbox_unrestricted():
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                pass
        if fails:
            raise ApplicationError("It was told to.")
        return "done"
