"""Kill the worker with kill -9 before, during and after calls to `create_ticket` and `comment_ticket`.

The trackers are slow, and finish their work even if the client was killed. No ticket or comment may exist
twice or be missing. No step may be in doubt, because the worker can look up effects at both vendors.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final

from pydantic import JsonValue

from chaos.installation import Installation
from chaos.orders import APPROVER, REQUESTER
from chaos.people import retry
from chaos.report import Report
from plangate.domain.runs.request import PlanRequest
from tests.support.faulty_server import Answer, FaultyServer, Request
from tests.support.github_server import GitHubServer
from tests.support.jira_server import JiraServer

_TOKEN: Final = "canary-of-the-chaos"
_TOOLS: Final = ("create_ticket", "comment_ticket")
_MOMENTS: Final = ("before", "during", "after")
_AT_ONCE: Final = 2  # runs of each tool that are open during each worker's lifetime
_WAIT_LIMIT: Final = 900.0  # a run that was interrupted repeatedly waits for minutes


@dataclass(frozen=True)
class Size:
    """The number of kills at each point of a call, for each tool and vendor."""

    moments: tuple[str, ...]
    kills: int
    vendors: tuple[str, ...]
    tools: tuple[str, ...] = _TOOLS


FULL = Size(_MOMENTS, 25, ("github", "jira"))
QUICK = Size(("during",), 1, ("github",), _TOOLS[:1])


@dataclass
class Tracker:
    """A slow vendor that records the times of requests and responses by the token in their text."""

    name: str
    vendor: GitHubServer | JiraServer
    rng: Random
    came: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)

    @property
    def project(self) -> str:
        """The address of the tickets."""
        return "acme/support" if self.name == "github" else "OPS"

    def __call__(self, request: Request) -> Answer:
        """Respond, slowly if the request changes something."""
        if request.method != "POST":
            return self.vendor(request)
        if len(request.body) < int(request.headers["content-length"]):
            return Answer(400)  # the client was killed during the request
        token = _token_in(request.body)
        self.came.setdefault(token, time.monotonic())
        self.tries[token] += 1
        time.sleep(self.rng.uniform(0, 0.5))
        answer = self.vendor(request)
        time.sleep(self.rng.uniform(0, 0.3))
        self.answered.setdefault(token, time.monotonic())
        return answer

    def moment(self, token: str) -> str:
        """Return the state of a run's call."""
        if token in self.answered:
            return "after"
        return "during" if token in self.came else "before"

    def count(self, tool: str, token: str) -> int:
        """Return how many times a run's effect exists."""
        if tool == "create_ticket":
            return self.vendor.titles().count(token)
        return sum(f" {token} " in f" {body.replace(chr(10), ' ')} " for body in self.vendor.bodies())

    def settings(self, url: str) -> dict[str, str]:
        """Return the settings for a worker that uses it."""
        if self.name == "github":
            return {
                "PLANGATE_TICKETS": "github",
                "PLANGATE_GITHUB_TOKEN": _TOKEN,
                "PLANGATE_GITHUB_REPOS": self.project,
                "PLANGATE_GITHUB_API_URL": url,
            }
        return {
            "PLANGATE_TICKETS": "jira",
            "PLANGATE_JIRA_TOKEN": _TOKEN,
            "PLANGATE_JIRA_PROJECTS": self.project,
            "PLANGATE_JIRA_URL": url,
        }


@dataclass(frozen=True)
class Run:
    """One run with one step."""

    workflow_id: str
    tool: str

    def request(self, project: str) -> PlanRequest:
        """Return its request, with a prepared plan."""
        arguments: dict[str, JsonValue] = {"project": project, "body": f"About {self.workflow_id} again"}
        if self.tool == "create_ticket":
            arguments["title"] = self.workflow_id
        else:
            arguments["ticket"] = 1
        step: JsonValue = {"tool": self.tool, "arguments": arguments, "reason": "for the test"}
        plan: JsonValue = {"summary": f"Report on {self.workflow_id}", "steps": [step]}
        return PlanRequest(requester=REQUESTER, plan=plan, timeout_seconds=3_600)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Kill workers until each point of a call was hit for each tool, with one vendor after the other."""
    for name in size.vendors:
        vendor = GitHubServer(_TOKEN) if name == "github" else JiraServer(_TOKEN)
        tracker = Tracker(name, vendor, installation.rng)
        with _open(tracker) as url:
            installation.settings.update(tracker.settings(url))
            runs, hit = await _kill(installation, report, size, tracker)
            await installation.start_worker()
            await _examine(installation, report, tracker, runs)
            for (tool, moment), count in sorted(hit.items()):
                report.figure(f"{name}, {tool}: kills {moment} the call", count)
            installation.worker.kill()
        for request in vendor.misuses:
            report.record_error(f"{name} got a request that it does not support: {request}")
    report.expect(not installation.log_lines_with("Traceback"), "a worker's log contains a traceback")
    report.expect(not installation.log_lines_with(_TOKEN), "a worker's log contains a token")


@contextmanager
def _open(tracker: Tracker) -> Iterator[str]:
    with FaultyServer(answer=tracker) as server:
        tracker.vendor(_first_ticket(tracker))
        yield server.url


def _first_ticket(tracker: Tracker) -> Request:
    """Return the request for the ticket to comment on."""
    if tracker.name == "github":
        path, body = "/repos/acme/support/issues", json.dumps({"title": "the first", "body": ""})
    else:
        fields = {"project": {"key": "OPS"}, "issuetype": {"name": "Task"}, "summary": "the first"}
        path, body = "/rest/api/2/issue", json.dumps({"fields": fields})
    headers = {"authorization": f"Bearer {_TOKEN}", "content-type": "application/json"}
    return Request("POST", path, "", headers, body.encode())


async def _kill(
    installation: Installation, report: Report, size: Size, tracker: Tracker
) -> tuple[list[Run], Counter[tuple[str, str]]]:
    """Return all runs, and the number of calls to each tool that were hit at each point."""
    runs: list[Run] = []
    hit: Counter[tuple[str, str]] = Counter()
    wanted = [(tool, moment) for tool in size.tools for moment in size.moments]
    while missing := [one for one in wanted if hit[one] < size.kills]:
        worker = await installation.start_worker()
        batch = [
            Run(f"{tracker.name}-{len(installation.workers)}-{tool}-{n}", tool)
            for tool in size.tools
            for n in range(_AT_ONCE)
        ]
        await asyncio.gather(
            *(installation.api.submit(run.request(tracker.project), run.workflow_id) for run in batch)
        )
        await asyncio.gather(*(_approve(installation, run) for run in batch))
        tool, moment = installation.rng.choice(missing)
        target = next(run for run in batch if run.tool == tool)
        await _reach(tracker, target.workflow_id, moment)
        worker.kill()
        hit.update((run.tool, tracker.moment(run.workflow_id)) for run in batch)
        runs += batch
        report.say(f"{tracker.name}: kill {len(installation.workers)} {moment} a call to {tool}")
    return runs, hit


async def _approve(installation: Installation, run: Run) -> None:
    status = await installation.until("in_review", run.workflow_id)
    message = {"by": APPROVER, "plan": status.short_fingerprint}
    await retry(lambda: installation.handle(run.workflow_id).signal("approve", message))


async def _reach(tracker: Tracker, token: str, moment: str) -> None:
    """Wait for a given point of a call, and then for a random time."""
    async with asyncio.timeout(60):
        while (moment == "during" and token not in tracker.came) or (
            moment == "after" and token not in tracker.answered
        ):
            await asyncio.sleep(0.002)
    await asyncio.sleep(tracker.rng.uniform(0, 0.06 if moment != "during" else 0.4))


async def _examine(installation: Installation, report: Report, tracker: Tracker, runs: list[Run]) -> None:
    results = await asyncio.gather(
        *(installation.result(run.workflow_id, _WAIT_LIMIT) for run in runs), return_exceptions=True
    )
    for run, result in zip(runs, results, strict=True):
        if isinstance(result, BaseException):
            report.record_error(f"{run.workflow_id} is lost or blocked: {type(result).__name__} {result}")
            continue
        count = tracker.count(run.tool, run.workflow_id)
        report.expect(count == 1, f"the effect of {run.workflow_id} exists {count} times")
        report.expect(result.outcome == "executed", f"{run.workflow_id} is {result.outcome}: {result.reason}")
    again = sum(count > 1 for count in tracker.tries.values())
    report.figure(f"{tracker.name}: runs", len(runs))
    report.figure(f"{tracker.name}: sent again, after the look-up found no effect", again)


def _token_in(body: bytes) -> str:
    """Return the workflow id in a request's text."""
    sent = json.loads(body)
    text = sent.get("body") or sent.get("fields", {}).get("description") or ""
    return text.removeprefix("About ").partition(" again")[0]
