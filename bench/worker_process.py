"""The measured process: one worker, either Plangate's or the bare one.

Plangate's worker is built by `worker.build_worker` with its own records. The bare worker is built like
Temporal's own samples: with the library's pydantic converter, sandbox and defaults. The tuned worker has
Plangate's converter, worker settings, event loop and garbage collection. For each line ``cpu`` or ``memory``,
the process prints one number. It exits when stdin is closed.
"""

import argparse
import asyncio
import gc
import resource
import sys
from functools import partial
from pathlib import Path
from typing import Final

import uvloop
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from bench.bare import Bare, do_nothing, return_plan
from bench.noop import NoOp
from plangate.audit.sealing import Sealing, seal_key
from plangate.logs.setup import configure_logs, temporal_runtime
from plangate.notifications.notifier_process import notifier_of
from plangate.process_end import end_process
from plangate.records.database import Database
from plangate.settings import Settings
from plangate.temporal.connection import DATA_CONVERTER
from plangate.temporal.worker_process import in_background, raise_gc_threshold
from worker import GRACE, STICKY_TIMEOUT, build_worker, plan_with_model  # noqa: TID251  the wiring itself is measured

VARIANTS: Final = ("plangate", "bare", "tuned")
_PAGE: Final = resource.getpagesize()
_MEMORY: Final = Path("/proc/self/statm")


async def _serve(variant: str, address: str, settings: Settings) -> None:
    converter = pydantic_data_converter if variant == "bare" else DATA_CONVERTER
    client = await Client.connect(address, data_converter=converter, runtime=temporal_runtime(settings))
    async with _worker(variant, client, settings):
        if variant != "plangate":
            await _answer()
            return
        database = Database(settings.records)
        sealing = Sealing(
            database, seal_key(settings.seal_key), settings.last_checkpoint, settings.seal_seconds
        )
        notifier = notifier_of(settings, database)
        async with in_background(notifier.keep_notifying()), in_background(sealing.keep_sealing()):
            await _answer()
        database.close()


def _worker(variant: str, client: Client, settings: Settings) -> Worker:
    if variant == "plangate":
        database = Database(settings.records)
        database.migrate()
        tools = {NoOp.declaration.name: NoOp()}
        planner = plan_with_model(settings, tools)
        return build_worker(client, settings, database=database, tools=tools, planner=planner)
    worker = partial(
        Worker,
        client,
        task_queue=settings.task_queue,
        workflows=[Bare],
        activities=[return_plan, do_nothing],
    )
    if variant == "bare":
        return worker()
    return worker(
        workflow_runner=UnsandboxedWorkflowRunner(),
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=GRACE,
    )


async def _answer() -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("ready", flush=True)
    while question := (await lines.readline()).decode().strip():
        print(_cpu_seconds() if question == "cpu" else _memory_bytes(), flush=True)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _memory_bytes() -> int:
    """Return the resident memory, or its peak if the kernel does not report the current value."""
    gc.collect()
    if _MEMORY.exists():
        return int(_MEMORY.read_text().split()[1]) * _PAGE
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> int:
    """Run one worker until stdin is closed."""
    parser = argparse.ArgumentParser(prog="python -m bench.worker_process")
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("address")
    parser.add_argument("task_queue")
    parser.add_argument("var_dir", type=Path)
    options = parser.parse_args()
    settings = Settings(
        task_queue=options.task_queue, var_dir=options.var_dir, database_url=None, log_format="json"
    )
    configure_logs(settings)
    is_bare = options.variant == "bare"
    if not is_bare:
        raise_gc_threshold()
    run = asyncio.run if is_bare else uvloop.run
    run(_serve(options.variant, options.address, settings))
    return 0


if __name__ == "__main__":
    end_process(main())
