"""Runs and decisions for programs: ``/api/v1/runs``."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.status import Status
from plangate.web.api.problems import RESPONSES
from plangate.web.run_lists import Line, Which, listed
from plangate.web.visitors import VisitorDep, WebDep

router = APIRouter(prefix="/api/v1", tags=["runs"], responses=RESPONSES)

RunId = Annotated[str, Path(min_length=1, max_length=200, description="The workflow id.")]


class RunLine(Frozen):
    """One run of a list."""

    workflow_id: str
    preview: str
    more_steps: int
    requester: str
    state: str
    deadline: AwareDatetime | None


@router.get("/runs")
async def list_runs(
    web: WebDep, visitor: VisitorDep, which: Annotated[Which, Query(alias="list")] = Which.FOR_ME
) -> list[RunLine]:
    """List runs: those that you may decide on now, all open ones, the held ones, or those that ended."""
    found = await listed(web.gate, web.index, visitor, which)
    return [_line(line) for line in found.lines]


@router.get("/runs/{workflow_id}")
async def get_run(web: WebDep, visitor: VisitorDep, workflow_id: RunId) -> Status:
    """Return the status of a run, checked."""
    return await web.gate.status(workflow_id, visitor.sight)


def _line(line: Line) -> RunLine:
    return RunLine(
        workflow_id=line.workflow_id,
        preview=line.preview,
        more_steps=line.more,
        requester=line.requester,
        state=line.state,
        deadline=line.deadline,
    )
