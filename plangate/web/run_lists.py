"""Read the runs in a list for its page, filtered by a search."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from itertools import islice
from typing import Any, Final, assert_never
from urllib.parse import urlencode

from pydantic import Field, field_validator
from sqlalchemy import ColumnElement, Row, Select, select

from plangate.domain.base import Frozen
from plangate.domain.people.people import Identified, identity
from plangate.domain.policies.escalation import later_approvers_of
from plangate.domain.runs.audit import Outcome
from plangate.domain.runs.run import Phase
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.presentation.state_details import Deviations
from plangate.records.lists import WAITING_STATES
from plangate.web.gate import Gate
from plangate.web.index_tables import lines, needs
from plangate.web.offered_decisions import may_decide_now
from plangate.web.run_index import RunIndex, later_approvers_in, waits_for
from plangate.web.visitors import Visitor

PAGE: Final = 50
MOST_COUNTED: Final = 99
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
MOST_PAGES: Final = 10_000
_NAMED_AT_ONCE: Final = 500  # ids in one query
STATES: Final = (*(one.value for one in Phase if one is not Phase.CLOSED), *(one.value for one in Outcome))
VISIBILITY_COLUMNS: Final = (
    lines.c.state,
    lines.c.needs,
    lines.c.requester,
    lines.c.authors,
    lines.c.approved_by,
)
"""The columns that decide who may see a run."""
_SHOWN: Final = [column for column in lines.c if column.name not in ("text", "tools")]


class RunList(StrEnum):
    """The lists of runs.

    Attributes:
        FOR_ME: those that the visitor may decide on now.
        OPEN: all that have not ended.
        HELD: those that are held at a step.
        DONE: those that have ended.
    """

    FOR_ME = "for_me"
    OPEN = "open"
    HELD = "held"
    DONE = "done"


class Search(Frozen):
    """The filters of a list; an empty filter matches all runs. ``since`` and ``before`` are inclusive."""

    text: str = Field(default="", max_length=200)
    requester: str = Field(default="", max_length=200)
    tool: str = Field(default="", max_length=200)
    state: str = Field(default="", max_length=200)
    since: date | None = None
    before: date | None = None
    page: int = Field(default=1, ge=1, le=MOST_PAGES)

    @field_validator("since", "before", mode="before")
    @classmethod
    def _day(cls, value: object) -> object:
        """Ignore anything that is not a day, such as an empty field of a form."""
        try:
            return date.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            return None

    @field_validator("state")
    @classmethod
    def _known(cls, value: str) -> str:
        """Ignore an unknown state."""
        return value if value in STATES else ""

    @property
    def is_narrow(self) -> bool:
        """Whether any filter is set."""
        return self.model_copy(update={"page": 1}) != Search()

    def query(self, page: int) -> str:
        """Return the URL query of this search, for another page."""
        named = {
            "text": self.text,
            "requester": self.requester,
            "tool": self.tool,
            "state": self.state,
            "since": self.since,
            "before": self.before,
            "page": page if page > 1 else "",
        }
        return urlencode({name: value for name, value in named.items() if value})


@dataclass(frozen=True, slots=True)
class Line:
    """One run in a list.

    Attributes:
        preview: the preview of the held step, or else of the first step.
        more: how many further steps there are.
        held_step: the number of the held step; 0 if the run is not held.
        deviations: the skipped and reversed steps, which its state does not show.
        waits_until: when it stops waiting for its next step.
        is_approved: whether anyone has approved it; a plan that needs no approval runs without one.
    """

    workflow_id: str
    preview: str
    more: int
    requester: str
    state: str
    deadline: datetime | None
    closed_at: datetime | None = None
    held_step: int = 0
    deviations: Deviations = Deviations()  # noqa: RUF009  immutable
    waits_until: datetime | None = None
    is_approved: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a list.

    Attributes:
        next_page: whether there are more.
        unread: how many runs are still to be read and may be missing from the list.
    """

    lines: tuple[Line, ...]
    next_page: bool
    unread: int


EVERYTHING: Final = Search()


async def listed(
    gate: Gate, index: RunIndex, visitor: Visitor, which: RunList, search: Search = EVERYTHING
) -> Found:
    """Return one page of a list.

    Raises:
        RecordsUnavailable: the database does not respond.
    """
    unread = await index.refresh()
    found = await asyncio.to_thread(_page, index, visitor, which, search)
    page = found[:PAGE]
    if which is not RunList.DONE:
        still_open = await gate.still_open([line.workflow_id for line in page])
        page = [line for line in page if line.workflow_id in still_open]
    return Found(tuple(page), len(found) > PAGE, unread)


async def counts_of(index: RunIndex, visitor: Visitor) -> dict[str, str]:
    """Return how many runs each list of open runs contains for this visitor, at most ``MOST_COUNTED``."""
    return await asyncio.to_thread(_counts, index, visitor)


def shows(visitor: Visitor, row: Row[Any], texts: dict[int, str]) -> bool:
    """Return whether a visitor may see the run of a row; ``texts`` holds the needed decisions, by number."""
    return visitor.rights.shows(_seen(row, texts))


def audited(index: RunIndex, visitor: Visitor, workflow_ids: Sequence[str]) -> frozenset[str]:
    """Return which of these runs are included in this auditor's counts: see `ViewRights.audits`."""
    texts = {row.number: row.text for row in index.read(select(needs))}
    rows = _named(index, workflow_ids)
    return frozenset(row.workflow_id for row in rows if visitor.rights.audits(_seen(row, texts)))


def indexed(index: RunIndex, workflow_ids: Sequence[str]) -> frozenset[str]:
    """Return which of these ids are in the index."""
    return frozenset(row.workflow_id for row in _named(index, workflow_ids))


def _named(index: RunIndex, workflow_ids: Sequence[str]) -> Iterator[Row[Any]]:
    for start in range(0, len(workflow_ids), _NAMED_AT_ONCE):
        named = lines.c.workflow_id.in_(workflow_ids[start : start + _NAMED_AT_ONCE])
        yield from index.read(select(*_SHOWN).where(named))


def _counts(index: RunIndex, visitor: Visitor) -> dict[str, str]:
    counts = {}
    for which in (RunList.FOR_ME, RunList.OPEN, RunList.HELD):
        number = sum(1 for _ in islice(_rows(index, visitor, which, EVERYTHING), MOST_COUNTED + 1))
        counts[which.value] = f"{MOST_COUNTED}+" if number > MOST_COUNTED else str(number)
    return counts


def _page(index: RunIndex, visitor: Visitor, which: RunList, search: Search) -> list[Line]:
    """Return the lines of a page, and one more, if any."""
    skipped = (search.page - 1) * PAGE
    rows = islice(_rows(index, visitor, which, search), skipped, skipped + PAGE + 1)
    return [_line(row) for row in rows]


def _rows(index: RunIndex, visitor: Visitor, which: RunList, search: Search) -> Iterator[Row[Any]]:
    """Yield a list's rows in order, for the runs that this person may see."""
    query = _narrowed(_of_list(which), search)
    texts = {row.number: row.text for row in index.read(select(needs))}
    if which is RunList.FOR_ME:
        decidable = [number for number, text in texts.items() if _may_help(text, visitor.identified)]
        query = query.where(lines.c.needs.in_(decidable))
    known: dict[tuple[Any, ...], bool] = {}  # many rows wait for the same thing and involve the same people
    for row in index.rows(query):
        people = (row.requester, row.authors, row.approved_by, row.represented)
        alike = (row.state, row.needs, *people, row.reliefs)
        if alike not in known:
            status = _status(row, texts)
            is_theirs = which is not RunList.FOR_ME or may_decide_now(status, visitor.identified, now())
            known[alike] = is_theirs and visitor.rights.shows(status)
        if known[alike]:
            yield row


def _of_list(which: RunList) -> Select[Any]:
    query = select(*_SHOWN)
    soonest = (lines.c.soonest, lines.c.workflow_id)
    match which:
        case RunList.FOR_ME:
            return query.where(lines.c.is_open, lines.c.state.in_(WAITING_STATES)).order_by(*soonest)
        case RunList.OPEN:
            return query.where(lines.c.is_open).order_by(*soonest)
        case RunList.HELD:
            return query.where(lines.c.is_open, lines.c.state == Phase.HELD.value).order_by(*soonest)
        case RunList.DONE:
            return query.where(~lines.c.is_open).order_by(lines.c.closed_at.desc(), lines.c.workflow_id)
        case _:
            assert_never(which)


def _narrowed(query: Select[Any], search: Search) -> Select[Any]:
    asked: list[ColumnElement[bool]] = []
    if search.text:
        asked += [lines.c.text.contains(word, autoescape=True) for word in search.text.casefold().split()]
    if search.requester:
        asked.append(lines.c.requester_key == identity(search.requester))
    if search.tool:
        asked.append(lines.c.tools.contains(f" {search.tool.strip()} ", autoescape=True))
    if search.state:
        asked.append(lines.c.state == search.state)
    if search.since:
        asked.append(lines.c.requested_at >= datetime.combine(search.since, time(), UTC))
    if search.before:
        asked.append(lines.c.requested_at <= datetime.combine(search.before, time.max, UTC))
    return query.where(*asked)


def _may_help(text: str, visitor: Identified) -> bool:
    """Return whether this person could make this decision, now or later."""
    requirement, missing = waits_for(text)
    later_approvers = later_approvers_of(requirement.escalations, _LONG_AGO)
    parts = {"requirement": requirement, "still_needed": missing, "reliefs": later_approvers}
    no_people = {"requester": "", "authors": (), "approved_by": ()}
    return any(
        may_decide_now(_part(state=state, **parts, **no_people), visitor, now()) for state in WAITING_STATES
    )


def _status(row: Row[Any], texts: dict[int, str]) -> Status:
    """Return the part of a run's status that decides who may decide on it now."""
    more = {"reliefs": later_approvers_in(row.reliefs), "represented": tuple(json.loads(row.represented))}
    return _seen(row, texts).model_copy(update=more)


def _seen(row: Row[Any], texts: dict[int, str]) -> Status:
    """Return the part of a run's status that decides who may see it."""
    requirement, missing = waits_for(texts[row.needs]) if row.needs in texts else (None, ())
    return _part(
        state=row.state,
        requirement=requirement,
        still_needed=missing,
        requester=row.requester,
        authors=tuple(json.loads(row.authors)),
        approved_by=tuple(json.loads(row.approved_by)),
        held=row.state == Phase.HELD.value or None,
    )


def _part(**parts: Any) -> Status:
    """Return a status with only these parts."""
    return Status.model_construct(**parts)


def _line(row: Row[Any]) -> Line:
    return Line(
        workflow_id=row.workflow_id,
        preview=row.preview,
        more=row.more,
        requester=row.requester,
        state=row.state,
        deadline=row.deadline,
        closed_at=row.closed_at,
        held_step=row.held_step,
        deviations=Deviations(tuple(json.loads(row.skipped)), tuple(json.loads(row.reversed))),
        waits_until=row.waits_until if row.waits_until is not None and row.waits_until > now() else None,
        is_approved=bool(json.loads(row.approved_by)),
    )
