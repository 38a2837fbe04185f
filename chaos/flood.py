"""Send thousands of invalid messages: to a waiting run, without a worker, during execution, as updates."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from temporalio.service import RPCError

from chaos.inspector import inspect
from chaos.installation import Installation
from chaos.junk_signals import Flood, compare_with_trail, generate, junk_of_all_shapes, send_all
from chaos.orders import APPROVER, REQUESTER, Order, OrderedStep, Place, order
from chaos.people import by_signal
from chaos.report import Report
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.status import Status

MEMORY_LIMIT = 400  # megabytes that a worker may use on top of its idle memory


@dataclass(frozen=True)
class Size:
    """The sizes of the floods."""

    in_review: int
    no_worker: int
    padding: int  # characters in each message that waits for a worker
    executing: int
    updates: int
    at_once: int  # number of senders
    pause: float = 0.0  # maximum number of seconds between two signals from one sender to a run in review


FULL = Size(in_review=12_000, no_worker=10_300, padding=2_000, executing=2_000, updates=500, at_once=64)
QUICK = Size(in_review=500, no_worker=300, padding=2_000, executing=120, updates=30, at_once=4)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Flood one run in each way; afterwards each run is approved, and executed once."""
    await installation.start_worker()
    orders = [
        await _in_review(installation, report, size),
        await _no_worker(installation, report, size),
        await _executing(installation, report, size),
        await _updates(installation, report, size),
    ]
    await inspect(installation, orders, report)
    report.expect(not installation.log_lines_with("deadlock"), "a worker reported a run as deadlocked")


async def _in_review(installation: Installation, report: Report, size: Size) -> Order:
    """Flood a run that waits at its second revision, after one decision; its whole state must be kept."""
    flooded = Order("flooded-in-review", (OrderedStep(Place.OUTBOX, "flooded-in-review/1"),))
    request = PlanRequest(requester=REQUESTER, request="Tell Kim", timeout_seconds=3_600)
    await installation.api.submit(request, flooded.workflow_id)
    first = await installation.until("in_review", flooded.workflow_id)
    changes = {"by": APPROVER, "plan": first.fingerprint, "comment": "think again"}
    await installation.handle(flooded.workflow_id).signal("request_changes", changes)
    before = await installation.until("in_review", flooded.workflow_id, lambda now: now.revision == 2)
    assert before.fingerprint is not None
    memory_before = installation.worker.memory()
    signals = junk_of_all_shapes(size.in_review, before.fingerprint, installation.rng.randrange(10**6))
    report.say(f"{size.in_review} signals to a run that waits")
    flood = await send_all(installation, flooded.workflow_id, signals, report, size.at_once, pause=size.pause)
    await by_signal(installation, flooded, before)
    flooded.decided_at = 0.0
    await installation.result(flooded.workflow_id)
    _report_flood(report, "in review", flood, size.in_review)
    chain = await _count_runs(installation, flooded)
    report.figure("continued as new", f"{chain - 1} times")
    report.expect(chain > 1, "the run did not continue as new")
    _compare(before, await _query_workflow(installation, flooded), report)
    compare_with_trail(installation, flooded.workflow_id, flood, other_decisions=2, report=report)
    grown = installation.worker.memory("VmHWM") - memory_before
    report.figure("worker's memory", f"{memory_before} MB when idle, at most {grown} MB more")
    report.expect(grown < MEMORY_LIMIT, f"the worker's memory grew by {grown} MB")
    return flooded


async def _no_worker(installation: Installation, report: Report, size: Size) -> Order:
    """Flood a run without a worker; the next worker gets all signals together, up to the server's limit."""
    flooded = order("flooded-no-worker", [Place.OUTBOX, Place.VENDOR])
    await installation.submit(flooded)
    before = await installation.until("in_review", flooded.workflow_id)
    assert before.fingerprint is not None
    installation.worker.kill()
    signals = junk_of_all_shapes(
        size.no_worker, before.fingerprint, installation.rng.randrange(10**6), padding=size.padding
    )
    report.say(f"{size.no_worker} large signals while no worker runs")
    flood = await send_all(installation, flooded.workflow_id, signals, report, size.at_once)
    _report_flood(report, "no worker", flood, size.no_worker)
    await installation.start_worker()
    flooded.decided_at = 0.0
    await _approve_until_accepted(installation, flooded, before)
    await installation.result(flooded.workflow_id)
    compare_with_trail(installation, flooded.workflow_id, flood, other_decisions=1, report=report)
    return flooded


async def _executing(installation: Installation, report: Report, size: Size) -> Order:
    """Flood a run during a step, which must not be affected."""
    flooded = order("flooded-executing", [Place.VENDOR, Place.KEYLESS])
    await installation.submit(flooded)
    before = await installation.until("in_review", flooded.workflow_id)
    assert before.fingerprint is not None
    signals = junk_of_all_shapes(size.executing, before.fingerprint, installation.rng.randrange(10**6))
    delay, installation.vendor.delay = installation.vendor.delay, lambda: 1 + size.executing / 250
    flooded.decided_at = 0.0
    await by_signal(installation, flooded, before)
    await installation.until("executing", flooded.workflow_id)
    report.say(f"{size.executing} signals to a run that executes")
    flood = await send_all(installation, flooded.workflow_id, signals, report, size.at_once)
    await installation.result(flooded.workflow_id)
    installation.vendor.delay = delay
    _report_flood(report, "executing", flood, size.executing)
    compare_with_trail(installation, flooded.workflow_id, flood, other_decisions=1, report=report)
    return flooded


async def _updates(installation: Installation, report: Report, size: Size) -> Order:
    """Send bad updates, each of which is refused, and then a good one, which is accepted."""
    flooded = order("flooded-updates", [Place.OUTBOX])
    await installation.submit(flooded)
    before = await installation.until("in_review", flooded.workflow_id)
    handle, slots = installation.handle(flooded.workflow_id), asyncio.Semaphore(8)

    async def send(inputs: list[object]) -> bool:
        async with slots:
            answer = await handle.execute_update("decide", args=inputs)
            assert isinstance(answer, dict)
            return bool(answer["accepted"])

    report.say(f"{size.updates} bad updates")
    bad = [inputs for _, inputs in generate(size.updates, installation.rng.randrange(10**6))]
    answers = await asyncio.gather(*(send(inputs) for inputs in bad))
    report.expect(not any(answers), "an invalid update was accepted")
    flooded.decided_at = 0.0
    accepted = await send([{"by": APPROVER, "plan": before.fingerprint, "decision": "approve"}])
    report.expect(accepted, "the valid update after the invalid ones was refused")
    report.figure("updates", f"{len(answers)} bad ones answered")
    return flooded


def _compare(before: Status, after: Status, report: Report) -> None:
    """Check that the state was kept."""
    carried = (after.revision, after.fingerprint, after.deadline, after.plan, after.requester, after.request)
    expected = (
        before.revision, before.fingerprint, before.deadline, before.plan, before.requester, before.request
    )  # fmt: skip
    report.expect(carried == expected, "plan, revision, deadline or request changed")
    kept = [decision.decision for decision in after.decisions if decision.accepted]
    report.expect(kept == ["request_changes", "approve"], f"the accepted decisions are {kept}")


def _report_flood(report: Report, when: str, flood: Flood, sent: int) -> None:
    report.figure(f"flood, {when}", f"{sent} sent, {len(flood.accepted_by_server)} accepted by the server")
    for error, count in flood.refusals.items():
        report.figure(f"refused by the server, {when}", f"{count} of them: {error}")


async def _approve_until_accepted(installation: Installation, flooded: Order, before: Status) -> None:
    """Approve; if the server stops accepting signals, repeat until it accepts one."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await by_signal(installation, flooded, before)
            except RPCError:
                await asyncio.sleep(0.5)


async def _query_workflow(installation: Installation, flooded: Order) -> Status:
    """Query the workflow itself, not the records."""
    status = await installation.api.status(flooded.workflow_id)
    assert status.source == "workflow"
    return status


async def _count_runs(installation: Installation, flooded: Order) -> int:
    """Count the Temporal runs in this run's chain."""
    return (await installation.client.count_workflows(f"WorkflowId = '{flooded.workflow_id}'")).count


def recorded_model(path: Path) -> Path:
    """Write the recorded model that drafts one email for any request."""
    call = {
        "why": "asked for",
        "to": ["kim@example.org"],
        "subject": "flooded-in-review/1",
        "body": "Hello Kim",
    }
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    tool = {"id": "call_1", "name": "send_email", "arguments": json.dumps(call)}
    completions = [
        {"finish_reason": "function_calls", "content": [tool], "usage": usage, "cached": False},
        {"finish_reason": "stop", "content": "Tell Kim.", "usage": usage, "cached": False},
    ]
    info = {
        "vision": False, "function_calling": True, "json_output": False, "family": "unknown",
        "structured_output": False, "multiple_system_messages": False,
    }  # fmt: skip
    component = {
        "provider": "autogen_ext.models.replay.ReplayChatCompletionClient",
        "component_type": "replay_chat_completion_client",
        "version": 1,
        "config": {"chat_completions": completions, "model_info": info},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(component))
    return path
