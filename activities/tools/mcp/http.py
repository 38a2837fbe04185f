"""Send the requests of a client over HTTP, and limit what it reads of the answers. Imports `httpx2`."""

import ssl
from collections.abc import AsyncIterator
from functools import cache

import httpx2

from activities.tools.mcp.process import MAX_MESSAGE, MAX_SESSION, Watch


@cache
def _trust() -> ssl.SSLContext:
    """The system's certificates; read once, because that takes longer than a call."""
    return ssl.create_default_context()


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Reads at most `MAX_MESSAGE` of an answer, `MAX_SESSION` of a stream; never through a proxy."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._inner = httpx2.AsyncHTTPTransport(verify=_trust())

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return its answer, which is limited while it is read."""
        response = await self._inner.handle_async_request(request)
        if request.method == "POST" and response.status_code >= httpx2.codes.BAD_REQUEST:
            self._watch.status = response.status_code
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


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, limit: int, watch: Watch) -> None:
        self._inner = inner
        self._left = limit
        self._watch = watch

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            self._left -= len(piece)
            if self._left < 0:
                self._watch.broke = "its answer is too large"
                raise httpx2.ReadError("its answer is too large")
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()
