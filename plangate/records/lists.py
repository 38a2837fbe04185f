"""Filter and sort lists of runs, with one query on the runs' rows."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any, Final, TypeVar, assert_never

from pydantic import Field
from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.people.people import identity
from plangate.domain.runs.audit import OWN_TRAILS
from plangate.domain.runs.run import Phase
from plangate.domain.runs.settlements import SettlementState
from plangate.records.tables import audit_entries, runs

Listed = TypeVar("Listed")
WAITING_STATES: Final = (Phase.IN_REVIEW.value, Phase.HELD.value)
IS_A_RUN: Final = runs.c.workflow_id.not_in(sorted(OWN_TRAILS))
_DECIDED: Final = audit_entries.c.kind == "decided"


class Sort(StrEnum):
    """The order of a list."""

    DEADLINE = "deadline"
    NEWEST = "newest"
    OLDEST = "oldest"
    ID = "id"


class Wanted(Frozen):
    """The selected runs, their order, and the page.

    Attributes:
        requester: only runs that this person requested.
        by: only runs that this person requested or decided on.
        since: only runs that were requested at that time or later.
        state: only runs in this state.
        settlement: only runs with this settlement; if a run has several, the worst one is used.
        waiting: only runs that need a decision: in review or held.
        skip: how many to skip.
        limit: how many to return at most; None for all.
    """

    sort: Sort = Sort.OLDEST
    requester: str | None = None
    by: str | None = None
    since: AwareDatetime | None = None
    state: str | None = None
    settlement: SettlementState | None = None
    waiting: bool = False
    skip: int = Field(default=0, ge=0)
    limit: int | None = Field(default=None, ge=0)

    def matches(self, state: str) -> bool:
        """Return whether runs in this state are selected."""
        return self.state in (None, state) and (not self.waiting or state in WAITING_STATES)

    def page(self, found: Iterable[Listed]) -> list[Listed]:
        """Return this page of the results, without reading any further."""
        return list(islice(found, self.skip, None if self.limit is None else self.skip + self.limit))


ALL: Final = Wanted()
WAITING: Final = Wanted(waiting=True, sort=Sort.DEADLINE)

_ORDER: Final[dict[Sort, Sequence[ColumnElement[Any]]]] = {
    Sort.DEADLINE: (runs.c.deadline.is_(None), runs.c.deadline, runs.c.workflow_id),
    Sort.NEWEST: (runs.c.opened_at.desc(), runs.c.workflow_id),
    Sort.OLDEST: (runs.c.opened_at, runs.c.workflow_id),
    Sort.ID: (runs.c.workflow_id,),
}


def rows_of(connection: Connection, wanted: Wanted) -> Select[Any]:
    """Return the query for the rows of the selected runs of all pages, in order.

    Rows that were written before states were stored match any state; their trails are checked instead.
    """
    query = select(runs).where(IS_A_RUN).order_by(*_ORDER[wanted.sort])
    if wanted.state is not None:
        query = query.where(or_(runs.c.state == wanted.state, runs.c.state.is_(None)))
    if wanted.settlement is not None:
        query = query.where(runs.c.workflow_id.in_(_with(wanted.settlement)))
    if wanted.waiting:
        query = query.where(or_(runs.c.state.in_(WAITING_STATES), runs.c.state.is_(None)))
    if wanted.since is not None:
        query = query.where(runs.c.opened_at >= wanted.since)
    if wanted.requester is not None:
        query = query.where(_requested_by(connection, wanted.requester))
    if wanted.by is not None:
        deciders = _spellings(connection, select(audit_entries.c.actor).where(_DECIDED), wanted.by)
        decided = select(audit_entries.c.workflow_id).where(_DECIDED, audit_entries.c.actor.in_(deciders))
        query = query.where(
            or_(_requested_by(connection, wanted.by), runs.c.workflow_id.in_(decided.distinct()))
        )
    return query


def _with(settlement: SettlementState) -> Select[Any]:
    """Return the query for the ids of runs with this settlement; `open` is stored in the step's entry."""
    match settlement:
        case SettlementState.OPEN:
            is_one: ColumnElement[bool] = and_(
                audit_entries.c.kind == "done", audit_entries.c.event.contains('"settles_until"')
            )
        case SettlementState.SETTLED | SettlementState.REVERSED:
            is_one = audit_entries.c.kind == settlement.value
        case SettlementState.UNKNOWN:
            is_one = audit_entries.c.kind == "unsettled"
        case _:
            assert_never(settlement)
    return select(audit_entries.c.workflow_id).where(is_one).distinct()


def _requested_by(connection: Connection, name: str) -> ColumnElement[bool]:
    return runs.c.requester.in_(_spellings(connection, select(runs.c.requester), name))


def _spellings(connection: Connection, names: Select[Any], name: str) -> list[str]:
    """Return the spellings of one person's name among ``names``."""
    found: list[str] = list(connection.scalars(names.distinct()))
    return [spelling for spelling in found if identity(spelling) == identity(name)]
