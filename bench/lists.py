"""Measure the run time of `pending` and `audit list`, including startup, while thousands of runs wait.

The runs are written to the records as Plangate does, and started on an embedded server without a worker,
so that both show them as open.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from plangate.domain.runs.run import Phase
from plangate.process_end import end_process
from plangate.records.database import Database
from plangate.settings import PROJECT, environment_with
from plangate.temporal import dev_server as embedded_server
from plangate.temporal.connection import DATA_CONVERTER
from plangate.temporal.search_attributes import PLANGATE_STATE
from tests.support.waiting_runs import put_waiting

LIMIT: Final = 1.5  # seconds
COMMANDS: Final = (("pending",), ("pending", "--requester", "rita"), ("audit", "list"))
_CONCURRENT_STARTS: Final = 40
_STATE: Final = TypedSearchAttributes([SearchAttributePair(PLANGATE_STATE, Phase.IN_REVIEW.value)])


async def start_all(address: str, ids: list[str]) -> None:
    """Start runs without a worker, so that the server shows them as open."""
    client = await Client.connect(address, data_converter=DATA_CONVERTER)
    limit = asyncio.Semaphore(_CONCURRENT_STARTS)

    async def start(workflow_id: str) -> None:
        async with limit:
            await client.start_workflow(
                "PlanApproval", id=workflow_id, task_queue="no-worker", search_attributes=_STATE
            )

    await asyncio.gather(*(start(workflow_id) for workflow_id in ids))


def _seconds(command: tuple[str, ...], environment: dict[str, str]) -> float:
    started = perf_counter()
    result = subprocess.run(  # noqa: S603
        [sys.executable, str(PROJECT / "starter.py"), *command],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = perf_counter() - started
    if "There are more" not in result.stdout:
        raise RuntimeError(f"{' '.join(command)} lists less than a page: {result.stdout[-300:]}")
    return seconds


async def measure(runs: int, times: int, var_dir: Path) -> bool:
    """Measure each command this many times, print the times, and return whether all are within the limit."""
    database = Database(f"sqlite:///{var_dir / 'records.db'}")
    database.migrate()
    ids = put_waiting(database, runs)
    database.close()
    async with embedded_server.leased(var_dir) as server:
        await start_all(server.address, ids)
        settings = {"TEMPORAL_ADDRESS": server.address, "PLANGATE_VAR_DIR": str(var_dir)}
        environment = environment_with(settings, without=("TEMPORAL_", "PLANGATE_"))
        passed = True
        for command in COMMANDS:
            durations = [await asyncio.to_thread(_seconds, command, environment) for _ in range(times)]
            passed = passed and median(durations) <= LIMIT
            spread = f"{median(durations):.2f} s ({min(durations):.2f} to {max(durations):.2f})"
            print(f"{' '.join(command)}, {runs} waiting: {spread}", flush=True)
    return passed


def main() -> int:
    """Run the benchmark; exit with 1 if a median is above the limit."""
    parser = argparse.ArgumentParser(prog="python -m bench.lists", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=13_000, help="number of waiting runs (default: 13000)")
    parser.add_argument("--times", type=int, default=5, help="measurements per command (default: 5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-lists-") as folder:
        return 0 if asyncio.run(measure(options.runs, options.times, Path(folder))) else 1


if __name__ == "__main__":
    end_process(main())
