"""Kill the worker with kill -9 before, during and after its calls to localstripe, a substitute for Stripe.

The calls make refunds and payments, and undo the payment of a held run.

Effects are counted in localstripe itself, behind the proxy that adds Stripe's idempotency.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from chaos.inspector import examine
from chaos.installation import Installation
from chaos.orders import APPROVER, REQUESTER
from chaos.people import retry
from chaos.report import Report
from chaos.trail_checks import check_history, check_trail
from plangate.domain.runs.audit import StepUndone
from plangate.domain.runs.request import PlanRequest
from tests.support.faulty_server import FaultyServer, Request
from tests.support.stripe_server import KEY, StripeServer, stripe_server

PHASES: Final = ("before", "during", "after")
UNDO: Final = "undo_payment"
ACTIONS: Final = ("refund_payment", "create_payment", UNDO)
_DECLINED: Final = "4000000000000341"
_SLOW: Final = 0.12  # seconds that Stripe takes before and after the effect
_STORING_SECONDS: Final = (
    0.25  # seconds after a response during which the receipt may not have been stored yet
)


@dataclass(frozen=True)
class Size:
    """How often each action is interrupted in each phase; concurrent runs; the maximum number of kills."""

    moments: int
    runs: int
    kills: int


FULL: Final = Size(moments=25, runs=3, kills=300)
QUICK: Final = Size(moments=1, runs=1, kills=2)


@dataclass(eq=False)
class Run:
    """One run with two refunds of one payment, one payment by a customer, or one payment that is undone."""

    id: str
    action: str
    subject: str  # the payment, or the customer
    wanted: list[int]  # the amounts to pay or refund, in cents
    came: int = 0
    answered: int = 0
    answered_at: float = 0.0
    is_approved: bool = False
    has_called: bool = False  # a look-up may find the effect of a killed call, and then no call follows

    def phase(self) -> str | None:
        """Return the phase that a kill would interrupt now, or None."""
        if not self.is_approved or (self.answered == len(self.wanted) and self._is_stored()):
            return None
        if self.came > self.answered:
            return "during"
        if not self.has_called:
            return "before"
        return None if self._is_stored() else "after"

    def _is_stored(self) -> bool:
        return time.monotonic() - self.answered_at > _STORING_SECONDS


@dataclass
class RequestWatcher:
    """Watches each request to Stripe, and kills the worker at a chosen moment."""

    installation: Installation
    runs: dict[str, Run] = field(default_factory=dict)
    moments: Counter[tuple[str, str]] = field(default_factory=Counter)
    killed: threading.Event = field(default_factory=threading.Event)
    wanted: tuple[str, str] | None = None
    delay: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def set_target(self, target: tuple[str, str], delay: float) -> None:
        """Kill the worker when a run of this action is in this phase, after a delay."""
        with self._lock:
            self.killed.clear()
            self.wanted, self.delay = target, delay

    def watch(self, moment: str, request: Request) -> None:
        """Count requests and responses, and kill the worker at the chosen moment."""
        is_change = request.method == "POST"
        with self._lock:
            run = self.runs.get(_subject_of(request))
            if run is not None and is_change and moment == "received":
                run.came, run.has_called = run.came + 1, True
            elif run is not None and is_change:
                run.answered, run.answered_at = run.answered + 1, time.monotonic()
            if run is None or not run.is_approved or (not is_change and moment == "answered"):
                return
            seen = ("during" if moment == "received" else "after") if is_change else "before"
            if (run.action, seen) != self.wanted:
                return
            self.wanted = None
        threading.Timer(self.delay, self._kill).start()

    def _kill(self) -> None:
        with self._lock:
            self.installation.worker.kill()
            for run in set(self.runs.values()):
                phase = run.phase()
                if phase is not None:
                    self.moments[run.action, phase] += 1
                run.came = run.answered  # its worker has no more calls in progress
        self.killed.set()


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Repeatedly approve a few runs, and kill the worker in the phase with the fewest kills so far."""
    with stripe_server() as stripe:
        watcher = RequestWatcher(installation)
        with FaultyServer(upstream=stripe.url, watch=watcher.watch) as proxy:
            installation.settings |= {"PLANGATE_STRIPE_API_KEY": KEY, "PLANGATE_STRIPE_API_BASE": proxy.url}
            stripe.control("slow", {"before": _SLOW, "after": _SLOW})
            await installation.start_worker()
            runs = await _kill_often(installation, report, size, stripe, watcher)
            for run in runs:
                await _check(installation, run, stripe, report)
            report.figure("requests that change", proxy.count("POST"))
    await examine(installation, report)
    report.expect(await installation.count_blocked() == 0, "the server reports a blocked run")
    report.expect(
        not _holders_of(KEY, installation.folder), f"the key is in {_holders_of(KEY, installation.folder)}"
    )
    if size.kills > len(PHASES) * len(ACTIONS):
        fewest = min(watcher.moments[one, phase] for one in ACTIONS for phase in PHASES)
        report.expect(fewest >= size.moments, f"a phase was hit only {fewest} times")
    for one in ACTIONS:
        counts = ", ".join(f"{watcher.moments[one, phase]} {phase}" for phase in PHASES)
        report.figure(f"kills of {one}", counts)
    report.figure("runs", len(runs))


async def _kill_often(
    installation: Installation, report: Report, size: Size, stripe: StripeServer, watcher: RequestWatcher
) -> list[Run]:
    runs: list[Run] = []
    targets = [(one, phase) for phase in PHASES for one in ACTIONS]
    installation.rng.shuffle(targets)
    for number in range(1, size.kills + 1):
        target = min(targets, key=lambda one: watcher.moments[one])
        if watcher.moments[target] >= size.moments:
            break
        batch = await asyncio.gather(
            *(
                _submit(installation, stripe, watcher, one, f"{one}-{number}-{n}")
                for n in range(size.runs)
                for one in ACTIONS
            )
        )
        runs += batch
        watcher.set_target(
            target,
            installation.rng.uniform(0, {"before": 0.1, "during": 3 * _SLOW, "after": 0.1}[target[1]]),
        )
        for run in batch:
            run.is_approved = True
            await retry(lambda run=run: _approve(installation, run))  # type: ignore[misc]
        if not await asyncio.to_thread(watcher.killed.wait, 30):
            report.record_error(f"no run of {target[0]} reached the phase '{target[1]}'")
        report.say(f"kill {number}: {' '.join(target)}")
        await installation.start_worker()
    return runs


async def _submit(
    installation: Installation, stripe: StripeServer, watcher: RequestWatcher, action: str, workflow_id: str
) -> Run:
    """Take a run to the point where one decision makes it call Stripe."""
    customer, method = await asyncio.to_thread(stripe.customer)
    accepted = {"customer": customer, "payment_method": method, "amount": 42.5, "currency": "EUR"}
    if action == "refund_payment":
        payment = await asyncio.to_thread(stripe.paid)
        run = Run(workflow_id, action, payment, [4_250, 725])
        steps = [
            _step(action, {"payment": payment, "amount": amount, "currency": "EUR"})
            for amount in (42.5, 7.25)
        ]
    elif action == "create_payment":
        run, steps = Run(workflow_id, action, customer, [4_250]), [_step(action, accepted)]
        watcher.runs[method] = run
    else:
        other, declined = await asyncio.to_thread(stripe.customer, _DECLINED)
        refused = {**accepted, "customer": other, "payment_method": declined}
        run = Run(workflow_id, action, customer, [4_250])
        steps = [_step("create_payment", arguments) for arguments in (accepted, refused)]
    plan: Any = {"summary": "Move money", "steps": steps}
    request = PlanRequest(requester=REQUESTER, plan=plan, timeout_seconds=3_600)
    await retry(lambda: _start(installation, request, workflow_id))
    await installation.until("in_review", workflow_id)
    if action == UNDO:
        await retry(lambda: _approve(installation, run))
        await installation.until("held", workflow_id)
        (made,) = await asyncio.to_thread(stripe.payments, customer)
        run.subject = made["id"]
    watcher.runs[run.subject] = run
    return run


def _step(tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"tool": tool, "arguments": arguments, "reason": "due"}


async def _start(installation: Installation, request: PlanRequest, workflow_id: str) -> None:
    await installation.api.submit(request, workflow_id)


async def _approve(installation: Installation, run: Run) -> None:
    """Approve a run, or undo the completed steps of a held run."""
    status = await asyncio.to_thread(installation.recorded, run.id)
    assert status is not None
    message: dict[str, Any] = {"by": APPROVER, "plan": status.short_fingerprint}
    if status.held is None:
        await installation.handle(run.id).signal("approve", message)
        return
    message |= {"step": status.held.step, "hold": status.held.number, "resolution": "undo"}
    await installation.handle(run.id).signal("resolve", message)


async def _check(installation: Installation, run: Run, stripe: StripeServer, report: Report) -> None:
    """Check that each effect happened once, in the approved amount, and that nothing is in doubt."""
    result = await installation.result(run.id, 200)
    find = stripe.payments if run.action == "create_payment" else stripe.refunds
    made = [one["amount"] for one in await asyncio.to_thread(find, run.subject)]
    report.expect(sorted(made) == sorted(run.wanted), f"{run.id}: {made} were made, not {run.wanted}")
    expected = "failed" if run.action == UNDO else "executed"
    report.expect(result.outcome == expected, f"{run.id} is {result.outcome}: {result.reason}")
    trail = installation.trail(run.id)
    report.expect(all(one.event.kind != "in_doubt" for one in trail), f"{run.id} was in doubt")
    undone = [one for one in trail if isinstance(one.event, StepUndone)]
    report.expect(len(undone) == (run.action == UNDO), f"{run.id}: {len(undone)} steps were undone")
    check_trail(trail, report)
    check_history(await installation.handle(run.id).fetch_history(), report)


def _subject_of(request: Request) -> str:
    """Return the payment, customer or payment method in a request."""
    if request.method == "POST":
        fields = parse_qs(request.body.decode())
        return (fields.get("payment_intent") or fields.get("customer") or [""])[0]
    return request.path.rpartition("/")[2]


def _holders_of(secret: str, folder: Path) -> Sequence[str]:
    """Return the files that contain a secret."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path.relative_to(folder)) for path in files if secret.encode() in path.read_bytes()]
