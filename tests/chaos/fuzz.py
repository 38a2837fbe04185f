"""Bad input at every door: signals, updates, starts, plan files, the command line."""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import islice
from typing import Any

from activities.tools.catalogue import declarations
from console.plan_file import PlanFileFaults, read_plan_file
from plangate.settings import PROJECT
from tests.chaos.inspector import inspect
from tests.chaos.junk_signals import generate
from tests.chaos.orders import Order, Place, order
from tests.chaos.people import by_signal
from tests.chaos.report import Report
from tests.chaos.stage import TASK_QUEUE, Stage

_AT_ONCE = 25
_COMMANDS = ("start", "status", "approve", "reject", "request-changes", "withdraw", "watch", "audit", "tools")


@dataclass(frozen=True)
class Size:
    """How many bad inputs at each door."""

    signals: int
    updates: int
    starts: int
    plan_files: int
    command_lines: int


FULL = Size(signals=900, updates=400, starts=150, plan_files=500, command_lines=60)
QUICK = Size(signals=60, updates=40, starts=10, plan_files=60, command_lines=8)


async def act(stage: Stage, report: Report, size: Size) -> None:
    """Send all of it; afterwards the run that had to bear it is approved and executed, once."""
    await stage.hire()
    borne = order("fuzzed", [Place.OUTBOX])
    await stage.submit(borne)
    status = await stage.until("in_review", borne.workflow_id)
    count = size.signals + size.updates + size.starts + size.plan_files + size.command_lines
    junk = iter(generate(count, stage.chance.randrange(2**32)))
    await _signals(stage, borne, list(islice(junk, size.signals)))
    await _updates(stage, borne, list(islice(junk, size.updates)), report)
    await _starts(stage, list(islice(junk, size.starts)), report)
    await asyncio.to_thread(_plan_files, stage, list(islice(junk, size.plan_files)), report)
    await asyncio.to_thread(_command_lines, stage, list(islice(junk, size.command_lines)), report)
    bearing = await stage.gateway.status(borne.workflow_id)
    report.expect(bearing.state == "in_review", "junk moved the run on")
    report.expect(not any(one.accepted for one in bearing.decisions), "junk passed for a decision")
    report.expect(await stage.blocked() == 0, "a run is blocked")
    borne.decided_at = time.time()
    await by_signal(stage, borne, status)
    await inspect(stage, [borne], report)
    report.figure("bad inputs", count)
    report.expect(not stage.said("Traceback"), "the worker's log holds a traceback")


async def _signals(stage: Stage, borne: Order, junk: list[tuple[str, list[Any]]]) -> None:
    handle = stage.handle(borne.workflow_id)
    for first in range(0, len(junk), _AT_ONCE):
        some = junk[first : first + _AT_ONCE]
        await asyncio.gather(*(handle.signal(name or "nameless", args=inputs) for name, inputs in some))


async def _updates(stage: Stage, borne: Order, junk: list[tuple[str, list[Any]]], report: Report) -> None:
    handle = stage.handle(borne.workflow_id)
    for _, inputs in junk:
        answer: dict[str, Any] = await handle.execute_update("decide", args=inputs)
        report.expect(
            answer["accepted"] is False and answer["reason"], f"an update was not refused: {inputs!r}"
        )


async def _starts(stage: Stage, junk: list[tuple[str, list[Any]]], report: Report) -> None:
    for number, (_, inputs) in enumerate(junk):
        handle = await stage.client.start_workflow(
            "PlanApproval", args=inputs, id=f"nonsense-{number}", task_queue=TASK_QUEUE
        )
        async with asyncio.timeout(30):
            result: dict[str, Any] = await handle.result()
        report.expect(
            result["outcome"] == "failed" and result["reason"], f"nonsense started a run: {inputs!r}"
        )


def _plan_files(stage: Stage, junk: list[tuple[str, list[Any]]], report: Report) -> None:
    for number, (name, inputs) in enumerate(junk):
        path = stage.folder / f"plan-{number}.{'json' if number % 2 else 'yaml'}"
        steps = [{"tool": name or "send_email", "arguments": value} for value in inputs]
        raw = json.dumps({"summary": "x", "steps": steps} if number % 3 else inputs)
        path.write_text(raw[: len(raw) - number % 5])
        try:
            read_plan_file(path, declarations(), 20)
        except PlanFileFaults as error:
            report.expect(error.faults, f"no fault is told of {raw[:200]}")
        except Exception as error:  # noqa: BLE001  what is looked for
            report.blame(f"{type(error).__name__} at {raw[:200]}")
        else:
            report.blame(f"taken for a plan: {raw[:200]}")


def _command_lines(stage: Stage, junk: list[tuple[str, list[Any]]], report: Report) -> None:
    for number, (name, inputs) in enumerate(junk):
        words = [json.dumps(value)[:80] for value in inputs]
        options = ["--by", name or "x", "--plan", "zz", "--timeout", "soon", "--bogus"][: number % 8]
        command = [_COMMANDS[number % len(_COMMANDS)], *words, *options]
        ended = subprocess.run(
            [sys.executable, str(PROJECT / "starter.py"), *command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
            env=stage.environment(),
        )  # fmt: skip
        said = ended.stdout + ended.stderr
        report.expect("Traceback" not in said, f"a traceback at {command!r}")
        report.expect(ended.returncode in (0, 1, 2, 3), f"exit {ended.returncode} at {command!r}")
