"""Send one request to one checked address, and classify each client failure. Imports only httpcore.

The request goes to an address, not to a name: the name was resolved and checked before, and a second lookup
could return another address (DNS rebinding). The name stays in ``Host`` and in the TLS handshake, where the
certificate is checked against it. Proxies from the environment are not used, because they also resolve names.

The bytes of a request are buffered until it is complete, then parsed and compared with the approved call; if
they differ, nothing is sent.
"""

import asyncio
import ssl
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import httpcore

from activities.tools.http.call import Answer
from activities.tools.http.hosts import HttpServer
from activities.tools.http.wire import Call, difference, is_whole
from plangate.domain.errors import EffectUnknown, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.escaping import cut, one_line

CONNECT_SECONDS: Final = 5
WRITE_SECONDS: Final = 10
BODY_SECONDS: Final = 8
MAX_ADDRESSES: Final = 3
MAX_BODY: Final = 64 * 1024

MEANINGS: Final[Mapping[type[Exception], type[ToolError]]] = {
    # No connection was made: nothing can have been sent.
    httpcore.ConnectError: ToolUnavailable,
    httpcore.ConnectTimeout: ToolUnavailable,
    httpcore.PoolTimeout: ToolUnavailable,
    httpcore.ProxyError: ToolUnavailable,
    # The client refused the request before it sent a byte.
    httpcore.UnsupportedProtocol: ToolRefused,
    httpcore.LocalProtocolError: ToolRefused,
    # The request was sent, at least in part.
    httpcore.ReadError: EffectUnknown,
    httpcore.ReadTimeout: EffectUnknown,
    httpcore.WriteError: EffectUnknown,
    httpcore.WriteTimeout: EffectUnknown,
    httpcore.RemoteProtocolError: EffectUnknown,
    httpcore.ConnectionNotAvailable: EffectUnknown,
    # Base classes of the above, so that errors added in later versions are not treated as harmless.
    httpcore.NetworkError: EffectUnknown,
    httpcore.TimeoutException: EffectUnknown,
    httpcore.ProtocolError: EffectUnknown,
    # Errors from the layers below the client.
    OSError: EffectUnknown,
}
_TIMEOUTS: Final[Mapping[str, float | None]] = {
    "connect": CONNECT_SECONDS,
    "write": WRITE_SECONDS,
    "read": None,  # the caller limits the wait for the response
    "pool": CONNECT_SECONDS,
}


def error_for(error: Exception, server: HttpServer) -> ToolError:
    """Return the tool error for a failure of the client."""
    kind = next(MEANINGS[base] for base in type(error).__mro__ if base in MEANINGS)
    message = cut(one_line(str(error) or type(error).__name__), 200)
    if kind is ToolUnavailable:
        return ToolUnavailable(f"{server} cannot be reached ({message}); nothing was sent.")
    if kind is ToolRefused:
        return ToolRefused(f"The request to {server} cannot be sent ({message}); nothing was sent.")
    return EffectUnknown(f"No valid answer came from {server} ({message}).")


class Exchange:
    """Sends requests and reads responses, each over its own connection."""

    def __init__(
        self, trust: ssl.SSLContext | None = None, network: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        self._given_trust = trust
        self._network = network or httpcore.AnyIOBackend()

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """The system's certificates, including those of a company's own certificate authority."""
        return self._given_trust or ssl.create_default_context()

    async def send(
        self, call: Call, server: HttpServer, addresses: Sequence[str], *, max_body: int = MAX_BODY
    ) -> Answer:
        """Send ``call`` to the first of ``addresses`` that can be connected to.

        At most ``max_body`` bytes of the response's body are read.

        Raises:
            ToolUnavailable: no connection could be made.
            ToolRefused: the client cannot send such a request, or would send a different one.
            EffectUnknown: it was sent, at least in part, and no response arrived.
        """
        failure: Exception = OSError("it has no address")
        async with httpcore.AsyncConnectionPool(
            ssl_context=self._trust if server.scheme == "https" else None,
            network_backend=_CheckedNetwork(self._network, call),
        ) as client:
            for address in addresses[:MAX_ADDRESSES]:
                try:
                    response = await client.handle_async_request(_request(call, server, address))
                except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                    failure = error
                    continue
                except tuple(MEANINGS) as error:
                    raise error_for(error, server) from error
                return await _answer(response, max_body)
        raise error_for(failure, server) from failure


def _request(call: Call, server: HttpServer, address: str) -> httpcore.Request:
    extensions: dict[str, Any] = {"timeout": _TIMEOUTS}
    if not server.literal:
        # Check the certificate against the name; for a literal address, httpcore checks against the address.
        extensions["sni_hostname"] = server.host
    return httpcore.Request(
        call.method,
        httpcore.URL(scheme=server.scheme, host=address, port=server.port, target=call.target),
        headers=list(call.all_headers().items()),
        content=call.content,
        extensions=extensions,
    )


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """A network backend whose connections send only ``call``."""

    def __init__(self, network: httpcore.AsyncNetworkBackend, call: Call) -> None:
        self._network = network
        self._call = call

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the client's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._network.connect_tcp(host, port, timeout, local_address, socket_options)
        return _CheckedStream(stream, self._call)


class _CheckedStream(httpcore.AsyncNetworkStream):
    """Buffers a request until it is complete, and sends it only if it is the approved call."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, call: Call) -> None:
        self._stream = stream
        self._call = call
        self._buffer = bytearray()
        self._is_sent = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if not buffer:
            return
        if self._is_sent:
            raise EffectUnknown(f"The client sent more after {self._call}; the connection was closed.")
        self._buffer += buffer
        if not is_whole(bytes(self._buffer)):
            return
        differing = difference(bytes(self._buffer), self._call)
        if differing:
            raise ToolRefused(
                f"The request about to be sent differs from the approved call ({differing}); nothing was "
                "sent. This is a bug in Plangate or its HTTP client: report it."
            )
        self._is_sent = True
        await self._stream.write(bytes(self._buffer), timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        return _CheckedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout), self._call)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


async def _answer(response: httpcore.Response, max_body: int) -> Answer:
    """Read the response; if a body is truncated or too long, return the part that was read."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    body = bytearray()
    is_whole_body = False
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in response.aiter_stream():
                body += piece
                if len(body) > max_body:
                    break
            else:
                is_whole_body = True
    except tuple(MEANINGS):
        pass
    finally:
        await response.aclose()
    return Answer(response.status, headers, bytes(body[:max_body]), is_whole_body)
