"""Write to the records, from this process or from several processes that start at the same moment."""

import multiprocessing
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from itertools import count
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from multiprocessing.synchronize import Event as Flag
from typing import Any

from plangate.domain.errors import RecordsUnavailable
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.audit import FIRST_HASH, AuditEntry, Claimed, Event, Requested, RunRef, entry_after
from plangate.records.database import Database
from plangate.records.ledger import Effect, EffectState, claim_effect, end_claim, find_effect
from plangate.records.trail import Note, open_trail, read_trail
from tests.support.build import NOON
from tests.support.wait_limit import WAIT_LIMIT

KEY = "plan-1:f:1"

# The modules are imported once, in a server without threads; each process is a copy of the server, which also
# needs what the tests and their functions import.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    [
        __name__,
        "alembic.command",
        "plangate.audit.inspection",
        "plangate.audit.sealing",
        "psycopg",
        "pytest",
        "sqlalchemy.dialects.postgresql",
        "sqlalchemy.dialects.sqlite",
        "tests.support.claimers",
        "tests.support.limit_claimers",
    ]
)


def run_ref(workflow_id: str = "plan-1", chain_id: str = "chain-1", request: str = "Do it.") -> RunRef:
    requested = Requested(
        request=request, requester="rita", timeout_seconds=60, requested_at=NOON, chain_id=chain_id
    )
    return RunRef(workflow_id=workflow_id, chain_id=chain_id, requested=requested)


def note(key: str, event: Event | None = None, **more: Any) -> Note:
    recorded = event or Claimed(step=1, idempotency_key=key, fingerprint="f" * 64, attempt=1)
    return Note(**{"key": key, "at": NOON, "actor": "worker@here", "event": recorded, **more})


def write_down(database: Database, run: RunRef, *notes: Note) -> tuple[AuditEntry, ...]:
    with database.write() as connection:
        return open_trail(connection, run).append(*notes)


def new_claim(holder: str, key: str = KEY, workflow_id: str = "plan-1") -> Effect:
    return Effect(
        idempotency_key=key,
        workflow_id=workflow_id,
        fingerprint="f" * 64,
        step=1,
        state=EffectState.BEGUN,
        holder=holder,
        attempts=1,
    )


def claim(database: Database, holder: str) -> Effect:
    with database.write() as connection:
        opened = open_trail(connection, run_ref())
        return claim_effect(opened, find_effect(opened, KEY), new_claim(holder))


def end(database: Database, holder: str, state: EffectState, receipt: Receipt | None = None) -> bool:
    with database.write() as connection:
        opened = open_trail(connection, run_ref())
        return end_claim(opened, KEY, holder, state, receipt)


def effect(database: Database) -> Effect | None:
    with database.write() as connection:
        return find_effect(open_trail(connection, run_ref()), KEY)


def trail(database: Database, workflow_id: str = "plan-1") -> tuple[AuditEntry, ...]:
    with database.read() as connection:
        return read_trail(connection, workflow_id)


def assert_unbroken(entries: Iterable[AuditEntry]) -> None:
    """Check that every entry follows the previous one, without a gap and with the hash of its content."""
    previous, number = FIRST_HASH, count(1)
    for entry in entries:
        content = entry.model_dump(include={"workflow_id", "key", "at", "actor"})
        assert entry == entry_after(previous, number=next(number), event=entry.event, **content)
        previous = entry.hash


def in_processes(process_count: int, act: Callable[..., None], *arguments: object) -> list[BaseProcess]:
    """Make this many processes call ``act(number, …)`` at the same moment."""
    barrier = _PROCESSES.Barrier(process_count + 1)
    processes: list[BaseProcess] = [
        _PROCESSES.Process(target=_call_after_barrier, args=(barrier, act, number, *arguments))
        for number in range(process_count)
    ]
    for process in processes:
        process.start()
    barrier.wait(WAIT_LIMIT)
    return processes


def exit_codes(processes: Iterable[BaseProcess]) -> list[int | None]:
    """Wait until these processes exit; return their exit codes."""
    found = []
    for process in processes:
        process.join(WAIT_LIMIT)
        found.append(process.exitcode)
    return found


def in_a_process_that_holds_a_transaction(url: str) -> BaseProcess:
    """Start a process that writes without committing; return once it has written."""
    held = _PROCESSES.Event()
    process = _PROCESSES.Process(target=_hold, args=(held, url))
    process.start()
    assert held.wait(WAIT_LIMIT)
    return process


def migrate(number: int, url: str) -> None:
    """Migrate the records as a worker does when it starts."""
    del number
    database = Database(url)
    database.migrate()
    database.close()


def append_many(number: int, url: str, times: int) -> None:
    """Write this many entries, retrying each like an activity of Temporal."""
    database = Database(url)
    for index in range(times):
        append_with_retries(
            database, note(f"{number}:{index}", at=NOON + timedelta(seconds=index), actor=f"process {number}")
        )
    database.close()


def append_with_retries(database: Database, appended: Note) -> None:
    """Write one entry, with as many attempts as needed."""
    while True:
        try:
            write_down(database, run_ref(), appended)
        except RecordsUnavailable:
            continue
        return


def _call_after_barrier(barrier: Barrier, act: Callable[..., None], *arguments: object) -> None:
    barrier.wait(WAIT_LIMIT)
    act(*arguments)


def _hold(held: Flag, url: str) -> None:
    with Database(url).write() as connection:
        open_trail(connection, run_ref()).append(note("half-written"))
        held.set()
        time.sleep(60)
