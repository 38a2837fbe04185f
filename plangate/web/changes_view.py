"""Show the difference between two plans, on a page that also shows the whole newer plan."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from plangate.domain.escaping import cut
from plangate.domain.plans.plan import Plan, short
from plangate.domain.plans.plan_changes import StepChange, ValueChange, changes_between
from plangate.domain.runs.status import PreviousPlan, Status
from plangate.presentation.changes import (
    LONGEST_VALUE,
    baseline_of,
    changed_lines,
    fewer_lines,
    shown_value,
    values_of,
)


@dataclass(frozen=True, slots=True)
class ChangedValue:
    """One changed value: before and after as JSON, or the removed and new lines of a longer text.

    ``before`` or ``after`` is None if the value is absent there. ``hidden`` counts the lines that are
    left out.
    """

    name: str
    before: str | None
    after: str | None
    lines: tuple[tuple[str, str], ...] = ()
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class ChangedStep:
    """The change to one step: ``kind`` is ``new``, ``removed``, ``moved`` or ``changed``."""

    kind: str
    before: int
    after: int
    words: str
    values: tuple[ChangedValue, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference from another plan.

    Attributes:
        revision: the revision of the other plan, if it belongs to the same run; otherwise 0.
        run: the other run; empty if it is the same.
        plan: the first digits of the other plan's fingerprint.
        begins: the earliest start of the other plan and of this one, if they differ.
    """

    revision: int
    run: str
    plan: str
    summary: ChangedValue | None
    steps: tuple[ChangedStep, ...]
    begins: tuple[datetime | None, datetime | None] | None = None

    @property
    def count(self) -> int:
        """The number of differences: each changed value, and each step that is new, removed or moved."""
        return bool(self.summary) + sum(max(1, len(step.values)) for step in self.steps)


def changes_of(status: Status) -> tuple[Changes, ...]:
    """Return the changes since the previous revision and, if it is older, since the baseline."""
    return tuple(
        _changes(before.plan, status.plan, revision=before.revision, plan=short(before.fingerprint))
        for before in (status.previous, baseline_of(status))
        if before is not None and status.plan is not None
    )


def changes_since_run(run: str, before: PreviousPlan, plan: Plan) -> Changes:
    """Return how a plan differs from that of another run."""
    return _changes(before.plan, plan, run=run, plan=short(before.fingerprint))


def _changes(before: Plan, after: Plan, *, revision: int = 0, run: str = "", plan: str) -> Changes:
    found = changes_between(before, after)
    return Changes(
        revision=revision,
        run=run,
        plan=plan,
        summary=_value(found.summary) if found.summary else None,
        steps=tuple(_step(one, before, after) for one in found.steps),
        begins=(before.not_before, after.not_before) if found.not_before else None,
    )


def _step(change: StepChange, before: Plan, after: Plan) -> ChangedStep:
    step = after.steps[change.after - 1] if change.after else before.steps[change.before - 1]
    return ChangedStep(
        kind=change.kind.value,
        before=change.before,
        after=change.after,
        words=cut(step.preview or step.tool, LONGEST_VALUE),
        values=tuple(_values(change)),
    )


def _values(change: StepChange) -> Iterator[ChangedValue]:
    yield from (_value(one) for one in values_of(change))


def _value(change: ValueChange) -> ChangedValue:
    lines = changed_lines(change)
    name = ".".join(change.path)
    if lines is None:
        before = shown_value(change.before, is_there=True) if change.was_there else None
        after = shown_value(change.after, is_there=True) if change.is_there else None
        return ChangedValue(name, before, after)
    kept = fewer_lines(lines)
    shown = tuple((mark, cut(line, LONGEST_VALUE)) for mark, line in kept)
    return ChangedValue(name, "", "", shown, len(lines) - len(kept))
