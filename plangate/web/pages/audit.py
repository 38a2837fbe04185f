"""`/audit`, for auditors: verify the records, list runs, checkpoints and decision times, export a period."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from plangate.audit.deciding_times import QUICK_SECONDS, deciding_times
from plangate.audit.period_export import PeriodExport
from plangate.domain.decisions.accesses import Access, AccessKind
from plangate.domain.errors import PlangateError
from plangate.domain.runs.settlements import SettlementState
from plangate.elapsed import elapsed
from plangate.presentation.clock import now
from plangate.presentation.period_page import spanned
from plangate.records.checkpoints import MAX_SEAL_WAIT, checkpoint_of, last_checkpoint
from plangate.records.database import Database
from plangate.signing.checkpoints import sealed_at
from plangate.signing.jws import PUBLIC_PREFIX
from plangate.web.audited_runs import (
    AUDITED_STATES,
    AuditSearch,
    all_audited,
    as_csv,
    as_json,
    audited_page,
    read_all,
)
from plangate.web.download_buffer import Download
from plangate.web.finding_view import shown_findings
from plangate.web.pages.deciding import text_of
from plangate.web.run_lists import audited
from plangate.web.visitors import (
    FormDep,
    NotSignedIn,
    TooMany,
    Visitor,
    VisitorDep,
    Web,
    WebDep,
    visitor_of,
)

SEALS: Final = 50
"""The number of checkpoints on a page."""
SEE_RULE: Final = """[[see]]
name = "auditors"
when = "true"
who = ["requester", "authors", "deciders"]
roles = ["auditor"]
"""
"""The rule to add to a policy that defines no auditors."""
_DECIDED_WITHIN: Final = timedelta(days=30)
_PAUSE: Final = 0.3  # seconds between two reads of the progress

router = APIRouter()


class NotAnAuditor(Exception):
    """The visitor has no auditor role; ``roles`` are the auditor roles in the policy."""

    def __init__(self, visitor: Visitor) -> None:
        super().__init__()
        self.visitor = visitor
        self.roles = sorted({role for roles in visitor.rights.auditing for role in roles})


async def auditor_of(visitor: VisitorDep) -> Visitor:
    """Return the visitor.

    Raises:
        NotAnAuditor: the visitor may not audit.
    """
    if not visitor.rights.is_auditor:
        raise NotAnAuditor(visitor)
    return visitor


AuditorDep = Annotated[Visitor, Depends(auditor_of)]
SearchDep = Annotated[AuditSearch, Query()]


@router.get("/audit")
async def overview(request: Request, web: WebDep, visitor: AuditorDep) -> Response:
    """Show what an auditor can do."""
    return await _overview(request, web, visitor)


@router.post("/audit/verify")
async def verify(web: WebDep, visitor: AuditorDep, form: FormDep) -> Response:
    """Start verifying all records."""
    del form
    web.audits.verify(visitor.name)
    return RedirectResponse("/audit/verify", 303)


@router.get("/audit/verify")
async def verification(request: Request, web: WebDep, visitor: AuditorDep) -> Response:
    """Show the progress of the verification, or its findings."""
    newest = web.audits.newest
    if newest is None:
        return RedirectResponse("/audit", 303)
    found = await shown_findings(web, visitor, newest.inspection)
    return web.pages.draw(
        request,
        "audit_verify.html",
        visitor=visitor,
        newest=newest,
        found=found,
        sealers=[PUBLIC_PREFIX + one for one in newest.inspection.sealers] if newest.inspection else [],
    )


@router.get("/audit/verify/progress", response_class=EventSourceResponse)
async def progress(request: Request, web: WebDep, _: AuditorDep) -> AsyncIterable[ServerSentEvent]:
    """Stream the progress of the verification until it ends."""
    before: int | None = None
    while await _may_continue(request):
        newest = web.audits.newest
        if newest is None or not web.audits.is_verifying:
            yield ServerSentEvent(data="", event="ended")
            return
        if newest.percent != before:
            before = newest.percent
            yield ServerSentEvent(data={"percent": before}, event="progress")
        await asyncio.sleep(_PAUSE)


@router.get("/audit/runs")
async def runs(request: Request, web: WebDep, visitor: AuditorDep, search: SearchDep) -> Response:
    """Show the recorded runs."""
    found, has_more = await audited_page(web, visitor, search)
    return web.pages.draw(
        request,
        "audit_runs.html",
        visitor=visitor,
        found=found,
        has_more=has_more,
        search=search,
        states=AUDITED_STATES,
        settlements=list(SettlementState),
    )


@router.get("/audit/runs.csv")
async def runs_csv(web: WebDep, visitor: AuditorDep, search: SearchDep) -> Response:
    """Return the whole list as comma-separated values; the download is recorded first."""
    await _note_copy(web, visitor, f"the list of runs as CSV ({search.query() or 'all'})")
    return _file(as_csv(all_audited(web, visitor, search)), "plangate-runs.csv", "text/csv; charset=utf-8")


@router.get("/audit/runs.json")
async def runs_json(web: WebDep, visitor: AuditorDep, search: SearchDep) -> Response:
    """Return the whole list as JSON; the download is recorded first."""
    await _note_copy(web, visitor, f"the list of runs as JSON ({search.query() or 'all'})")
    return _file(as_json(all_audited(web, visitor, search)), "plangate-runs.json", "application/json")


@router.get("/audit/seals")
async def seals(
    request: Request, web: WebDep, visitor: AuditorDep, before: Annotated[int | None, Query(ge=1)] = None
) -> Response:
    """Show the checkpoints, newest first."""
    found = await asyncio.to_thread(_seals, web.gate.database, before)
    return web.pages.draw(request, "audit_seals.html", visitor=visitor, found=found)


@router.get("/audit/deciders")
async def deciders(
    request: Request, web: WebDep, visitor: AuditorDep, since: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """Show how fast each person decided, and the decisions from which this was computed."""
    begin = _day(since) or (now() - _DECIDED_WITHIN).date()
    await read_all(web)
    answers = await web.audits.decided(datetime.combine(begin, time(), UTC))
    ids = list({one.workflow_id for one in answers})
    seen = await asyncio.to_thread(audited, web.index, visitor, ids)
    shown = await asyncio.to_thread(web.views.shown)
    return web.pages.draw(
        request,
        "audit_deciders.html",
        visitor=visitor,
        since=begin,
        found=deciding_times((one for one in answers if one.workflow_id in seen), shown),
        quick=f"{QUICK_SECONDS:g}",
    )


@router.post("/audit/export")
async def export(request: Request, web: WebDep, visitor: AuditorDep, form: FormDep) -> Response:
    """Return the evidence of a period in the format of `audit export`; the download is recorded first."""
    first, last = _day(text_of(form, "since")), _day(text_of(form, "until"))
    at = now().replace(microsecond=0)  # as in `plangate.cli.period_files`
    if first is None or last is None or first > last or first > at.date():
        return await _overview(request, web, visitor, "audit.no_period")
    since = datetime.combine(first, time(), UTC)
    until = at if last >= at.date() else datetime.combine(last + timedelta(days=1), time(), UTC)
    await read_all(web)
    if await _has_hidden(web, visitor, await asyncio.to_thread(_ids, web.gate.database, since, until)):
        return await _overview(request, web, visitor, "audit.hidden_runs")
    await _note_copy(web, visitor, f"all runs {spanned(since, until)}")
    await _wait_for_seal(web, since, until)
    evidence = await web.audits.export(since, until)
    try:
        is_hidden = await _has_hidden(web, visitor, evidence.runs)  # a run that was requested in the meantime
    except BaseException:
        evidence.copy.close()
        raise
    if is_hidden:
        evidence.copy.close()
        return await _overview(request, web, visitor, "audit.hidden_runs")
    suffix = "" if evidence.is_closed else ".not-sealed-at-its-end"
    return Download(evidence.copy, f"plangate-{first}-to-{last}{suffix}.jsonl", "application/jsonl")


async def _may_continue(request: Request) -> bool:
    """Return whether the visitor is still signed in and an auditor; retry while this cannot be read."""
    while True:
        try:
            return (await visitor_of(request)).rights.is_auditor
        except (NotSignedIn, TooMany):
            return False
        except PlangateError:  # the records are unavailable now
            await asyncio.sleep(_PAUSE)


async def _overview(request: Request, web: Web, visitor: Visitor, fault: str = "") -> Response:
    today = now().date()
    found = await asyncio.to_thread(_seals, web.gate.database, None)
    return web.pages.draw(
        request,
        "audit.html",
        HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.OK,
        visitor=visitor,
        newest=web.audits.newest,
        seal=found[0] if found else None,
        since=today.replace(day=1),
        until=today,
        fault=fault,
    )


async def _has_hidden(web: Web, visitor: Visitor, ids: tuple[str, ...]) -> bool:
    seen = await asyncio.to_thread(audited, web.index, visitor, ids)
    return not seen.issuperset(ids)


async def _wait_for_seal(web: Web, since: datetime, until: datetime) -> None:
    """Wait for the checkpoint that closes a period, which seals the access that was just recorded."""
    ends = elapsed() + MAX_SEAL_WAIT * web.audits.seal_seconds
    is_closed = False
    while not is_closed and elapsed() < ends:
        await asyncio.sleep(_PAUSE)
        is_closed = await asyncio.to_thread(_is_closed, web.gate.database, since, until)


def _is_closed(database: Database, since: datetime, until: datetime) -> bool:
    with database.read() as connection:
        return PeriodExport(connection, since, until).is_closed


def _ids(database: Database, since: datetime, until: datetime) -> tuple[str, ...]:
    with database.read() as connection:
        return PeriodExport(connection, since, until).workflow_ids


async def _note_copy(web: Web, visitor: Visitor, subject: str) -> None:
    await web.gate.record_access(Access(what=AccessKind.EXPORTED, by=visitor.name, subject=subject))


def _file(content: AsyncIterator[str], name: str, media_type: str) -> Response:
    named = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(content, media_type=media_type, headers=named)


def _seals(database: Database, before: int | None) -> list[tuple[int, datetime | None, str]]:
    """Return the number, time and key of some checkpoints, newest first."""
    found: list[tuple[int, datetime | None, str]] = []
    with database.read() as connection:
        newest = last_checkpoint(connection)
        last = min(newest.number if newest else 0, (before or newest.number + 1 if newest else 1) - 1)
        for number in range(last, max(0, last - SEALS), -1):
            one = checkpoint_of(connection, number)
            if one is None:
                found.append((number, None, ""))
                continue
            found.append((number, sealed_at(one), PUBLIC_PREFIX + one.public_key))
    return found


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
