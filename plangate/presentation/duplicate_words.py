"""Describe duplicates in sentences, for the top of a plan's pages.

Workflows import this module: it is deterministic and needs no terminal.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final

from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.duplicates import Duplicate, by_step
from plangate.domain.plans.previews import quoted
from plangate.domain.plurals import counted, joined
from plangate.domain.runs.audit import Outcome
from plangate.domain.runs.run import Phase
from plangate.domain.runs.status import Status

_SHOWN: Final = 5  # maximum lines per step
_MOST_LINES: Final = 10
_LONGEST_ID: Final = 80
_PLAIN_ID: Final = re.compile(r"[\w.:/@+-]+")
_HIDDEN: Final = "a run that only some people may see"
_HIDDEN_RUNS: Final = "runs that only some people may see"
_STATES: Final = {
    Phase.DRAFTING.value: "being redrafted",
    Phase.IN_REVIEW.value: "in review",
    Phase.EXECUTING.value: "being executed",
    Phase.HELD.value: "held",
    Phase.UNDOING.value: "being undone",
}


def duplicate_lines(status: Status, said: Callable[[datetime], str]) -> Iterator[str]:
    """Yield a line for each step: 'Step 1 has the same payment as step 1 of refund-4711, which was …'.

    ``said`` returns a time as text. Runs with the same state are listed together: 'as step 2 of A and B'.
    """
    is_now = status.duplicates_now is not None
    groups = by_step(status.repeated)
    for same in groups[:_MOST_LINES]:
        others: dict[tuple[int, str, bool], list[Duplicate]] = {}
        for one in same[:_SHOWN]:
            others.setdefault((one.its_step, one.state, one.done), []).append(one)
        parts = "; also as ".join(_others(alike, said, is_now=is_now) for alike in others.values())
        more = f"; and {len(same) - _SHOWN} more" if len(same) > _SHOWN else ""
        yield f"Step {same[0].step} {_same(same[0])} as {parts}{more}"
    if len(groups) > _MOST_LINES:
        yield f"and {counted(len(groups) - _MOST_LINES, 'more step')} of this plan; --json shows all"


def _same(one: Duplicate) -> str:
    names = [one_line(name).replace("_", " ") for name in one.same]
    return f"has the same {joined(names)}" if names else "is the same"


def _others(alike: Sequence[Duplicate], said: Callable[[datetime], str], *, is_now: bool) -> str:
    """Return the runs of duplicates that have the same step number and state, followed by the state."""
    named = sorted(alike, key=lambda one: not one.workflow_id)
    runs = [_run(one.workflow_id) for one in named if one.workflow_id]
    hidden = len(named) - len(runs)
    if hidden:
        runs.append(_HIDDEN if hidden == 1 else f"{hidden} {_HIDDEN_RUNS}")
    times = [said(one.at) for one in named]
    at = times[0] if len(set(times)) == 1 else f"{joined(times)}, respectively"
    state = _state_words(alike[0], at, len(named), is_now=is_now)
    return f"step {alike[0].its_step} of {joined(runs)}, {state}"


def _run(workflow_id: str) -> str:
    """Return a run's id, in quotes if it could be mistaken for other text."""
    said = cut(workflow_id, _LONGEST_ID)
    return said if _PLAIN_ID.fullmatch(workflow_id) else quoted(said)


def _state_words(one: Duplicate, at: str, count: int, *, is_now: bool) -> str:
    was, that_step_was = ("was", "that step was") if count == 1 else ("were", "those steps were")
    done = f"; {that_step_was} or may have been done" if one.done else ""
    if one.state in _STATES:
        if is_now:
            return f"which {'is' if count == 1 else 'are'} {_STATES[one.state]} now{done}"
        return f"which {was} {_STATES[one.state]} when this plan was drafted{done}"
    if one.state == Outcome.EXECUTED:
        return f"which {was} executed {at}"
    ended = f"{was} rejected" if one.state == Outcome.REJECTED else f"ended as {one_line(one.state)}"
    return f"which {ended} {at}{done}"
