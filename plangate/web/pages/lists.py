"""The lists of runs: for me, all open, held, done; each can be searched, and its address keeps the search."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from plangate.web.run_lists import STATES, Search, Which, counts_of, listed
from plangate.web.visitors import Visitor, VisitorDep, Web, WebDep

router = APIRouter()

SearchDep = Annotated[Search, Query()]


@router.get("/")
async def for_me(request: Request, web: WebDep, visitor: VisitorDep, search: SearchDep) -> Response:
    """Show what this person may decide now."""
    return await _page(request, web, visitor, Which.FOR_ME, search)


@router.get("/open")
async def all_open(request: Request, web: WebDep, visitor: VisitorDep, search: SearchDep) -> Response:
    """Show all runs that are open."""
    return await _page(request, web, visitor, Which.OPEN, search)


@router.get("/held")
async def held(request: Request, web: WebDep, visitor: VisitorDep, search: SearchDep) -> Response:
    """Show the runs that are held at a step."""
    return await _page(request, web, visitor, Which.HELD, search)


@router.get("/done")
async def done(request: Request, web: WebDep, visitor: VisitorDep, search: SearchDep) -> Response:
    """Show the runs that have ended."""
    return await _page(request, web, visitor, Which.DONE, search)


async def _page(request: Request, web: Web, visitor: Visitor, which: Which, search: Search) -> Response:
    found = await listed(web.gate, web.index, visitor, which, search)
    return web.pages.draw(
        request,
        "list.html",
        visitor=visitor,
        which=which.value,
        found=found,
        search=search,
        states=STATES,
        counts=await counts_of(web.index, visitor),
    )
