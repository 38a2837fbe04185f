"""`/runs/ID`: a run's page, the record of its opened sections, and its live updates."""

import asyncio
from collections.abc import AsyncIterable
from io import BytesIO

import segno
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from plangate.domain.errors import PlangateError, RunNotFound
from plangate.domain.runs.audit import OUTCOMES
from plangate.elapsed import elapsed
from plangate.presentation.clock import now
from plangate.web.approving_together import may_be_together
from plangate.web.pages.deciding import text_of, unopened, unopened_files
from plangate.web.run_addresses import RUN, in_address
from plangate.web.run_lists import counts_of
from plangate.web.run_reader import note_shown, read_run
from plangate.web.visitor_actions import acts_of
from plangate.web.visitors import FormDep, NotSignedIn, RunDep, TooMany, VisitorDep, WebDep, visitor_of

_PAUSE = 1.0  # seconds between two reads of a run
_MOST_FOLDS = 1_000
_LONGEST = 3_600.0  # seconds; live updates stop this soon after the end of a session

router = APIRouter()


@router.get(f"{RUN}/changes", response_class=EventSourceResponse)
async def changes(
    request: Request, web: WebDep, workflow_id: str, _: RunDep
) -> AsyncIterable[ServerSentEvent]:
    """Send an event each time the run changes, until it has ended, for an hour at most."""
    before: object = None
    ends = elapsed() + _LONGEST
    while elapsed() < ends:
        try:
            visitor = await visitor_of(request)  # raises if the person has left the list
            status = await web.gate.status(workflow_id, visitor.rights)
        except (NotSignedIn, TooMany, RunNotFound):
            return
        except PlangateError:
            await asyncio.sleep(_PAUSE)
            continue
        seen = (status.state, status.fingerprint, len(status.decisions), [one.state for one in status.steps])
        if before is not None and seen != before:
            yield ServerSentEvent(data=status.state, event="changed")
        if status.state in OUTCOMES:
            yield ServerSentEvent(data=status.state, event="ended")
            return
        before = seen
        await asyncio.sleep(_PAUSE)


@router.post(f"{RUN}/opened")
async def opened(web: WebDep, visitor: VisitorDep, form: FormDep, workflow_id: str) -> Response:
    """Record which sections of a plan were read to the end. If all were, it may be approved with others.

    The form is that of the page: ``plan``, and ``opened`` and ``inside`` of each section so far. A script
    sends it after each section. Without scripts, a button sends it, with ``then=list`` to go back to the
    list.
    """
    plan, names = text_of(form, "plan"), [str(name) for name in form.getlist("opened")]
    await asyncio.to_thread(web.views.note_opened, visitor.name, workflow_id, plan, names[:_MOST_FOLDS])
    view = await read_run(web, visitor, workflow_id)
    is_whole = plan == view.status.fingerprint and not unopened(form, view.folds)
    if is_whole and may_be_together(view) and not await unopened_files(web, visitor, form, view):
        await asyncio.to_thread(web.opened.note, visitor.session, workflow_id, plan, now())
    return RedirectResponse("/", 303) if text_of(form, "then") == "list" else Response(status_code=204)


@router.get(f"{RUN}/link.svg")
async def link(web: WebDep, _: RunDep, workflow_id: str) -> Response:
    """Return a run's address as a QR code; it contains no session."""
    address = f"{web.place.url}/runs/{in_address(workflow_id)}"
    drawing = BytesIO()
    segno.make(address, micro=False).save(drawing, kind="svg", scale=4, light="#fff")
    return Response(drawing.getvalue(), media_type="image/svg+xml")


@router.get(RUN)
async def show(request: Request, web: WebDep, visitor: VisitorDep, workflow_id: str) -> Response:
    """Show a run: its effects, the approvals that it needs, and every step in full."""
    view = await read_run(web, visitor, workflow_id)
    if may_be_together(view) and not view.folds:
        await asyncio.to_thread(
            web.opened.note, visitor.session, workflow_id, view.status.fingerprint or "", now()
        )
    counts = await counts_of(web.index, visitor)
    acts = await acts_of(request, visitor, view)
    await note_shown(web, visitor, view)
    return web.pages.draw(request, "run.html", visitor=visitor, run=view, counts=counts, acts=acts)
