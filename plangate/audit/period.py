"""Define the evidence of a period: one JSON Lines file with every run that has an entry in the period.

The lines, in this order (docs/audit-format.md, "Periods"):

1. `Opening`: the period, the installation, and how many checkpoints were made before the period.
2. `CheckpointLine`: the last checkpoint before the period (without leaves), each checkpoint during the
   period, and the first one at or after its end that was not full, which closes the period.
3. `OwnTrailLine`: each of Plangate's own trails that these checkpoints seal.
4. `RunLine`: the whole trail of each run that they seal, as of the closing checkpoint, in the order of the
   ids. Each run is preceded by a `TextLine` for every text that no earlier run refers to.
5. `Totals`: what happened in the period, according to the timestamps of the entries.

Each line is read, checked and discarded, so that any number of runs can be checked in little memory.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, RootModel

from plangate.audit.attachments import AttachedBytes
from plangate.domain.base import AwareDatetime, Typed
from plangate.domain.plans.plan import Plan
from plangate.domain.runs.audit import (
    OUTCOMES,
    AuditEntry,
    Closed,
    Decided,
    Drafted,
    Requested,
    RuleText,
    StepDone,
    WrittenEntry,
)
from plangate.domain.runs.checkpoint import MOST_RUNS, Checkpoint, Hash
from plangate.domain.runs.fold import fold
from plangate.signing.checkpoints import claims_of, sealed_at

FORMAT: Final = "plangate-period-1"
MAX_BYTES: Final = 2_000_000_000
"""The maximum size of a file that is written or read."""
MAX_LINE_BYTES: Final = 200_000_000
"""The maximum length of a line, including its newline."""


class Opening(Typed):
    """The first line.

    Attributes:
        installation: the id of the records.
        since: the beginning of the period.
        until: its end (exclusive).
        before: the number of the last checkpoint that was made at or before the beginning; 0 if there is
            none.
    """

    line: Literal["period"] = "period"
    format: Literal["plangate-period-1"] = FORMAT
    installation: str
    since: AwareDatetime
    until: AwareDatetime
    before: int = Field(ge=0)


class CheckpointLine(Typed):
    """A checkpoint with all its leaves in ascending order; without leaves if it precedes the period."""

    line: Literal["checkpoint"] = "checkpoint"
    checkpoint: Checkpoint
    leaves: tuple[Hash, ...]


class OwnTrailLine(Typed):
    """One of Plangate's own trails, up to the last entry that the checkpoints of the file seal."""

    line: Literal["own_trail"] = "own_trail"
    workflow_id: str
    entries: tuple[WrittenEntry, ...]


class TextLine(Typed):
    """A policy or list of people that the next run refers to."""

    line: Literal["text"] = "text"
    text: RuleText


class RunLine(Typed):
    """One run in the form of a bundle; its texts and checkpoints are on other lines."""

    line: Literal["run"] = "run"
    workflow_id: str
    story: dict[str, JsonValue]
    entries: tuple[WrittenEntry, ...]
    attachments: tuple[AttachedBytes, ...] = Field(default=(), exclude_if=lambda value: not value)


class Totals(Typed):
    """The last line: what happened in the period, according to the timestamps of its runs' entries.

    Attributes:
        runs: how many runs of the file have an entry in the period.
        others: how many more runs the file contains, because its checkpoints seal them too. Their entries
            were recorded between the first checkpoint and the beginning of the period, or between its end and
            the last checkpoint.
        opened: how many runs were requested in the period.
        accepted: how many decisions were received in the period and accepted.
        refused: how many decisions were received in the period and refused.
        outcomes: how many runs ended in the period, by outcome.
        tools: how many steps were done in the period, by tool.
        still_open: how many runs of the period had not ended at the closing checkpoint.
    """

    line: Literal["totals"] = "totals"
    runs: int = 0
    others: int = 0
    opened: int = 0
    accepted: int = 0
    refused: int = 0
    outcomes: dict[str, int] = Field(default_factory=dict)
    tools: dict[str, int] = Field(default_factory=dict)
    still_open: int = 0


Line = Opening | CheckpointLine | OwnTrailLine | TextLine | RunLine | Totals


class AnyLine(RootModel[Annotated[Line, Field(discriminator="line")]]):
    """One line of any kind; its field ``line`` gives the kind."""


class Counting:
    """Adds up the totals of a period, run by run."""

    def __init__(self, since: AwareDatetime, until: AwareDatetime) -> None:
        self._since = since
        self._until = until
        self._numbers: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._tools: Counter[str] = Counter()

    def add(self, workflow_id: str, entries: Sequence[AuditEntry]) -> None:
        """Add one run."""
        if not any(map(self._is_counted, entries)):
            self._numbers["others"] += 1
            return
        self._numbers["runs"] += 1
        self._numbers["still_open"] += (
            fold(workflow_id, (entry.event for entry in entries)).state not in OUTCOMES
        )
        plan: Plan | None = None
        for entry in entries:
            event = entry.event
            if isinstance(event, Drafted):
                plan = event.plan
            if not self._is_counted(entry):
                continue
            if isinstance(event, Requested):
                self._numbers["opened"] += 1
            elif isinstance(event, Decided):
                self._numbers["accepted" if event.verdict.accepted else "refused"] += 1
            elif isinstance(event, Closed):
                self._outcomes[event.outcome.value] += 1
            elif isinstance(event, StepDone) and plan is not None and 1 <= event.step <= len(plan.steps):
                self._tools[plan.steps[event.step - 1].tool] += 1

    def _is_counted(self, entry: AuditEntry) -> bool:
        return self._since <= entry.at < self._until

    def totals(self) -> Totals:
        """Return the totals so far."""
        return Totals(
            **self._numbers,
            outcomes=dict(sorted(self._outcomes.items())),
            tools=dict(sorted(self._tools.items())),
        )


def closes(checkpoint: Checkpoint, until: AwareDatetime) -> bool:
    """Return whether a checkpoint seals everything that was recorded up to the given time.

    This is the case if it was made at that time or later, and was not full.
    """
    at = sealed_at(checkpoint)
    return at is not None and at >= until and claims_of(checkpoint).runs < MOST_RUNS
