"""List recorded runs for an auditor, with filters, page by page or all at once."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, date, datetime, time
from io import StringIO
from typing import Final
from urllib.parse import urlencode

from pydantic import Field, field_validator

from plangate.domain.base import Frozen
from plangate.domain.runs.settlements import SettlementState
from plangate.presentation.audit_pages import COLUMNS, values_of
from plangate.records.lists import Sort, Wanted
from plangate.records.queries import DAMAGED, RunSummary, ids_on_record, summaries_on_record
from plangate.web.run_lists import MOST_PAGES, PAGE, STATES, audited
from plangate.web.visitors import Visitor, Web

AUDITED_STATES: Final = (*STATES, DAMAGED)
_AT_ONCE: Final = 200


class AuditSearch(Frozen):
    """The filters of the list, as on the command line; an empty filter matches everything."""

    since: date | None = None
    by: str = Field(default="", max_length=200)
    state: str = Field(default="", max_length=50)
    settlement: SettlementState | None = None
    page: int = Field(default=1, ge=1, le=MOST_PAGES)

    @field_validator("since", "settlement", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        """Ignore an empty field of a form."""
        return value or None

    @property
    def is_narrow(self) -> bool:
        """Whether any filter is set."""
        return self.model_copy(update={"page": 1}) != AuditSearch()

    def query(self, page: int = 1) -> str:
        """Return the URL query of this search, for another page."""
        named = {**self.model_dump(mode="json"), "page": page if page > 1 else ""}
        return urlencode({name: value for name, value in named.items() if value})

    def wanted(self) -> Wanted:
        """Return the search as a database query over the records, newest first."""
        return Wanted(
            sort=Sort.NEWEST,
            since=datetime.combine(self.since, time(), UTC) if self.since else None,
            by=self.by.strip() or None,
            state=self.state if self.state in STATES else None,
            settlement=self.settlement,
        )

    def matches(self, summary: RunSummary) -> bool:
        """Return whether a run matches the filters, according to its trail instead of its row."""
        is_state = not self.state or summary.state == self.state
        return is_state and self.settlement in (None, summary.settlement)


async def audited_page(web: Web, visitor: Visitor, search: AuditSearch) -> tuple[list[RunSummary], bool]:
    """Return one page of the list, and whether there are more.

    Raises:
        RecordsMissing, RecordsUnavailable: the records cannot be read.
    """
    await read_all(web)
    return await asyncio.to_thread(_page, web, visitor, search)


async def all_audited(web: Web, visitor: Visitor, search: AuditSearch) -> AsyncIterator[list[RunSummary]]:
    """Yield every run in the list, in batches."""
    await read_all(web)
    ids = await asyncio.to_thread(_ids, web, visitor, search)
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        found = await asyncio.to_thread(summaries_on_record, web.gate.database, some)
        yield [one for one in found if search.matches(one)]


async def read_all(web: Web) -> None:
    """Wait until the index has read every run, so that the list is complete."""
    unread = await web.index.refresh()
    while unread:
        unread = await web.index.refresh()


async def as_csv(chunks: AsyncIterator[list[RunSummary]]) -> AsyncIterator[str]:
    """Write runs as comma-separated values, as `audit list --csv` does."""
    yield _lines([COLUMNS])
    async for some in chunks:
        yield _lines(values_of(one) for one in some)


async def as_json(chunks: AsyncIterator[list[RunSummary]]) -> AsyncIterator[str]:
    """Write runs as one JSON array, as `audit list --json` does."""
    before = "[\n"
    async for some in chunks:
        for one in some:
            yield before + json.dumps(one.model_dump(mode="json"))
            before = ",\n"
    yield "\n]\n" if before != "[\n" else "[]\n"


def _lines(rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    written = StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue()


def _ids(web: Web, visitor: Visitor, search: AuditSearch) -> list[str]:
    ids = ids_on_record(web.gate.database, search.wanted())
    seen = audited(web.index, visitor, ids)
    return [one for one in ids if one in seen]


def _page(web: Web, visitor: Visitor, search: AuditSearch) -> tuple[list[RunSummary], bool]:
    skipped, found = (search.page - 1) * PAGE, []
    ids = _ids(web, visitor, search)[skipped if not search.is_narrow else 0 :]
    for start in range(0, len(ids), _AT_ONCE):
        some = summaries_on_record(web.gate.database, ids[start : start + _AT_ONCE])
        found += [one for one in some if search.matches(one)]
        if len(found) > PAGE + (skipped if search.is_narrow else 0):
            break
    page = found[skipped if search.is_narrow else 0 :]
    return page[:PAGE], len(page) > PAGE
