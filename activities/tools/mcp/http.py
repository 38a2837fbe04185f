"""Send a client's requests over HTTP, and limit how much of each response is read. Imports `httpx2`.

In addition to its call, a client sends notifications and responses to the server's requests. Only the status
of the response to the call shows whether the tool ran. Redirects are not followed, because the call would be
sent again.
"""

import json
import ssl
from collections.abc import AsyncIterator
from functools import cache

import httpx2

from activities.tools.mcp.process import MAX_MESSAGE, MAX_SESSION, Watch
from plangate.http_dates import requested_delay


@cache
def _trust() -> ssl.SSLContext:
    """The system's certificates; read once, because reading takes longer than a call."""
    return ssl.create_default_context()


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Reads at most `MAX_MESSAGE` of a response and `MAX_SESSION` of a stream, and never uses a proxy."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._inner = httpx2.AsyncHTTPTransport(verify=_trust())

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return its response, which is limited while it is read."""
        response = await self._inner.handle_async_request(request)
        if _is_call(request):
            self._watch.status = response.status_code
            self._watch.retry_after = requested_delay(response.headers)
        if response.has_redirect_location:
            await response.aclose()
            raise httpx2.RemoteProtocolError(_redirected(request, response), request=request)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.RemoteProtocolError("it sent a compressed answer", request=request)
        is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        limit = MAX_SESSION if is_stream else MAX_MESSAGE
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_BoundedStream(response.stream, limit, self._watch),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def _is_call(request: httpx2.Request) -> bool:
    """Return whether a request calls a tool; the client has written its body as JSON."""
    return request.method == "POST" and json.loads(request.content).get("method") == "tools/call"


def _redirected(request: httpx2.Request, response: httpx2.Response) -> str:
    """Return the address that the server file should contain, without parts that may be secret."""
    try:
        target = request.url.join(response.headers["location"])
        shown = str(target.copy_with(userinfo=b"", query=None, fragment=None))
    except (httpx2.InvalidURL, ValueError):
        shown = "an invalid address"
    return f"it redirects to {shown}; redirects are not followed: give the final address as its url"


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, limit: int, watch: Watch) -> None:
        self._inner = inner
        self._left = limit
        self._watch = watch

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            self._left -= len(piece)
            if self._left < 0:
                self._watch.failure = "its answer is too large"
                raise httpx2.ReadError("its answer is too large")
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()
