"""How soon the first approval is served after the worker's kill -9 and restart: its cache died with it.

The server offers the run's next task to the dead worker's own queue first, and waits there for a second. An
approval sent in the very moment of the death may be handed to the dead worker itself, and is missed ten
seconds later: that is measured too, and is no fault.
"""

import asyncio
import statistics
import time
from dataclasses import dataclass

from chaos.inspector import inspect
from chaos.orders import Order, Place, order
from chaos.people import by_signal
from chaos.report import Report
from chaos.stage import Stage

LIMIT = 1.5  # seconds


@dataclass(frozen=True)
class Size:
    """How often, how many runs wait meanwhile, and whether it is a fault to take longer than the limit."""

    tries: int
    waiting: int
    has_limit: bool


FULL = Size(tries=7, waiting=200, has_limit=True)
QUICK = Size(tries=1, waiting=2, has_limit=False)


async def act(stage: Stage, report: Report, size: Size) -> None:
    """Approve right after the new worker is ready, and while there is none."""
    await stage.hire()
    orders = [order(f"restart-waits-{number}", [Place.OUTBOX]) for number in range(size.waiting)]
    await asyncio.gather(*map(stage.submit, orders))
    statuses = [await stage.until("in_review", waits.workflow_id) for waits in orders]
    after, meanwhile = [], []
    for number in range(size.tries):
        first, second = (order(f"restart-{number}-{name}", [Place.OUTBOX]) for name in ("after", "meanwhile"))
        orders += [first, second]
        after.append(await _served(stage, first, approve_first=False))
        meanwhile.append(await _served(stage, second, approve_first=True))
        report.say(f"try {number + 1}: {after[-1]:.2f} s, {meanwhile[-1]:.2f} s")
    _report(report, "approved after the restart", after)
    _report(report, "approved as it died, from ready on", meanwhile)
    late = size.has_limit and max(after) > LIMIT
    report.expect(not late, f"the first approval took {max(after):.2f} s, more than {LIMIT:g} s")
    for waits, status in zip(orders, statuses, strict=False):
        waits.decided_at = time.time()
        await by_signal(stage, waits, status)
        await stage.result(waits.workflow_id)
    await inspect(stage, orders, report)


async def _served(stage: Stage, waiting: Order, *, approve_first: bool) -> float:
    """Return the seconds from when both the approval and a ready worker were there to the mail."""
    await stage.submit(waiting)
    status = await stage.until("in_review", waiting.workflow_id)
    await asyncio.sleep(0.3)  # it is cached by the worker now
    stage.worker.kill()
    waiting.decided_at = time.time()
    if approve_first:
        await by_signal(stage, waiting, status)
    await stage.hire()
    began = time.monotonic()
    if not approve_first:
        await by_signal(stage, waiting, status)
    await stage.until("executed", waiting.workflow_id)
    return time.monotonic() - began


def _report(report: Report, name: str, seconds: list[float]) -> None:
    median, longest = statistics.median(seconds), max(seconds)
    report.figure(name, f"median {median:.2f} s, longest {longest:.2f} s of {len(seconds)}")
