"""Let activities write to the records: a unit of work is one transaction over one open trail.

If the unit of work raises, nothing is written. Its result is final once `Records.transact` has returned,
because the transaction is then committed. Log it and report it to the workflow only after that.
"""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, TypeVar

from sqlalchemy import Connection

from plangate.domain.runs.audit import RunRef
from plangate.records.database import LOCK_WAIT_SECONDS, Database, LockHeld
from plangate.records.trail import OpenTrail, open_trail
from plangate.records.write_queue import WriteQueue

Result = TypeVar("Result")
_POSTGRESQL_WRITERS: Final = 4  # at the same time in one process; its pool has five connections


class Records:
    """Runs units of work for the tasks of one event loop, without blocking the loop."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._queue = WriteQueue(1 if database.is_sqlite else _POSTGRESQL_WRITERS, LOCK_WAIT_SECONDS)

    async def transact(
        self, run: RunRef, act: Callable[[OpenTrail], Result], *, receipt: bool = False
    ) -> Result:
        """Call ``act`` with the open trail of ``run``, commit, and return what it returned.

        Args:
            run: the run whose trail is opened; it is created if ``run.requested`` is given.
            act: a function that reads and appends. It is called once, in any thread.
            receipt: whether to take precedence over other waiting units of work in this process.

        Raises:
            RecordsUnavailable: the database did not respond, or the wait in the write queue timed out.
            IdInUse, RequestInvalid, NotApproved, TrailDamaged: see `plangate.records.trail.open_trail`.
            Exception: what ``act`` raises; then nothing is written.
        """
        return await self.write(lambda connection: act(open_trail(connection, run)), receipt=receipt)

    async def write(self, act: Callable[[Connection], Result], *, receipt: bool = False) -> Result:
        """Call ``act`` in a write transaction, commit, and return what it returned.

        If SQLite's lock is free, ``act`` is called immediately, because passing it to a thread takes as long
        as the transaction. If another writer holds the lock, or with PostgreSQL, it runs in a thread.

        Raises:
            RecordsUnavailable: the database did not respond, or the wait in the write queue timed out.
            Exception: what ``act`` raises; then nothing is written.
        """
        async with self._queue.slot(receipt=receipt):
            if self.database.is_sqlite:
                with ExitStack() as transaction:
                    try:
                        connection = transaction.enter_context(self.database.write(waits=False))
                    except LockHeld:
                        pass  # a thread can wait for it
                    else:
                        return act(connection)
            return await asyncio.to_thread(self._write_and_wait, act)

    async def read(self, act: Callable[[Connection], Result]) -> Result:
        """Call ``act`` in a read-only transaction, in a thread, and return what it returned.

        Raises:
            RecordsUnavailable: the database did not respond.
            Exception: what ``act`` raises.
        """
        return await asyncio.to_thread(self._read, act)

    def _read(self, act: Callable[[Connection], Result]) -> Result:
        with self.database.read() as connection:
            return act(connection)

    def _write_and_wait(self, act: Callable[[Connection], Result]) -> Result:
        with self.database.write() as connection:
            return act(connection)
