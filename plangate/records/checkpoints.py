"""Read and write checkpoints, and find sealed and unsealed entries."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, func, insert, select, text, update

from plangate.domain.runs.checkpoint import MOST_RUNS, Checkpoint, Seal, SealedBy
from plangate.records.tables import NOW, UNSEALED, checkpoints, runs, seals

MAX_SEAL_WAIT: Final = 2.5
"""How long an export waits for the next checkpoint at most, in sealing intervals."""
_SEALING_LOCK: Final = 7_240_116  # arbitrary key of PostgreSQL's advisory lock, the same for every worker
_LAST: Final = select(checkpoints).order_by(checkpoints.c.number.desc()).limit(1)
_UNSEALED: Final = (
    select(runs.c.workflow_id, runs.c.entry_count, runs.c.head_hash)
    .where(UNSEALED)
    .order_by(runs.c.workflow_id)
    .limit(MOST_RUNS)
)
_SEALED: Final = (
    update(runs)
    .where(runs.c.workflow_id == bindparam("run"), runs.c.sealed_count < bindparam("count"))
    .values(sealed_count=bindparam("count"))
)
_OF_CHECKPOINT: Final = select(seals).where(seals.c.checkpoint == bindparam("number"))
_OF_RUN: Final = select(seals).where(seals.c.workflow_id == bindparam("run")).order_by(seals.c.number)

Sign = Callable[[Checkpoint | None, Sequence[Seal], datetime], Checkpoint]


def seal_changed_runs(connection: Connection, sign: Sign) -> Checkpoint | None:
    """Store a checkpoint of the runs that changed since the last one; return None if none changed.

    One worker seals at a time; if another one is sealing, this also returns None. If a run changes in the
    meantime, the checkpoint seals an earlier entry, and the next checkpoint seals the later ones.
    """
    if connection.dialect.name == "postgresql" and not connection.scalar(
        text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _SEALING_LOCK}
    ):
        return None
    changed = tuple(
        Seal(workflow_id=row.workflow_id, number=row.entry_count, hash=row.head_hash)
        for row in connection.execute(_UNSEALED)
    )
    if not changed:
        return None
    checkpoint = sign(last_checkpoint(connection), changed, connection.execute(NOW).scalar_one())
    connection.execute(insert(checkpoints), checkpoint.model_dump())
    connection.execute(
        insert(seals), [{**seal.model_dump(), "checkpoint": checkpoint.number} for seal in changed]
    )
    connection.execute(_SEALED, [{"run": seal.workflow_id, "count": seal.number} for seal in changed])
    return checkpoint


def last_checkpoint(connection: Connection) -> Checkpoint | None:
    """Return the newest checkpoint, or None if there is none yet."""
    row = connection.execute(_LAST).one_or_none()
    return None if row is None else Checkpoint(**row._asdict())


def all_numbers(connection: Connection) -> tuple[int, ...]:
    """Return the numbers of all checkpoints, in order."""
    return tuple(connection.scalars(select(checkpoints.c.number).order_by(checkpoints.c.number)))


def numbers_of_run(connection: Connection, workflow_id: str) -> tuple[int, ...]:
    """Return the numbers of the checkpoints that seal one run, in order."""
    of_run = select(seals.c.checkpoint).where(seals.c.workflow_id == workflow_id).distinct()
    return tuple(connection.scalars(of_run.order_by(seals.c.checkpoint)))


def checkpoint_of(connection: Connection, number: int) -> Checkpoint | None:
    """Return one checkpoint."""
    row = connection.execute(select(checkpoints).where(checkpoints.c.number == number)).one_or_none()
    return None if row is None else Checkpoint(**row._asdict())


def seals_of_checkpoint(connection: Connection, number: int) -> tuple[Seal, ...]:
    """Return the seals of one checkpoint."""
    return tuple(_seal(row) for row in connection.execute(_OF_CHECKPOINT, {"number": number}))


def is_sealed(connection: Connection, workflow_id: str) -> bool:
    """Return whether the whole trail of a run is sealed."""
    found = select(runs.c.workflow_id).where(runs.c.workflow_id == workflow_id, UNSEALED)
    return connection.execute(found).one_or_none() is None


def sealed_between(connection: Connection, after: int, last: int) -> dict[str, int]:
    """Return the trails sealed by the checkpoints after ``after`` up to ``last``, with their last entries."""
    found = (
        select(seals.c.workflow_id, func.max(seals.c.number).label("number"))
        .where(seals.c.checkpoint > after, seals.c.checkpoint <= last)
        .group_by(seals.c.workflow_id)
    )
    return {row.workflow_id: row.number for row in connection.execute(found)}


def unsealed_trails(connection: Connection) -> dict[str, int]:
    """Return the trails whose last entries are not sealed yet, each with its number of entries."""
    found = select(runs.c.workflow_id, runs.c.entry_count).where(UNSEALED)
    return {row.workflow_id: row.entry_count for row in connection.execute(found)}


def newest_seal(connection: Connection, workflow_id: str) -> SealedBy | None:
    """Return the newest checkpoint that seals a run, with all leaves; it also seals all earlier entries."""
    sealed = seals_of_run(connection, workflow_id)
    if not sealed:
        return None
    seal, number = sealed[-1]
    checkpoint = checkpoint_of(connection, number)
    if checkpoint is None:
        return None
    leaves = tuple(sorted(one.leaf() for one in seals_of_checkpoint(connection, number)))
    return SealedBy(entry=seal.number, checkpoint=checkpoint, leaves=leaves)


def seals_of_run(connection: Connection, workflow_id: str) -> tuple[tuple[Seal, int], ...]:
    """Return the seals of one run in order, each with the number of its checkpoint."""
    return tuple((_seal(row), row.checkpoint) for row in connection.execute(_OF_RUN, {"run": workflow_id}))


def _seal(row: Row[Any]) -> Seal:
    return Seal(workflow_id=row.workflow_id, number=row.number, hash=row.hash)
