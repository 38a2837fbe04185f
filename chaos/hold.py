"""Kill the worker, the server or both with kill -9 while runs are held, resolved, undone and queried."""

import asyncio
import json
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError

from chaos.inspector import examine
from chaos.installation import Installation
from chaos.orders import APPROVER, REQUESTER
from chaos.people import retry
from chaos.report import Report
from chaos.trail_checks import check_history, check_trail
from plangate.audit.evidence import bundle_findings, bundle_of
from plangate.audit.rule_references import referenced_rules
from plangate.domain.decisions.decision import Choice, Decision, Resolution
from plangate.domain.errors import PlangateError
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.status import RunResult, Status
from plangate.records.rule_texts import texts_of
from plangate.settings import PROJECT
from plangate.signing.jws import PUBLIC_PREFIX, public_of
from tests.support.holds import signed
from tests.support.sealed_records import KEYS, people

PEOPLE = f"""
[[person]]
name = "{REQUESTER}"
[[person]]
name = "{APPROVER}"
roles = ["finance"]
keys = [{{ public = "{PUBLIC_PREFIX}{public_of(KEYS[APPROVER])}" }}]
"""
POLICY = """
[[rule]]
name = "signed lines"
when = "plan.steps[0].arguments.token.startsWith('signed-')"
needs = [{ role = "finance" }]
assurance = "signed"
"""


_PATIENCE: Final = timedelta(seconds=2)


@dataclass(frozen=True)
class Size:
    """The number of runs for each resolution, channel and proof, and the number of kills."""

    rounds: int
    kills: int
    channels: tuple[str, ...] = ("signal", "update")


FULL = Size(rounds=4, kills=30)
QUICK = Size(rounds=1, kills=2, channels=("update",))


@dataclass
class Run:
    """One run that is held at its second step, and its resolution."""

    id: str
    chosen: Resolution
    channel: str
    is_signed: bool
    is_chosen: bool = False
    resolved: list[str] = field(default_factory=list)

    @property
    def tokens(self) -> list[str]:
        """The tokens with which its three steps are counted."""
        return [f"{self.id}/{number}" for number in (1, 2, 3)]


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Open all runs together, resolve each as chosen, and resolve later holds by the calls to the service."""
    installation.settings["PYTHONPATH"] = str(PROJECT)
    installation.settings["PLANGATE_TOOLS"] = "chaos.booking_tool"
    for name, text in (("PEOPLE", PEOPLE), ("POLICY", POLICY)):
        path = installation.folder / f"{name.lower()}.toml"
        path.write_text(text)
        installation.settings[f"PLANGATE_{name}"] = str(path)
    runs = [
        Run(f"{'signed' if is_signed else 'plain'}-{chosen}-{channel}-{number}", chosen, channel, is_signed)
        for number in range(size.rounds)
        for chosen in Resolution
        for channel in size.channels
        for is_signed in (False, True)
    ]
    await installation.start_worker()
    tasks = [asyncio.create_task(_complete(installation, run)) for run in runs]
    killing = asyncio.create_task(_kill(installation, report, size.kills))
    querying = asyncio.create_task(_query(installation, [run.id for run in runs], report))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await killing
    querying.cancel()
    for run, result in zip(runs, results, strict=True):
        if isinstance(result, BaseException):
            report.record_error(f"{run.id} is lost or blocked: {type(result).__name__} {result}")
        else:
            await _check(installation, run, result, report)
    report.expect(
        not installation.keyless.unapproved(), f"not approved: {installation.keyless.unapproved()[:3]}"
    )
    report.expect(await installation.count_blocked() == 0, "the server reports a blocked run")
    await examine(installation, report)
    report.figure("runs", len(runs))
    counts = Counter(str(one) for run in runs for one in run.resolved)
    report.figure("resolutions", ", ".join(f"{count} {one}" for one, count in sorted(counts.items())))


async def _kill(installation: Installation, report: Report, kills: int) -> None:
    for number in range(1, kills + 1):
        await asyncio.sleep(installation.rng.uniform(0.3, 2))
        what = ("worker", "both", "server")[number % 3 - 1]
        if what != "server":
            installation.worker.kill()
        if what != "worker":
            await installation.server.kill_9()
            await asyncio.sleep(installation.rng.uniform(0, 0.5))
            await installation.server.start()
        if what != "server":
            await installation.start_worker()
        report.say(f"kill {number} of {kills}: {what}")


async def _query(installation: Installation, ids: list[str], report: Report) -> None:
    """Query runs until cancelled, as open pages in Temporal's Web UI do."""
    answered = 0
    try:
        while True:
            with suppress(RPCError, WorkflowQueryFailedError):
                handle = installation.handle(installation.rng.choice(ids))
                await handle.query("status", rpc_timeout=_PATIENCE)
                answered += 1
            await asyncio.sleep(installation.rng.uniform(0, 0.05))
    finally:
        report.figure("queries answered", answered)


async def _complete(installation: Installation, run: Run) -> RunResult:
    """Submit, approve and resolve one run until it ends."""
    if run.chosen is Resolution.MARK_DONE:
        installation.keyless.closes_on[run.tokens[1]] = True
    elif installation.rng.random() < 0.5:
        installation.keyless.closes_on[run.tokens[1]] = False
    else:
        installation.keyless.refuses.add(run.tokens[1])
    if run.chosen is Resolution.UNDO and installation.rng.random() < 0.5:
        installation.keyless.refuses.add(f"{run.tokens[0]}/undo")
    await asyncio.sleep(installation.rng.uniform(0, 2))
    steps: Any = [
        {
            "tool": "book",
            "arguments": {"run": run.id, "token": token, "url": installation.keyless.url},
            "reason": "for the test",
        }
        for token in run.tokens
    ]
    request = PlanRequest(requester=REQUESTER, plan={"summary": "Book three lines", "steps": steps})
    await retry(lambda: _submit(installation, request, run.id))
    status = await installation.until("in_review", run.id)
    await retry(lambda: _send(installation, run, status, "approve", {}))
    async with asyncio.timeout(900):
        while True:
            now = await asyncio.to_thread(installation.recorded, run.id)
            if now is not None and now.held is not None:
                await _resolve(installation, run, now)
            elif now is not None and now.state in ("executed", "failed"):
                return await installation.result(run.id)
            await asyncio.sleep(0.1)


async def _submit(installation: Installation, request: PlanRequest, workflow_id: str) -> None:
    try:
        await installation.api.submit(request, workflow_id)
    except PlangateError:
        if await asyncio.to_thread(installation.recorded, workflow_id) is None:
            raise


async def _resolve(installation: Installation, run: Run, status: Status) -> None:
    """Send the chosen resolution for a hold at the second step, and the one that fits the calls for others.

    The calls are also checked at the second step if the worker died before its call: the step is in
    doubt and did not happen, so it is retried.
    """
    held = status.held
    assert held is not None
    happened = installation.keyless.effects(run.tokens[held.step - 1] + ("/undo" if held.undo else "")) > 0
    is_chosen_hold = held.step == 2 and not held.undo and not run.is_chosen
    if is_chosen_hold and (happened or run.chosen is not Resolution.MARK_DONE):
        chosen = run.chosen if run.chosen in held.resolutions else Resolution.ABORT
        run.chosen, run.is_chosen = chosen, True
    else:
        chosen = Resolution.MARK_DONE if happened else Resolution.RETRY
    run.resolved.append(chosen)
    fields = {
        "step": held.step,
        "hold": held.number,
        "resolution": chosen,
        "comment": f"checked at {time.time()}",
    }
    await retry(lambda: _send(installation, run, status, "resolve", fields))
    deadline = time.monotonic() + 300  # the kills continue for minutes, and each delays a run by up to 20 s
    while True:
        now = await asyncio.to_thread(installation.recorded, run.id)
        if now is not None and (now.held is None or now.held.since != held.since):
            return
        if time.monotonic() > deadline:
            verdicts = [(one.decision, one.accepted, one.reason) for one in now.decisions] if now else []
            raise RuntimeError(f"'{chosen}' of step {held.step} did not take effect: {verdicts}")
        await asyncio.sleep(0.1)


async def _send(
    installation: Installation, run: Run, status: Status, choice: str, fields: dict[str, Any]
) -> None:
    message: dict[str, Any] = {"by": APPROVER, "plan": status.fingerprint, **fields}
    if run.is_signed:
        message["signature"] = signed(status, APPROVER, choice, **fields)
    if run.channel == "signal":
        await installation.handle(run.id).signal(choice, json.loads(json.dumps(message)))
    else:
        await installation.api.decide(run.id, Decision(decision=Choice(choice), **message))


async def _check(installation: Installation, run: Run, result: RunResult, report: Report) -> None:
    """Compare the outcome, the effects, the trail and the bundle with the chosen resolution."""
    first, second, third = run.tokens
    expected: dict[Resolution, tuple[str, dict[str, int]]] = {
        Resolution.RETRY: ("executed", {first: 1, second: 1, third: 1}),
        Resolution.SKIP: ("executed", {first: 1, third: 1}),
        Resolution.MARK_DONE: ("executed", {first: 1, second: 1, third: 1}),
        Resolution.UNDO: ("failed", {first: 1, f"{first}/undo": 1, third: 0}),
        Resolution.ABORT: ("failed", {first: 1, f"{first}/undo": 0, third: 0}),
    }
    outcome, effects = expected[run.chosen]
    counts = {token: installation.keyless.effects(token) for token in effects}
    if (result.outcome, counts) != (outcome, effects):
        report.record_error(f"{run.id} is {result.outcome} ({result.reason}), with the effects {counts}")
    report.expect(run.is_chosen, f"{run.id} was never held at its second step")
    trail = installation.trail(run.id)
    check_trail(trail, report)
    check_history(await installation.handle(run.id).fetch_history(), report)
    with installation.database.read() as connection:
        bundle = bundle_of(run.id, trail, (), texts_of(connection, referenced_rules(trail)))
    for finding in bundle_findings(bundle, trusted=frozenset(), people=people()):
        report.expect(finding.is_unsealed, f"the bundle of {run.id}: {finding.what}")
