"""The lists of runs: for me, all open, held, done. Each can be searched, and its URL contains the search."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from plangate.web.approving_together import ready_together
from plangate.web.run_lists import EVERYTHING, STATES, RunList, Search, counts_of, listed
from plangate.web.visitors import Visitor, VisitorDep, Web, WebDep

router = APIRouter()

SearchDep = Annotated[Search, Query()]


@router.get("/")
async def for_me(request: Request, web: WebDep, visitor: VisitorDep, search: SearchDep) -> Response:
    """Show what this person may decide now."""
    return await draw_list(request, web, visitor, RunList.FOR_ME, search)


@router.get("/open")
async def all_open(request: Request, web: WebDep, visitor: VisitorDep, search: SearchDep) -> Response:
    """Show all runs that are open."""
    return await draw_list(request, web, visitor, RunList.OPEN, search)


@router.get("/held")
async def held(request: Request, web: WebDep, visitor: VisitorDep, search: SearchDep) -> Response:
    """Show the runs that are held at a step."""
    return await draw_list(request, web, visitor, RunList.HELD, search)


@router.get("/done")
async def done(request: Request, web: WebDep, visitor: VisitorDep, search: SearchDep) -> Response:
    """Show the runs that have ended."""
    return await draw_list(request, web, visitor, RunList.DONE, search)


async def draw_list(
    request: Request,
    web: Web,
    visitor: Visitor,
    which: RunList,
    search: Search = EVERYTHING,
    *,
    status: int = 200,
    **more: str,
) -> Response:
    """Return the page of a list, with an error above it, which may be about a ``run``."""
    found = await listed(web.gate, web.index, visitor, which, search)
    together = await ready_together(web, visitor) if which is RunList.FOR_ME else ()
    return web.pages.draw(
        request,
        "list.html",
        status,
        together=together,
        visitor=visitor,
        which=which.value,
        found=found,
        search=search,
        states=STATES,
        counts=await counts_of(web.index, visitor),
        **{"run": "", **more},
    )
