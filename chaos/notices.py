"""Kill notifier, workers, database and mail server with kill -9 at random, while 500 plans are decided.

At the end, the emails on the server are compared with the ledger, and the ledger with the trails. Each person
must have one notice for each event, repeated emails must be marked, and no recipient may be left out.
"""

import asyncio
import hashlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from chaos.inspector import inspect
from chaos.installation import Installation
from chaos.losses import postgres_killed, sqlite_locked
from chaos.orders import APPROVER, REQUESTER, Order, Place, order
from chaos.people import by_signal, retry
from chaos.report import Report
from plangate.domain.errors import RecordsUnavailable
from plangate.domain.runs.audit import Decided
from plangate.domain.runs.run import Phase
from plangate.notifications.notice import NoticeKind
from plangate.records.changed_runs import newest_number
from plangate.records.checkpoints import unsealed_trails
from plangate.records.notices import DeliveryState
from plangate.records.notifier_lease import current_lease
from plangate.records.tables import deliveries, notices
from plangate.settings import PROJECT
from tests.support.postgres import PostgresServer

_WAIT_LIMIT = 300.0
_OTHERS = ("erin", "finn")
_PEOPLE = "".join(
    f'[[person]]\nname = "{name}"\nmail = "{name}@example.org"\nroles = [{roles}]\n\n'
    for name, roles in {
        APPROVER: '"finance"',
        **dict.fromkeys(_OTHERS, '"finance"'),
        REQUESTER: "",
        "olga": '"operator"',
    }.items()
)
_POLICY = '[default]\nneeds = [{ role = "finance" }]\n'
_CONCURRENT = 25
_WORKERS = 2
_UNDECIDED_SHARE = 10  # 10% of the runs are not decided before the end


@dataclass(frozen=True)
class Size:
    """The number of plans, the number of seconds in which they arrive, and the number of kills."""

    runs: int
    seconds: float
    kills: int


@dataclass(frozen=True)
class Loss:
    """The part of the database that becomes unavailable, and the context manager for the outage."""

    what: str
    lose: Callable[[], AbstractAsyncContextManager[None]]


FULL = Size(runs=500, seconds=240, kills=40)
QUICK = Size(runs=4, seconds=1, kills=1)


@dataclass
class MailProcesses:
    """The mail server and a separate notifier, each in its own process."""

    installation: Installation
    port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """The file in which the server stores the emails."""
        return self.installation.folder / "mails.jsonl"

    def start(self, what: str) -> None:
        """Start the mail server, or the notifier."""
        command = {
            "mail server": ["-m", "chaos.mail_server", str(self.port), str(self.file)],
            "notifier": [str(PROJECT / "starter.py"), "notify"],
        }[what]
        with (self.installation.folder / f"{what.replace(' ', '-')}.log").open("ab") as log:
            self.processes[what] = subprocess.Popen(
                [sys.executable, *command],
                cwd=PROJECT,
                env=self.installation.environment(),
                stdout=log,
                stderr=log,
            )

    def kill(self, what: str) -> None:
        """Kill one of them with SIGKILL."""
        self.processes[what].send_signal(signal.SIGKILL)
        self.processes[what].wait()

    def mails(self) -> list[dict[str, Any]]:
        """Return the emails that the server has stored."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [json.loads(line) for line in lines]


async def sqlite(installation: Installation, report: Report, size: Size) -> None:
    """Run with records in SQLite, whose lock is repeatedly held by another process."""
    await _run(installation, report, size, Loss("the lock of SQLite", partial(sqlite_locked, installation)))


async def postgres(installation: Installation, report: Report, size: Size, database: PostgresServer) -> None:
    """Run with records in PostgreSQL, which is repeatedly killed."""
    await _run(installation, report, size, Loss("PostgreSQL", partial(postgres_killed, database)))


async def _run(installation: Installation, report: Report, size: Size, loss: Loss) -> None:
    orders = [
        order(f"notified-{one:03}", [Place.VENDOR], "rejected" if one % 7 == 6 else "executed")
        for one in range(size.runs)
    ]
    undecided = orders[_UNDECIDED_SHARE // 2 :: _UNDECIDED_SHARE]
    async with _mail_processes(installation) as running:
        for _ in range(_WORKERS):
            await installation.start_worker()
        completing = asyncio.create_task(_complete_all(installation, orders, undecided, size))
        killed: Counter[str] = Counter()
        for number in range(1, size.kills + 1):
            longest = 2 * size.seconds / size.kills
            await asyncio.wait([completing], timeout=installation.rng.uniform(0.3, longest))
            choices = ["a worker", "all senders", "the notifier", "the mail server", loss.what]
            what = installation.rng.choice(choices)
            killed[what] += 1
            report.say(f"kill {number} of {size.kills}: {what}")
            await _kill(installation, running, what, loss)
        await completing
        await _wait_until_all_sent(installation)
        _expect_notified(installation, undecided, report)
        await _each(undecided, lambda one: _decide(installation, one))
        await inspect(installation, orders, report, time_limit=_WAIT_LIMIT)
        await _wait_until_all_sent(installation)
        _compare(installation, orders, running.mails(), report)
    report.figure("kills", ", ".join(f"{count} of {what}" for what, count in killed.most_common()))
    report.expect(not installation.log_lines_with("Traceback"), "a worker's log contains a traceback")


@asynccontextmanager
async def _mail_processes(installation: Installation) -> AsyncIterator[MailProcesses]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (installation.folder / "policy.toml").write_text(_POLICY)
    (installation.folder / "people.toml").write_text(_PEOPLE)
    installation.settings |= {
        "PLANGATE_POLICY": str(installation.folder / "policy.toml"),
        "PLANGATE_PEOPLE": str(installation.folder / "people.toml"),
        "PLANGATE_SMTP_URL": f"smtp://127.0.0.1:{port}",
        "PLANGATE_NOTICES_PER_HOUR": "10000",
    }
    running = MailProcesses(installation, port)
    running.start("mail server")
    running.start("notifier")
    try:
        yield running
    finally:
        for what in running.processes:
            running.kill(what)


async def _complete_all(
    installation: Installation, orders: Sequence[Order], undecided: Sequence[Order], size: Size
) -> None:
    times = {one.workflow_id: installation.rng.uniform(0, size.seconds) for one in orders}
    waits = {one.workflow_id: installation.rng.uniform(0, 12) for one in orders}
    limit = asyncio.Semaphore(_CONCURRENT)

    async def complete(one: Order) -> None:
        await asyncio.sleep(times[one.workflow_id])
        async with limit:
            await retry(lambda: installation.submit(one))
            await installation.until("in_review", one.workflow_id)
        if one not in undecided:
            await asyncio.sleep(waits[one.workflow_id])
            await _decide(installation, one)

    await asyncio.gather(*map(complete, orders))


async def _decide(installation: Installation, one: Order) -> None:
    status = await installation.until("in_review", one.workflow_id)
    one.decided_at = time.time()
    await retry(lambda: by_signal(installation, one, status))
    one.acknowledged = True


async def _each(orders: Sequence[Order], act: Callable[[Order], Awaitable[None]]) -> None:
    await asyncio.gather(*map(act, orders))


async def _kill(installation: Installation, running: MailProcesses, what: str, loss: Loss) -> None:
    """Kill one of the processes, and restart it."""
    pause = installation.rng.uniform(0.1, 3)
    if what == loss.what:
        async with loss.lose():
            await asyncio.sleep(pause)
        return
    if what == "the mail server":
        running.kill("mail server")
        await asyncio.sleep(pause)
        running.start("mail server")
    if what in ("the notifier", "all senders"):
        running.kill("notifier")
    if what in ("a worker", "all senders"):
        alive = [one for one in installation.workers if one.is_alive]
        for one in alive if what == "all senders" else alive[:1]:
            one.kill()
    await asyncio.sleep(pause / 2)
    if what in ("the notifier", "all senders"):
        running.start("notifier")
    while sum(one.is_alive for one in installation.workers) < _WORKERS:
        await installation.start_worker()


async def _wait_until_all_sent(installation: Installation) -> None:
    """Wait until no notice has been open for two seconds."""
    async with asyncio.timeout(_WAIT_LIMIT):
        idle_checks = 0
        while idle_checks < 4:
            await asyncio.sleep(0.5)
            try:
                idle_checks = (
                    idle_checks + 1 if await asyncio.to_thread(_count_unsent, installation) == 0 else 0
                )
            except RecordsUnavailable:
                idle_checks = 0


def _count_unsent(installation: Installation) -> int:
    """Return the number of unsent notices, and of runs or checkpoints that have not been processed yet."""
    unsent = deliveries.c.state.in_((DeliveryState.WAITING, DeliveryState.SENDING))
    with installation.database.read() as connection:
        waiting = connection.scalar(select(func.count()).select_from(deliveries).where(unsent)) or 0
        followed = current_lease(connection).checkpoint or 0
        return waiting + len(unsealed_trails(connection)) + newest_number(connection) - followed


def _rows(installation: Installation) -> dict[str, list[Any]]:
    of_notice = ("workflow_id", "person", "kind")
    of_delivery = ("state", "message_id", "is_repeat")
    query = select(
        *(notices.c[name] for name in of_notice), *(deliveries.c[name] for name in of_delivery)
    ).join_from(notices, deliveries)
    found: dict[str, list[Any]] = defaultdict(list)
    with installation.database.read() as connection:
        for row in connection.execute(query):
            found[row.workflow_id].append(row)
    return found


def _expect_notified(installation: Installation, undecided: Sequence[Order], report: Report) -> None:
    """Check that all approvers were notified of the undecided runs."""
    rows = _rows(installation)
    for one in undecided:
        status = installation.recorded(one.workflow_id)
        assert status is not None
        assert status.state == Phase.IN_REVIEW
        notified = [row.person for row in rows[one.workflow_id] if row.state == DeliveryState.SENT]
        report.expect(
            sorted(notified) == sorted((APPROVER, *_OTHERS)),
            f"{one.workflow_id} waits, but {notified} were notified",
        )


def _compare(
    installation: Installation, orders: Sequence[Order], mails: Sequence[dict[str, Any]], report: Report
) -> None:
    rows = _rows(installation)
    counts: Counter[str] = Counter()
    for one in orders:
        _compare_run(installation, one.workflow_id, rows[one.workflow_id], counts, report)
    arrived: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for mail in mails:
        arrived[mail["id"]].append(mail)
    expected = {
        _mail_id(row): row.message_id
        for some in rows.values()
        for row in some
        if row.state == DeliveryState.SENT
    }
    missing = expected.keys() - arrived.keys()
    report.expect(not missing, f"{len(missing)} messages are recorded as sent, but did not arrive")
    twice = 0
    for name, same in arrived.items():
        unmarked = [mail for mail in same if not mail["subject"].startswith("(sent again)")]
        twice += len(same) > 1
        report.expect(len(unmarked) <= 1, f"{name} arrived {len(unmarked)} times without a repeat mark")
    lost = {kind: count for kind, count in counts.items() if kind.startswith("missed")}
    report.expect(not lost, f"people were not notified: {lost}")
    report.figure("notices", ", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
    report.figure("messages", f"{len(arrived)}, {twice} of them repeated, and marked")


def _compare_run(
    installation: Installation, name: str, rows: Sequence[Any], counts: Counter[str], report: Report
) -> None:
    sent = Counter((row.person, row.kind) for row in rows if row.state == DeliveryState.SENT)
    in_doubt = {row.person for row in rows if row.state == DeliveryState.CANCELLED and row.is_repeat}
    for (person, kind), count in sent.items():
        counts[kind] += count
        report.expect(count == 1, f"{name}: {person} was notified of {kind} {count} times")
    failed = [row for row in rows if row.state in (DeliveryState.REFUSED, DeliveryState.GIVEN_UP)]
    report.expect(not failed, f"{name}: {len(failed)} deliveries failed")
    decided = [entry for entry in installation.trail(name) if isinstance(entry.event, Decided)]
    if not sent[REQUESTER, NoticeKind.OUTCOME]:
        counts["missed outcomes"] += 1
    for person in (APPROVER, *_OTHERS):
        requests = sent[person, NoticeKind.NEEDED]
        if not requests:
            counts["decided before they were notified" if decided else "missed requests"] += 1
        end_notices, expected = sent[person, NoticeKind.RELIEVED], requests if person != APPROVER else 0
        if person in in_doubt:  # the notice may have arrived although it was no longer needed
            counts["requests in doubt"] += 1
            continue
        report.expect(
            end_notices == expected,
            f"{name}: {person} got {requests} requests, and {end_notices} notices that no decision is needed",
        )


def _mail_id(row: Any) -> str:
    """Return the Message-ID of a message, as it appears in the emails."""
    name = "\0".join(("mail", f"{row.person}@example.org", row.message_id))
    return f"<{hashlib.sha256(name.encode()).hexdigest()[:40]}@localhost>"
