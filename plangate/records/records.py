"""The records as activities write them: one unit of work, which is one transaction over one open trail.

An act that raises leaves nothing behind. What it returns holds once `Records.transact` has returned, for by
then the transaction is committed: log it, and report it to the workflow, only after that.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection

from plangate.domain.audit import RunRef
from plangate.records.database import LOCK_WAIT_SECONDS, Database, LockHeld
from plangate.records.trail import OpenTrail, open_trail
from plangate.records.turns import Turns

Result = TypeVar("Result")
_POSTGRESQL_WRITERS: Final = 4  # at once, of one process; its pool has five connections


class Records:
    """Runs units of work for the tasks of one event loop, without keeping the loop waiting."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._turns = Turns(1 if database.is_sqlite else _POSTGRESQL_WRITERS, LOCK_WAIT_SECONDS)

    async def transact(
        self, run: RunRef, act: Callable[[OpenTrail], Result], *, receipt: bool = False
    ) -> Result:
        """Call ``act`` with the open trail of ``run``, commit, and return what it returned.

        Args:
            run: whose trail is opened, and made where ``run.requested`` is given.
            act: what reads and appends. It is called once, in any thread.
            receipt: whether to go before all other units of work of this process that wait.

        Raises:
            RecordsUnavailable: the database did not answer, or others wait for it and no turn came.
            IdInUse, RequestInvalid, NotApproved, TrailDamaged: as `plangate.records.trail.open_trail`.
            Exception: what ``act`` raises; then nothing is written.
        """
        return await self.write(lambda connection: act(open_trail(connection, run)), receipt=receipt)

    async def write(self, act: Callable[[Connection], Result], *, receipt: bool = False) -> Result:
        """Call ``act`` in a transaction that writes, commit, and return what it returned.

        Where SQLite's lock is free it is called at once: to hand it to a thread takes as long as the
        transaction itself. Where another writer holds the lock, and with PostgreSQL, it goes to a thread.

        Raises:
            RecordsUnavailable: the database did not answer, or others wait for it and no turn came.
            Exception: what ``act`` raises; then nothing is written.
        """
        async with self._turns.taken(receipt=receipt):
            if self.database.is_sqlite:
                try:
                    return self._written(act, waits=False)
                except LockHeld:
                    pass  # before ``act`` was called: a transaction takes the lock before all else
            return await asyncio.to_thread(self._written, act, waits=True)

    def _written(self, act: Callable[[Connection], Result], *, waits: bool) -> Result:
        with self.database.write(waits=waits) as connection:
            return act(connection)
