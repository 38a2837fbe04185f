"""Show an edit before it is sent: its changes, the new plan, and who may approve it."""

import json
from difflib import unified_diff
from typing import assert_never

from plangate.domain.escaping import is_reordered
from plangate.domain.plans.plan import ProposedPlan
from plangate.domain.plans.plan_changes import Kind, StepChange, ValueChange, changes_between
from plangate.domain.plans.what_runs import what_runs
from plangate.domain.plurals import counted
from plangate.domain.runs.status import Status
from plangate.presentation.changes import who_approves
from plangate.presentation.page import REORDERED, Page, Row
from plangate.presentation.words import step_name

_CONTEXT = 1  # number of unchanged lines around a changed one
_EXACT = "in the plan's file"


def edit_page(status: Status, new: ProposedPlan, by: str) -> Page:
    """Return the changes that an edit by ``by`` makes to the plan in review."""
    assert status.plan is not None
    after = new.as_plan()
    changes = changes_between(status.plan.proposed().as_plan(), after)
    page = Page()
    page.gap()
    page.heading(f"Your changes to plan {status.short_fingerprint}, revision {status.revision}")
    for value in (changes.summary, changes.not_before):
        if value is not None:
            _add_value(page, value, indent=2)
    for change in changes.steps:
        _add_step(page, change, new)
    page.gap()
    page.field("what runs", f"{counted(len(new.steps), 'step')}: {what_runs(after)}", "bold")
    page.note(who_approves(status, new, by), "yellow")
    return page


def _add_step(page: Page, change: StepChange, new: ProposedPlan) -> None:
    page.gap()
    count = len(new.steps)
    match change.kind:
        case Kind.REMOVED:
            page.note(f"Previous step {change.before}: {change.tool}  removed", "bold red")
        case Kind.NEW:
            step = new.steps[change.after - 1]
            page.note(f"{step_name(change.after, count)}: {change.tool}  new", "bold green")
            page.arguments(step.arguments, exact=_EXACT)
            if step.reason:
                page.words("why", step.reason, indent=4)
        case Kind.MOVED:
            title = f"{step_name(change.after, count)}: {change.tool}  was step {change.before}"
            page.note(title, "bold yellow")
        case Kind.CHANGED:
            page.note(f"{step_name(change.after, count)}: {change.tool}  changed", "bold yellow")
        case _:
            assert_never(change.kind)
    for value in (*change.arguments, *([change.reason] if change.reason else [])):
        _add_value(page, value, indent=4)


def _add_value(page: Page, change: ValueChange, indent: int) -> None:
    name = ".".join(change.path)
    before, after = change.before, change.after
    if isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
        page.field(name, "these lines:", indent=indent)
        _add_lines(page, before, after, indent + 2)
        return
    page.field(name, f"was {_shown(before) if change.was_there else 'not there'}", "red", indent)
    page.field("", f"is  {_shown(after) if change.is_there else 'not there'}", "green", indent)
    if is_reordered(_shown(before) + _shown(after)):
        page.note(REORDERED.format(_EXACT), "yellow", indent + 2)


def _add_lines(page: Page, before: str, after: str, indent: int) -> None:
    found = unified_diff(before.split("\n"), after.split("\n"), n=_CONTEXT, lineterm="")
    for number, line in enumerate(found):
        if number < len(("---", "+++")):
            continue
        sign, text = (line[0], line[1:]) if line[0] in "-+ " else ("…", "")
        style = {"-": "red", "+": "green"}.get(sign, "dim")
        row = Page()
        row.note(text, style, indent=0)
        shown = row.rows[0].text
        page.rows.append(Row(" " * indent + f"{sign} ", " " * indent + "┊ ", shown, style, style))


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
