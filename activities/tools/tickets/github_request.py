"""Send one request to GitHub. The only importer of githubkit, and of httpx.

Each request has its own client, whose transport sends only the approved request, once: no repeats, no
redirects, and no proxy from the environment. It reads at most `MAX_ANSWER` of the response.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, Final, TypeVar

import httpx
from githubkit import GitHub
from githubkit.exception import GitHubException
from pydantic import SecretStr

from activities.tools.tickets.answers import MAX_ANSWER, Answer, Approved, Reading
from activities.tools.tickets.ticket import Limits
from plangate.domain.errors import ToolError, ToolRefused
from plangate.elapsed import elapsed

NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
Read = TypeVar("Read")
Call = Callable[[GitHub[Any]], Awaitable[object]]


class GitHubRequests:
    """Sends the requests of one tracker."""

    def __init__(self, name: str, url: str, token: SecretStr, limits: Limits) -> None:
        self._name = name
        self._url = url.rstrip("/")
        self._token = token
        self._limits = limits

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """The system's certificates, including those of a company's own certificate authority."""
        return ssl.create_default_context()

    async def ask(self, approved: Approved, call: Call, read: Callable[[Any], Read]) -> Read:
        """Send one request and return the result of ``read`` for its response.

        Raises:
            ToolError: according to the table of `activities.tools.tickets.answers`.
        """
        found, _ = await self.ask_page(approved, call, read)
        return found

    async def ask_page(
        self, approved: Approved, call: Call, read: Callable[[Any], Read]
    ) -> tuple[Read, bool]:
        """Send one request; return the result of ``read`` for its response, and whether more pages follow.

        Raises:
            ToolError: according to the table of `activities.tools.tickets.answers`.
        """
        token = self._token.get_secret_value()
        reading = Reading(self._name, approved, [token])
        transport = _OneRequest(self._url, approved, self._trust, elapsed() + self._limits.whole)
        github = GitHub(  # githubkit keeps only a weak reference, so keep a strong one
            token,
            base_url=self._url,
            user_agent="plangate",
            async_transport=transport,
            follow_redirects=False,
            timeout=httpx.Timeout(self._limits.read, connect=self._limits.connect),
            auto_retry=False,
            http_cache=False,
        )
        try:
            async with asyncio.timeout(self._limits.whole):
                await call(github)
        except TimeoutError:
            if not transport.is_sent:
                raise reading.not_sent("the time limit was reached") from None
            raise reading.no_result(f"no complete response within {self._limits.whole} seconds") from None
        except (GitHubException, ValueError) as error:
            cause = error.__cause__ or error
            if transport.answer is None:
                raise _error_for(cause, reading, is_sent=transport.is_sent) from error
        if transport.answer is None:
            raise reading.no_result("there was no answer")
        document = reading.document(transport.answer)
        try:
            return read(document), 'rel="next"' in transport.answer.headers.get("link", "")
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise reading.no_result(f"{transport.answer}, but {error}") from error


class _OneRequest(httpx.AsyncBaseTransport):
    """Sends the approved request, once; keeps its response."""

    def __init__(self, url: str, approved: Approved, trust: ssl.SSLContext, ends: float) -> None:
        self._ends = ends
        self._network = httpx.AsyncHTTPTransport(verify=trust, trust_env=False, retries=0)
        self._base = httpx.URL(url)
        self._approved = approved
        self.is_sent = False
        self.answer: Answer | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and read its response, up to `MAX_ANSWER`."""
        if self.is_sent:
            raise ToolRefused("The library would send a second request; it was not sent.")
        at = (request.url.scheme, request.url.host, request.url.port)
        path = request.url.path
        if at != (self._base.scheme, self._base.host, self._base.port):
            path = str(request.url)
        self._approved.refuse_other(
            request.method, path.removeprefix(self._base.path.rstrip("/")), request.content
        )
        if elapsed() > self._ends:  # the process was suspended, so another one may have taken over
            raise httpx.ConnectTimeout("the time limit was reached")
        request.headers["Accept-Encoding"] = "identity"  # a small response must not decompress to a large one
        self.is_sent = True
        response = await self._network.handle_async_request(request)
        body = bytearray()
        try:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise httpx.ReadError(f"its answer is longer than {MAX_ANSWER:,} bytes")
        finally:
            await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        self.answer = Answer(response.status_code, headers, bytes(body))
        return httpx.Response(response.status_code, content=bytes(body))  # `answers` reads the headers

    async def aclose(self) -> None:
        """Close the connection."""
        await self._network.aclose()


def _error_for(cause: BaseException, reading: Reading, *, is_sent: bool) -> ToolError:
    """Return the tool error for a client failure; errors added in later versions count as unknown."""
    if isinstance(cause, ToolError):
        return cause
    if isinstance(cause, NOT_SENT) or not is_sent:
        return reading.not_sent(str(cause) or type(cause).__name__)
    return reading.no_result(str(cause) or type(cause).__name__)
