"""Make the records unavailable for the duration of a block: by the lock, the disk, or the database."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from chaos.installation import Installation
from tests.support.postgres import PostgresServer


@asynccontextmanager
async def sqlite_locked(installation: Installation) -> AsyncIterator[None]:
    """Hold SQLite's lock in another process."""
    with closing(
        sqlite3.connect(installation.var_dir / "records.db", isolation_level=None, timeout=30)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@asynccontextmanager
async def disk_full(installation: Installation) -> AsyncIterator[None]:
    """Fill the disk of all workers."""
    _fill(installation, full=True)
    yield
    _fill(installation, full=False)


@asynccontextmanager
async def postgres_killed(database: PostgresServer) -> AsyncIterator[None]:
    """Keep PostgreSQL stopped."""
    await asyncio.to_thread(database.kill_9)
    yield
    await asyncio.to_thread(database.start)


def _fill(installation: Installation, *, full: bool) -> None:
    for worker in installation.workers:
        if worker.is_alive:
            worker.fill_disk(full=full)
