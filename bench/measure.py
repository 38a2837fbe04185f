"""The measurements, which are identical for both variants."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Final, Self

from bench.variants import Handle, Variant

_CHECK_AGAIN: Final = 0.3  # seconds between two checks of whether a run is waiting
_POLL_SETUP: Final = 0.05  # seconds until a client's long poll for the result has reached the server
_WAIT_LIMIT: Final = 120.0


@dataclass(frozen=True, slots=True)
class Load:
    """The measurements of many concurrent runs."""

    runs_per_second: float
    worker_cpu_ms: float
    server_cpu_ms: float | None


@dataclass(frozen=True, slots=True)
class Rest:
    """The measurements of single runs on an idle system."""

    median_ms: float
    p95_ms: float
    events: float

    @classmethod
    def of(cls, latencies: Sequence[float], events: Sequence[float]) -> Self:
        """Return the summary of these times, in milliseconds."""
        p95 = quantiles(latencies, n=20, method="inclusive")[-1]
        return cls(median(latencies), p95, median(events))


@dataclass(frozen=True, slots=True)
class Waiting:
    """The worker's memory with many waiting runs."""

    before_mb: float
    after_mb: float
    kb_per_run: float


async def under_load(variant: Variant, runs: int, lanes: int, server_pid: int) -> Load:
    """Measure ``runs`` complete runs, ``lanes`` at a time."""
    worker, server, started = await variant.cpu_seconds(), _cpu_of(server_pid), perf_counter()
    await _in_lanes(lanes, (lambda: _whole_run(variant) for _ in range(runs)))
    seconds = perf_counter() - started
    worker_ms = (await variant.cpu_seconds() - worker) * 1000 / runs
    ended = _cpu_of(server_pid)
    server_ms = (ended - server) * 1000 / runs if ended is not None and server is not None else None
    return Load(runs / seconds, worker_ms, server_ms)


async def at_rest(variants: Sequence[Variant], runs: int) -> list[Rest]:
    """Measure single runs from the signal to the result, alternating between the variants.

    A machine may become slower or faster within a second, for reasons outside the benchmark.
    """
    latencies: dict[str, list[float]] = {variant.name: [] for variant in variants}
    events: dict[str, list[float]] = {variant.name: [] for variant in variants}
    for number in range(runs):
        for variant in variants if number % 2 else reversed(variants):
            handle = await _start_and_wait(variant)
            result = asyncio.create_task(handle.result())
            await asyncio.sleep(_POLL_SETUP)
            latencies[variant.name].append(await _approve_and_time(variant, handle, result))
            events[variant.name].append((await handle.describe()).history_length)
    return [Rest.of(latencies[variant.name], events[variant.name]) for variant in variants]


async def back_to_back(variant: Variant, runs: int, lanes: int) -> Rest:
    """Approve waiting runs, each as soon as the previous one has its result."""
    handles: list[Handle] = []

    async def one() -> None:
        handles.append(await _start_and_wait(variant))

    await _in_lanes(lanes, (one for _ in range(runs)))
    results = {handle.id: asyncio.create_task(handle.result()) for handle in handles}
    await asyncio.sleep(_POLL_SETUP)
    latencies = [await _approve_and_time(variant, handle, results[handle.id]) for handle in handles]
    return Rest.of(latencies, [0])


async def _approve_and_time(variant: Variant, handle: Handle, result: "asyncio.Task[object]") -> float:
    """Approve a run, and return the milliseconds to its result."""
    approval = variant.approval(handle.id)
    started = perf_counter()
    await handle.signal("approve", approval)
    async with asyncio.timeout(_WAIT_LIMIT):
        await result
    return (perf_counter() - started) * 1000


async def with_many_waiting(variant: Variant, runs: int, lanes: int) -> Waiting:
    """Measure the memory of a warm worker with ``runs`` waiting runs."""
    for _ in range(lanes):
        await _whole_run(variant)
    before = await variant.memory_bytes()
    await _in_lanes(lanes, (lambda: _start_and_wait(variant) for _ in range(runs)))
    after = await variant.memory_bytes()
    return Waiting(before / 1e6, after / 1e6, (after - before) / runs / 1e3)


async def _whole_run(variant: Variant) -> None:
    handle = await _start_and_wait(variant)
    await handle.signal("approve", variant.approval(handle.id))
    async with asyncio.timeout(_WAIT_LIMIT):
        await handle.result()


async def _start_and_wait(variant: Variant) -> Handle:
    """Start a run, and poll until it waits for a person.

    Polling costs the worker nothing, and costs the server the same for both variants. A run without a pending
    activity or workflow task waits for input from outside.
    """
    handle = await variant.start()
    async with asyncio.timeout(_WAIT_LIMIT):
        while True:
            await asyncio.sleep(_CHECK_AGAIN)
            seen = (await handle.describe()).raw_description
            if not seen.pending_activities and not seen.HasField("pending_workflow_task"):
                return handle


async def _in_lanes(lanes: int, work: Iterable[Callable[[], Awaitable[object]]]) -> None:
    queue = iter(work)

    async def lane() -> None:
        for one in queue:
            await one()

    async with asyncio.TaskGroup() as group:
        for _ in range(lanes):
            group.create_task(lane())


def _cpu_of(pid: int) -> float | None:
    """Return the CPU seconds of another process, if the kernel reports them."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return None
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
