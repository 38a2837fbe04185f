"""What the page of a run shows: a view of its checked status, for the template.

Everything that will run is in it, whole. A long text is a fold: shown closed where scripts run, with its
length beside it, and a plan with a fold that was not opened cannot be approved.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import JsonValue

from plangate.domain.digest import digest
from plangate.domain.escaping import hosts_in_letters, is_reordered, one_line
from plangate.domain.people import Identified
from plangate.domain.plurals import counted
from plangate.domain.references import references_in
from plangate.domain.run import StepState
from plangate.domain.status import Status, StepStatus
from plangate.presentation.changes import author_of
from plangate.presentation.page import leaves
from plangate.presentation.run_page import decision_words, needed_words
from plangate.presentation.settlement_words import settlement_words
from plangate.presentation.step_page import state_word
from plangate.presentation.troubles import troubles
from plangate.presentation.words import SUPPLIED, author_words, reference_words, spelled
from plangate.web.may import offered

LONG_LINES: Final = 6
LONG_CHARACTERS: Final = 400
_MOST_SHOWN: Final = 300


@dataclass(frozen=True, slots=True)
class Value:
    """One argument or observed value.

    Attributes:
        name: its path.
        text: the value, in JSON's notation unless it is a text of several lines.
        is_block: whether it is such a text, whose line breaks are kept.
        fold: the name of its fold; empty if it is short.
        length: how long it is, in words.
        notes: what to look at: hosts in letters, text that may be drawn in another order.
    """

    name: str
    text: str
    is_block: bool
    fold: str
    length: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepView:
    """One step; ``state`` is empty while it is not begun."""

    number: int
    tool: str
    preview: str
    why: str
    state: str
    arguments: tuple[Value, ...]
    observed: tuple[Value, ...]
    undoable: bool
    failure: str
    receipt: str
    settlement: str


@dataclass(frozen=True, slots=True)
class RunView:
    """The page of a run.

    Attributes:
        status: as it was checked.
        state: its state, for people.
        digest: everything that runs, in a line.
        needs: the approvals that it still needs.
        offers: the decisions that the visitor may take.
        folds: the names of all folds.
    """

    status: Status
    state: str
    digest: str
    needs: str
    request: str
    author: str
    who_wrote: str
    steps: tuple[StepView, ...]
    decisions: tuple[tuple[datetime, str, bool, str], ...]
    troubles: tuple[str, ...]
    offers: tuple[str, ...]
    folds: tuple[str, ...]


def view_of(status: Status, visitor: Identified) -> RunView:
    """Return what the page of a run shows to a visitor."""
    steps = tuple(_step(step) for step in status.steps)
    folds = tuple(value.fold for step in steps for value in (*step.arguments, *step.observed) if value.fold)
    return RunView(
        status=status,
        state=spelled(status.state),
        digest=digest(status.plan) if status.plan else "",
        needs=needed_words(status) if status.requirement else "",
        request=status.request or SUPPLIED,
        author=author_of(status),
        who_wrote=author_words(by_planner=status.planner is not None, editor=one_line(status.author)),
        steps=steps,
        decisions=tuple(
            (one.at, decision_words(one), one.accepted and not one.void, one.comment)
            for one in status.decisions
        ),
        troubles=tuple(troubles(status)),
        offers=tuple(choice.value for choice in offered(status, visitor)),
        folds=folds,
    )


def _step(step: StepStatus) -> StepView:
    seen = step.observation
    observed: Mapping[str, JsonValue] = (
        {} if seen is None else seen if isinstance(seen, dict) and seen else {"observed": seen}
    )
    references = references_in(step.arguments)
    return StepView(
        number=step.number,
        tool=step.tool,
        preview=step.preview or step.tool,
        why=step.why,
        state="" if step.state is StepState.PENDING and not step.is_begun else _state(step),
        arguments=tuple(_values(f"s{step.number}-", {**step.arguments, **references})),
        observed=tuple(_values(f"s{step.number}-seen-", observed)),
        undoable=step.undoable,
        failure=step.failure,
        receipt=step.receipt.summary if step.receipt else "",
        settlement=settlement_words(step),
    )


def _state(step: StepStatus) -> str:
    return "begun" if step.state is StepState.PENDING else state_word(step.state)


def _values(prefix: str, values: Mapping[str, Any]) -> Iterator[Value]:
    """Yield every value that holds no others; ``Any`` stands for JSON and references."""
    for number, (name, value) in enumerate(leaves("", values), start=1):
        is_block = isinstance(value, str) and "\n" in value
        text = str(value) if is_block else _written(value)
        lines = text.count("\n") + 1
        is_long = lines > LONG_LINES or len(text) > LONG_CHARACTERS
        notes = [*hosts_in_letters(_written(value))]
        if is_reordered(text) or is_reordered(name):
            notes.append("This has right-to-left letters, and may be drawn in another order.")
        yield Value(
            name=name,
            text=text,
            is_block=is_block,
            fold=f"{prefix}{number}" if is_long else "",
            length=f"{counted(lines, 'line')}, {counted(len(text), 'character')}",
            notes=tuple(notes),
        )


def _written(value: Any) -> str:
    words = reference_words(value) if hasattr(value, "field") else json.dumps(value, ensure_ascii=False)
    return str(words)
