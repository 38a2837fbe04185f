"""Write duplicates in words, for the top of a plan's pages.

Workflows import this module: it is deterministic and needs no terminal.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final

from plangate.domain.audit import Outcome
from plangate.domain.duplicates import Duplicate
from plangate.domain.escaping import cut, one_line
from plangate.domain.run import Phase

_SHOWN: Final = 5
_LONGEST_ID: Final = 80
_HIDDEN: Final = "a run that not everyone may see"
_WAS: Final = {
    Phase.DRAFTING.value: "was being redrafted",
    Phase.IN_REVIEW.value: "was in review",
    Phase.EXECUTING.value: "was being executed",
    Phase.HELD.value: "was held",
    Phase.UNDOING.value: "was being taken back",
}


def duplicate_lines(duplicates: Sequence[Duplicate], said: Callable[[datetime], str]) -> Iterator[str]:
    """Yield each duplicate: 'Step 1 has the same payment as step 1 of refund-4711, which was executed …'.

    ``said`` returns a time in words.
    """
    for one in duplicates[:_SHOWN]:
        yield f"Step {one.step} {_same(one)} step {one.its_step} of {_run(one)}, {_what_became(one, said)}"
    if len(duplicates) > _SHOWN:
        yield f"and {len(duplicates) - _SHOWN} more; --json shows them all"


def _same(one: Duplicate) -> str:
    if not one.same:
        return "is the same as"
    *most, last = (one_line(name).replace("_", " ") for name in one.same)
    return f"has the same {', '.join(most)} and {last} as" if most else f"has the same {last} as"


def _run(one: Duplicate) -> str:
    return cut(one_line(one.workflow_id), _LONGEST_ID) if one.workflow_id else _HIDDEN


def _what_became(one: Duplicate, said: Callable[[datetime], str]) -> str:
    at = said(one.at)
    if one.state in _WAS:
        done = "; that step was done, or may have been" if one.done else ""
        return f"which {_WAS[one.state]} when this plan was drafted{done}"
    if one.state in (Outcome.EXECUTED, Outcome.REJECTED):
        return f"which was {one.state} {at}"
    return f"which ended as {one_line(one.state)} {at}; that step was done, or may have been"
