"""Measure Plangate and a bare Temporal workflow, on one embedded server, in rounds.

Both workers run all the time, each in its own process; only one of them gets work at a time. Each round
measures both variants, in alternating order, so that a busy machine or a growing database does not favour one
variant. At rest, they take turns after each run.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from temporalio.client import Client

from bench.measure import at_rest, back_to_back, under_load, with_many_waiting
from bench.report import Figures, Pair, show, write_table
from bench.variants import Variant, both
from plangate.process_end import end_process
from plangate.settings import PROJECT
from plangate.temporal import dev_server as embedded_server
from plangate.temporal.connection import DATA_CONVERTER

Measured = TypeVar("Measured")
Measurement = Callable[[Variant], Awaitable[Measured]]


@dataclass(frozen=True, slots=True)
class Size:
    """The size of the benchmark."""

    rounds: int
    runs: int
    lanes: int
    single_runs: int
    waiting_runs: int

    def __str__(self) -> str:
        return (
            f"Medians of {self.rounds} interleaved rounds, with minimum and maximum. Each round, for each "
            f"variant: {self.runs} runs, {self.lanes} at a time; {self.single_runs} single runs, in turn; "
            f"{self.lanes} runs back to back. At the end: {self.waiting_runs} runs that wait in a fresh "
            "worker."
        )


async def measure(size: Size, var_dir: Path, bare_worker: str) -> Figures:
    """Start the server and the workers, and measure."""
    async with embedded_server.leased(var_dir) as server:
        client = await Client.connect(server.address, data_converter=DATA_CONVERTER)
        load, rest, row, waiting = [], [], [], []
        async with both(client, server.address, var_dir, "load", bare_worker) as variants:
            await _in_turn(variants, 0, lambda one: under_load(one, size.lanes * 2, size.lanes, server.pid))
            for number in range(size.rounds):
                print(f"round {number + 1} of {size.rounds} …", file=sys.stderr)
                load.append(
                    await _in_turn(
                        variants, number, lambda one: under_load(one, size.runs, size.lanes, server.pid)
                    )
                )
                rest.append(Pair(*await at_rest(variants, size.single_runs)))
                row.append(
                    await _in_turn(variants, number, lambda one: back_to_back(one, size.lanes, size.lanes))
                )
        print(f"{size.waiting_runs} waiting runs …", file=sys.stderr)
        async with both(client, server.address, var_dir, "waiting", bare_worker) as variants:
            waiting.append(
                await _in_turn(variants, 0, lambda one: with_many_waiting(one, size.waiting_runs, size.lanes))
            )
        return Figures(load, rest, row, waiting, str(size), _server_version())


async def _in_turn(
    variants: tuple[Variant, Variant], number: int, measurement: Measurement[Measured]
) -> Pair[Measured]:
    ours, bare = variants
    if number % 2 == 0:
        return Pair(plangate=await measurement(ours), bare=await measurement(bare))
    measured = await measurement(bare)
    return Pair(plangate=await measurement(ours), bare=measured)


def _server_version() -> str:
    """Return the version that the server program prints."""
    program = Path(sys.executable).with_name("temporal")
    output = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    return output.stdout.strip().splitlines()[0]


def main() -> int:
    """Measure, print the table, and write it to the README."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11, help="number of rounds (default: 11)")
    parser.add_argument("--quick", action="store_true", help="print a small sample; do not write the table")
    parser.add_argument(
        "--tuned",
        action="store_true",
        help="use Plangate's converter and worker settings for the bare workflow; do not write the table",
    )
    options = parser.parse_args()
    size = Size(options.rounds, runs=48, lanes=24, single_runs=20, waiting_runs=1_000)
    if options.quick:
        size = Size(min(options.rounds, 3), runs=48, lanes=24, single_runs=8, waiting_runs=100)
    var = PROJECT / "var"  # on the disk with Plangate's data, because the measurements include writes to it
    var.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=var) as folder:
        figures = asyncio.run(measure(size, Path(folder), "tuned" if options.tuned else "bare"))
    show(figures)
    if not options.quick and not options.tuned:
        write_table(figures)
    return 0


if __name__ == "__main__":
    end_process(main())
