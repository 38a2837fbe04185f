"""Kill the web server and the worker with kill -9 at random times, while approvers decide with passkeys.

Some plans are approved together, with one confirmation. If a response is missing, the approver reloads the
page, so the browser sends the confirmation again. Only one decision may take effect. At the end, the final
message of each page is compared with the record.
"""

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random

import httpx

from chaos.inspector import inspect
from chaos.installation import Installation
from chaos.orders import APPROVER, REQUESTER, Order, Place, order
from chaos.people import retry
from chaos.report import Report
from chaos.worker_process import WorkerProcess
from plangate.domain.decisions.decision import Choice
from plangate.domain.runs.audit import Decided
from plangate.settings import PROJECT
from plangate.signing.jws import PUBLIC_PREFIX, public_of
from tests.support.authenticator import passkey
from tests.support.plain_browser import PlainBrowser
from tests.support.sealed_records import KEYS
from tests.support.signing_inbox import POLICY, credential_for

_WAIT_LIMIT = 200.0
_CONCURRENT = 8
_PLANS_PER_CONFIRMATION = 4  # plans that are approved with one confirmation
_PEOPLE = f"""\
[[person]]
name = "{APPROVER}"
roles = ["finance"]
keys = [{{public = "{passkey("chaos").public}"}}, {{public = "{PUBLIC_PREFIX}{public_of(KEYS[APPROVER])}"}}]

[[person]]
name = "{REQUESTER}"
"""
_VERDICT = re.compile(r"<h1>(Accepted|Refused|Saved|Not processed yet|Not known)</h1>")
_VERDICTS = re.compile(r"<li class=\"\w+\"><strong>([^<]+)</strong>: <a href=\"/runs/([^\"]+)\">")
_BATCHES = POLICY.replace('"signed"', '"signed"\nbatch = true')


@dataclass(frozen=True)
class Size:
    """The number of decided runs, the number of kills, and the longest pause between kills."""

    runs: int
    kills: int
    pause: float


FULL = Size(runs=200, kills=40, pause=4)
QUICK = Size(runs=6, kills=2, pause=0.8)


@dataclass
class WebServer:
    """The web server: one process at a time, always at the same address."""

    installation: Installation
    port: int
    processes: list[WorkerProcess] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The address in the browser."""
        return f"http://localhost:{self.port}"

    async def start(self) -> None:
        """Start it, and wait until it responds."""
        folder = self.installation.folder / "web"
        folder.mkdir(exist_ok=True)
        number = len(self.processes) + 1
        self.processes.append(self.installation.process(number, folder, PROJECT / "web.py"))
        async with asyncio.timeout(_WAIT_LIMIT), httpx.AsyncClient() as client:
            while True:
                self.processes[-1].check()
                with suppress(httpx.TransportError):
                    if (await client.get(f"{self.url}/healthz")).is_success:
                        return
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self.processes[-1].kill()

    def logged(self, text: str) -> bool:
        """Return whether any log contains this text."""
        return any(text in one.log.read_text(errors="replace") for one in self.processes)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Decide all runs while the web server or the worker is killed repeatedly."""
    orders = [
        order(f"inbox-{one:03}", [Place.OUTBOX], "rejected" if one % 5 == 4 else "executed")
        for one in range(size.runs)
    ]
    async with _web(installation) as web:
        await installation.start_worker()
        await web.start()
        await asyncio.gather(*(_submit(installation, one) for one in orders))
        final_messages: dict[str, str] = {}
        deciding = asyncio.create_task(_decide_all(web, orders, final_messages))
        killed = await _kill_meanwhile(installation, web, size, deciding, report)
        await deciding
        await inspect(installation, orders, report, time_limit=_WAIT_LIMIT)
        _compare(installation, orders, final_messages, report)
        report.expect(not web.logged("Traceback"), "a log of the web server contains a traceback")
    report.figure(
        "kills", ", ".join(f"{killed.count(what)} of the {what}" for what in ("web server", "worker"))
    )
    report.figure("decided on pages", len(final_messages))
    report.figure(
        "of them approved together with others", sum(len(one) for one in _groups(orders) if len(one) > 1)
    )
    report.expect(not installation.log_lines_with("Traceback"), "a worker's log contains a traceback")


@asynccontextmanager
async def _web(installation: Installation) -> AsyncIterator[WebServer]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (installation.folder / "policy.toml").write_text(_BATCHES)
    (installation.folder / "people.toml").write_text(_PEOPLE)
    installation.signs_resolutions = True  # as the policy requires
    installation.settings |= {
        "PLANGATE_WEB_ADDRESS": f"127.0.0.1:{port}",
        "PLANGATE_WEB_URL": f"http://localhost:{port}",
        "PLANGATE_POLICY": str(installation.folder / "policy.toml"),
        "PLANGATE_PEOPLE": str(installation.folder / "people.toml"),
    }
    web = WebServer(installation, port)
    try:
        yield web
    finally:
        if web.processes:
            web.kill()


async def _submit(installation: Installation, one: Order) -> None:
    await retry(lambda: installation.submit(one))
    await installation.until("in_review", one.workflow_id)


async def _kill_meanwhile(
    installation: Installation, web: WebServer, size: Size, deciding: asyncio.Task[None], report: Report
) -> list[str]:
    killed = []
    for number in range(1, size.kills + 1):
        await asyncio.wait([deciding], timeout=installation.rng.uniform(0.1, size.pause))
        if deciding.done():
            break
        is_web = installation.rng.random() < 0.6
        killed.append("web server" if is_web else "worker")
        report.say(f"kill {number} of {size.kills}: the {killed[-1]}")
        if is_web:
            web.kill()
            await web.start()
        else:
            installation.worker.kill()
            await asyncio.sleep(installation.rng.uniform(0, 0.5))
            await installation.start_worker()
    return killed


async def _decide_all(web: WebServer, orders: list[Order], final_messages: dict[str, str]) -> None:
    limit = asyncio.Semaphore(_CONCURRENT)

    async def some(group: list[Order]) -> None:
        async with limit:
            await asyncio.sleep(Random(group[0].workflow_id).uniform(0, 0.5))
            if len(group) > 1:
                final_messages.update(await _decide_together(web, group))
            else:
                final_messages[group[0].workflow_id] = await _decide(web, group[0])

    await asyncio.gather(*map(some, _groups(orders)))


def _groups(orders: list[Order]) -> list[list[Order]]:
    """Return the groups of plans that are approved with one confirmation."""
    approved = [one for one in orders if one.outcome == "executed"]
    size = _PLANS_PER_CONFIRMATION
    rows = [approved[first : first + size] for first in range(0, len(approved), size)]
    groups = [row for row in rows[::2] if len(row) == size]
    grouped = {one.workflow_id for row in groups for one in row}
    return [*groups, *([one] for one in orders if one.workflow_id not in grouped)]


async def _decide_together(web: WebServer, group: list[Order]) -> dict[str, str]:
    """Read each plan and approve all with one confirmation; return the page's final message for each."""
    async with httpx.AsyncClient(base_url=web.url, follow_redirects=True, timeout=60) as client:
        browser = PlainBrowser(client)
        await _reload_until_answered(lambda: _sign_in(client))
        for one in group:
            await _reload_until_answered(lambda one=one: browser.open(f"/runs/{one.workflow_id}"))  # type: ignore[misc]
            one.decided_at = time.time()
        await _reload_until_answered(lambda: _approve_together(web, browser))
        async with asyncio.timeout(_WAIT_LIMIT):
            while True:
                messages = {run: message for message, run in _VERDICTS.findall(browser.html)}
                if "Not known" in messages.values():
                    await _reload_until_answered(lambda: browser.press("Send it again"))
                elif set(messages.values()) <= {"Accepted", "Refused"}:
                    return messages
                else:
                    await asyncio.sleep(0.3)
                    await _reload_until_answered(lambda: browser.open(browser.address))


async def _approve_together(web: WebServer, browser: PlainBrowser) -> None:
    """Go from the list to the results for the plans that were read."""
    await browser.open("/")
    title = f"Approve {_PLANS_PER_CONFIRMATION} plans together"
    if title not in browser.html:
        raise httpx.ReadError(f"The list does not offer them together: {browser.html[:200]}")
    await browser.press("Approve")
    if "data-sign" not in browser.html:
        raise httpx.ReadError(f"The page does not ask for a passkey: {browser.html[:200]}")
    credential = credential_for(browser.html, passkey("chaos"), web.url)
    await _reload_until_answered(lambda: browser.press("Approve", credential=credential))


async def _decide(web: WebServer, one: Order) -> str:
    """Decide on a run's page as a person with a passkey, and return the final message of the page."""
    button = "Reject" if one.outcome == "rejected" else "Approve"
    async with httpx.AsyncClient(base_url=web.url, follow_redirects=True, timeout=60) as client:
        browser = PlainBrowser(client)
        await _reload_until_answered(lambda: _sign_in(client))
        one.decided_at = time.time()
        await _reload_until_answered(lambda: _confirm(web, browser, one.workflow_id, button))
        async with asyncio.timeout(_WAIT_LIMIT):
            while (verdict := _verdict(browser)) not in ("Accepted", "Refused"):
                if verdict == "Not known":
                    await _reload_until_answered(lambda: browser.press("Send it again"))
                else:
                    await asyncio.sleep(0.3)
                    await _reload_until_answered(lambda: browser.open(browser.address))
        return verdict


async def _confirm(web: WebServer, browser: PlainBrowser, workflow_id: str, button: str) -> None:
    """Go from the run's page to the result; send the signed form again until a response arrives."""
    await browser.open(f"/runs/{workflow_id}")
    await browser.press(button)
    if "data-sign" not in browser.html:
        raise httpx.ReadError(f"The page does not ask for a passkey: {browser.html[:200]}")
    credential = credential_for(browser.html, passkey("chaos"), web.url)
    await _reload_until_answered(lambda: browser.press(button, credential=credential))


async def _sign_in(client: httpx.AsyncClient) -> None:
    (await client.post("/sign-in", data={"name": APPROVER, "next": "/"})).raise_for_status()


async def _reload_until_answered(act: Callable[[], Awaitable[object]]) -> None:
    """Reload the page, like a person who gets no response."""
    async with asyncio.timeout(_WAIT_LIMIT):
        while True:
            try:
                await act()
            except httpx.HTTPError:
                await asyncio.sleep(0.2)
            else:
                return


def _verdict(browser: PlainBrowser) -> str:
    found = _VERDICT.search(browser.html)
    return found[1] if found else ""


def _compare(
    installation: Installation, orders: list[Order], final_messages: dict[str, str], report: Report
) -> None:
    """Compare each page's final message with the record: exactly one signed decision must take effect.

    A copy with the same token, sent as a signal while the worker with the update was dead, is accepted and
    changes nothing.
    """
    copies = 0
    for one in orders:
        decided = [
            entry.event for entry in installation.trail(one.workflow_id) if isinstance(entry.event, Decided)
        ]
        on_plan = [event for event in decided if event.arrival.name != Choice.RESOLVE]
        counted = [event for event in on_plan if event.verdict.accepted]
        copies += len(counted) - 1
        tokens = {event.arrival.decision.signature for event in counted if event.arrival.decision}
        message, name = final_messages.get(one.workflow_id, "nothing"), one.workflow_id
        report.expect(len(tokens) == 1, f"{name} has {len(tokens)} valid decisions; the page: {message}")
        report.expect(message == "Accepted", f"the final message of the page of {name} is '{message}'")
        is_signed = any(event.approver is not None and event.approver.is_signed for event in counted)
        report.expect(is_signed, f"the decision on {name} was accepted without its signature")
    report.figure("copies without effect", copies)
