"""Write parts of the Web UI's page: what a revision changed, and what a held run waits for.

Untrusted text is in code spans, as on the rest of the page: see `plangate.presentation.markdown`.
"""

import re
from typing import Final
from urllib.parse import quote

from plangate.domain.escaping import cut, markdown_code
from plangate.domain.plans.plan import short
from plangate.domain.plans.plan_changes import ValueChange, changes_between
from plangate.domain.runs.status import PreviousPlan, Status
from plangate.presentation.changes import (
    baseline_of,
    changed_lines,
    fewer_lines,
    shown_value,
    step_change_words,
    values_of,
)
from plangate.presentation.clock import recorded
from plangate.presentation.held_page import (
    AT_THE_DEADLINE,
    hold_option,
    outcome_of,
    requires_proof,
    resolution_message,
    resolvers_words,
    stopped_at,
    what_happened,
)
from plangate.presentation.resolutions import resolution_words
from plangate.presentation.words import status_command, step_command

# Sizes in a URL, see `plangate.presentation.markdown`.
_ROOM_FOR_HAPPENED: Final = 1_500
_LONGEST_LINE: Final = 300  # characters
_PLAIN: Final = re.compile(r"[A-Za-z0-9 ,.;:()'_-]+")
# Text that a renderer would change into emphasis, a dash, an ellipsis or a symbol.
_NOT_PLAIN: Final = re.compile(
    r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|--|\.\.|\((?:c|r|p|tm)\)|^[-0-9]", re.IGNORECASE
)


def plain(sentence: str) -> str:
    """Return a Plangate sentence unchanged, or as code if a name in it could be read as Markdown."""
    is_plain = _PLAIN.fullmatch(sentence) and not _NOT_PLAIN.search(sentence)
    return sentence if is_plain else markdown_code(sentence)


def changes_part(status: Status, room: int) -> str:
    """Return what the newest plan changed, truncated to the remaining space; empty for the first revision."""
    known = [before for before in (status.previous, baseline_of(status)) if before is not None]
    return "\n\n".join(_changes_since(before, status, room // len(known)) for before in known)


def _changes_since(before: PreviousPlan, status: Status, room: int) -> str:
    plan = status.plan
    assert plan is not None
    changes = changes_between(before.plan, plan)
    lines = [_value_line(one) for one in (changes.summary, changes.not_before) if one is not None]
    for step in changes.steps:
        label, words = step_change_words(step, before, plan)
        lines.append(f"**{label}:** {markdown_code(words)}")
        lines += [_value_line(value) for value in values_of(step)]
    return _fitting(_since(before), lines or ["nothing"], room, status)


def _since(before: PreviousPlan) -> str:
    return (
        f"**Changed since revision {before.revision}, plan `{short(before.fingerprint)}`, "
        "whose approvals no longer apply:**"
    )


def _value_line(change: ValueChange) -> str:
    label = markdown_code(".".join(change.path))
    lines = changed_lines(change)
    if lines is not None:
        words = {"-": "removed", "+": "new"}
        shown = [
            f"{label}, {words[mark]}: {markdown_code(cut(line, _LONGEST_LINE))}"
            for mark, line in fewer_lines(lines)
        ]
        left = len(lines) - len(shown)
        return "\n".join([*shown, *([f"{label}: {left:,} more lines, not shown here"] if left else [])])
    before = shown_value(change.before, is_there=change.was_there)
    after = shown_value(change.after, is_there=change.is_there)
    return f"{label}: {markdown_code(before)} → {markdown_code(after)}"


def hold_part(status: Status) -> str:
    """Return why a run is held, its deadline, and who may resolve it."""
    assert status.held is not None
    until = f" until {recorded(status.deadline)}" if status.deadline else ""
    return "\n".join(
        (
            f"### Held{until}",
            f"**Stopped at** {plain(stopped_at(status))}",
            f"**Because:** {markdown_code(cut(status.held.why, _LONGEST_LINE))}",
            f"**Since** {recorded(status.held.since)}. Without a resolution until then, {AT_THE_DEADLINE}.",
            f"**Who may resolve it:** {plain(resolvers_words(status))}",
        )
    )


def happened_part(status: Status) -> str:
    """Return a line for each step: done, not done, in doubt, skipped, or undone."""
    lines = []
    for step in status.steps:
        sign, word = outcome_of(status, step)
        said = markdown_code(cut(what_happened(status, step), _LONGEST_LINE))
        lines.append(f"{_sign(sign)} **{word}:** step {step.number}, {markdown_code(step.tool)}: {said}")
    return _fitting("**What happened, and what did not:**", lines, _ROOM_FOR_HAPPENED, status)


def _sign(sign: str) -> str:
    return "\N{EN DASH}" if sign == "-" else sign  # a hyphen at the start of a line would open a list


def resolving_part(status: Status) -> str:
    """Return what each possible resolution will do, with the message to paste."""
    held = status.held
    assert held is not None
    lines = [
        f"**{one.value}:** {plain(words)}" for one, words in resolution_words(status, is_short=True).items()
    ]
    if requires_proof(status):
        how = (
            "**To resolve:** this run accepts only signed resolutions. On the machine that has your key, run:"
        )
        command = step_command(status.workflow_id, held.step, hold_option(status))
        return "\n".join((how, markdown_code(command), *lines))
    pasted = [
        f"{line}\n{markdown_code(resolution_message(status, one))}"
        for one, line in zip(held.resolutions, lines, strict=True)
    ]
    how = (
        "**To resolve:** *More Actions*, *Send a Signal*, choose `resolve`, and paste one of these with your"
    )
    return "\n\n".join((f"{how} name:", *pasted))


def _fitting(heading: str, lines: list[str], room: int, status: Status) -> str:
    """Return the lines that fit, and how to see the others."""
    kept = [heading]
    for number, line in enumerate(lines):
        room -= len(quote(line))
        if room < 0:
            left = len(lines) - number
            command = markdown_code(status_command(status.workflow_id))
            verb = "are" if left > 1 else "is"
            kept.append(f"**{left} more {verb} not shown here; see all with** {command}")
            break
        kept.append(line)
    return "\n".join(kept)
