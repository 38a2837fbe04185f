"""Send requests to a model server, through the environment's proxy, and normalize its responses.

The transport is where the openai package exposes a response before it builds objects from it; an error raised
here becomes the cause of its client's error. May import the domain, the settings and httpx2.
"""

import importlib.util
import ipaddress
import json
from collections.abc import AsyncIterator
from typing import Final

import httpx2
from openai import DefaultAsyncHttpxClient

from activities.planners.autogen.answers import normalized
from activities.planners.autogen.extra_fields import ExtraFields
from plangate.domain.errors import ModelRefused, ModelUnavailable
from plangate.domain.escaping import one_line
from plangate.settings import needs_no_proxy, proxies_of_environment

# A long plan has about 10,000 tokens, or 100 kB.
_MAX_ANSWER: Final = 8_000_000
_SOCKS: Final = ("socks4", "socks4a", "socks5", "socks5h")
_PROXY_SCHEMES: Final = ("http", "https", "socks5", "socks5h")
_SUCCESS: Final = 200


class ModelTransport(httpx2.AsyncBaseTransport):
    """Sends the requests of one conversation to its model server, and normalizes each completion."""

    def __init__(self) -> None:
        self._extra_fields = ExtraFields()
        self._transports: dict[tuple[str, str | None], httpx2.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and normalize the completion.

        Raises:
            PlannerError: the proxy or the response cannot be used.
        """
        sent = _with_body(request, self._extra_fields.add_to(await request.aread()))
        response = await self._transport_for(request.url).handle_async_request(sent)
        if not response.is_success:
            return response
        try:
            raw = b"".join([chunk async for chunk in _limited(response)])
        finally:
            await response.aclose()
        answer = _parsed(raw)
        completion = normalized(answer)
        self._extra_fields.keep(answer)
        return httpx2.Response(_SUCCESS, json=completion, request=request)

    def _transport_for(self, url: httpx2.URL) -> httpx2.AsyncHTTPTransport:
        proxy = proxy_for(url)
        key = (url.scheme, proxy)
        if key not in self._transports:
            # Without TLS there is nothing to verify, and loading the certificates takes 20 ms.
            verify = url.scheme == "https" or proxy is not None
            self._transports[key] = httpx2.AsyncHTTPTransport(verify=verify, proxy=proxy)
        return self._transports[key]

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in self._transports.values():
            await transport.aclose()


def _with_body(request: httpx2.Request, body: bytes) -> httpx2.Request:
    """Return the request with a different body."""
    if body == request.content:
        return request
    kept = [(name, value) for name, value in request.headers.raw if name.lower() != b"content-length"]
    return httpx2.Request(
        request.method, request.url, headers=kept, content=body, extensions=request.extensions
    )


def model_http_client() -> httpx2.AsyncClient:
    """Return the openai package's HTTP client with this transport."""
    return DefaultAsyncHttpxClient(transport=ModelTransport())


def check_proxy_for(address: str) -> None:
    """Raise ModelRefused if the proxy for this server cannot be used."""
    proxy_for(httpx2.URL(address))


def proxy_for(url: httpx2.URL) -> str | None:
    """Return the proxy for a model server from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, or None.

    A server on this machine is reached directly: a proxy would look for the server on the proxy's own
    machine.

    Raises:
        ModelRefused: this kind of proxy is not supported.
    """
    if _is_this_machine(url.host):
        return None
    if needs_no_proxy(f"{url.host}:{url.port}" if url.port else url.host):
        return None
    proxies = proxies_of_environment()
    name = next((name for name in (url.scheme, "all") if proxies.get(name)), None)
    if name is None:
        return None
    proxy = proxies[name] if "://" in proxies[name] else f"http://{proxies[name]}"
    scheme = proxy.partition("://")[0].lower()
    setting = f"{name.upper()}_PROXY"
    advice = (
        f"set HTTPS_PROXY to an HTTP proxy, or list {one_line(url.host)} in NO_PROXY, and restart the worker."
    )
    if scheme in _SOCKS and (scheme not in _PROXY_SCHEMES or importlib.util.find_spec("socksio") is None):
        raise ModelRefused(
            f"The model cannot be reached through {setting}, which is a SOCKS proxy: that needs socks5:// "
            f"and the Python package socksio. Install it, {advice}"
        )
    if not _is_address_of_proxy(proxy):
        raise ModelRefused(
            f"The model cannot be reached through {setting}, which is not the address of a proxy; {advice}"
        )
    return proxy


def _is_address_of_proxy(address: str) -> bool:
    try:
        return bool(httpx2.Proxy(address).url.host)
    except (ValueError, httpx2.InvalidURL):
        return False


def _is_this_machine(host: str) -> bool:
    if f".{host.rstrip('.')}".endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


async def _limited(response: httpx2.Response) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > _MAX_ANSWER:
            raise ModelUnavailable(
                f"The model's service sent more than {_MAX_ANSWER:,} bytes in one answer; check "
                "OPENAI_BASE_URL."
            )
        yield chunk


def _parsed(raw: bytes) -> object:
    """Return the JSON value of a response, or None if it is not JSON."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None
