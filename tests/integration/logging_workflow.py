"""A workflow that only logs, in a separate module, because the sandbox loads it again."""

from temporalio import workflow


@workflow.defn
class LoggingWorkflow:
    """A workflow that logs one line, waits for a signal, and logs another."""

    def __init__(self) -> None:
        self._is_resumed = False

    @workflow.run
    async def run(self) -> None:
        """Log the first line, wait for the signal, and log the second line."""
        workflow.logger.info("First\x1b[2K.", extra={"action": "first"})
        await workflow.wait_condition(lambda: self._is_resumed)
        workflow.logger.info("Second.", extra={"action": "second"})

    @workflow.signal
    def resume(self) -> None:
        """Make the workflow continue."""
        self._is_resumed = True
