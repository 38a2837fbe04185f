"""Make the list of people, the database or the disk unavailable for a long time, then restore it.

The figures for a day are extrapolated, because the clock of a retried activity cannot be changed. Several
runs together make as many attempts as one run makes in a day, at short intervals, and the history events per
attempt are measured.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import RetryPolicy, WorkflowExecution
from temporalio.api.workflowservice.v1 import UpdateActivityOptionsRequest

from chaos.inspector import inspect
from chaos.installation import WAIT_LIMIT, Installation
from chaos.losses import disk_full, postgres_killed, sqlite_locked
from chaos.orders import APPROVER, REQUESTER, Order, Place, order
from chaos.report import Report
from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.errors import RecordsUnavailable
from plangate.domain.runs.status import Status
from tests.support.postgres import PostgresServer
from workflows.options import WAIT

Loss = Callable[[], AbstractAsyncContextManager[None]]
_DAY = timedelta(days=1).total_seconds()
_MAX_EVENTS_PER_DAY = 200  # history events
_PROCESSING_LIMIT = 60.0  # seconds until all decisions are processed after the repair
_STOP_LIMIT = 90.0  # seconds within which a worker must stop
_PEOPLE = "".join(f'[[person]]\nname = "{name}"\n' for name in (REQUESTER, APPROVER))


@dataclass(frozen=True)
class Size:
    """The size of the scenario."""

    runs: int  # for each kind of loss
    seconds: float  # seconds each time
    retries_every_second: bool  # whether there is an attempt every second, not every 20 seconds
    kinds: int = 3  # the number of kinds of loss
    tries: int = 0  # the minimum number of attempts


FULL = Size(runs=60, seconds=80, retries_every_second=True)
QUICK = Size(runs=2, seconds=1, retries_every_second=False, kinds=1)
# Not while another process holds SQLite's lock: each attempt waits for the lock, so there are too few
# attempts.
MONTH = Size(runs=120, seconds=80, retries_every_second=True, kinds=2, tries=30 * 24 * 60 * 3)


async def sqlite(installation: Installation, report: Report, size: Size) -> None:
    """On SQLite, fill the disk, then make the list of people invalid, then lock the database."""
    installation.settings["PLANGATE_PEOPLE"] = str(installation.folder / "people.toml")
    (installation.folder / "people.toml").write_text(_PEOPLE)
    losses: dict[str, Loss] = {
        "disk": lambda: disk_full(installation),
        "people": lambda: _people_invalid(installation),
        "lock": lambda: sqlite_locked(installation),
    }
    await _run_outages(installation, report, size, losses)


async def postgres(installation: Installation, report: Report, size: Size, database: PostgresServer) -> None:
    """Kill PostgreSQL and keep it stopped; then use a read-only copy until it is promoted."""
    losses: dict[str, Loss] = {
        "stopped": lambda: postgres_killed(database),
        "read-only": lambda: _read_only(database),
    }
    await _run_outages(installation, report, size, losses)


async def _run_outages(
    installation: Installation, report: Report, size: Size, losses: dict[str, Loss]
) -> None:
    orders: list[Order] = []
    await installation.start_worker()
    for name, lose in list(losses.items())[: size.kinds]:
        outage = _Outage(installation, report, size, name)
        await installation.start_worker()
        await outage.begin()
        async with lose():
            await outage.hold()
        await outage.end()
        orders += outage.orders
    await inspect(installation, orders, report)


class _Outage:
    """One outage and the runs that wait for it to end: some approved, one withdrawn, one that expires."""

    def __init__(self, installation: Installation, report: Report, size: Size, name: str) -> None:
        self._installation = installation
        self._report = report
        self._size = size
        self._name = name
        self._approved = [order(f"{name}-{number:03}", [Place.OUTBOX]) for number in range(size.runs)]
        self._withdrawn = order(f"{name}-withdrawn", [Place.OUTBOX], outcome="withdrawn")
        self._expired = order(f"{name}-expired", [Place.OUTBOX], outcome="expired")
        self._informed = 0
        self.orders = [*self._approved, self._withdrawn, self._expired]

    async def begin(self) -> None:
        """Move all runs into review."""
        installation, report = self._installation, self._report
        report.say(f"{self._name} becomes unavailable")
        await asyncio.gather(*(installation.submit(each) for each in [*self._approved, self._withdrawn]))
        for each in [*self._approved, self._withdrawn]:
            await installation.until("in_review", each.workflow_id)
        await installation.submit(self._expired, timeout_seconds=5 + self._size.runs // 2)
        await installation.until("in_review", self._expired.workflow_id)

    async def hold(self) -> None:
        """Decide, withdraw and wait for an expiry during the outage; count events, and stop a worker."""
        await asyncio.gather(*(self._decide(each) for each in self.orders))
        self._report.expect(
            self._informed >= 0.9 * len(self.orders), f"{self._name}: most approvers got no reason"
        )
        self._report.figure(f"{self._name}: got the reason", f"{self._informed} of {len(self.orders)}")
        await self._installation.api.withdraw(self._withdrawn.workflow_id, "not now")
        await self._wait_until_shown(self._withdrawn, "withdrawn")
        await self._wait_until_shown(self._expired, "expired")
        if self._size.retries_every_second:
            await asyncio.gather(*(self._retry_every_second(each) for each in self._approved))
        events, tries = await self._cost()
        new_events, new_tries = 0, -1
        while new_tries < self._size.tries:
            await asyncio.sleep(self._size.seconds)
            more_events, more_tries = await self._cost()
            new_events, new_tries = more_events - events, more_tries - tries
            self._report.say(f"{self._name}: {new_tries} tries, {new_events} events")
        tries_per_day = _DAY / WAIT["retry_policy"].maximum_interval.total_seconds()  # type: ignore[union-attr]
        events_per_day = events / len(self._approved) + new_events / max(new_tries, 1) * tries_per_day
        self._report.expect(
            events_per_day < _MAX_EVENTS_PER_DAY, f"{self._name}: {events_per_day:.0f} events per run per day"
        )
        self._report.figure(
            f"{self._name}: events a day", f"{events_per_day:.0f} ({new_events} in {new_tries} tries)"
        )
        await self._stop_a_worker()

    async def end(self) -> None:
        """Wait until all decisions are processed, and report the time that this took."""
        started = time.monotonic()
        for each in self._approved:
            await self._installation.until("executed", each.workflow_id)
        for each in (self._withdrawn, self._expired):
            await self._installation.result(each.workflow_id)
        seconds = time.monotonic() - started
        self._report.expect(
            seconds < _PROCESSING_LIMIT, f"{self._name}: processed {seconds:.0f} s after the repair"
        )
        self._report.figure(f"{self._name}: processed after the repair", f"{seconds:.1f} s")

    async def _decide(self, each: Order) -> None:
        """Approve with an update; the response must describe the problem."""
        status = await self._status(each)
        approval = Decision(decision=Choice.APPROVE, by=APPROVER, plan=status.fingerprint or "")
        each.decided_at = time.time()
        answer = await self._installation.api.decide(each.workflow_id, approval)
        # All decide at the same time: if a busy machine responds too late, the decision is sent as a signal.
        reason = answer.reason if answer is not None and answer.accepted is None else ""
        is_informed = "as soon as this problem is solved: " in reason
        self._report.expect(is_informed or answer is None, f"{each.workflow_id}: its approver got {answer}")
        self._informed += is_informed
        each.acknowledged = True

    async def _wait_until_shown(self, each: Order, state: str) -> None:
        """Wait until the status shows the run as ended, although that is not recorded."""

        def is_shown(status: Status) -> bool:
            return status.state == state and status.unrecorded is not None

        async with asyncio.timeout(WAIT_LIMIT + self._size.seconds):
            while not is_shown(await self._status(each)):
                await asyncio.sleep(0.2)

    async def _status(self, each: Order) -> Status:
        """Query until a worker responds; if all are busy, the records are read instead, if available."""
        while True:
            with suppress(RecordsUnavailable):
                return await self._installation.api.status(each.workflow_id)

    async def _retry_every_second(self, each: Order) -> None:
        client = self._installation.client
        await client.workflow_service.update_activity_options(
            UpdateActivityOptionsRequest(
                namespace=client.namespace,
                execution=WorkflowExecution(workflow_id=each.workflow_id),
                type="wait_for_records",
                activity_options=ActivityOptions(retry_policy=RetryPolicy(backoff_coefficient=1)),
                update_mask=FieldMask(paths=["retry_policy.backoff_coefficient"]),
            )
        )

    async def _cost(self) -> tuple[int, int]:
        """Return how many events the waiting runs have, and how often they tried to reach their records."""
        events = tries = 0
        for each in self._approved:
            description = await self._installation.handle(each.workflow_id).describe()
            events += description.history_length
            tries += sum(pending.attempt for pending in description.raw_description.pending_activities)
        return events, tries

    async def _stop_a_worker(self) -> None:
        """Stop the older of two workers."""
        seconds = await self._installation.workers[-2].stop(_STOP_LIMIT)
        self._report.expect(seconds < _STOP_LIMIT, f"{self._name}: the worker did not stop on SIGTERM")
        self._report.figure(f"{self._name}: worker shutdown after SIGTERM", f"{seconds:.1f} s")


@asynccontextmanager
async def _people_invalid(installation: Installation) -> AsyncIterator[None]:
    path = installation.folder / "people.toml"
    path.write_text(_PEOPLE + "[[person]\nname = oh")
    yield
    path.write_text(_PEOPLE)


@asynccontextmanager
async def _read_only(database: PostgresServer) -> AsyncIterator[None]:
    await asyncio.to_thread(database.become_standby)
    yield
    await asyncio.to_thread(database.promote)
