"""Send one request to Jira. The only importer of atlassian-python-api, and of requests.

Each request has its own session, whose adapter sends only the approved request, once: no repeats, no
redirects, and no proxy from the environment. It reads at most `MAX_ANSWER` of the response.
"""

import base64
import io
import ssl
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from atlassian import Jira
from pydantic import SecretStr
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from activities.tools.tickets.answers import MAX_ANSWER, Answer, Approved, Reading
from activities.tools.tickets.ticket import Limits
from plangate.domain.errors import ToolError, ToolRefused
from plangate.elapsed import elapsed

_CHUNK: Final = 64 * 1024


class JiraRequests:
    """Sends the requests of one tracker, each in the calling thread."""

    def __init__(self, name: str, url: str, user: str, token: SecretStr, limits: Limits) -> None:
        self._name = name
        self._url = url
        self._user = user
        self._token = token
        self._limits = limits

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """The system's certificates, including those of a company's own certificate authority."""
        return ssl.create_default_context()

    def exchange(self, approved: Approved, params: Mapping[str, Any] | None = None) -> Any:
        """Send one request and return the JSON of its response; runs in a thread.

        Raises:
            ToolError: according to the table of `activities.tools.tickets.answers`.
        """
        token = self._token.get_secret_value()
        basic = base64.b64encode(f"{self._user}:{token}".encode()).decode()
        reading = Reading(self._name, approved, [token, basic])
        adapter = _OneRequest(self._url, approved, self._limits, self._trust)
        with requests.Session() as session:
            session.trust_env = False
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            jira = Jira(
                self._url,
                username=self._user or None,
                password=token if self._user else None,
                token=None if self._user else token,
                session=session,
                retry_with_header=False,
                backoff_and_retry=False,
            )
            try:
                jira.request(
                    approved.method,
                    approved.path.lstrip("/"),
                    data=dict(approved.payload) if approved.payload is not None else None,
                    params=dict(params) if params else None,
                    advanced_mode=True,
                    allow_redirects=False,
                )
            except ToolError:
                raise
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                if _is_unsent(error) or not adapter.is_sent:
                    raise reading.not_sent(_message(error)) from None
                raise reading.no_result(_message(error)) from None
        if adapter.answer is None:
            raise reading.no_result("there was no answer")
        return reading.document(adapter.answer)


class _OneRequest(HTTPAdapter):
    """Sends the approved request, once, and keeps its response."""

    def __init__(self, url: str, approved: Approved, limits: Limits, trust: ssl.SSLContext) -> None:
        self._trust = trust
        self._ends = elapsed() + limits.whole
        super().__init__(max_retries=0)
        self._limits = limits
        self._url = url
        self._approved = approved
        self.is_sent = False
        self.answer: Answer | None = None

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Also trust the system's certificates."""
        super().init_poolmanager(*args, **options, ssl_context=self._trust)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send the request and read its response, up to `MAX_ANSWER`, within its limits."""
        del args
        if self.is_sent:
            raise ToolRefused("The library would send a second request; it was not sent.")
        url = request.url or ""
        content = request.body.encode() if isinstance(request.body, str) else request.body
        self._approved.refuse_other(
            request.method or "",
            urlsplit(url.removeprefix(self._url)).path if url.startswith(f"{self._url}/") else url,
            content if isinstance(content, bytes) else b"",
        )
        request.headers["Accept-Encoding"] = "identity"  # a small response must not decompress to a large one
        if elapsed() > self._ends:  # the process was suspended, so another one may have taken over
            raise requests.ConnectTimeout(ConnectTimeoutError("the time limit was reached"))
        timeout = (self._limits.connect, self._limits.read)
        self.is_sent = True
        response = super().send(request, **{**options, "stream": True, "timeout": timeout})
        try:
            body = _body_of(response.raw, self._ends)
        finally:
            response.raw.close()
        headers = {name.lower(): value for name, value in response.headers.items()}
        self.answer = Answer(response.status_code, headers, body)
        response.raw = io.BytesIO(body)  # attributes that the library reads and logs
        return response


def _body_of(raw: Any, ends: float) -> bytes:
    body = bytearray()
    while chunk := raw.read1(_CHUNK, decode_content=False):
        body += chunk
        if len(body) > MAX_ANSWER:
            raise HTTPError(f"its answer is longer than {MAX_ANSWER:,} bytes")
        if elapsed() > ends:
            raise HTTPError("no complete response in time")
    return bytes(body)


def _is_unsent(error: BaseException) -> bool:
    """Return whether there was no connection, so nothing can have been sent."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, BaseException) or one in seen:
            continue
        if isinstance(one, NewConnectionError | ConnectTimeoutError | ssl.SSLCertVerificationError):
            return True
        seen.append(one)
        waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
    return False


def _message(error: BaseException) -> str:
    """Return the innermost message, without the exceptions that the library adds."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return str(reason or error) or type(error).__name__
