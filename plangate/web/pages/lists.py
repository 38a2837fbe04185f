"""The lists of runs: for me, all open, held, done."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from plangate.web.run_lists import Which, listed
from plangate.web.visitors import VisitorDep, WebDep

router = APIRouter()


@router.get("/")
async def for_me(request: Request, web: WebDep, visitor: VisitorDep) -> Response:
    """Show what this person may decide now."""
    return await _page(request, web, visitor, Which.FOR_ME)


@router.get("/open")
async def all_open(request: Request, web: WebDep, visitor: VisitorDep) -> Response:
    """Show all runs that are open."""
    return await _page(request, web, visitor, Which.OPEN)


@router.get("/held")
async def held(request: Request, web: WebDep, visitor: VisitorDep) -> Response:
    """Show the runs that are held at a step."""
    return await _page(request, web, visitor, Which.HELD)


@router.get("/done")
async def done(request: Request, web: WebDep, visitor: VisitorDep) -> Response:
    """Show the runs that have ended."""
    return await _page(request, web, visitor, Which.DONE)


async def _page(request: Request, web: WebDep, visitor: VisitorDep, which: Which) -> Response:
    return web.pages.draw(
        request, "list.html", visitor=visitor, which=which.value, found=await listed(web.gate, visitor, which)
    )
