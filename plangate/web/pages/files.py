"""`/runs/ID/files/SHA-256`: a step's attachment, shown in a frame that cannot run scripts or load anything.

A file is shown if it is an image or a PDF, and its bytes match the type in its name. Other files can only be
downloaded. A PDF is never treated as another type (`nosniff`), and is shown by the browser's viewer, which is
separate from the page. Chromium does not show PDFs in a document with the directive `sandbox`, so a PDF is
the only response without it. The frame and the policy of a PDF still prevent it from loading anything.
"""

import asyncio
import hashlib
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response

from plangate.domain.errors import RunNotFound
from plangate.domain.plans.attachments import Attachment, attachments_in
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.records.attachments import contents_of
from plangate.records.database import Database
from plangate.web.run_addresses import RUN
from plangate.web.run_view import PDF
from plangate.web.visitors import Visitor, VisitorDep, Web, WebDep, note_access

router = APIRouter()

_SIGNATURES: Final = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
    PDF: (b"%PDF-",),
}
_LOADS_NOTHING: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
_FRAMED: Final = {"X-Frame-Options": "SAMEORIGIN", "Content-Security-Policy": _LOADS_NOTHING}
_SANDBOXED: Final = {**_FRAMED, "Content-Security-Policy": f"sandbox; {_LOADS_NOTHING}"}


@router.get(f"{RUN}/files/{{sha256}}")
async def show(
    web: WebDep, visitor: VisitorDep, workflow_id: str, sha256: str, *, alone: bool = False
) -> Response:
    """Return an attachment to show; if it is opened ``alone`` instead of in a frame, record that."""
    file, content = await _read(web, visitor, workflow_id, sha256)
    if alone:
        await asyncio.to_thread(web.opened.note_file, visitor.session, sha256, now())
    if content.startswith(_SIGNATURES.get(file.media_type, ())):
        policy = _FRAMED if file.media_type == PDF else _SANDBOXED
        headers = {**policy, "Content-Disposition": "inline"}
        return Response(content, media_type=file.media_type, headers=headers)
    words = "This file does not match its name, or is of a kind that is not shown. Download it with care.\n"
    return Response(words, media_type="text/plain; charset=utf-8", headers=_SANDBOXED)


@router.get(f"{RUN}/files/{{sha256}}/download")
async def download(web: WebDep, visitor: VisitorDep, workflow_id: str, sha256: str) -> Response:
    """Return an attachment as a download, and record the download."""
    file, content = await _read(web, visitor, workflow_id, sha256)
    await asyncio.to_thread(web.opened.note_file, visitor.session, sha256, now())
    named = f"attachment; filename*=UTF-8''{quote(file.name.rpartition('/')[2], safe='')}"
    headers = {**_SANDBOXED, "Content-Disposition": named}
    return Response(content, media_type="application/octet-stream", headers=headers)


async def _read(web: Web, visitor: Visitor, workflow_id: str, sha256: str) -> tuple[Attachment, bytes]:
    """Return an attachment in the run's plan, and its bytes.

    Raises:
        RunNotFound: there is no such run, or its plan has no such stored file.
    """
    status = await web.gate.status(workflow_id, visitor.rights)
    await note_access(web, visitor, status)
    named = _attachment_in(status, sha256)
    content = await asyncio.to_thread(_content_of, web.gate.database, sha256) if named else None
    if named is None or content is None or hashlib.sha256(content).hexdigest() != sha256:
        raise RunNotFound("The plan has no such attachment; open the run again.")
    return named, content


def _attachment_in(status: Status, sha256: str) -> Attachment | None:
    files = (one for step in status.steps for one in attachments_in(step.observation))
    return next((one for one in files if one.sha256 == sha256), None)


def _content_of(database: Database, sha256: str) -> bytes | None:
    with database.read() as connection:
        return dict(contents_of(connection, (sha256,))).get(sha256)
