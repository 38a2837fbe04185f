"""Waiting until something can be put on the record again, outside any workflow task.

What a run writes is written by local activities, for nobody else can schedule those; and they must not wait
long, since all of a workflow task waits with them. Where the records or the list of people do not answer, or
the run's own trail cannot be read, the run schedules `Waiting.wait_for_records`, an ordinary activity: the
server tries it again and again, for days, without an event of history. It writes nothing and returns nothing,
so that it may be asked by anybody.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.failures import told_to_temporal
from activities.tasks import WaitTask
from plangate.domain.errors import RecordsUnavailable
from plangate.domain.people import Directory
from plangate.records.database import Database
from plangate.records.probe import prove_writable
from plangate.records.trail import prove_readable

Written = TypeVar("Written")
_log = structlog.get_logger(__name__)
# Two tries of it, and the pause between them, are over before a query gives up waiting (3 s).
_SOON: Final = 1.2
_PATIENCE: Final = 8.0


class Waiting:
    """Says when the records and the list of people answer; one look at the records serves all runs that wait.

    A database that hangs holds a thread for half a minute, and a thousand runs may wait for it. Only when it
    answers has each its own trail looked at.
    """

    def __init__(self, database: Database, directory: Directory) -> None:
        self._database = database
        self._directory = directory
        self._looking: dict[bool, asyncio.Future[None]] = {}

    @activity.defn
    async def wait_for_records(self, task: WaitTask) -> None:
        """Return once the records can be written, and the trail of the run that asks be read.

        The list of people, too, where it is needed.

        Raises:
            ApplicationError: they do not answer now, or are damaged; to be tried again.
        """
        looking = self._looking.get(task.needs_people)
        if looking is None or looking.done():
            looking = asyncio.ensure_future(
                self._database.transact(self._look, task, activity.info().workflow_id or "")
            )
            looking.add_done_callback(_log_failure)
            self._looking[task.needs_people] = looking
        try:
            with told_to_temporal():
                await _within(_PATIENCE, self._database, looking)
                reading = asyncio.to_thread(self._read, activity.info().workflow_id or "", task.chain_id)
                await _within(_PATIENCE / 2, self._database, asyncio.ensure_future(reading))
        except ApplicationError as error:
            # Benign: the library would log it once more for each run that waits.
            benign = ApplicationErrorCategory.BENIGN
            raise ApplicationError(error.message, type=error.type, category=benign) from None

    def _look(self, task: WaitTask, workflow_id: str) -> None:
        if task.needs_people:
            self._directory.people()
        prove_writable(self._database, workflow_id)

    def _read(self, workflow_id: str, chain_id: str) -> None:
        with self._database.read() as connection:
            prove_readable(connection, workflow_id, chain_id)


async def write_soon(database: Database, write: Callable[..., Written], *arguments: object) -> Written:
    """Call ``write`` in a transaction, and wait for it no longer than a local activity may.

    What is given up may still be written; whoever comes again finds it by its key.

    Raises:
        RecordsUnavailable: the database did not answer so soon, or not at all.
    """
    return await _within(_SOON, database, asyncio.ensure_future(database.transact(write, *arguments)))


def _log_failure(look: "asyncio.Future[None]") -> None:
    error = None if look.cancelled() else look.exception()
    if error is not None:
        _log.warning("Nothing can be recorded now; runs wait for it.", action="waiting", error=str(error))


def _let_go(answer: "asyncio.Future[Written]") -> None:
    """Take note of a failure that came too late for anybody to be told of."""
    if not answer.cancelled():
        answer.exception()


async def _within(seconds: float, database: Database, answer: "asyncio.Future[Written]") -> Written:
    # Shielded: what hangs in a thread cannot be broken off, and others may wait for the same answer.
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(answer)
    except TimeoutError:
        answer.add_done_callback(_let_go)
        raise RecordsUnavailable(
            f"The records at {database.where} did not answer within {seconds:g} seconds."
        ) from None
