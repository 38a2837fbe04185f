"""Show what a revision changed: who made it, and the difference from the previous revision."""

from collections.abc import Iterator
from typing import Final, assert_never

from pydantic import JsonValue

from plangate.domain.escaping import cut, is_reordered
from plangate.domain.people.people import same_person
from plangate.domain.plans.plan import Plan, ProposedPlan, removed_steps, short
from plangate.domain.plans.plan_changes import (
    Kind,
    PlanChanges,
    StepChange,
    ValueChange,
    changes_between,
    plan_before,
    same_ends,
)
from plangate.domain.plurals import counted
from plangate.domain.runs.status import PreviousPlan, Status
from plangate.presentation.page import REORDERED, Page
from plangate.presentation.words import value_words

LONGEST_VALUE: Final = 300  # maximum characters of a value; its step shows the whole new value
_SHORT: Final = 24  # maximum characters of two values on one line
_MOST_LINES: Final = 20


def author_of(status: Status) -> str:
    """Return who edited the newest plan and earlier ones, and whether these people may approve it.

    Return an empty string if no person edited them.
    """
    words = []
    if status.author:
        is_excluded = any(same_person(status.author, one) for one in status.authors)
        may = "edited the plan; another person must" if is_excluded else "only removed steps, and may still"
        words.append(f"{status.author}, who {may} approve it")
    before = [
        f"revision {one.revision} by {one.by}" for one in status.edits if one.revision < status.revision
    ]
    return "; ".join([*words, *([f"edited before: {', '.join(before)}"] if before else [])])


def who_approves(status: Status, new: ProposedPlan, by: str) -> str:
    """Return who may approve the new plan of an edit by this person, and whose approvals become invalid."""
    void = (
        f" The approval by {' and '.join(status.approved_by)} is no longer valid."
        if status.approved_by
        else ""
    )
    if stays_approver(status, new, by):
        return f"You only remove steps, so you may still approve the new plan.{void}"
    return f"You become an author of the new plan, so another person must approve it.{void}"


def stays_approver(status: Status, new: ProposedPlan, by: str) -> bool:
    """Return whether this person may approve the new plan that results from their edit."""
    assert status.plan is not None
    if any(same_person(by, name) for name in (status.requester, *status.authors)):
        return False
    is_kept = status.requirement is not None and status.requirement.strike_keeps_approver
    return is_kept and bool(removed_steps(status.plan, new))


def baseline_of(status: Status) -> PreviousPlan | None:
    """Return the plan to which all changes are compared, if it is older than the previous plan."""
    base, newest = status.baseline, status.plan
    if base is None or newest is None or not base.fits(len(newest.steps)):
        return None
    whole = plan_before(base, newest)
    return PreviousPlan(revision=base.revision, fingerprint=base.fingerprint, plan=whole)


def add_all_changes(page: Page, status: Status, exact: str) -> None:
    """Add the differences from the previous revision and, if it is older, from the baseline."""
    for before in (status.previous, baseline_of(status)):
        if before is not None:
            page.gap()
            add_changes(page, before, status.plan, exact)


def add_changes(
    page: Page, before: PreviousPlan | None, plan: Plan | None, exact: str, indent: int = 2
) -> None:
    """Add the difference from the previous revision, if any."""
    if before is None or plan is None:
        return
    page.note(since_words(before), "bold yellow", indent)
    changes = changes_between(before.plan, plan)
    if not changes:
        page.note("nothing", "", indent + 2)
    for one in (changes.summary, changes.not_before):
        if one is not None:
            _add_value(page, one, indent + 2)
    for step in changes.steps:
        label, words = step_change_words(step, before, plan)
        page.field(label, words, indent=indent + 2)
        for value in values_of(step):
            _add_value(page, value, indent + 4)
    if any(map(is_reordered, _texts_of(changes))):
        page.note(REORDERED.format(exact), "yellow", indent + 2)


def since_words(before: PreviousPlan) -> str:
    """Return the heading of the difference."""
    return (
        f"Changed since revision {before.revision}, plan {short(before.fingerprint)}, "
        "whose approvals no longer apply:"
    )


def step_change_words(change: StepChange, before: PreviousPlan, after: Plan) -> tuple[str, str]:
    """Return a label for one step, and its change in one line."""
    label = f"step {change.after}"
    match change.kind:
        case Kind.REMOVED:
            was = f"step {change.before} of revision {before.revision}"
            return "removed", f"{was}, {_step_words(before.plan, change.before)}"
        case Kind.NEW:
            return label, f"new, {_step_words(after, change.after)}"
        case Kind.MOVED:
            moved = "moved and changed, formerly" if values_of(change) else "moved, formerly"
            return label, f"{moved} step {change.before}: {change.tool}"
        case Kind.CHANGED:
            was = "" if change.before == change.after else f", formerly step {change.before}"
            return label, f"changed{was}: {change.tool}"
        case _:
            assert_never(change.kind)


def values_of(change: StepChange) -> tuple[ValueChange, ...]:
    """Return every changed value of a step."""
    more = (change.reason, change.observation)
    return (*change.arguments, *(one for one in more if one is not None))


def shown_value(value: JsonValue, *, is_there: bool) -> str:
    """Return a value of the difference, cut if it is long."""
    return cut(value_words(value), LONGEST_VALUE) if is_there else "(absent)"


def changed_lines(change: ValueChange) -> list[tuple[str, str]] | None:
    """Return the changed lines of a longer text, marked '-' and '+'; None for any other value.

    These are all lines from the first to the last difference.
    """
    before, after = change.before, change.after
    if not (isinstance(before, str) and isinstance(after, str) and "\n" in before + after):
        return None
    old, new = before.split("\n"), after.split("\n")
    start, end = same_ends(old, new)
    removed = [("-", line) for line in old[start : len(old) - end]]
    return [*removed, *(("+", line) for line in new[start : len(new) - end])]


def fewer_lines(lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return these lines; if there are too many, only some of the removed and the new lines."""
    if len(lines) <= _MOST_LINES:
        return lines
    removed = [line for line in lines if line[0] == "-"]
    new = [line for line in lines if line[0] == "+"]
    kept = max(_MOST_LINES // 2, _MOST_LINES - len(new))
    return [*removed[:kept], *new[: _MOST_LINES - min(kept, len(removed))]]


def _texts_of(changes: PlanChanges) -> Iterator[str]:
    values = [value for step in changes.steps for value in values_of(step)]
    for value in (*values, *([changes.summary] if changes.summary else [])):
        yield from (*value.path, value_words(value.before), value_words(value.after))


def _step_words(plan: Plan, number: int) -> str:
    step = plan.steps[number - 1]
    preview = step.preview.removeprefix(f"{step.tool}: ")
    return f"{step.tool}: {cut(preview, LONGEST_VALUE)}" if preview else step.tool


def _add_value(page: Page, change: ValueChange, indent: int) -> None:
    label = ".".join(change.path)
    lines = changed_lines(change)
    if lines is not None:
        page.note(f"{label}, {counted(len(lines), 'line')} removed (-) or new (+)", "", indent)
        for mark, line in fewer_lines(lines):
            page.block(cut(line, LONGEST_VALUE), indent + 2, f"{mark} ")
        if len(lines) > _MOST_LINES:
            page.note(f"and {len(lines) - _MOST_LINES:,} more lines, not shown here", indent=indent + 2)
        return
    before = shown_value(change.before, is_there=change.was_there)
    after = shown_value(change.after, is_there=change.is_there)
    if len(before) <= _SHORT and len(after) <= _SHORT:
        page.field(label, f"from {before} to {after}", indent=indent)
        return
    page.field(label, f"from {before}", indent=indent)
    page.field("", f"to   {after}", indent=indent)
