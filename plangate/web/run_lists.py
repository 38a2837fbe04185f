"""The runs of a list, as its page shows them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

from plangate.domain.escaping import one_line
from plangate.domain.run import Phase
from plangate.domain.status import Status
from plangate.presentation.words import spelled
from plangate.records.lists import Sort, Wanted
from plangate.web.gate import Gate
from plangate.web.may import may_decide_now
from plangate.web.visitors import Visitor

_PAGE: Final = 50


class Which(StrEnum):
    """The lists."""

    FOR_ME = "for_me"
    OPEN = "open"
    HELD = "held"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Line:
    """One run of a list.

    Attributes:
        preview: what its first step does, in its tool's words; the request if there is no plan.
        more: how many further steps there are.
    """

    workflow_id: str
    preview: str
    more: int
    requester: str
    state: str
    deadline: datetime | None


async def listed(gate: Gate, visitor: Visitor, which: Which) -> list[Line]:
    """Return the runs of a list; at most a page of them."""
    match which:
        case Which.FOR_ME:
            waiting = await gate.waiting(Wanted(waiting=True, sort=Sort.DEADLINE, limit=None), visitor.sight)
            found = [one for one in waiting if may_decide_now(one, visitor.identified)][:_PAGE]
        case Which.OPEN:
            found = await gate.waiting(Wanted(waiting=True, sort=Sort.DEADLINE, limit=_PAGE), visitor.sight)
        case Which.HELD:
            held = Wanted(waiting=True, state=Phase.HELD.value, sort=Sort.DEADLINE, limit=_PAGE)
            found = await gate.waiting(held, visitor.sight)
        case Which.DONE:
            found = await gate.recorded(Wanted(sort=Sort.NEWEST, limit=_PAGE), visitor.sight, ended=True)
        case _:
            assert_never(which)
    return [_line(status) for status in found]


def _line(status: Status) -> Line:
    steps = status.steps
    first = steps[0].preview or steps[0].tool if steps else status.request
    return Line(
        workflow_id=status.workflow_id,
        preview=one_line(first),
        more=max(0, len(steps) - 1),
        requester=status.requester,
        state=spelled(status.state),
        deadline=status.deadline,
    )
