"""The activity that waits outside of workflow tasks until the records are available again.

A run writes through local activities, because no other workflow can schedule them. They must be short,
because the whole workflow task waits for them. If the records or the list of people are unavailable, or the
run's own trail cannot be read, the run schedules `Waiting.wait_for_records`. The server retries this ordinary
activity for days without adding history events. It has no effects and returns nothing, so other workflows may
safely schedule it. docs/operations.md describes what people see meanwhile.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.tasks import WaitTask
from activities.temporal_failures import as_application_errors
from plangate.domain.errors import RecordsUnavailable
from plangate.records.database import Database
from plangate.records.probe import check_writable
from plangate.records.records import Records
from plangate.records.rule_texts import RecordedPeople
from plangate.records.trail import check_readable

Written = TypeVar("Written")
_log = structlog.get_logger(__name__)
# Two attempts and the pause between them end before a query times out (3 s).
_WRITE_LIMIT: Final = 1.2
_WAIT_LIMIT: Final = 8.0


class Waiting:
    """Checks the records and the list of people; one check of the database serves all waiting runs.

    A database that hangs blocks a thread for half a minute, and many runs may be waiting for it. Each run's
    own trail is read only after the database has responded.
    """

    def __init__(self, records: Records, directory: RecordedPeople) -> None:
        self._records = records
        self._directory = directory
        self._checking: dict[bool, asyncio.Future[None]] = {}

    @activity.defn
    async def wait_for_records(self, task: WaitTask) -> None:
        """Return once the records can be written and the run's own trail can be read.

        If ``task`` needs it, the list of people must be readable too.

        Raises:
            ApplicationError: they are currently unavailable or damaged; retryable.
        """
        workflow_id = activity.info().workflow_id or ""
        checking = self._checking.get(task.needs_people)
        if checking is None or checking.done():
            checking = asyncio.ensure_future(self._check(task, workflow_id))
            checking.add_done_callback(_log_failure)
            self._checking[task.needs_people] = checking
        try:
            with as_application_errors():
                await _within(_WAIT_LIMIT, self._records.database, checking)
                reading = asyncio.to_thread(self._read, workflow_id, task.chain_id)
                await _within(_WAIT_LIMIT / 2, self._records.database, asyncio.ensure_future(reading))
        except ApplicationError as error:
            # Benign, because the SDK would otherwise log it again for each waiting run.
            benign = ApplicationErrorCategory.BENIGN
            raise ApplicationError(error.message, type=error.type, category=benign) from None

    async def _check(self, task: WaitTask, workflow_id: str) -> None:
        if task.needs_people:
            await self._directory.people()
        await self._records.write(lambda connection: check_writable(connection, workflow_id))

    def _read(self, workflow_id: str, chain_id: str) -> None:
        with self._records.database.read() as connection:
            check_readable(connection, workflow_id, chain_id)


async def with_time_limit(records: Records, writing: Coroutine[Any, Any, Written]) -> Written:
    """Await a write, with the time limit of a local activity.

    After a timeout, the write may still succeed; the next attempt finds it by its key.

    Raises:
        RecordsUnavailable: the database did not respond in time, or cannot be reached.
    """
    return await _within(_WRITE_LIMIT, records.database, asyncio.ensure_future(writing))


def _log_failure(check: "asyncio.Future[None]") -> None:
    error = None if check.cancelled() else check.exception()
    if error is not None:
        _log.warning(
            "The records cannot be written now; runs are waiting.", action="waiting", error=str(error)
        )


def _retrieve(answer: "asyncio.Future[Written]") -> None:
    """Retrieve the exception of a future that is no longer awaited, so that asyncio does not report it."""
    if not answer.cancelled():
        answer.exception()


async def _within(seconds: float, database: Database, answer: "asyncio.Future[Written]") -> Written:
    # Not cancelled: a hanging thread cannot be cancelled, and other runs may be waiting for the same answer.
    answer.add_done_callback(_retrieve)
    await asyncio.wait((answer,), timeout=seconds)
    if answer.done():
        return answer.result()
    raise RecordsUnavailable(f"The records at {database.where} did not respond within {seconds:g} seconds.")
