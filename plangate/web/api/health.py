"""Report whether the server runs and can do its work, for load balancers and containers."""

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from plangate.domain.errors import PlangateError
from plangate.presentation.clock import now
from plangate.web.visitors import WebDep

router = APIRouter(tags=["health"], include_in_schema=False)


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """Return 200 while the server runs."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def readyz(web: WebDep) -> JSONResponse:
    """Return 200 if Temporal and the records respond, otherwise 503; the log shows which of them does not."""
    try:
        async with asyncio.timeout(5):
            await web.gate.client()
            await web.gate.people(now())
    except (PlangateError, TimeoutError):
        return JSONResponse({"status": "not ready"}, 503)
    return JSONResponse({"status": "ready"})
