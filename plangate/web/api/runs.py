"""Serve runs and decisions to programs: ``/api/v1/runs``."""

import asyncio
import hashlib
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import ValidationError

from plangate.audit.evidence import Bundle
from plangate.audit.recorded_bundle import bundle_on_record
from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.decisions.accesses import Access, AccessKind
from plangate.domain.decisions.decision import Decision, DecisionAnswer, first_faults, wrong_parts
from plangate.domain.errors import RequestInvalid, RunNotFound
from plangate.domain.runs.request import read_request
from plangate.domain.runs.status import Status
from plangate.elapsed import elapsed
from plangate.presentation.clock import now
from plangate.web.api.bodies import NewDecision, NewRun
from plangate.web.api.list_parameters import RunsWanted
from plangate.web.api.problems import RESPONSES
from plangate.web.run_addresses import RUN
from plangate.web.run_lists import Line, listed
from plangate.web.visitors import VisitorDep, WebDep, note_access
from plangate.web.web_key import attested

LONGEST_WAIT: Final = 60
"""The longest time, in seconds, that one request may wait for a change."""
_PAUSE: Final = 0.5  # seconds between two reads

router = APIRouter(prefix="/api/v1", tags=["runs"], responses=RESPONSES)

RunId = Annotated[str, Path(min_length=1, max_length=200, description="The workflow id.")]


class RunLine(Frozen):
    """One run in a list.

    Attributes:
        preview: what its first step does, or the step at which it is held.
        held_step: the number of the step at which it is held; 0 if it is not.
        skipped: the numbers of the steps that an executed run skipped.
        reversed: the numbers of the steps whose effects the remote system has reversed.
    """

    workflow_id: str
    preview: str
    more_steps: int
    held_step: int
    skipped: tuple[int, ...]
    reversed: tuple[int, ...]
    requester: str
    state: str
    deadline: AwareDatetime | None
    closed_at: AwareDatetime | None


class Submitted(Frozen):
    """The run that was started."""

    workflow_id: str


@router.get("/runs")
async def list_runs(
    web: WebDep, visitor: VisitorDep, wanted: Annotated[RunsWanted, Query()]
) -> list[RunLine]:
    """List the runs that you may decide on now, or all open, held or ended runs.

    Open runs are sorted by deadline, earliest first; ended runs are listed newest first. An empty page marks
    the end of the list.
    """
    found = await listed(web.gate, web.index, visitor, wanted.which, wanted.search)
    return [_line(line) for line in found.lines]


@router.post("/runs", status_code=HTTPStatus.CREATED)
async def submit(web: WebDep, visitor: VisitorDep, body: NewRun, response: Response) -> Submitted:
    """Start a run: you are its requester, and cannot approve it."""
    sent = {**body.model_dump(mode="json", exclude={"id"}), "requester": visitor.name}
    request = read_request([sent])
    client = await web.gate.client()
    workflow_id = await client.submit(request, body.id)
    response.headers["Location"] = f"/api/v1/runs/{workflow_id}"
    return Submitted(workflow_id=workflow_id)


@router.get(f"{RUN}/evidence")
async def get_evidence(web: WebDep, visitor: VisitorDep, workflow_id: RunId, response: Response) -> Bundle:
    """Return the evidence of a run, for `plangate verify-bundle`; the download is recorded first."""
    await web.gate.status(workflow_id, visitor.rights)
    await web.gate.record_access(Access(what=AccessKind.EXPORTED, by=visitor.name, subject=workflow_id))
    bundle = await asyncio.to_thread(bundle_on_record, web.gate.database, workflow_id)
    if not bundle.entries:
        raise RunNotFound("This run is not recorded yet; try again in a moment.")
    response.headers["Content-Disposition"] = 'attachment; filename="evidence.json"'
    return bundle


@router.post(f"{RUN}/decisions")
async def decide(
    web: WebDep, visitor: VisitorDep, workflow_id: RunId, body: NewDecision, response: Response
) -> DecisionAnswer:
    """Decide, and return the result; 202 if the decision is stored until a worker runs.

    For a refused decision, the response is 200 with ``accepted`` false and the reason; it is recorded too.
    """
    status = await web.gate.status(workflow_id, visitor.rights)
    decision = _decision(body, visitor.name)
    client = await web.gate.client()
    proven = attested(decision, status, visitor.session, web.key, now())
    answer = await client.decide(workflow_id, proven)
    if answer is None or answer.accepted is None:
        response.status_code = HTTPStatus.ACCEPTED
    waiting = DecisionAnswer(
        accepted=None,
        reason="no worker is running now; the decision is stored until one runs",
        state=status.state,
    )
    return answer or waiting


@router.get(
    RUN,
    response_model=Status,
    responses={HTTPStatus.NOT_MODIFIED.value: {"description": "It has not changed within that time."}},
)
async def get_run(
    *,
    web: WebDep,
    visitor: VisitorDep,
    workflow_id: RunId,
    response: Response,
    wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for a change.")] = 0,
    if_none_match: Annotated[
        str | None, Header(max_length=200, description="The ETag that you have; default: the current one.")
    ] = None,
) -> Status | Response:
    """Return the checked status of a run. With ``wait``, return when it changes, or after that time."""
    ends = elapsed() + wait
    status = await web.gate.status(workflow_id, visitor.rights)
    await note_access(web, visitor, status)
    known = if_none_match or (_tag(status) if wait else "")
    while (tag := _tag(status)) == known and elapsed() < ends:
        await asyncio.sleep(_PAUSE)
        status = await web.gate.status(workflow_id, visitor.rights)
    if tag == if_none_match:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return status


def _tag(status: Status) -> str:
    """Return the ETag of this state of a run; it does not depend on where the state was read."""
    written = status.model_dump_json(exclude={"source", "workers_differ"})
    return f'"{hashlib.sha256(written.encode(errors="surrogatepass")).hexdigest()[:32]}"'


def _decision(body: NewDecision, by: str) -> Decision:
    """Return the decision that was sent.

    Raises:
        RequestInvalid: a part is missing, or there is an extra one.
    """
    try:
        decision = Decision(by=by, **body.model_dump())
    except ValidationError as error:
        raise RequestInvalid(f"The decision was not sent: {first_faults(error)}.") from None
    wrong = wrong_parts(decision)
    if wrong is not None:
        raise RequestInvalid(f"The decision was not sent: {wrong}.")
    return decision


def _line(line: Line) -> RunLine:
    return RunLine(
        workflow_id=line.workflow_id,
        preview=line.preview,
        more_steps=line.more,
        held_step=line.held_step,
        skipped=line.deviations.skipped,
        reversed=line.deviations.reversed,
        requester=line.requester,
        state=line.state,
        deadline=line.deadline,
        closed_at=line.closed_at,
    )
