"""The first approval behind a worker's death: the dead one's cache is waited for before another is asked."""

import time
from dataclasses import dataclass
from statistics import median

from tests.chaos.inspector import inspect
from tests.chaos.orders import Place, order
from tests.chaos.people import by_signal
from tests.chaos.report import Report
from tests.chaos.stage import Stage

LIMIT_SECONDS = 3.0


@dataclass(frozen=True)
class Size:
    """How much of it."""

    restarts: int


FULL = Size(restarts=8)
QUICK = Size(restarts=1)


async def act(stage: Stage, report: Report, size: Size) -> None:
    """Kill the worker that has a run in its cache, start another, approve at once, and take the time."""
    orders, seconds = [], []
    for number in range(size.restarts):
        await stage.hire()
        waiting = order(f"restarted-{number}", [Place.OUTBOX])
        orders.append(waiting)
        await stage.submit(waiting)
        status = await stage.until("in_review", waiting.workflow_id)
        await stage.gateway.status(waiting.workflow_id)  # the run is at rest, in the worker's cache
        stage.worker.kill_9()
        await stage.hire()
        began = time.monotonic()
        waiting.decided_at = time.time()
        await by_signal(stage, waiting, status)
        await stage.result(waiting.workflow_id)
        seconds.append(time.monotonic() - began)
        report.say(f"restart {number + 1} of {size.restarts}: executed after {seconds[-1]:.2f} s")
        stage.worker.kill_9()
    await stage.hire()
    await inspect(stage, orders, report)
    report.figure(
        "approved → executed behind a restart", f"{median(seconds):.2f} s (most {max(seconds):.2f} s)"
    )
    if size == FULL:  # a figure of `make chaos`; the suite does not judge by the clock
        report.expect(max(seconds) <= LIMIT_SECONDS, f"one took longer than {LIMIT_SECONDS} s")
