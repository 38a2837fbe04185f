"""`/sign-in` and `/sign-out`: with a provider, or with a typed name on the server's own machine."""

import asyncio
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from plangate.domain.decisions.decision import is_placeholder
from plangate.domain.escaping import one_line
from plangate.domain.people.assurance import Assurance
from plangate.presentation.clock import now
from plangate.web.attempts import AttemptKind
from plangate.web.login import RETURN, Login, LoginRefused
from plangate.web.login import VALID_FOR as LOGIN_VALID_FOR
from plangate.web.person_of_login import person_of
from plangate.web.sessions import LONGEST
from plangate.web.visitors import (
    NOT_SENT,
    FormDep,
    VisitorDep,
    Web,
    WebDep,
    address_of,
    may_type_a_name,
    own_path,
    page_of_form,
    session_of,
    web_of,
)
from plangate.web.web_key import public_line

_LONGEST_NAME = 100
_log = structlog.get_logger(__name__)

router = APIRouter()


@router.get("/sign-in")
async def show(request: Request, web: WebDep) -> Response:
    """Show how to sign in."""
    fault = "sign_in.not_sent" if NOT_SENT in request.query_params else ""
    return await _page(request, web, request.query_params.get("next", "/"), fault=fault)


async def show_unsent(request: Request, comment: str) -> Response:
    """Show how to sign in, and the comment of a form that was not sent, so that it can be copied.

    It is not stored: another person may sign in next in this browser.
    """
    page, status = page_of_form(request), HTTPStatus.UNAUTHORIZED
    return await _page(request, web_of(request), page, status, "sign_in.not_sent", comment=comment)


@router.post("/sign-in")
async def by_typed_name(
    request: Request,
    web: WebDep,
    name: Annotated[str, Form()] = "",
    next_page: Annotated[str, Form(alias="next")] = "/",
) -> Response:
    """Sign in with only an unverified name, which is possible only on this machine."""
    if not may_type_a_name(request):
        return await _page(request, web, next_page, HTTPStatus.FORBIDDEN, "sign_in.not_here")
    typed = name.strip()
    counted = [(AttemptKind.ADDRESS, address_of(request)), (AttemptKind.NAME, typed[:_LONGEST_NAME])]
    wait = await asyncio.to_thread(web.attempts.wait, counted, now())
    if wait is not None:
        return await _wait(request, web, next_page, wait)
    is_shown_whole = one_line(typed) == typed and len(typed) <= _LONGEST_NAME
    fault, known = "", typed
    if not typed or not is_shown_whole or is_placeholder(typed):
        fault = "sign_in.no_name"
    else:
        people = await web.gate.people()
        person = people.find(typed) if people else None
        if people is not None and (person is None or not person.active):
            fault = "sign_in.not_listed"
        known = person.name if person else typed
    if fault:
        await asyncio.to_thread(web.attempts.note, counted, now())
        return await _page(request, web, next_page, HTTPStatus.UNPROCESSABLE_ENTITY, fault)
    return await _signed_in(request, web, known, Assurance.TYPED, next_page)


@router.post("/sign-in/login")
async def begin_login(
    request: Request, web: WebDep, next_page: Annotated[str, Form(alias="next")] = "/"
) -> Response:
    """Redirect to the provider with a page, because the CSP forbids forms that submit to another host."""
    login, address = _login(web), address_of(request)
    counted = [(AttemptKind.ADDRESS, address), (AttemptKind.BEGUN, address)]
    wait = await asyncio.to_thread(web.attempts.wait, counted, now())
    if wait is not None:
        return await _wait(request, web, next_page, wait)
    await asyncio.to_thread(web.attempts.note, counted[1:], now())
    try:
        pending = await login.begin(own_path(next_page), request.cookies.get(web.login_cookie, ""), now())
    except LoginRefused as refused:
        return await _page(request, web, next_page, HTTPStatus.BAD_GATEWAY, refused.words)
    answer = web.pages.draw(request, "leave.html", url=pending.url, host=login.provider.host)
    answer.set_cookie(
        web.login_cookie,
        pending.browser,
        max_age=int(LOGIN_VALID_FOR.total_seconds()),
        path="/",
        secure=web.place.is_secure,
        httponly=True,
        samesite="lax",
    )
    return answer


@router.get(RETURN)
async def finish_login(request: Request, web: WebDep) -> Response:
    """Handle the redirect from the provider; it works once, only in the browser that started the login."""
    login, counted = _login(web), [(AttemptKind.ADDRESS, address_of(request))]
    wait = await asyncio.to_thread(web.attempts.wait, counted, now())
    if wait is not None:
        return await _wait(request, web, "/", wait)
    try:
        browser = request.cookies.get(web.login_cookie, "")
        completed = await login.finish(dict(request.query_params), browser, now())
        people = await web.gate.people()
        person = person_of(completed.claims, login.provider.claim, people)
    except LoginRefused as refused:
        await asyncio.to_thread(web.attempts.note, counted, now())
        return await _page(request, web, "/", HTTPStatus.FORBIDDEN, refused.words)
    if people is None or not web.is_trusted_by(people):
        _log.warning(
            "Decisions made with this login will be refused: "
            "the workers' PLANGATE_WEB_KEYS does not contain this key.",
            action="web_key_not_trusted",
            public_key=public_line(web.key),
        )
    _log.info("A person logged in.", action="logged_in", person=person.name)
    answer = await _signed_in(request, web, person.name, Assurance.LOGIN, completed.next_page)
    _delete_cookie(web, answer, web.login_cookie)
    return answer


@router.post("/sign-out")
async def sign_out(request: Request, web: WebDep, visitor: VisitorDep, _: FormDep) -> Response:
    """End the session here; after a login, offer to end the provider's session as well."""
    await asyncio.to_thread(web.sessions.end, visitor.session)
    logout_url = None
    if visitor.session.assurance is Assurance.LOGIN and web.login is not None:
        logout_url = await web.login.logout_url(now())
    answer: Response = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    if logout_url is not None:
        answer = web.pages.draw(request, "signed_out.html", url=logout_url, host=_login(web).provider.host)
    _delete_cookie(web, answer, web.cookie)
    return answer


async def _signed_in(
    request: Request, web: Web, person: str, assurance: Assurance, next_page: str
) -> Response:
    """Return the response that starts a new session and redirects to a page of this server.

    The browser's previous session ends, which prevents session fixation.
    """
    old = await session_of(request)
    if old is not None:
        await asyncio.to_thread(web.sessions.end, old)
    token = await asyncio.to_thread(web.sessions.begin, person, assurance, now())
    answer = RedirectResponse(own_path(next_page), HTTPStatus.SEE_OTHER)
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


def _login(web: Web) -> Login:
    """Return the login.

    Raises:
        HTTPException: the settings have no provider, so this page does not exist.
    """
    if web.login is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return web.login


def _delete_cookie(web: Web, answer: Response, name: str) -> None:
    answer.delete_cookie(name, path="/", secure=web.place.is_secure, httponly=True, samesite="lax")


async def _wait(request: Request, web: Web, next_page: str, wait: timedelta) -> Response:
    """Return the page that shows how long to wait."""
    seconds = max(1, int(wait.total_seconds()))
    answer = await _page(
        request, web, next_page, HTTPStatus.TOO_MANY_REQUESTS, "sign_in.wait", minutes=-(-seconds // 60)
    )
    answer.headers["Retry-After"] = str(seconds)
    return answer


async def _page(
    request: Request,
    web: Web,
    next_page: str,
    status: int = 200,
    fault: str = "",
    *,
    minutes: int = 0,
    comment: str = "",
) -> Response:
    people = await web.gate.people()
    may_type = may_type_a_name(request)
    return web.pages.draw(
        request,
        "sign_in.html",
        status,
        next_page=own_path(next_page),
        fault=fault,
        minutes=minutes,
        comment=comment,
        login_host=web.login.provider.host if web.login is not None else "",
        may_type=may_type,
        # People who may type a name see the list anyway; others must not learn who is on it.
        names=[one.name for one in people.persons if one.active] if people and may_type else [],
        has_people=people is not None,
    )
