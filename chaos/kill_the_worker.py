"""Kill the worker with kill -9 at random times, while runs are drafted, reviewed, decided and executed."""

import asyncio
from dataclasses import dataclass
from random import Random

from chaos.inspector import inspect
from chaos.installation import Installation
from chaos.orders import Order, mixed_orders
from chaos.people import decide, retry
from chaos.report import Report


@dataclass(frozen=True)
class Size:
    """The size of the scenario."""

    runs: int
    kills: int


FULL = Size(runs=50, kills=25)
QUICK = Size(runs=6, kills=1)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Start all runs together, and decide some after each kill, so that the kills hit every phase."""
    orders = mixed_orders("killed", size.runs, installation.rng)
    killed = [asyncio.Event() for _ in range(size.kills + 1)]
    await installation.start_worker()
    killed[0].set()
    people = [asyncio.create_task(_decide_one(installation, order, killed)) for order in orders]
    for number in range(1, size.kills + 1):
        await asyncio.sleep(installation.rng.uniform(0.1, 1.5))
        installation.worker.kill()
        killed[number].set()
        report.say(f"kill {number} of {size.kills}: {_phases(installation, orders)}")
        await asyncio.sleep(installation.rng.uniform(0, 0.4))
        is_last = number == size.kills
        # 20% of the workers are killed again while they start.
        await installation.start_worker(wait=is_last or installation.rng.random() < 0.8)
    await asyncio.gather(*people)
    await inspect(installation, orders, report, time_limit=400)
    report.figure("kills of the worker", size.kills)
    report.expect(not installation.log_lines_with("Traceback"), "a worker's log contains a traceback")


async def _decide_one(installation: Installation, order: Order, killed: list[asyncio.Event]) -> None:
    """Submit and decide one request, each after a randomly chosen kill."""
    rng = Random(f"{order.workflow_id}{len(order.steps)}")
    begin = rng.choice([0, 0, 0, len(killed) // 3])
    await killed[begin].wait()
    await retry(lambda: installation.submit(order))
    await killed[rng.randrange(begin, len(killed))].wait()
    await asyncio.sleep(rng.uniform(0, 1.5))
    await decide(installation, order, rng)


def _phases(installation: Installation, orders: list[Order]) -> str:
    states = [
        status.state if (status := installation.recorded(order.workflow_id)) else "-" for order in orders
    ]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
