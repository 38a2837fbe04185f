"""Kill the Temporal server with kill -9 while runs wait for a decision, and again while they are decided."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

from chaos.inspector import inspect
from chaos.installation import Installation
from chaos.orders import mixed_orders
from chaos.people import decide
from chaos.report import Report


@dataclass(frozen=True)
class Size:
    """The size of the scenario."""

    runs: int
    kills_while_deciding: int


FULL = Size(runs=50, kills_while_deciding=3)
QUICK = Size(runs=10, kills_while_deciding=1)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Check that waiting runs still wait after the kill, and that acknowledged decisions take effect."""
    orders = mixed_orders("served", size.runs, installation.rng)
    await installation.start_worker()
    await asyncio.gather(*(installation.submit(order) for order in orders))
    for order in orders:
        await installation.until(
            "in_review", order.workflow_id
        )  # according to the record; the run follows soon
        async with asyncio.timeout(60):
            while await _queried_state(installation, order.workflow_id) != "in_review":
                await asyncio.sleep(0.05)
    report.say(f"{len(orders)} runs wait; the server is killed")
    await _kill_and_restart(installation, report)
    states = Counter([(await _queried_state(installation, order.workflow_id)) for order in orders])
    report.figure("after the restart", ", ".join(f"{count} {state}" for state, count in states.items()))
    report.expect(states == {"in_review": len(orders)}, "not all waiting runs still wait")
    people = [asyncio.create_task(decide(installation, order, installation.rng)) for order in orders]
    for _ in range(size.kills_while_deciding):
        await asyncio.sleep(installation.rng.uniform(0.2, 1.2))
        await _kill_and_restart(installation, report)
    await asyncio.gather(*people)
    await inspect(installation, orders, report)
    report.expect(installation.worker.is_alive, "the worker exited when the server was killed")


async def _kill_and_restart(installation: Installation, report: Report) -> None:
    await installation.server.kill_9()
    await asyncio.sleep(installation.rng.uniform(0, 1))
    started = time.monotonic()
    address = await installation.server.start()
    report.expect(address == installation.address, "the server restarted at another address")
    report.say(f"the server answers again after {time.monotonic() - started:.1f} s")


async def _queried_state(installation: Installation, workflow_id: str) -> str:
    """Query the run itself, through the server and the worker."""
    async with asyncio.timeout(60):
        while True:
            status = await installation.api.status(workflow_id)
            if status.source == "workflow":
                return status.state
            await asyncio.sleep(0.2)
