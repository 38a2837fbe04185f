"""Suspend a worker until the server considers it dead and another one takes over, and then resume it.

Both then work on the same run and step; the effects ledger must allow only one effect.
"""

import asyncio
import time
from dataclasses import dataclass

from chaos.inspector import inspect
from chaos.installation import Installation
from chaos.orders import Place, order
from chaos.people import decide
from chaos.report import Report


@dataclass(frozen=True)
class Size:
    """The size of the scenario."""

    runs: int
    seconds: float  # longer than 4 s (a step) and 12 s (a draft), after which another worker retries


FULL = Size(runs=24, seconds=20)
QUICK = Size(runs=6, seconds=13)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Suspend first one of two workers, and then the other, while runs are in progress."""
    places = [Place.KEYLESS, Place.VENDOR, Place.OUTBOX]
    orders = [
        order(f"frozen-{number}", places[number % 3 :] + places[: number % 3]) for number in range(size.runs)
    ]
    workers = [await installation.start_worker(), await installation.start_worker()]
    half = size.runs // 2
    for worker, some in zip(workers, (orders[:half], orders[half:]), strict=True):
        await asyncio.gather(*(installation.submit(each) for each in some))
        people = [asyncio.create_task(decide(installation, each, installation.rng)) for each in some]
        await asyncio.sleep(installation.rng.uniform(0.5, 1.0))
        worker.suspend()
        report.say(f"one worker is suspended for {size.seconds:g} s")
        began = time.monotonic()
        await asyncio.gather(*people)
        await asyncio.sleep(max(0.0, size.seconds - (time.monotonic() - began)))
        worker.resume()
        await asyncio.sleep(3)
    await inspect(installation, orders, report)
