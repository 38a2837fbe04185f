"""`/runs/ID/trail`: the audit trail of a run, one entry per line."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from plangate.presentation.trail_page import entry_words
from plangate.records.queries import trail_on_record
from plangate.web.run_addresses import RUN
from plangate.web.visitors import VisitorDep, WebDep, note_access

router = APIRouter()


@router.get(f"{RUN}/trail")
async def show(request: Request, web: WebDep, visitor: VisitorDep, workflow_id: str) -> Response:
    """Show every entry of the trail."""
    await note_access(web, visitor, await web.gate.status(workflow_id, visitor.rights))
    entries = await asyncio.to_thread(trail_on_record, web.gate.database, workflow_id)
    described = [(entry, entry_words(entry)) for entry in entries]
    return web.pages.draw(request, "trail.html", visitor=visitor, workflow_id=workflow_id, entries=described)
