"""Return errors of the API as problem details (RFC 9457)."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse

from plangate.domain.base import Frozen

PREFIX: Final = "/api/"
MEDIA_TYPE: Final = "application/problem+json"


class Problem(Frozen):
    """An error, for programs (RFC 9457): ``detail`` explains what happened, then what to do."""

    title: str
    status: int
    detail: str


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": HTTPStatus(status).phrase}
    for status in (400, 401, 403, 404, 409, 413, 421, 422, 429, 503)
}
"""The error responses that every operation can return."""


def is_api_request(request: Request) -> bool:
    """Return whether a request is for the API."""
    return request.url.path.startswith(PREFIX)


def problem(status: int, detail: str) -> JSONResponse:
    """Return a problem as a response."""
    said = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(said.model_dump(), status, media_type=MEDIA_TYPE)
