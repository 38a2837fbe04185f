"""Find the runs that changed since a checkpoint, for readers that follow the trails.

A changed run is either not sealed yet, or sealed by a newer checkpoint. Both sets are small and have an
index, so no query becomes slower as the number of open or closed runs grows (docs/decisions/0071).
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, select

from plangate.domain.base import Frozen
from plangate.records.lists import IS_A_RUN
from plangate.records.tables import UNSEALED, checkpoints, runs, seals

HEADS = select(runs.c.workflow_id, runs.c.head_hash).where(IS_A_RUN)


class ChangedRuns(Frozen):
    """The changed runs.

    Attributes:
        heads: the head hash of each run that may have changed; a reader skips those that it has read.
        checkpoint: the newest checkpoint; a reader has reached it once it has read these runs; 0 before the
            first.
    """

    heads: dict[str, str]
    checkpoint: int


def changed_since(connection: Connection, checkpoint: int) -> ChangedRuns:
    """Return the runs that changed since a reader reached this checkpoint.

    Args:
        connection: a connection that reads one consistent state of the records.
        checkpoint: the checkpoint that the reader had reached.
    """
    found = heads_in(connection.execute(HEADS.where(UNSEALED)))
    # The join begins with the few seals; a condition on the runs would read every run.
    newer = HEADS.join(seals, seals.c.workflow_id == runs.c.workflow_id)
    found |= heads_in(connection.execute(newer.where(seals.c.checkpoint > checkpoint)))
    return ChangedRuns(heads=found, checkpoint=newest_number(connection))


def newest_number(connection: Connection) -> int:
    """Return the number of the newest checkpoint; 0 before the first."""
    newest = connection.execute(select(checkpoints.c.number).order_by(checkpoints.c.number.desc()).limit(1))
    return newest.scalar() or 0


def heads_in(rows: Iterable[Row[Any]]) -> dict[str, str]:
    """Return the head hashes in the rows of `HEADS`, by run id."""
    return {row.workflow_id: row.head_hash for row in rows}
