"""Measure the time from a request to its message, with few and with many open runs, for 100 people.

The runs are written to the records and sealed as Plangate does; 100,000 more may have ended. Then new runs
are added one by one, and a channel records when it gets each run's message. Only the records and the notifier
are measured; `make bench` measures the time of a worker's draft.
"""

import argparse
import asyncio
import contextlib
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

import structlog
from sqlalchemy import event

from plangate.audit.sealing import Sealing, seal_key
from plangate.notifications.audience_lookup import Readers
from plangate.notifications.ledger import Ledger, Pace
from plangate.notifications.notice import Attempted, Delivery, NoticeKind, Sending
from plangate.notifications.notifier import Notifier
from plangate.process_end import end_process
from plangate.records.database import Database
from tests.support.notified_runs import list_people, mark_sent, put_runs
from tests.support.query_steps import query_steps

RATIO: Final = 1.5
STEPS: Final = 1.1
SECONDS: Final = 5.0
_COUNTED_POLLS: Final = 5  # number of runs for whose polls SQLite steps are counted


@dataclass
class RecordingChannel:
    """A channel that records when it got each run's first message."""

    received_at: dict[str, float] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, sending: Sending, at: datetime) -> Attempted:
        """Record the time."""
        del at
        for notice in sending.notices:
            if notice.kind is NoticeKind.NEEDED:
                self.received_at.setdefault(notice.facts.workflow_id, perf_counter())
        self.arrived.set()
        return Attempted(delivery=Delivery.SENT)


@dataclass(frozen=True, slots=True)
class Figures:
    """The measurements at one size.

    Attributes:
        seconds: the times from a request to its message, sorted.
        first: seconds until the notices about all open runs are queued.
        idle: milliseconds of database time in an empty poll.
        idle_steps: SQLite steps in such a poll.
        new_steps: SQLite steps in the largest poll between a request and its message.
    """

    seconds: list[float]
    first: float
    idle: float
    idle_steps: int
    new_steps: int


@contextlib.contextmanager
def _query_time(database: Database) -> Iterator[list[float]]:
    """Collect the seconds that each SQL statement took."""
    durations: list[float] = []
    started: list[float] = []
    engine = database._engine  # noqa: SLF001  only the benchmark measures statements

    def before(*_: Any) -> None:
        started.append(perf_counter())

    def after(*_: Any) -> None:
        durations.append(perf_counter() - started.pop())

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    yield durations
    event.remove(engine, "before_cursor_execute", before)
    event.remove(engine, "after_cursor_execute", after)


async def measure(opened: int, ended: int, times: int, var_dir: Path) -> Figures:
    """Return the measurements with this many open and ended runs."""
    database = Database(f"sqlite:///{var_dir / 'records.db'}")
    database.migrate()
    list_people(database)
    put_runs(database, ended, "ended", ended=True)
    put_runs(database, opened, "open")
    sealing = Sealing(database, seal_key(var_dir / "seal.pem"), var_dir / "last-checkpoint.json", 10)
    while sealing.seal() is not None:
        pass
    channel = RecordingChannel()
    readers = Readers("operator", "http://localhost:8088")
    started = perf_counter()
    ledger = Ledger(database, readers, Pace(gather=timedelta(days=1)))
    while (await asyncio.to_thread(ledger.messages_to_send, [], 1)).has_more:
        pass
    ledger.release()
    first = perf_counter() - started
    mark_sent(database)
    notifier = Notifier(Ledger(database, readers, Pace(per_hour=1_000_000)), channel)
    await notifier.step()
    idle = []
    for _ in range(times):
        with _query_time(database) as durations:
            await notifier.step()
        idle.append(sum(durations) * 1_000)
    with query_steps(database) as steps:
        await notifier.step()
    new_steps = [
        await _largest_poll(database, notifier, channel, f"step-{number}") for number in range(_COUNTED_POLLS)
    ]
    running = asyncio.create_task(notifier.keep_notifying())
    seconds = [await _one(database, channel, f"new-{number}") for number in range(times)]
    running.cancel()
    await asyncio.wait([running])
    database.close()
    return Figures(sorted(seconds), first, median(idle), steps.total(), int(median(new_steps)))


async def _largest_poll(database: Database, notifier: Notifier, channel: RecordingChannel, name: str) -> int:
    """Return the largest number of steps in one poll until the notices about a new run are sent."""
    await asyncio.to_thread(put_runs, database, 1, name)
    largest = 0
    while f"{name}-000000" not in channel.received_at:
        with query_steps(database) as steps:
            await notifier.step()
            await notifier.wait_until_idle()
        largest = max(largest, steps.total())
        await asyncio.sleep(0.1)
    return largest


async def _one(database: Database, channel: RecordingChannel, name: str) -> float:
    requested = perf_counter()
    await asyncio.to_thread(put_runs, database, 1, name)
    while f"{name}-000000" not in channel.received_at:
        channel.arrived.clear()
        await asyncio.wait_for(channel.arrived.wait(), 60)
    await asyncio.sleep(0.37)  # so that the polls do not synchronize with the requests
    return channel.received_at[f"{name}-000000"] - requested


def main() -> int:
    """Run the benchmark; exit with 1 if it is too slow, or much slower with many runs."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.notices", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--few", type=int, default=200, help="the small number of runs (default: 200)")
    parser.add_argument("--many", type=int, default=20_000, help="the large number of runs (default: 20000)")
    parser.add_argument("--ended", type=int, default=0, help="number of additional ended runs (default: 0)")
    parser.add_argument("--times", type=int, default=31, help="measurements per size (default: 31)")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    figures = []
    for opened, ended in ((options.few, 0), (options.many, options.ended)):
        with tempfile.TemporaryDirectory(prefix="bench-notices-") as folder:
            found = asyncio.run(measure(opened, ended, options.times, Path(folder)))
        figures.append(found)
        print(
            f"{opened} open, {ended} ended: from request to message {median(found.seconds):.2f} s "
            f"({found.seconds[0]:.2f} to {found.seconds[-1]:.2f}); an empty poll takes "
            f"{found.idle:.2f} ms and {found.idle_steps} query steps, one with a new run {found.new_steps} "
            f"steps; notices about open runs queued in {found.first:.0f} s",
            flush=True,
        )
    few, many = figures
    ratio = median(many.seconds) / median(few.seconds)
    steps = max(many.idle_steps / few.idle_steps, many.new_steps / few.new_steps)
    print(f"time ratio: {ratio:.2f}; query step ratio: {steps:.2f}")
    passed = ratio <= RATIO and steps <= STEPS and median(many.seconds) <= SECONDS
    return 0 if passed else 1


if __name__ == "__main__":
    end_process(main())
