"""Audit the records in a separate process at the lowest priority, so that no page waits for it.

It reads one `Task` as a line of JSON and writes lines of JSON. An export writes its file after the first
line. It exits when its standard input closes, which happens when the inbox stops.
"""

import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import Any, Final, Literal

from plangate.audit.deciding_times import PlanDecided, plans_decided
from plangate.audit.inspection import Inspection, inspect_all
from plangate.audit.period import MAX_BYTES, MAX_LINE_BYTES
from plangate.audit.period_export import PeriodExport
from plangate.audit.trust_anchors import Trust
from plangate.domain.base import AwareDatetime, Typed
from plangate.domain.errors import PlangateError, TrailDamaged
from plangate.domain.people.trusted_web import TrustedWeb
from plangate.elapsed import elapsed
from plangate.own_python import ALLOCATIONS
from plangate.policy.people_file import read_people
from plangate.presentation.clock import now
from plangate.records.database import Database
from plangate.records.lists import Wanted
from plangate.records.queries import trails_on_record
from plangate.settings import Settings
from plangate.signing.checkpoints import saved_checkpoint
from plangate.signing.key_files import public_key_in
from plangate.signing.trusted_keys import trusted_sealers, trusted_web_keys

BOOT: Final = (
    f"import gc, sys; gc.set_threshold({ALLOCATIONS}); sys.path.insert(0, sys.argv.pop(1)); "
    "from plangate.web.audit_process import main; main()"
)
_LOWEST: Final = 19  # the lowest priority
_PAUSE: Final = 0.2  # seconds between two lines about the progress


class Task(Typed):
    """The task for the process.

    Attributes:
        what: what to do: verify everything, find out who decided when, or write the evidence of a period.
        records: the URL or path of the records.
        since: the start of the period, or the earliest request time of the runs.
        until: the end of the period.
        sealers: the public keys that may sign checkpoints, from the settings.
        seal_key: the file with the key that workers on this host use to sign checkpoints.
        people_file: the list of people, if this host has it.
        web_keys: the public keys of the web servers that may attest logins.
        origins: the origins where passkeys may be used; empty for any origin.
        kept: the file in which a worker on this host saved the newest checkpoint.
    """

    what: Literal["verify", "decided", "export"]
    records: str
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    sealers: tuple[str, ...] = ()
    seal_key: Path
    people_file: Path | None = None
    web_keys: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    kept: Path


class OutputLine(Typed):
    """One line of the output.

    Attributes:
        done: the number of verified runs.
        of: the total number of runs.
        inspection: the result.
        is_trusted: whether this host has a list of the keys that may sign checkpoints.
        decided: one plan on which someone decided.
        runs: the runs of a period; its file follows.
        is_closed: whether a checkpoint closes the period.
        error: why the task failed.
        is_end: whether this is the last line.
    """

    done: int = 0
    of: int = 0
    inspection: Inspection | None = None
    is_trusted: bool = False
    decided: PlanDecided | None = None
    runs: tuple[str, ...] | None = None
    is_closed: bool = False
    error: str = ""
    is_end: bool = False


def task_of(
    settings: Settings,
    what: Literal["verify", "decided", "export"],
    since: datetime | None = None,
    until: datetime | None = None,
) -> Task:
    """Return a task for the records in these settings."""
    return Task(
        what=what,
        records=str(settings.records),
        since=since,
        until=until,
        sealers=tuple(sorted(trusted_sealers(settings))),
        seal_key=settings.seal_key,
        people_file=settings.people_file,
        web_keys=tuple(sorted(trusted_web_keys(settings))),
        origins=(settings.web_url,) if "web_url" in settings.model_fields_set else (),
        kept=settings.last_checkpoint,
    )


def main() -> None:
    """Run the task from standard input, and exit."""
    os.nice(_LOWEST)
    task = Task.model_validate_json(sys.stdin.buffer.readline())
    Thread(target=_end_with_stdin, daemon=True).start()
    place = task.records if "://" in task.records else Path(task.records)
    database = Database(place, reads_only=True)
    try:
        _WORK[task.what](database, task)
    except PlangateError as error:
        _write_line(error=str(error))
    except BrokenPipeError:  # the browser has disconnected
        os._exit(1)
    sys.stdout.flush()


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1_000):
        pass
    os._exit(1)


def _verify(database: Database, task: Task) -> None:
    trust = _trust(task)
    reported_at = elapsed() - _PAUSE

    def progress(done: int, of: int) -> None:
        nonlocal reported_at
        if elapsed() >= reported_at + _PAUSE:
            reported_at = elapsed()
            _write_line(done=done, of=of)

    with database.read() as connection:
        inspection = inspect_all(connection, trust, progress)
    _write_line(inspection=inspection, is_trusted=bool(trust.sealers), is_end=True)


def _trust(task: Task) -> Trust:
    own = public_key_in(task.seal_key)
    return Trust(
        sealers=frozenset(task.sealers) | ({own} if own else frozenset()),
        people=read_people(task.people_file) if task.people_file else None,
        web=TrustedWeb(
            origins=frozenset(task.origins) if task.origins else None, keys=frozenset(task.web_keys) or None
        ),
        now=now(),
        saved=saved_checkpoint(task.kept),
        where=f"in {task.kept.name}",
    )


def _decided(database: Database, task: Task) -> None:
    for entries in trails_on_record(database, Wanted(since=task.since)):
        if not isinstance(entries, TrailDamaged):
            for one in plans_decided(entries):
                _write_line(decided=one)
    _write_line(is_end=True)


def _export(database: Database, task: Task) -> None:
    assert task.since is not None
    assert task.until is not None
    with database.read() as connection:
        export = PeriodExport(connection, task.since, task.until)
        _write_line(runs=export.workflow_ids, is_closed=export.is_closed)
        size = 0
        for line in export.lines(lambda _done, _of: None):
            size += len(line)
            if size > MAX_BYTES or len(line) > MAX_LINE_BYTES:
                os._exit(1)  # the file is truncated, so it cannot be mistaken for complete
            sys.stdout.buffer.write(line)


_WORK: Final[dict[str, Callable[[Database, Task], None]]] = {
    "verify": _verify,
    "decided": _decided,
    "export": _export,
}


def _write_line(**what: Any) -> None:
    """Write a line; the keyword arguments are the fields of `OutputLine`."""
    sys.stdout.buffer.write(OutputLine(**what).model_dump_json(exclude_defaults=True).encode() + b"\n")
    sys.stdout.buffer.flush()
