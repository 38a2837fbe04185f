"""The ASGI application: its routes, what they share, and how it handles errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from plangate import __version__
from plangate.domain.errors import PlangateError, RecordsUnavailable, TemporalUnreachable
from plangate.settings import Settings
from plangate.web.api import health, runs, tools
from plangate.web.api.problems import is_api_request, problem
from plangate.web.attempts import Attempts
from plangate.web.audits import Audits, NotAudited
from plangate.web.confirmations import Confirmations
from plangate.web.database import WebDatabase
from plangate.web.failures import status_of, words_of
from plangate.web.gate import Gate
from plangate.web.html import Pages
from plangate.web.language import chosen
from plangate.web.login import Login, provider_of
from plangate.web.opened_plans import Opened
from plangate.web.pages import (
    audit,
    deciding,
    delegations,
    editing,
    enrolling,
    evidence,
    files,
    lists,
    me,
    resolving,
    run,
    signing_in,
    together,
    trail,
)
from plangate.web.pages.audit import SEE_RULE, NotAnAuditor
from plangate.web.plan_views import Views
from plangate.web.proposals import Proposals
from plangate.web.public_address import web_address_of
from plangate.web.run_addresses import KeepSlashesInIds
from plangate.web.run_index import RunIndex
from plangate.web.security import BodyTooLarge, Guarded
from plangate.web.sessions import Sessions
from plangate.web.visitors import (
    FormRefused,
    NotSignedIn,
    TooMany,
    Web,
    is_signed_in,
    read_form,
    sign_in_path,
    web_of,
)
from plangate.web.web_key import web_key

_STATIC: Final = Path(__file__).parent / "static"
_log = structlog.get_logger(__name__)


def build_app(settings: Settings, gate: Gate) -> ASGIApp:
    """Return the application for these settings. It closes ``gate`` when it shuts down.

    Raises:
        SettingsInvalid: an address cannot be used.
    """
    place = web_address_of(settings)
    database = WebDatabase.at(settings.var_dir / "web.db")
    index = RunIndex(gate.database, settings.var_dir / "web-lists.db")
    audits = Audits(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await audits.close()
        index.close()
        gate.close()
        database.close()

    app = FastAPI(
        title="Plangate",
        version=__version__,
        summary="Plans waiting for approval, and the decisions on them.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        redirect_slashes=False,
        separate_input_output_schemas=False,  # fields that are omitted when empty are not required
        lifespan=lifespan,
    )
    provider = provider_of(settings)
    app.state.web = Web(
        place=place,
        gate=gate,
        index=index,
        sessions=Sessions(database),
        attempts=Attempts(database),
        pages=Pages(),
        key=web_key(settings.web_key),
        confirmations=Confirmations(database.engine),
        proposals=Proposals(database.engine),
        audits=audits,
        views=Views(database.engine),
        opened=Opened(database.engine),
        login=Login(provider, place, database) if provider is not None else None,
        proxies=frozenset(settings.web_proxies),
        operators=settings.operators,
    )
    for one in (
        signing_in,
        me,
        delegations,
        enrolling,
        audit,
        lists,
        together,
        deciding,
        editing,
        resolving,
        trail,
        evidence,
        files,
        run,
    ):
        app.include_router(one.router, include_in_schema=False)
    app.include_router(health.router)
    app.include_router(runs.router)
    app.include_router(tools.router)
    app.mount("/static", StaticFiles(directory=_STATIC))
    _answer_errors(app)
    app.add_middleware(KeepSlashesInIds)
    return Guarded(app, place)


def _answer_errors(app: FastAPI) -> None:
    """Turn every expected error into a page, or into problem details for a program."""

    @app.exception_handler(NotSignedIn)
    async def sign_in(request: Request, _: NotSignedIn) -> Response:
        if is_api_request(request):
            return problem(401, "Sign in first; the API accepts the cookie of the session.")
        comment = await _typed_comment(request) if request.method == "POST" else ""
        if comment:
            return await signing_in.show_unsent(request, comment)
        return RedirectResponse(sign_in_path(request), 303)

    @app.exception_handler(TooMany)
    async def too_many(request: Request, error: TooMany) -> Response:
        seconds = max(1, int(error.wait.total_seconds()))
        answer = _error(request, 429, "errors.too_many", minutes=str(-(-seconds // 60)))
        answer.headers["Retry-After"] = str(seconds)
        return answer

    @app.exception_handler(FormRefused)
    async def refuse_form(request: Request, _: FormRefused) -> Response:
        return _error(request, 403, "errors.form")

    @app.exception_handler(BodyTooLarge)
    async def too_large(request: Request, _: BodyTooLarge) -> Response:
        return _error(request, 413, "errors.too_large")

    @app.exception_handler(NotAudited)
    async def not_audited(request: Request, error: NotAudited) -> Response:
        return _error(request, 503, error.name, reason=error.reason)

    @app.exception_handler(NotAnAuditor)
    async def no_auditor(request: Request, error: NotAnAuditor) -> Response:
        pages = web_of(request).pages
        named = {"visitor": error.visitor, "roles": error.roles, "example": SEE_RULE}
        return pages.draw(request, "audit_refused.html", 403, **named)

    @app.exception_handler(RequestValidationError)
    async def unreadable(request: Request, error: RequestValidationError) -> Response:
        faults = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5])
        return _error(request, 422, "errors.unreadable", faults=faults)

    @app.exception_handler(PlangateError)
    async def refused(request: Request, error: PlangateError) -> Response:
        reason = words_of(error)
        if isinstance(error, RecordsUnavailable | TemporalUnreachable) and not is_signed_in(request):
            # The reason names hosts and files.
            _log.warning("The inbox cannot answer a visitor.", action="web_not_ready", error=reason)
            return _error(request, status_of(error), "errors.unavailable")
        return _error(request, status_of(error), reason=reason)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, _: Exception) -> Response:
        return _error(request, 500, "errors.unexpected")

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        name = "errors.not_found" if error.status_code == 404 else "errors.wrong_request"  # noqa: PLR2004
        return _error(request, error.status_code, name)


async def _typed_comment(request: Request) -> str:
    """Return the comment in a form that was not sent; empty if there is none, or the form is not readable."""
    with suppress(BodyTooLarge, HTTPException):
        return deciding.text_of(await read_form(request), "comment")
    return ""


def _error(request: Request, status: int, name: str = "", reason: str = "", **values: str) -> Response:
    """Return the message with this key in a language, followed by a reason; pages translate the reason."""
    words = chosen(request.headers.get("accept-language", ""))(name, **values) if name else ""
    if is_api_request(request):
        return problem(status, f"{words} {reason}".strip())
    return web_of(request).pages.draw(request, "error.html", status, words=words, reason=reason)
