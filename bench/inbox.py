"""Measure the response times of the inbox's lists and of a run's page, with few and with many open runs.

The runs are written to the records and sealed as Plangate does, and started on an embedded server without
a worker. Each size has a separate inbox process.
"""

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

import httpx

from bench.lists import start_all
from plangate.audit.sealing import Sealing, seal_key
from plangate.process_end import end_process
from plangate.records.database import Database
from plangate.settings import PROJECT, environment_with
from plangate.temporal import dev_server as embedded_server
from tests.support.waiting_runs import put_waiting

RATIO: Final = 3.0
LISTS: Final = ("/", "/open", "/open?text=kim", "/held?text=kim")
RUN: Final = "/runs/w-00007"
_UNUSED_ADDRESS: Final = "127.0.0.1:9"
_READ: Final = 600.0  # maximum number of seconds until all runs are read


@dataclass(frozen=True, slots=True)
class Figures:
    """The measurements at one size: times in ms for each page and the list's first read, and memory."""

    pages: dict[str, float]
    reading: float
    before: float
    after: float


async def measure(runs: int, times: int, var_dir: Path) -> Figures:
    """Return the medians of ``times`` requests for each page, with this many open runs."""
    database = Database(f"sqlite:///{var_dir / 'records.db'}")
    database.migrate()
    ids = put_waiting(database, runs)
    sealing = Sealing(database, seal_key(var_dir / "seal.pem"), var_dir / "last-checkpoint.json", 1)
    while sealing.seal() is not None:
        pass
    database.close()
    async with embedded_server.leased(var_dir) as server:
        await start_all(server.address, ids)
        async with _inbox(server.address, var_dir) as (process, client):
            started = perf_counter()
            async with asyncio.timeout(_READ):
                # Another process reads the records, and prints only this text.
                while "still being read" in (await client.get("/open")).text:  # noqa: ASYNC110
                    await asyncio.sleep(0.5)
            reading = perf_counter() - started
            before = _memory(process)
            pages = {page: await _milliseconds(client, page, times) for page in LISTS}
            after = _memory(process)
    # Otherwise the server would be queried first, which takes up to the time limit of a query if no worker
    # runs.
    async with _inbox(_UNUSED_ADDRESS, var_dir) as (_, client):
        pages[RUN] = await _milliseconds(client, RUN, times)
    return Figures(pages, reading, before, after)


async def _milliseconds(client: httpx.AsyncClient, page: str, times: int) -> float:
    durations = []
    for _ in range(times):
        started = perf_counter()
        answer = await client.get(page)
        durations.append((perf_counter() - started) * 1_000)
        answer.raise_for_status()
        if "w-" not in answer.text and not page.startswith("/held"):
            raise RuntimeError(f"{page} shows no run: {answer.text[-300:]}")
    return median(durations)


@asynccontextmanager
async def _inbox(temporal: str, var_dir: Path) -> AsyncIterator[tuple[int, httpx.AsyncClient]]:
    """Run the inbox as a process, and sign in."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://localhost:{port}"
    settings = {
        "TEMPORAL_ADDRESS": temporal,
        "PLANGATE_VAR_DIR": str(var_dir),
        "PLANGATE_WEB_ADDRESS": f"127.0.0.1:{port}",
        "PLANGATE_WEB_URL": url,
    }
    environment = environment_with(settings, without=("TEMPORAL_", "PLANGATE_"))
    command = [sys.executable, str(PROJECT / "web.py")]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:  # noqa: S603, ASYNC220
        try:
            async with httpx.AsyncClient(base_url=url, follow_redirects=True, timeout=120) as client:
                await _wait_until_listening(client)
                await client.post("/sign-in", data={"name": "dana", "next": "/"})
                yield process.pid, client
        finally:
            process.terminate()


async def _wait_until_listening(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await client.get("/healthz")
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                return


def _memory(process: int) -> float:
    """Return the resident memory of a process in MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    """Run the benchmark; exit with 1 if a page takes much longer with many runs."""
    parser = argparse.ArgumentParser(prog="python -m bench.inbox", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--few", type=int, default=200, help="the small number of runs (default: 200)")
    parser.add_argument("--many", type=int, default=20_000, help="the large number of runs (default: 20000)")
    parser.add_argument("--times", type=int, default=31, help="measurements per page (default: 31)")
    options = parser.parse_args()
    figures = []
    for runs in (options.few, options.many):
        with tempfile.TemporaryDirectory(prefix="bench-inbox-") as folder:
            figures.append(asyncio.run(measure(runs, options.times, Path(folder))))
        found = figures[-1]
        print(
            f"{runs} open: first read in {found.reading:.1f} s; memory {found.before:.0f} MB, "
            f"after the requests {found.after:.0f} MB",
            flush=True,
        )
    few, many = figures
    ratios = {page: many.pages[page] / few.pages[page] for page in few.pages}
    for page, ratio in ratios.items():
        print(f"{page}: {few.pages[page]:.1f} ms, {many.pages[page]:.1f} ms, ratio {ratio:.2f}")
    return 0 if max(ratios.values()) <= RATIO else 1


if __name__ == "__main__":
    end_process(main())
