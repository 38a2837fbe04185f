"""Report whether the server runs and can do its work, for load balancers and containers."""

import asyncio
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from plangate.domain.errors import PlangateError
from plangate.web.failures import words_of
from plangate.web.visitors import WebDep

router = APIRouter(tags=["health"], include_in_schema=False)
_log = structlog.get_logger(__name__)
_SECONDS: Final = 5


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """Return 200 while the server runs."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def readyz(web: WebDep) -> JSONResponse:
    """Return 200 if Temporal and the records respond, otherwise 503; the log shows which of them does not."""
    waits_for = "The Temporal server"
    try:
        async with asyncio.timeout(_SECONDS):
            await web.gate.client()
            waits_for = "The database of the records"
            await web.gate.people()
    except TimeoutError:
        return _not_ready(f"{waits_for} did not respond within {_SECONDS} s.")
    except PlangateError as error:
        return _not_ready(words_of(error))
    return JSONResponse({"status": "ready"})


def _not_ready(why: str) -> JSONResponse:
    """Log the reason, because a response to strangers must not contain it."""
    _log.warning("The inbox is not ready.", action="web_not_ready", error=why)
    return JSONResponse({"status": "not ready"}, HTTPStatus.SERVICE_UNAVAILABLE)
