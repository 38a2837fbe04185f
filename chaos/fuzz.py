"""Send generated bad input to every entry point: signals, the update, starts, plan files, command lines."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activities.tools.registry import declarations
from chaos import bad_input
from chaos.inspector import inspect
from chaos.installation import TASK_QUEUE, Installation
from chaos.junk_signals import compare_with_trail, generate, generated, junk_of_all_shapes, send_all
from chaos.orders import Order, Place, order
from chaos.people import by_signal, retry
from chaos.report import Report
from chaos.trail_checks import check_history
from plangate.cli.exits import WrongUsage
from plangate.cli.plan_file import read_plan_file
from plangate.settings import PROJECT

MAX_STEPS = 20
CODES = {0, 1, 2, 3}
ERROR_MARKERS = ("Traceback", "unforeseen")


@dataclass(frozen=True)
class Size:
    """The numbers of bad inputs of each kind, two thousand in total."""

    signals: int
    updates: int
    starts: int
    plan_files: int
    typed: int  # in one process, for speed
    processes: int  # each in its own `python starter.py`


FULL = Size(signals=700, updates=350, starts=300, plan_files=450, typed=180, processes=20)
QUICK = Size(signals=80, updates=40, starts=30, plan_files=100, typed=30, processes=2)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Send all inputs to one run; in the end, only the approved plan may execute, and only once."""
    await installation.start_worker()
    target = order("fuzz-target", [Place.OUTBOX])
    await installation.submit(target)
    status = await installation.until("in_review", target.workflow_id)
    assert status.fingerprint is not None
    seed = installation.rng.randrange(10**6)
    signals = junk_of_all_shapes(size.signals, status.fingerprint, seed)
    flood = await send_all(installation, target.workflow_id, signals, report, at_once=16)
    await _update(installation, target, report, size.updates, seed)
    await _start(installation, report, size.starts, seed)
    _read_plan_files(installation, report, size.plan_files)
    typed_decisions = await asyncio.to_thread(_run_command_lines, installation, target, report, size)
    after = await installation.until("in_review", target.workflow_id)
    report.expect(not any(decision.accepted for decision in after.decisions), "junk was accepted")
    report.expect(
        not installation.mails() and not installation.keyless.calls and not installation.vendor.calls,
        "junk had an effect",
    )
    target.decided_at = 0.0
    await retry(lambda: by_signal(installation, target, status))
    await inspect(installation, [target], report)
    report.expect(sum(map(len, installation.mails().values())) == 1, "another step was executed too")
    other_decisions = 1 + size.updates + typed_decisions
    compare_with_trail(installation, target.workflow_id, flood, other_decisions, report)
    report.expect(not installation.log_lines_with("Traceback"), "a worker's log contains a traceback")
    report.figure("signals, updates, starts", f"{size.signals}, {size.updates}, {size.starts}")


async def _update(installation: Installation, target: Order, report: Report, count: int, seed: int) -> None:
    handle, slots = installation.handle(target.workflow_id), asyncio.Semaphore(8)

    async def send(inputs: list[Any]) -> None:
        async with slots:
            answer = await handle.execute_update("decide", args=inputs)
            refused = isinstance(answer, dict) and answer["accepted"] is False and answer["reason"]
            report.expect(refused, f"an update was answered with {answer}: {str(inputs)[:200]}")

    report.say(f"{count} bad updates")
    await asyncio.gather(*(send(inputs) for _, inputs in generate(count, seed + 1)))


async def _start(installation: Installation, report: Report, count: int, seed: int) -> None:
    """Start runs with invalid input; each must end immediately, with a reason."""
    slots, outcomes = asyncio.Semaphore(8), Counter[str]()

    async def start(number: int, inputs: list[Any]) -> None:
        async with slots:
            handle = await installation.client.start_workflow(
                "PlanApproval", args=inputs, id=f"fuzz-start-{number}", task_queue=TASK_QUEUE
            )
            async with asyncio.timeout(60):
                result = await handle.result()
            outcomes[result["outcome"]] += 1
            report.expect(result["reason"], f"a start ended without a reason: {str(inputs)[:200]}")
            check_history(await handle.fetch_history(), report)

    report.say(f"{count} runs started with invalid input")
    await asyncio.gather(
        *(start(number, inputs) for number, inputs in enumerate(generated(bad_input.starts, count, seed)))
    )
    report.expect(outcomes == {"failed": count}, f"invalid input led to {dict(outcomes)}")


def _read_plan_files(installation: Installation, report: Report, count: int) -> None:
    """Read bad files; each must result in a list of errors or in a plan, and never in any other error."""
    outcomes = Counter[str]()
    report.say(f"{count} bad plan files")
    for number in range(count):
        name, content = bad_input.plan_file(installation.rng)
        path = installation.folder / f"{number}-{name}"
        path.write_bytes(content)
        try:
            read_plan_file(path, declarations(), MAX_STEPS)
        except WrongUsage:
            outcomes["refused"] += 1
        except Exception as error:  # noqa: BLE001  this is what the scenario looks for
            report.record_error(f"{type(error).__name__} at the plan file {content[:300]!r}: {error}")
        else:
            outcomes["valid by chance"] += 1
        path.unlink()
    report.figure("plan files", ", ".join(f"{number} {what}" for what, number in outcomes.items()))


def _run_command_lines(installation: Installation, target: Order, report: Report, size: Size) -> int:
    """Run bad command lines; return the number of decisions sent to the run."""
    before = _decisions(installation, target)
    lines = []
    for number in range(size.typed + size.processes):
        name, content = bad_input.plan_file(installation.rng)
        path = installation.folder / f"typed-{number}-{name}"
        path.write_bytes(content)
        lines.append(bad_input.command_line(installation.rng, target.workflow_id, str(path)))
    report.say(f"{len(lines)} bad command lines")
    answers = [
        *_in_one_process(installation, lines[: size.typed]),
        *_in_separate_processes(installation, lines[size.typed :]),
    ]
    report.expect(len(answers) == len(lines), "the process that ran the lines died")
    for words, answer in zip(lines, answers, strict=False):
        shown = [word[:60] for word in words]
        report.expect(answer["code"] in CODES, f"{shown} ended with {answer['code']}: {answer['err'][-300:]}")
        has_error = any(word in answer["err"] + answer["out"] for word in ERROR_MARKERS)
        report.expect(not has_error, f"{shown} printed {answer['err'][-500:]}")
        is_silent = answer["code"] in (1, 2, 3) and not answer["err"].strip() and "--json" not in words
        report.expect(not is_silent, f"{shown} ended with {answer['code']} and no message")
    codes = Counter(str(answer["code"]) for answer in answers)
    report.figure(
        "command lines", ", ".join(f"{count} ended with {code}" for code, count in sorted(codes.items()))
    )
    return _decisions(installation, target) - before


def _in_one_process(installation: Installation, lines: list[list[str]]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "chaos.typed"],
        input="".join(json.dumps(words) + "\n" for words in lines),
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env=installation.environment(),
        timeout=300,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _in_separate_processes(installation: Installation, lines: list[list[str]]) -> list[dict[str, Any]]:
    answers = []
    for words in lines:
        done = subprocess.run(
            [sys.executable, str(Path(PROJECT) / "starter.py"), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=installation.environment(),
            timeout=60,
            check=False,
        )
        output = {"out": done.stdout.decode(errors="replace"), "err": done.stderr.decode(errors="replace")}
        answers.append({"code": done.returncode, **output})
    return answers


def _decisions(installation: Installation, target: Order) -> int:
    return sum(entry.event.kind == "decided" for entry in installation.trail(target.workflow_id))
