"""Check the host, origin and size of every request, and set strict headers on every response.

No page has an inline script or style, and none can be framed. A request that changes something must come from
a page of this origin; forms also contain the session's form token (`plangate.web.visitors`).
"""

from collections.abc import MutableMapping
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plangate.web.api.problems import PREFIX, problem
from plangate.web.public_address import WebAddress

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
MAX_BODY: Final = 1_000_000
"""The maximum size of a request in bytes: enough for a whole edited plan."""
FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
_READS: Final = ("GET", "HEAD", "OPTIONS")
_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # only to this origin
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}


class Guarded:
    """An ASGI app behind the checks of this module.

    Args:
        app: handles the requests that pass.
        place: the address of the server; requests for another host are refused.
    """

    def __init__(self, app: ASGIApp, place: WebAddress) -> None:
        self._app = app
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._objection(scope)
        answer = self._app if refusal is None else _refusal(scope["path"], *refusal)
        await answer(scope, _limited(receive), self._with_headers(scope, send))

    def _objection(self, scope: Scope) -> tuple[int, str] | None:
        """Return the status and the reason with which a request is refused, or None."""
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() != self._place.netloc and scope["path"] not in _HEALTH_CHECKS:
            return 421, f"This server is {self._place.url}; open it at that address.\n"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY:
            return 413, f"The request is larger than {MAX_BODY:,} bytes.\n"
        if scope["method"] not in _READS and _is_from_elsewhere(headers, self._place):
            return 403, f"The request comes from another site; open {self._place.url} and decide there.\n"
        return None

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        is_file = scope["path"].startswith("/static/")

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if not is_file:
                    headers.setdefault("Cache-Control", "no-store")
                if self._place.is_secure:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        return sending


_HEALTH_CHECKS: Final = ("/healthz", "/readyz")
"""A health check may use any address."""


def _refusal(path: str, status: int, words: str) -> Response:
    if path.startswith(PREFIX):
        return problem(status, words.strip())
    return PlainTextResponse(words, status)


class BodyTooLarge(Exception):
    """A request without a Content-Length is too large."""


def _limited(receive: Receive) -> Receive:
    received = 0

    async def receiving() -> MutableMapping[str, Any]:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY:
            raise BodyTooLarge
        return message

    return receiving


def _is_from_elsewhere(headers: Headers, place: WebAddress) -> bool:
    """Return whether a browser reports that another site sent this; always False for programs.

    A program does not have a person's cookies; a browser sends at least one of the two headers.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        return True
    return origin is not None and origin.lower() != place.url.lower()


def has_forwarding_header(headers: Headers) -> bool:
    """Return whether a proxy forwarded the request: its Host header then does not identify the machine."""
    return any(name in headers for name in FORWARDED)
