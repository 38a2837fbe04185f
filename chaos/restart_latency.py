"""Measure the time to the first approval after the worker is killed with kill -9 and restarted.

The server first offers the run's next task to the dead worker's own queue, and waits for a second. An
approval sent at the moment of the kill may be delivered to the dead worker, and only ten seconds later to
another worker. This is measured as well, but is not an error.
"""

import asyncio
import statistics
import time
from dataclasses import dataclass

from chaos.inspector import inspect
from chaos.installation import Installation
from chaos.orders import Order, Place, order
from chaos.people import by_signal
from chaos.report import Report

LIMIT = 1.5  # seconds


@dataclass(frozen=True)
class Size:
    """The number of attempts and of waiting runs, and whether exceeding the limit is an error."""

    tries: int
    waiting: int
    has_limit: bool


FULL = Size(tries=7, waiting=200, has_limit=True)
QUICK = Size(tries=1, waiting=2, has_limit=False)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Approve immediately after the new worker is ready, and while there is no worker."""
    await installation.start_worker()
    orders = [order(f"restart-waits-{number}", [Place.OUTBOX]) for number in range(size.waiting)]
    await asyncio.gather(*map(installation.submit, orders))
    statuses = [await installation.until("in_review", waits.workflow_id) for waits in orders]
    after, meanwhile = [], []
    for number in range(size.tries):
        first, second = (order(f"restart-{number}-{name}", [Place.OUTBOX]) for name in ("after", "meanwhile"))
        orders += [first, second]
        after.append(await _served(installation, first, approve_first=False))
        meanwhile.append(await _served(installation, second, approve_first=True))
        report.say(f"try {number + 1}: {after[-1]:.2f} s, {meanwhile[-1]:.2f} s")
    _report(report, "approved after the restart", after)
    _report(report, "approved when the worker was killed, from the restart", meanwhile)
    late = size.has_limit and max(after) > LIMIT
    report.expect(not late, f"the first approval took {max(after):.2f} s, more than {LIMIT:g} s")
    for waits, status in zip(orders, statuses, strict=False):
        waits.decided_at = time.time()
        await by_signal(installation, waits, status)
        await installation.result(waits.workflow_id)
    await inspect(installation, orders, report)


async def _served(installation: Installation, waiting: Order, *, approve_first: bool) -> float:
    """Return the seconds from the approval or the worker being ready, whichever is later, to the email."""
    await installation.submit(waiting)
    status = await installation.until("in_review", waiting.workflow_id)
    await asyncio.sleep(0.3)  # the worker now has the run in its cache
    installation.worker.kill()
    waiting.decided_at = time.time()
    if approve_first:
        await by_signal(installation, waiting, status)
    await installation.start_worker()
    began = time.monotonic()
    if not approve_first:
        await by_signal(installation, waiting, status)
    await installation.until("executed", waiting.workflow_id)
    return time.monotonic() - began


def _report(report: Report, name: str, seconds: list[float]) -> None:
    median, longest = statistics.median(seconds), max(seconds)
    report.figure(name, f"median {median:.2f} s, longest {longest:.2f} s of {len(seconds)}")
