"""Make the records unavailable between decision and execution: by a lock, a kill or a full disk."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import cycle

from chaos.inspector import inspect
from chaos.installation import Installation
from chaos.losses import disk_full, postgres_killed, sqlite_locked
from chaos.orders import Order, mixed_orders
from chaos.people import decide
from chaos.report import Report
from tests.support.postgres import PostgresServer

Loss = Callable[[], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Size:
    """The size of the scenario."""

    runs: int  # for each kind of loss
    times: int  # how many times the records are unavailable
    seconds: float  # seconds each time


FULL = Size(runs=20, times=5, seconds=4)
QUICK = Size(runs=4, times=1, seconds=1.5)
MANY_TIMES = Size(runs=50, times=25, seconds=1)
ONCE = Size(runs=4, times=1, seconds=0.8)


async def sqlite(installation: Installation, report: Report, size: Size) -> None:
    """On SQLite, hold the lock in another process, then fill the disk."""
    await installation.start_worker()
    locked = mixed_orders("locked", size.runs, installation.rng)
    await _run_outages(installation, report, size, locked, lambda: sqlite_locked(installation))
    full = mixed_orders("full", size.runs, installation.rng)
    await _run_outages(installation, report, size, full, lambda: disk_full(installation))
    await inspect(installation, [*locked, *full], report)
    report.expect(installation.worker.is_alive, "the worker exited")
    report.figure("locked and full", f"{size.times} times {size.seconds:g} s each")


async def postgres(installation: Installation, report: Report, size: Size, database: PostgresServer) -> None:
    """Kill PostgreSQL with SIGKILL, every other time along with the worker, and restart it on its files."""
    await installation.start_worker()
    orders = mixed_orders("postgres", size.runs, installation.rng)
    both = cycle((False, True))
    await _run_outages(
        installation, report, size, orders, lambda: _killed(installation, database, and_worker=next(both))
    )
    await inspect(installation, orders, report, time_limit=400)
    report.expect(installation.worker.is_alive, "the worker exited")
    with_worker = len(installation.workers) - 1
    report.figure("PostgreSQL killed", f"{size.times} times for {size.seconds:g} s")
    report.figure("the worker killed with it", f"{with_worker} times")


async def _run_outages(
    installation: Installation, report: Report, size: Size, orders: Sequence[Order], lose: Loss
) -> None:
    """Move all runs into review, then decide while the records are repeatedly unavailable."""
    await asyncio.gather(*(installation.submit(order) for order in orders))
    for order in orders:
        await installation.until("in_review", order.workflow_id)
    people = [asyncio.create_task(_decide_at_random_time(installation, order, size)) for order in orders]
    for number in range(size.times):
        await asyncio.sleep(installation.rng.uniform(0.1, 1.0))
        report.say(f"the records become unavailable, {number + 1} of {size.times}")
        async with lose():
            await asyncio.sleep(size.seconds)
    await asyncio.gather(*people)


@asynccontextmanager
async def _killed(
    installation: Installation, database: PostgresServer, *, and_worker: bool
) -> AsyncIterator[None]:
    if and_worker:
        installation.worker.kill()
    async with postgres_killed(database):
        yield
    if and_worker:
        await installation.start_worker()


async def _decide_at_random_time(installation: Installation, order: Order, size: Size) -> None:
    await asyncio.sleep(installation.rng.uniform(0, size.times * (size.seconds + 0.5)))
    await decide(installation, order, installation.rng, with_mistakes=False)
