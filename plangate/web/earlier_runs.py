"""Search the executed runs that a visitor may see for known recipients, and for the last similar plan."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

from sqlalchemy import select

from plangate.domain.errors import PlangateError, RecordsMissing
from plangate.domain.people.people import identity
from plangate.domain.runs.audit import Outcome
from plangate.domain.runs.status import Status
from plangate.records.database import Database
from plangate.records.duplicates import unnamed_runs
from plangate.records.queries import status_on_record
from plangate.web.index_tables import contacts, lines, needs
from plangate.web.run_index import RunIndex
from plangate.web.run_lists import VISIBILITY_COLUMNS, shows
from plangate.web.run_view import contacts_of_run
from plangate.web.visitors import Visitor

_MOST: Final = 300
"""How many of the newest runs with the same tools are searched for a similar run."""
_FAMILIAR: Final = 5
"""How many executed runs with a tool there must be before its new recipients are marked."""
_MOST_SEARCHED: Final = 10
"""How many similar runs are searched for one that the visitor may see."""


def reached_before(index: RunIndex, visitor: Visitor, wanted: Sequence[str]) -> frozenset[str]:
    """Return which of these recipients and hosts were reached by a run that this visitor may see.

    Runs that the visitor may not see are ignored, because the result would reveal what happened in them.
    """
    texts = {row.number: row.text for row in index.read(select(needs))}
    query = select(contacts.c.contact, *VISIBILITY_COLUMNS).join(
        lines, lines.c.workflow_id == contacts.c.workflow_id
    )
    rows = index.rows(query.where(contacts.c.contact.in_(wanted)).distinct())
    return frozenset(row.contact for row in rows if shows(visitor, row, texts))


def familiar_tools(index: RunIndex, visitor: Visitor, wanted: Iterable[str]) -> frozenset[str]:
    """Return which of these tools were used by at least five executed runs that this visitor may see."""
    texts = {row.number: row.text for row in index.read(select(needs))}
    query = select(*VISIBILITY_COLUMNS).where(lines.c.state == Outcome.EXECUTED.value)
    newest = query.order_by(lines.c.closed_at.desc()).limit(_MOST)

    def is_familiar(tool: str) -> bool:
        rows = index.read(newest.where(lines.c.tools.contains(f" {tool} ", autoescape=True)))
        seen = (row for row in rows if shows(visitor, row, texts))
        return len(list(islice(seen, _FAMILIAR))) == _FAMILIAR

    return frozenset(filter(is_familiar, wanted))


def tools_seen(index: RunIndex, visitor: Visitor) -> frozenset[str]:
    """Return the tools of the runs that this visitor may see."""
    texts = {row.number: row.text for row in index.read(select(needs))}
    rows = index.rows(select(lines.c.tools, *VISIBILITY_COLUMNS).distinct())
    return frozenset(tool for row in rows if shows(visitor, row, texts) for tool in row.tools.split())


def last_similar_run(database: Database, index: RunIndex, visitor: Visitor, status: Status) -> Status | None:
    """Return the newest similar executed run that this visitor may see, if any.

    It has the same tools in the same order, and was requested by the same person or reached the same
    recipients and hosts. Other comparisons would not be useful.
    """
    for workflow_id in islice(_similar_runs(index, status), _MOST_SEARCHED):
        try:
            other = status_on_record(database, workflow_id)
        except PlangateError:  # a plan that cannot be shown cannot be compared
            continue
        if other is not None and other.plan is not None and visitor.rights.shows(other):
            return other
    return None


def named_duplicates(database: Database, visitor: Visitor, status: Status) -> Status:
    """Return a status whose duplicates also include the ids of runs that only some people may see."""
    with suppress(RecordsMissing), database.read() as connection:
        found = [
            () if one.workflow_id else unnamed_runs(connection, status.workflow_id, one)
            for one in status.repeated
        ]
        may_see = {name for names in found for name in names if _may_see(database, visitor, name)}
        named = tuple(
            one.model_copy(update={"workflow_id": next((name for name in names if name in may_see), "")})
            if names
            else one
            for one, names in zip(status.repeated, found, strict=True)
        )
        field = "duplicates" if status.duplicates_now is None else "duplicates_now"
        return status.model_copy(update={field: named})
    return status


def _may_see(database: Database, visitor: Visitor, workflow_id: str) -> bool:
    with suppress(PlangateError):
        other = status_on_record(database, workflow_id)
        return other is not None and visitor.rights.shows(other)
    return False


def _similar_runs(index: RunIndex, status: Status) -> Iterator[str]:
    """Yield the similar executed runs, newest first."""
    tools = f" {' '.join(step.tool for step in status.steps)} "
    named = select(lines.c.workflow_id, lines.c.requester_key)
    query = named.where(lines.c.tools == tools, lines.c.state == Outcome.EXECUTED.value)
    rows = index.read(query.order_by(lines.c.closed_at.desc()).limit(_MOST))
    ids = [row.workflow_id for row in rows]
    reached: dict[str, set[str]] = defaultdict(set)
    for row in index.read(select(contacts).where(contacts.c.workflow_id.in_(ids))):
        reached[row.workflow_id].add(row.contact)
    wanted, requester = set(contacts_of_run(status)), identity(status.requester)
    for row in rows:
        if row.requester_key == requester or (wanted and reached[row.workflow_id] == wanted):
            yield row.workflow_id
