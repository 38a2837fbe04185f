"""Kill the only worker with kill -9 during a burst of approved runs whose tool cannot look up its effects.

Steps whose tool was being called when the worker died are unavoidably in doubt. Steps whose result was not
recorded, or that were claimed but not called, are unnecessarily in doubt. Only a few such steps are allowed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from chaos.inspector import inspect
from chaos.installation import Installation
from chaos.orders import Order, Place, order
from chaos.people import by_signal, retry
from chaos.report import Report
from plangate.domain.runs.run import StepState

MAX_UNNECESSARY = 4  # maximum number of steps unnecessarily in doubt after one kill
MAX_FIRST_SECONDS = 1.5  # seconds from the worker being ready to the first effect
_CONCURRENT = 25


@dataclass(frozen=True)
class Size:
    """The number of bursts, with one kill each, and of runs per burst; untimed on a busy machine."""

    kills: int
    runs: int
    is_timed: bool


FULL = Size(kills=30, runs=200, is_timed=True)
QUICK = Size(kills=1, runs=40, is_timed=False)


@dataclass(frozen=True)
class Kill:
    """The result of one kill."""

    doubts: int
    called: int
    first: float
    all_done: float

    @property
    def unnecessary(self) -> int:
        """The number of steps in doubt whose tool was not being called."""
        return self.doubts - self.called


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Kill the worker in consecutive bursts, with a fast and a slow service in turn."""
    await installation.start_worker()
    orders: list[Order] = []
    kills: list[Kill] = []
    for number in range(size.kills):
        slowest = (0.0, 0.6)[number % 2]
        installation.keyless.delay = lambda slowest=slowest: installation.rng.uniform(0, slowest)  # type: ignore[misc]
        burst = [order(f"burst-{number}-{one:03}", [Place.KEYLESS]) for one in range(size.runs)]
        later = order(f"burst-{number}-later", [Place.KEYLESS])
        orders += [*burst, later]
        kill = await _kill_in(installation, burst, later)
        kills.append(kill)
        report.say(
            f"kill {number + 1} of {size.kills}: {kill.doubts} in doubt, {kill.called} of them called;"
            f" first after {kill.first:.2f} s, all after {kill.all_done:.2f} s"
        )
    _report(report, size, kills)
    await inspect(installation, orders, report)


async def _kill_in(installation: Installation, burst: list[Order], later: Order) -> Kill:
    """Kill the worker while a burst is approved; approve one more run as soon as the next one is ready.

    The dead worker may have taken all remaining runs of the burst; these are executed only after a timeout.
    """
    everything = [*burst, later]
    await _each(everything, installation.submit)
    statuses = {one.workflow_id: await installation.until("in_review", one.workflow_id) for one in everything}

    async def approve(one: Order) -> None:
        one.decided_at = time.time()
        await retry(lambda: by_signal(installation, one, statuses[one.workflow_id]))

    begun = len(installation.keyless.calls)
    approving = asyncio.create_task(_each(burst, approve))
    while len(installation.keyless.calls) - begun < len(burst) // 10:
        await asyncio.sleep(0.01)
    await asyncio.sleep(installation.rng.uniform(0, 0.015 * len(burst)))
    died = time.time()
    installation.worker.kill()
    await approving
    await installation.start_worker()
    ready, before = time.time(), len(installation.keyless.calls)
    await approve(later)
    while len(installation.keyless.calls) == before:
        await asyncio.sleep(0.01)
    first = time.time() - ready
    await asyncio.gather(*(installation.result(one.workflow_id) for one in everything))
    return Kill(*_doubts(installation, burst, died), first, time.time() - ready)


async def _each(orders: list[Order], do: Callable[[Order], Awaitable[None]]) -> None:
    limit = asyncio.Semaphore(_CONCURRENT)

    async def one(order: Order) -> None:
        async with limit:
            await do(order)

    await asyncio.gather(*(one(each) for each in orders))


def _doubts(installation: Installation, burst: list[Order], died: float) -> tuple[int, int]:
    """Return the number of the burst's steps in doubt, and how many of their tools were being called."""
    in_doubt = [
        one.steps[0].token
        for one in burst
        if (status := installation.recorded(one.workflow_id)) and status.steps[0].state is StepState.IN_DOUBT
    ]
    called = [token for token in in_doubt if installation.keyless.effects(token)]
    return len(in_doubt), sum(not installation.keyless.answered(token, before=died) for token in called)


def _report(report: Report, size: Size, kills: list[Kill]) -> None:
    report.figure("kills in a burst", f"{size.kills}, of {size.runs} runs each")
    report.figure("in doubt, being called", _spread([kill.called for kill in kills]))
    report.figure("unnecessarily in doubt", _spread([kill.unnecessary for kill in kills]))
    report.figure("ready → first effect, s", _spread([round(kill.first, 2) for kill in kills]))
    report.figure("ready → all done, s", _spread([round(kill.all_done, 2) for kill in kills]))
    worst = max(kill.unnecessary for kill in kills)
    report.expect(worst <= MAX_UNNECESSARY, f"{worst} steps were in doubt in addition to those being called")
    if size.is_timed:
        late = max(kill.first for kill in kills)
        report.expect(late <= MAX_FIRST_SECONDS, f"the first approval was served after {late:.2f} s")


def _spread(values: Sequence[float]) -> str:
    ordered = sorted(values)
    return f"{ordered[0]} to {ordered[-1]}, median {ordered[len(ordered) // 2]}"
