"""Write the evidence of a period from the records, line by line, as `plangate.audit.period` defines it."""

from collections.abc import Callable, Iterator
from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import Connection

from plangate.audit.attachments import attachment_digests, in_bundle
from plangate.audit.evidence import overview_of
from plangate.audit.period import CheckpointLine, Counting, Opening, OwnTrailLine, RunLine, TextLine, closes
from plangate.audit.referenced_texts import referenced_texts
from plangate.domain.errors import TrailDamaged
from plangate.domain.runs.audit import OWN_TRAILS, AuditEntry, RuleText, WrittenEntry
from plangate.domain.runs.checkpoint import Checkpoint
from plangate.records.attachments import contents_of
from plangate.records.checkpoints import (
    checkpoint_of,
    last_checkpoint,
    sealed_between,
    seals_of_checkpoint,
    unsealed_trails,
)
from plangate.records.installation import read_installation
from plangate.records.trail import read_trail
from plangate.signing.checkpoints import sealed_at


class PeriodExport:
    """The entries of a period that are in the records and sealed.

    Args:
        connection: a connection to the records, in one transaction.
        since: the beginning of the period.
        until: its end (exclusive).

    Attributes:
        is_closed: whether a checkpoint closes the period; if not, the newest runs are in their current state.
        totals: the totals of the period; set once all lines are read.

    Raises:
        TrailDamaged: a checkpoint is missing or cannot be read.
    """

    def __init__(self, connection: Connection, since: datetime, until: datetime) -> None:
        self._connection = connection
        newest = last_checkpoint(connection)
        count = newest.number if newest else 0
        self._before = _last_made_by(connection, since, count)
        closing = next((one for one in self._from(self._before + 1, count) if closes(one, until)), None)
        self.is_closed = closing is not None
        self._last = closing.number if closing else count
        self._lengths = sealed_between(connection, self._before, self._last)
        if not self.is_closed:
            self._lengths |= unsealed_trails(connection)
        self._ids = sorted(one for one in self._lengths if one not in OWN_TRAILS)
        self._counting = Counting(since, until)
        self.totals = self._counting.totals()
        self._opening = Opening(
            installation=read_installation(connection), since=since, until=until, before=self._before
        )

    @property
    def workflow_ids(self) -> tuple[str, ...]:
        """The ids of the runs in the file."""
        return tuple(self._ids)

    def lines(self, progress: Callable[[int, int], None]) -> Iterator[bytes]:
        """Yield the lines; ``progress`` receives the number of runs written and their total.

        Raises:
            TrailDamaged: a trail or a checkpoint cannot be read.
        """
        yield _line(self._opening)
        for one in self._from(max(1, self._before), self._last):
            sealed = () if one.number == self._before else seals_of_checkpoint(self._connection, one.number)
            yield _line(CheckpointLine(checkpoint=one, leaves=tuple(sorted(seal.leaf() for seal in sealed))))
        for name in sorted(OWN_TRAILS & self._lengths.keys()):
            yield _line(OwnTrailLine(workflow_id=name, entries=_written(self._trail(name))))
        written: list[RuleText] = []
        for done, run in enumerate(self._ids):
            progress(done, len(self._ids))
            entries = self._trail(run)
            for text in referenced_texts(self._connection, entries, written):
                written.append(text)
                yield _line(TextLine(text=text))
            digests = attachment_digests(entries)
            files = in_bundle(contents_of(self._connection, digests)) if digests else ()
            story = overview_of(run, entries).model_dump(mode="json")
            yield _line(RunLine(workflow_id=run, story=story, entries=_written(entries), attachments=files))
            self._counting.add(run, entries)
        self.totals = self._counting.totals()
        yield _line(self.totals)

    def _trail(self, name: str) -> tuple[AuditEntry, ...]:
        return read_trail(self._connection, name)[: self._lengths[name]]

    def _from(self, first: int, last: int) -> Iterator[Checkpoint]:
        return (_checkpoint(self._connection, number) for number in range(first, last + 1))


def _last_made_by(connection: Connection, at: datetime, count: int) -> int:
    """Return the number of the last of ``count`` checkpoints made at or before ``at``; 0 if there is none."""
    low, high = 0, count + 1  # checkpoint `low` was made by `at`, `high` later
    while high - low > 1:
        middle = (low + high) // 2
        made = sealed_at(_checkpoint(connection, middle))
        if made is None:
            raise _damaged(middle)
        low, high = (middle, high) if made <= at else (low, middle)
    return low


def _checkpoint(connection: Connection, number: int) -> Checkpoint:
    try:
        found = checkpoint_of(connection, number)
    except ValueError:
        found = None
    if found is None:
        raise _damaged(number)
    return found


def _damaged(number: int) -> TrailDamaged:
    return TrailDamaged(
        f"Checkpoint {number} is missing or cannot be read, so the period cannot be exported; check it with: "
        "starter.py audit verify"
    )


def _written(entries: tuple[AuditEntry, ...]) -> tuple[WrittenEntry, ...]:
    return tuple(WrittenEntry(**entry.model_dump(exclude={"event"})) for entry in entries)


def _line(line: BaseModel) -> bytes:
    return line.model_dump_json(ensure_ascii=True).encode() + b"\n"
