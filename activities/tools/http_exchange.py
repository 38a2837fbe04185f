"""One request to one checked address, and what each failure of the client means. The only importer of httpx.

The request goes to an address, not to a name: the name was resolved and checked before, and resolving it
again here would let it point elsewhere by now (DNS rebinding). The name stays in ``Host`` and in the TLS
handshake, where the certificate is checked against it. Proxies of the environment are not used: they would
resolve it too.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import httpx

from activities.tools.http_call import Answer, Call
from activities.tools.http_hosts import Place
from plangate.domain.errors import EffectUnknown, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.visible import cut, one_line

CONNECT_SECONDS: Final = 5
BODY_SECONDS: Final = 8
MAX_ADDRESSES: Final = 3
MAX_BODY: Final = 64 * 1024

MEANINGS: Final[Mapping[type[Exception], type[ToolError]]] = {
    # No connection came about: nothing can have been sent.
    httpx.ConnectError: ToolUnavailable,
    httpx.ConnectTimeout: ToolUnavailable,
    httpx.PoolTimeout: ToolUnavailable,
    httpx.ProxyError: ToolUnavailable,
    # The client itself refuses the request, before it sends a byte.
    httpx.UnsupportedProtocol: ToolRefused,
    httpx.LocalProtocolError: ToolRefused,
    httpx.InvalidURL: ToolRefused,
    httpx.CookieConflict: ToolRefused,
    # The request was on its way, wholly or in part.
    httpx.ReadError: EffectUnknown,
    httpx.ReadTimeout: EffectUnknown,
    httpx.WriteError: EffectUnknown,
    httpx.WriteTimeout: EffectUnknown,
    httpx.CloseError: EffectUnknown,
    httpx.RemoteProtocolError: EffectUnknown,
    httpx.DecodingError: EffectUnknown,
    httpx.TooManyRedirects: EffectUnknown,
    httpx.HTTPStatusError: EffectUnknown,
    # The families of the above: whatever a later version adds to them is not known to be harmless.
    httpx.NetworkError: EffectUnknown,
    httpx.TimeoutException: EffectUnknown,
    httpx.ProtocolError: EffectUnknown,
    httpx.TransportError: EffectUnknown,
    httpx.RequestError: EffectUnknown,
    httpx.HTTPError: EffectUnknown,
    # Misuse of a stream, which would be a fault of this module.
    httpx.StreamError: EffectUnknown,
    httpx.StreamConsumed: EffectUnknown,
    httpx.StreamClosed: EffectUnknown,
    httpx.ResponseNotRead: EffectUnknown,
    httpx.RequestNotRead: EffectUnknown,
    # What comes from below the client.
    OSError: EffectUnknown,
}


def error_for(error: Exception, place: Place) -> ToolError:
    """Return what a failure of the client means for the request."""
    kind = next(MEANINGS[base] for base in type(error).__mro__ if base in MEANINGS)
    said = cut(one_line(str(error) or type(error).__name__), 200)
    if kind is ToolUnavailable:
        return ToolUnavailable(f"{place} cannot be reached ({said}); nothing was sent.")
    if kind is ToolRefused:
        return ToolRefused(f"The request to {place} cannot be sent ({said}); nothing was.")
    return EffectUnknown(f"{place} broke off before it answered ({said}).")


class Exchange:
    """Sends requests and reads answers, each over a connection of its own."""

    def __init__(self, trust: ssl.SSLContext | None = None) -> None:
        self._given_trust = trust

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """The system's certificates: a company's own authority counts, as it does for mail."""
        return self._given_trust or ssl.create_default_context()

    async def send(self, call: Call, place: Place, addresses: Sequence[str]) -> Answer:
        """Send ``call`` to the first of ``addresses`` that can be connected to.

        Raises:
            ToolUnavailable: no connection came about.
            ToolRefused: the client refuses to send such a request.
            EffectUnknown: it was sent, at least in part, and no answer came.
        """
        timeout = httpx.Timeout(connect=CONNECT_SECONDS, write=10, read=25, pool=CONNECT_SECONDS)
        failure: Exception = OSError("it has no address")
        async with httpx.AsyncClient(
            verify=self._trust, trust_env=False, follow_redirects=False, timeout=timeout
        ) as client:
            for address in addresses[:MAX_ADDRESSES]:
                try:
                    request = _request(client, call, place, address)
                    response = await client.send(request, stream=True)
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    failure = error
                    continue
                except tuple(MEANINGS) as error:
                    raise error_for(error, place) from error
                return await _answer(response)
        raise error_for(failure, place) from failure


def _request(client: httpx.AsyncClient, call: Call, place: Place, address: str) -> httpx.Request:
    # The certificate is checked against a name; where the host is an address, against that.
    extensions: dict[str, Any] = {} if place.literal else {"sni_hostname": place.host}
    return client.build_request(
        call.method,
        httpx.URL(call.url).copy_with(host=address),
        # Nothing compressed: a small answer must not unpack to a large one.
        headers={"User-Agent": "plangate", "Accept-Encoding": "identity", **call.headers, "Host": str(place)},
        content=call.content,
        extensions=extensions,
    )


async def _answer(response: httpx.Response) -> Answer:
    """Read the answer as far as it goes; its status is known by now, whatever becomes of the rest."""
    body = bytearray()
    is_whole = False
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > MAX_BODY:
                    break
            else:
                is_whole = True
    except (httpx.HTTPError, OSError):
        pass
    finally:
        await response.aclose()
    return Answer(response.status_code, response.headers, bytes(body[:MAX_BODY]), is_whole)
