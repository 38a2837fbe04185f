"""Find what changed from one revision of a plan to the next.

A run keeps the plan before its newest one, so that every view can show the difference. `Before` stores it in
a compact form, because messages contain the state of a run: for a step that is also in the newest plan, it
stores only the number. `plan_before` restores the whole plan from both, so its fingerprint can be recomputed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from pydantic import Field, JsonValue

from plangate.domain.base import Frozen
from plangate.domain.plans.plan import Moment, Plan, ProposedStep, Step
from plangate.domain.plans.reads import Read
from plangate.domain.plurals import joined

_MOST_NAMED: Final = 5
_LARGEST_BASELINE: Final = 64 * 1024  # bytes


class Before(Frozen):
    """The plan that the newest one replaced.

    Attributes:
        revision: the revision of the replaced plan.
        fingerprint: the fingerprint of the replaced plan.
        summary: None if the newest plan has the same one.
        not_before: None if the newest plan has the same one; empty if this plan had none.
        steps: its steps in order; a number refers to the equal step of the newest plan.
        reads: None if the newest plan has the same reads.
    """

    revision: int
    fingerprint: str
    summary: str | None = None
    not_before: Moment | Literal[""] | None = Field(default=None, exclude_if=lambda value: value is None)
    steps: tuple[int | Step, ...]
    reads: tuple[Read, ...] | None = Field(default=None, exclude_if=lambda value: value is None)

    def fits(self, steps: int) -> bool:
        """Return whether this can be the difference from a plan with this number of steps."""
        return all(1 <= one <= steps for one in self.steps if isinstance(one, int))


class Kind(StrEnum):
    """The kind of change to a step."""

    NEW = "new"
    REMOVED = "removed"
    MOVED = "moved"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class ValueChange:
    """One changed value: its path, such as ``json.amount``, and its old and new value as JSON.

    ``was_there`` and ``is_there`` distinguish an absent value from null.
    """

    path: tuple[str, ...]
    before: JsonValue
    after: JsonValue
    was_there: bool = True
    is_there: bool = True


@dataclass(frozen=True, slots=True)
class StepChange:
    """The change of one step. ``before`` and ``after`` are its numbers in the two plans, 0 if absent.

    ``arguments``, ``reason`` and ``observation`` are the changed values of these parts.
    """

    kind: Kind
    tool: str
    before: int = 0
    after: int = 0
    arguments: tuple[ValueChange, ...] = ()
    reason: ValueChange | None = None
    observation: ValueChange | None = None


@dataclass(frozen=True, slots=True)
class PlanChanges:
    """The difference between two plans: summary, earliest start, and steps in the newest plan's order."""

    summary: ValueChange | None
    steps: tuple[StepChange, ...]
    not_before: ValueChange | None = None

    def __bool__(self) -> bool:
        return self.summary is not None or self.not_before is not None or bool(self.steps)


def kept_baseline(
    baseline: Before | None, before: Before | None, replaced: Plan, newest: Plan
) -> Before | None:
    """Return the plan that all changes are compared with, as a run keeps it, when ``newest`` is drafted.

    ``baseline`` and ``before`` belong to ``replaced``, which has no approval. None if no plan is older than
    ``replaced``, or if the difference is too large for a state.
    """
    known = baseline or before
    if known is None or not known.fits(len(replaced.steps)):
        return None
    kept = kept_before(known.revision, known.fingerprint, plan_before(known, replaced), newest)
    return kept if len(kept.model_dump_json().encode()) <= _LARGEST_BASELINE else None


def kept_before(revision: int, fingerprint: str, replaced: Plan, newest: Plan) -> Before:
    """Return the replaced plan in the form that a run keeps."""
    numbers = {step.model_dump_json(): number for number, step in enumerate(newest.steps, start=1)}
    kept = [numbers.get(step.model_dump_json(), step) for step in replaced.steps]
    summary = None if replaced.summary == newest.summary else replaced.summary
    reads = None if replaced.reads == newest.reads else replaced.reads
    not_before = None if replaced.not_before == newest.not_before else replaced.not_before or ""
    return Before(
        revision=revision,
        fingerprint=fingerprint,
        summary=summary,
        not_before=not_before,
        steps=tuple(kept),
        reads=reads,
    )


def plan_before(before: Before, newest: Plan) -> Plan:
    """Return the whole replaced plan.

    Raises:
        IndexError: ``before`` does not belong to ``newest``.
    """
    if not before.fits(len(newest.steps)):
        raise IndexError("the replaced plan refers to a step that the newest one does not have")
    steps = tuple(newest.steps[one - 1] if isinstance(one, int) else one for one in before.steps)
    summary = newest.summary if before.summary is None else before.summary
    not_before = newest.not_before if before.not_before is None else before.not_before or None
    reads = newest.reads if before.reads is None else before.reads
    return Plan(summary=summary, not_before=not_before, steps=steps, reads=reads)


def changes_between(before: Plan, after: Plan) -> PlanChanges:
    """Return the changes. A step is moved if its place changed among the steps that both plans have."""
    pairs, in_place = _pairs(before.steps, after.steps)
    of_after = {new: old for old, new in pairs.items()}
    changed = []
    for old, step in enumerate(before.steps, start=1):
        if old not in pairs:
            changed.append((old, 0, StepChange(Kind.REMOVED, step.tool, before=old)))
    for new, step in enumerate(after.steps, start=1):
        was = of_after.get(new)
        if was is None:
            changed.append((new, 1, StepChange(Kind.NEW, step.tool, after=new)))
        else:
            one = _step_change(was, before.steps[was - 1], new, step, moved=was not in in_place)
            changed += [(new, 1, one)] if one else []
    changed.sort(key=lambda one: one[:2])
    summary = _value_change(("summary",), before.summary, after.summary)
    not_before = next(_value_changes((), _beginning(before), _beginning(after)), None)
    return PlanChanges(summary, tuple(one for _, _, one in changed), not_before)


def _beginning(plan: Plan) -> dict[str, JsonValue]:
    """Return the earliest start of a plan, as JSON; empty if it may start at any time."""
    return {"not_before": f"{plan.not_before:%Y-%m-%d %H:%M:%S} UTC"} if plan.not_before else {}


def in_short(changes: PlanChanges) -> str:
    """Return the changes in a few words: 'step 2 removed', 'the summary changed, steps 1 and 3 changed'."""
    parts = ["the summary changed"] if changes.summary else []
    parts += ["the earliest start changed"] if changes.not_before else []
    for kind in (Kind.CHANGED, Kind.REMOVED, Kind.NEW, Kind.MOVED):
        numbers = [one.after if kind is Kind.NEW else one.before for one in changes.steps if one.kind is kind]
        if len(numbers) > _MOST_NAMED:
            parts.append(f"{len(numbers)} steps {kind}")
        elif numbers:
            names = joined([str(number) for number in numbers])
            parts.append(f"step{'s' if len(numbers) > 1 else ''} {names} {kind}")
    return ", ".join(parts)


def _step_change(old: int, before: Step, new: int, after: Step, *, moved: bool) -> StepChange | None:
    arguments = tuple(_value_changes((), before.arguments, after.arguments))
    reason = _value_change(("why",), before.reason, after.reason)
    observation = _value_change(("observation",), before.observation, after.observation)
    if not (moved or arguments or reason or observation):
        return None
    kind = Kind.MOVED if moved else Kind.CHANGED
    return StepChange(kind, after.tool, old, new, arguments, reason, observation)


def _pairs(before: Sequence[Step], after: Sequence[Step]) -> tuple[dict[int, int], set[int]]:
    """Return the old and new numbers of matching steps, and the old numbers of those that were not moved.

    Match equal steps at the beginning and the end first, then equal steps elsewhere, then steps of the same
    tool, in order.
    """
    old, new = [_key(step) for step in before], [_key(step) for step in after]
    start, end = same_ends(old, new)
    pairs = {number: number for number in range(1, start + 1)}
    pairs |= {len(old) - number: len(new) - number for number in range(end)}
    for keys in ((old, new), ([step.tool for step in before], [step.tool for step in after])):
        free: dict[str, list[int]] = {}
        taken = set(pairs.values())
        for number, key in enumerate(keys[1], start=1):
            if number not in taken:
                free.setdefault(key, []).append(number)
        for number, key in enumerate(keys[0], start=1):
            if number not in pairs and free.get(key):
                pairs[number] = free[key].pop(0)
    return pairs, _in_place(pairs)


def same_ends(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """Return how many items of two lists are equal at the beginning, and how many more at the end."""
    room = min(len(before), len(after))
    start = next((n for n in range(room) if before[n] != after[n]), room)
    end = next((n for n in range(room - start) if before[-1 - n] != after[-1 - n]), room - start)
    return start, end


def _in_place(pairs: Mapping[int, int]) -> set[int]:
    """Return the old numbers of the longest run of steps whose order did not change."""
    best: dict[int, list[int]] = {}
    for old in sorted(pairs):
        ahead = (best[one] for one in best if pairs[one] < pairs[old])
        best[old] = [*_longest(ahead), old]
    return set(_longest(best.values()))


def _longest(lists: Iterable[list[int]]) -> list[int]:
    return max(lists, key=len, default=[])


def _key(step: ProposedStep) -> str:
    return ProposedStep(tool=step.tool, arguments=step.arguments, reason=step.reason).model_dump_json()


def _value_change(path: tuple[str, ...], before: JsonValue, after: JsonValue) -> ValueChange | None:
    return None if _is_same(before, after) else ValueChange(path, before, after)


def _value_changes(
    path: tuple[str, ...], before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]
) -> Iterator[ValueChange]:
    for name in dict.fromkeys((*after, *before)):
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict) and old and new:
            yield from _value_changes((*path, name), old, new)
        elif name not in before or name not in after or not _is_same(old, new):
            yield ValueChange((*path, name), old, new, name in before, name in after)


def _is_same(before: JsonValue, after: JsonValue) -> bool:
    """Return whether two values are equal as JSON: true is not 1."""
    match before, after:
        case dict(), dict():
            return before.keys() == after.keys() and all(_is_same(before[key], after[key]) for key in before)
        case list(), list():
            return len(before) == len(after) and all(map(_is_same, before, after))
        case (bool(), _) | (_, bool()):
            return before is after
        case _:
            return before == after
