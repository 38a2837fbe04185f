"""Verify the checkpoints of a period's evidence: signatures, order, and an entry for every leaf."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from plangate.audit.dates import dated_ahead
from plangate.audit.evidence import unsealed_finding
from plangate.audit.period import CheckpointLine, Opening, closes
from plangate.domain.plurals import counted
from plangate.domain.runs.audit import FIRST_HASH, WrittenEntry
from plangate.domain.runs.checkpoint import Checkpoint, Seal
from plangate.domain.runs.findings import Finding
from plangate.signing.checkpoints import broken_checkpoint, claims_of, sealed_at, unknown_sealer


class PeriodCheckpoints:
    """Checks the checkpoints of a file, then the entries that they seal.

    Args:
        opening: the period.
        trusted: public keys that may sign checkpoints, as base64url; empty to trust those in the file.

    Attributes:
        last: the newest checkpoint so far.
        is_closed: whether a checkpoint closes the period.
        sealers: the public keys that sign checkpoints, as base64url.
    """

    def __init__(self, opening: Opening, trusted: frozenset[str]) -> None:
        self._opening, self._trusted = opening, trusted
        self.last: Checkpoint | None = None
        self.is_closed = False
        self.sealers: dict[str, None] = {}
        self._leaves: dict[bytes, int] = {}  # leaves without an entry so far, with their checkpoints
        self._made: dict[int, datetime | None] = {}

    def follow(self, line: CheckpointLine) -> Iterator[Finding]:
        """Add the next checkpoint, and yield the findings about it."""
        checkpoint, before = line.checkpoint, self.last
        self.last = checkpoint
        name = f"checkpoint {checkpoint.number}"
        is_anchor = before is None and 0 < checkpoint.number == self._opening.before
        wrong = _without_leaves(line) if is_anchor else broken_checkpoint(checkpoint, line.leaves)
        if wrong is None and list(line.leaves) != sorted(set(line.leaves)):
            wrong = "has its leaves in the wrong order, or one of them twice"
        if wrong:
            yield _finding(f"{name} {wrong}")
            return
        key = checkpoint.public_key
        if self._trusted and key not in self._trusted and key not in self.sealers:
            yield _finding(unknown_sealer(key))
        self.sealers[key] = None
        self._made[checkpoint.number] = at = sealed_at(checkpoint)
        yield from self._linked(checkpoint, before)
        if at is not None:
            yield from self._dated(checkpoint.number, at)
        if is_anchor:
            return
        if self.is_closed:
            yield _finding(f"{name} does not belong here: an earlier one closes the period")
        self.is_closed = self.is_closed or closes(checkpoint, self._opening.until)
        self._leaves.update(dict.fromkeys(map(bytes.fromhex, line.leaves), checkpoint.number))

    def _linked(self, checkpoint: Checkpoint, before: Checkpoint | None) -> Iterator[Finding]:
        name, number = f"checkpoint {checkpoint.number}", self._opening.before or 1
        if before is not None:
            number = before.number + 1
        if checkpoint.number != number:
            yield _finding(f"{name} is at the position of checkpoint {number}, which is missing")
            return
        previous = before.hash if before else FIRST_HASH if number == 1 else None
        if previous not in (None, claims_of(checkpoint).previous):
            yield _finding(f"{name} does not link to the previous one")

    def _dated(self, number: int, at: datetime) -> Iterator[Finding]:
        """Yield a finding if the first checkpoints do not enclose the beginning of the period."""
        if number == self._opening.before and at > self._opening.since:
            yield _finding(
                f"checkpoint {number} was made after the beginning of the period: an earlier one is missing"
            )
        if number == self._opening.before + 1 and at <= self._opening.since:
            yield _finding(f"checkpoint {number} was made before the beginning of the period")

    def match_entries(self, run: str, entries: Sequence[WrittenEntry]) -> Iterator[Finding]:
        """Match the entries of a trail with the leaves, and yield those that are not sealed."""
        sealed = 0
        for position, entry in enumerate(entries, start=1):
            leaf = Seal(workflow_id=run, number=entry.number, hash=entry.hash).leaf()
            number = self._leaves.pop(bytes.fromhex(leaf), None)
            if number is None:
                continue
            at = self._made.get(number)
            ahead = dated_ahead(entries[sealed:position], at) if at else None
            if ahead is not None:
                what = f"is dated later than checkpoint {number}, which seals it"
                yield Finding(workflow_id=run, entry=ahead.number, what=what)
            sealed = position
        if sealed == len(entries):
            return
        if not self.is_closed:
            yield unsealed_finding(run, len(entries), len(entries) - sealed)
        elif sealed:
            what = f"is not sealed by the checkpoints of this file, which seal the run up to entry {sealed}"
            yield Finding(workflow_id=run, entry=entries[sealed].number, what=what)
        else:
            what = "does not belong to this period: no checkpoint of the file seals it in this form"
            yield Finding(workflow_id=run, what=what)

    def finish(self) -> Iterator[Finding]:
        """Yield findings if sealed entries are not in the file, or if no checkpoint closes the period."""
        if self._opening.before and self.last is None:
            yield _finding(f"checkpoint {self._opening.before}, made before the period, is missing")
        for number, count in sorted(Counter(self._leaves.values()).items()):
            what = counted(count, "trail that is", "trails that are")
            yield _finding(
                f"checkpoint {number} seals {what} not in this file as sealed: a run was left out or changed"
            )
        if not self.is_closed:
            yield _finding(
                "the period is not sealed at its end: no checkpoint closes it, so runs may be missing",
                is_unsealed=True,
            )


def _without_leaves(line: CheckpointLine) -> str | None:
    """Return the error in the checkpoint before the period, whose leaves are not in the file."""
    if line.leaves:
        return "was made before the period, so its leaves do not belong here"
    try:
        claims = claims_of(line.checkpoint)
    except ValueError as error:
        return f"was changed: {error}"
    number = line.checkpoint.number
    return None if claims.number == number else f"was written as checkpoint {claims.number}"


def _finding(what: str, *, is_unsealed: bool = False) -> Finding:
    return Finding(workflow_id="", what=what, is_unsealed=is_unsealed)
