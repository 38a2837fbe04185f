"""Send generated calls to the inbox's HTTP API, valid and invalid; its document must list every response."""

import asyncio
import socket
import sys
from dataclasses import dataclass
from time import sleep

import httpx

from chaos.installation import Installation
from chaos.orders import Place, order
from chaos.report import Report
from plangate.settings import PROJECT
from tests.support.api_calls import Calls, call_all


@dataclass(frozen=True)
class Size:
    """The number of valid and of invalid calls for each operation, and of concurrent calls."""

    calls: int
    at_once: int = 6


FULL = Size(calls=1_300)
QUICK = Size(calls=10)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Call every operation, with a run in review and a run that has ended, and check every response."""
    await installation.start_worker()
    orders = [order(f"api-{number}", [Place.OUTBOX]) for number in range(2)]
    for one in orders:
        await installation.submit(one)
        await installation.until("in_review", one.workflow_id)
    await installation.handle(orders[1].workflow_id).cancel()
    await installation.until("withdrawn", orders[1].workflow_id)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://localhost:{port}"
    environment = {
        **installation.environment(),
        "PLANGATE_WEB_URL": url,
        "PLANGATE_WEB_ADDRESS": f"127.0.0.1:{port}",
    }
    with (installation.folder / "web.log").open("wb") as log:
        program = await asyncio.create_subprocess_exec(
            sys.executable, str(PROJECT / "web.py"), env=environment, stdout=log, stderr=log
        )
    try:
        calls = await asyncio.to_thread(_call, url, [one.workflow_id for one in orders], installation, size)
    finally:
        if program.returncode is None:
            program.terminate()
        await program.wait()
    for finding in dict.fromkeys(calls.findings):
        report.record_error(finding)
    report.expect(
        b"Traceback" not in (installation.folder / "web.log").read_bytes(), "the log contains a traceback"
    )
    report.figure("calls", calls.made)
    for (operation, status), count in sorted(calls.answers.items()):
        report.figure(f"{operation} {status}", count)


def _call(url: str, ids: list[str], installation: Installation, size: Size) -> Calls:
    with httpx.Client(base_url=url, verify=False, timeout=60) as client:
        for _ in range(200):
            try:
                client.get("/healthz").raise_for_status()
                break
            except httpx.HTTPError:
                sleep(0.1)
        client.post("/sign-in", data={"name": "fred", "next": "/done"})
        document = client.get("/api/v1/openapi.json").json()
        seeded = installation.rng.randrange(10**6)
        return call_all(document, client, examples=size.calls, ids=ids, seeded=seeded, at_once=size.at_once)
