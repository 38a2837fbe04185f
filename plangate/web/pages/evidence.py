"""`/runs/ID/proof` and `/runs/ID/evidence`: the evidence of a run, and how anyone can check it."""

import asyncio
import json
import re

from fastapi import APIRouter, Request
from starlette.responses import Response

from plangate.audit.evidence import sealed_up_to
from plangate.audit.recorded_bundle import bundle_on_record
from plangate.domain.decisions.accesses import Access, AccessKind
from plangate.records.queries import trail_on_record
from plangate.web.run_addresses import RUN
from plangate.web.visitors import VisitorDep, WebDep, note_access

router = APIRouter()

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


@router.get(f"{RUN}/proof")
async def show(request: Request, web: WebDep, visitor: VisitorDep, workflow_id: str) -> Response:
    """Explain the evidence, and how to check it."""
    status = await web.gate.status(workflow_id, visitor.rights)
    await note_access(web, visitor, status)
    await asyncio.to_thread(trail_on_record, web.gate.database, workflow_id)
    bundle = await asyncio.to_thread(bundle_on_record, web.gate.database, workflow_id)
    return web.pages.draw(
        request,
        "proof.html",
        visitor=visitor,
        run=status,
        file=_file_of(workflow_id),
        unsealed=len(bundle.entries) - sealed_up_to(bundle),
    )


@router.get(f"{RUN}/evidence")
async def download(web: WebDep, visitor: VisitorDep, workflow_id: str) -> Response:
    """Return the evidence in the format of `audit export`; the download is recorded first."""
    await web.gate.status(workflow_id, visitor.rights)
    await asyncio.to_thread(trail_on_record, web.gate.database, workflow_id)
    await web.gate.record_access(Access(what=AccessKind.EXPORTED, by=visitor.name, subject=workflow_id))
    bundle = await asyncio.to_thread(bundle_on_record, web.gate.database, workflow_id)
    content = json.dumps(bundle.model_dump(mode="json"), indent=2, ensure_ascii=True) + "\n"
    named = f'attachment; filename="{_file_of(workflow_id)}"'
    return Response(content, media_type="application/json", headers={"Content-Disposition": named})


def _file_of(workflow_id: str) -> str:
    """Return a name for the file that is valid on every system."""
    return f"{_NOT_PLAIN.sub('-', workflow_id)[:100].strip('.-') or 'run'}.evidence.json"
