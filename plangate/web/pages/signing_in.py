"""`/sign-in` and `/sign-out`."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse
from starlette.responses import Response

from plangate.domain.assurance import Assurance
from plangate.domain.decision import is_placeholder
from plangate.domain.escaping import one_line
from plangate.presentation.clock import now
from plangate.web.sessions import LONGEST
from plangate.web.visitors import FormDep, VisitorDep, Web, WebDep, may_type_a_name, own_path, session_of

_LONGEST_NAME = 100

router = APIRouter()


@router.get("/sign-in")
async def show(request: Request, web: WebDep, next_page: str = "/") -> Response:
    """Show how to sign in."""
    return await _page(request, web, request.query_params.get("next", next_page))


@router.post("/sign-in")
async def by_typed_name(
    request: Request,
    web: WebDep,
    name: Annotated[str, Form()] = "",
    next_page: Annotated[str, Form(alias="next")] = "/",
) -> Response:
    """Sign in by a name alone, which proves nothing: only on this machine."""
    if not may_type_a_name(request):
        return await _page(request, web, next_page, 403, "sign_in.not_here")
    typed = name.strip()
    is_shown_whole = one_line(typed) == typed and len(typed) <= _LONGEST_NAME
    if not typed or not is_shown_whole or is_placeholder(typed):
        return await _page(request, web, next_page, 422, "sign_in.no_name")
    people = await web.gate.people(now())
    person = people.find(typed) if people else None
    if people is not None and (person is None or not person.active):
        return await _page(request, web, next_page, 422, "sign_in.not_listed")
    old = await session_of(request)
    if old is not None:
        await asyncio.to_thread(web.sessions.end, old)
    token = await asyncio.to_thread(
        web.sessions.begin, person.name if person else typed, Assurance.TYPED, now()
    )
    return signed_in(web, token, next_page)


@router.post("/sign-out")
async def sign_out(web: WebDep, visitor: VisitorDep, _: FormDep) -> Response:
    """End the session."""
    await asyncio.to_thread(web.sessions.end, visitor.session)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(web.cookie, path="/", secure=web.place.is_secure, httponly=True, samesite="lax")
    return answer


def signed_in(web: Web, token: str, next_page: str) -> Response:
    """Return the answer that gives a browser its new session, and leads on to a page of this server."""
    answer = RedirectResponse(own_path(next_page), 303)
    answer.set_cookie(
        web.cookie,
        token,
        max_age=int(LONGEST.total_seconds()),
        path="/",
        secure=web.place.is_secure,
        httponly=True,
        samesite="lax",
    )
    return answer


async def _page(request: Request, web: Web, next_page: str, status: int = 200, fault: str = "") -> Response:
    people = await web.gate.people(now())
    return web.pages.draw(
        request,
        "sign_in.html",
        status,
        next_page=own_path(next_page),
        fault=fault,
        may_type=may_type_a_name(request),
        names=[person.name for person in people.persons if person.active] if people else [],
        has_people=people is not None,
    )
