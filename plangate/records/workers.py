"""Record the workers that share these records, and compare their rules and tools."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from plangate.domain.base import Frozen
from plangate.domain.escaping import one_line
from plangate.domain.plans.plan import short
from plangate.records.tables import NOW, workers

SEEN_FOR: Final = timedelta(seconds=90)
"""A worker that has not reported for this long is considered stopped; workers report every 20 seconds."""
_RESTART: Final = "Restart the outdated workers."
_SAME_FILE: Final = (
    "Give all workers the same file (PLANGATE_PEOPLE); a saved change takes effect within 30 seconds."
)
_SAME_WEB: Final = "Give all workers the same PLANGATE_WEB_URL and PLANGATE_WEB_KEYS."
_COMPARED: Final = {
    "policy": ("policy", _RESTART),
    "people": ("list of people", _SAME_FILE),
    "tools": ("tools", _RESTART),
    "web": ("trusted web servers", _SAME_WEB),
}


class WorkerFacts(Frozen):
    """The rules and tools that one worker uses.

    Attributes:
        worker: its identity.
        namespace: the Temporal namespace that it polls.
        task_queue: the task queue that it polls.
        policy: SHA-256 of its policy; empty if none is set.
        people: SHA-256 of its list of people; empty if none is set.
        tools: SHA-256 of the names, argument schemas and retry safety of its tools.
        web: SHA-256 of the web servers that it trusts; None for an older release.
        drafts: whether it has a planner to draft plans; None for an older release.
    """

    worker: str
    namespace: str
    task_queue: str
    policy: str
    people: str
    tools: str
    web: str | None = None
    drafts: bool | None = None


def report_worker(connection: Connection, facts: WorkerFacts) -> None:
    """Record that this worker is running, with its rules and tools."""
    remove_worker(connection, facts.worker)
    now = connection.execute(NOW).scalar_one()
    connection.execute(insert(workers), {**facts.model_dump(), "seen_at": now})


def remove_worker(connection: Connection, worker: str) -> None:
    """Remove a worker that has stopped."""
    connection.execute(delete(workers).where(workers.c.worker == worker))


def running_workers(connection: Connection, namespace: str, task_queue: str) -> tuple[WorkerFacts, ...]:
    """Return the workers of a task queue that have reported recently, ordered by identity."""
    now = connection.execute(NOW).scalar_one()
    rows = connection.execute(
        select(workers)
        .where(
            workers.c.namespace == namespace,
            workers.c.task_queue == task_queue,
            workers.c.seen_at > now - SEEN_FOR,
        )
        .order_by(workers.c.worker)
    )
    return tuple(WorkerFacts(**row._asdict()) for row in rows)


def may_draft(running: Sequence[WorkerFacts]) -> bool:
    """Return whether one of these workers may be able to draft plans; True if no worker reports it."""
    return not running or any(one.drafts is not False for one in running)


def differences(running: Sequence[WorkerFacts]) -> tuple[str, ...]:
    """Return a sentence for each difference between the workers of one task queue."""
    return tuple(
        f"The workers differ in their {name}: {_spelled(running, field)}. {advice}"
        for field, (name, advice) in _COMPARED.items()
        if len({getattr(one, field) for one in running}) > 1
    )


def _spelled(running: Sequence[WorkerFacts], field: str) -> str:
    by_value: dict[str, list[str]] = {}
    for one in running:
        by_value.setdefault(getattr(one, field) or "", []).append(one_line(one.worker))
    return "; ".join(
        f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} {short(value) or 'none'}"
        for value, names in sorted(by_value.items())
    )
