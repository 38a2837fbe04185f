"""A Temporal server for tests: the real one, in memory, with a clock for each run that a test can move."""

import asyncio
from collections.abc import Coroutine
from threading import Thread
from typing import Any, Final, Self, TypeVar

from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment

from plangate.logs.setup import leave_logs_to_the_application
from plangate.temporal.connection import DATA_CONVERTER
from plangate.temporal.dev_server import program_path
from plangate.temporal.search_attributes import KEYS

Result = TypeVar("Result")
# The SDK's core may crash an interpreter that exits soon after it.
_LAST_SECONDS: Final = 0.5


async def start_temporal() -> WorkflowEnvironment:
    """Start a separate server in memory. Time is skipped only if a test asks for it.

    Raises:
        OperatorError: there is no ``temporal`` program.
    """
    return await WorkflowEnvironment.start_time_skipping_v2(
        ts_config=TimeSkippingConfig(enabled=False),
        data_converter=DATA_CONVERTER,
        dev_server_existing_path=program_path(),
        dev_server_extra_args=[
            "--dynamic-config-value",
            "frontend.WorkflowTimeSkippingEnabled=true",
            # Deleted runs disappear immediately, not after the server's queues are acknowledged (1 min).
            "--dynamic-config-value",
            "history.transferProcessorEnsureCloseBeforeDelete=false",
            "--dynamic-config-value",
            "history.visibilityProcessorEnsureCloseBeforeDelete=false",
            # As for the embedded server: see `plangate.temporal.dev_server` for the reasons.
            "--dynamic-config-value",
            "history.transferProcessorMaxPollRPS=1000",
            "--dynamic-config-value",
            "system.forceSearchAttributesCacheRefreshOnRead=false",
            # Each test has its own task queues, and the server reports metrics of each every second.
            "--dynamic-config-value",
            "metrics.breakdownByTaskQueue=false",
            # The server has four partitions of each task queue, and loads each of them.
            "--dynamic-config-value",
            "matching.numTaskqueueReadPartitions=1",
            "--dynamic-config-value",
            "matching.numTaskqueueWritePartitions=1",
            *(word for key in KEYS for word in ("--search-attribute", f"{key.name}=Keyword")),
            "--log-level",
            "error",
        ],
    )


class Server:
    """A Temporal server, and the thread in which it, the workers and their tools run.

    A test may call it from any thread, and does not need asyncio.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="plangate", daemon=True)
        self._environment: WorkflowEnvironment | None = None

    @property
    def environment(self) -> WorkflowEnvironment:
        """The running server."""
        assert self._environment is not None
        return self._environment

    def __enter__(self) -> Self:
        leave_logs_to_the_application()
        self._thread.start()
        try:
            self._environment = self.wait_for(start_temporal())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.wait_for(self._shut_down())
        self._stop()

    def wait_for(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run ``work`` in the server's thread and return its result."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _shut_down(self) -> None:
        await self.environment.shutdown()
        await asyncio.sleep(_LAST_SECONDS)

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
