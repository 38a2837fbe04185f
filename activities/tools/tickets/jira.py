"""Jira, in the cloud and in a data center. The only importer of atlassian-python-api, and of requests.

The marker is a property of the issue or comment, in the request that creates it: people do not see it. A
property can only be searched if an app declares it, so the newest issues of our own account are listed (or
the newest comments of the issue), and the property of each is read where the list does not bring it.

The library is synchronous and runs in threads, which cannot be stopped: each request ends within
`Limits.whole`, and while one still runs nothing is said of its effect. A session is made for each request,
over an adapter that sends one request, and only the approved one: no repeats, no redirects, no proxy of the
environment, and no more of the answer than `MAX_ANSWER`.
"""

import base64
import io
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import requests
from atlassian import Jira
from pydantic import JsonValue, SecretStr
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from activities.tools.tickets.answers import (
    MAX_ANSWER,
    Answer,
    Approved,
    NotThere,
    Reading,
    number_in,
    text_in,
    time_in,
)
from activities.tools.tickets.ticket import (
    Comment,
    CreateTicketArguments,
    Limits,
    Ticket,
    TicketState,
    oldest_of,
)
from plangate.domain.errors import ToolError, ToolRefused, ToolUnavailable
from plangate.tool import NotFound
from plangate.tool.threads import Calls

PROPERTY: Final = "plangate"
PAGES: Final = 4
PER_PAGE: Final = 50
_API: Final = "rest/api/2"
_CHUNK: Final = 64 * 1024
_Read = TypeVar("_Read")


class JiraTracker:
    """Issues of allowed projects."""

    setting = "PLANGATE_JIRA_PROJECTS"
    can_close = False  # which transition closes an issue is the project's own affair

    def __init__(
        self,
        name: str,
        url: str,
        token: SecretStr,
        projects: Sequence[str],
        *,
        user: str = "",
        kind: str = "Task",
        is_cloud: bool = False,
        limits: Limits = Limits(),  # noqa: B008  immutable
    ) -> None:
        self.name = name
        self.projects = tuple(projects)
        self._url = url.rstrip("/")
        self._token = token
        self._user = user
        self._kind = kind
        self._is_cloud = is_cloud
        self._limits = limits
        self._calls = Calls("jira")

    def key_of(self, project: str, number: int) -> str:
        """Return ``OPS-12``."""
        return f"{project}-{number}"

    async def create(self, wanted: CreateTicketArguments, marker: str) -> Ticket:
        """Create an issue, with its marker as a property."""
        payload: dict[str, JsonValue] = {
            "fields": {
                "project": {"key": wanted.project},
                "issuetype": {"name": self._kind},
                "summary": wanted.title,
                "description": wanted.body,
            },
            "properties": _properties(marker),
        }
        approved = Approved("POST", f"/{_API}/issue", "create the ticket", payload)
        return await self._ask(approved, lambda found: self._ticket(text_in(found, "key")), key=marker)

    async def find_ticket(self, wanted: CreateTicketArguments, marker: str) -> Ticket | NotFound:
        """Return the oldest issue with this marker."""
        self._refuse_while_running(marker)
        reason = f"Look for a ticket titled {wanted.title!r} in {wanted.project} on {self.name}."
        jql = f'project = "{wanted.project}" AND creator = currentUser() ORDER BY created DESC'
        found = await self._call(lambda: self._search(self._issues(jql), "issue", marker, reason))
        return found if isinstance(found, NotFound) else self._ticket(text_in(found, "key"))

    async def close(self, project: str, number: int) -> None:
        """Refuse: see `can_close`.

        Raises:
            ToolRefused: always.
        """
        key = self.key_of(project, number)
        raise ToolRefused(f"Plangate cannot close tickets of Jira; close {key} yourself.")

    async def look_at(self, project: str, number: int) -> TicketState:
        """Return the status of an issue, with its title."""
        key = self.key_of(project, number)
        approved = Approved("GET", f"/{_API}/issue/{key}", f"read ticket {key}")
        found = await self._ask(approved, lambda found: found, params={"fields": "summary,status"})
        fields = found.get("fields") if isinstance(found, dict) else None
        if not isinstance(fields, dict) or text_in(found, "key") != key:
            raise ToolRefused(f"{self.name} has no ticket {key}; it may have moved to another project.")
        return TicketState(text_in(fields, "summary"), text_in(fields.get("status"), "name"))

    async def comment(self, project: str, number: int, body: str, marker: str) -> Comment:
        """Comment on an issue, with the marker as a property of the comment."""
        key = self.key_of(project, number)
        payload: dict[str, JsonValue] = {"body": body, "properties": _properties(marker)}
        approved = Approved("POST", f"/{_API}/issue/{key}/comment", "add the comment", payload)
        return await self._ask(approved, lambda found: self._comment(key, found), key=marker)

    async def find_comment(self, project: str, number: int, body: str, marker: str) -> Comment | NotFound:  # noqa: ARG002
        """Return the oldest comment with this marker on the issue."""
        self._refuse_while_running(marker)
        key = self.key_of(project, number)
        reason = f"Look for the comment on {key} on {self.name}."
        found = await self._call(lambda: self._search(self._comments(key), "comment", marker, reason))
        return found if isinstance(found, NotFound) else self._comment(key, found)

    async def delete_comment(self, project: str, number: int, comment: str) -> None:
        """Delete a comment."""
        path = f"/{_API}/issue/{self.key_of(project, number)}/comment/{quote(comment, safe='')}"
        await self._ask(Approved("DELETE", path, "delete the comment"), lambda found: found)

    async def has_comment(self, project: str, number: int, comment: str) -> bool:
        """Return whether a comment exists."""
        path = f"/{_API}/issue/{self.key_of(project, number)}/comment/{quote(comment, safe='')}"
        try:
            await self._ask(Approved("GET", path, "read the comment"), lambda found: found)
        except NotThere:
            return False
        return True

    # ---- what is found again --------------------------------------------------------------------

    def _issues(self, jql: str) -> Iterator[tuple[list[Any], bool]]:
        """Yield pages of issues, each with whether it is the last."""
        asked: dict[str, Any] = {"jql": jql, "maxResults": PER_PAGE, "fields": "created"}
        path = f"/{_API}/search"
        if self._is_cloud:
            path, asked = f"{path}/jql", {**asked, "properties": PROPERTY}
        for page in range(PAGES):
            found = self._exchange(Approved("GET", path, "list the tickets"), asked)
            issues = [{**one, "created": one["fields"]["created"]} for one in found["issues"]]
            if self._is_cloud:
                asked = {**asked, "nextPageToken": found.get("nextPageToken")}
                yield issues, found.get("nextPageToken") is None
            else:
                asked = {**asked, "startAt": (page + 1) * PER_PAGE}
                yield issues, page * PER_PAGE + len(issues) >= number_or_zero(found, "total")

    def _comments(self, key: str) -> Iterator[tuple[list[Any], bool]]:
        path = f"/{_API}/issue/{key}/comment"
        for page in range(PAGES):
            asked = {"orderBy": "-created", "maxResults": PER_PAGE, "startAt": page * PER_PAGE}
            found = self._exchange(
                Approved("GET", path, "list the comments"), {**asked, "expand": "properties"}
            )
            comments = found["comments"]
            yield comments, page * PER_PAGE + len(comments) >= number_or_zero(found, "total")

    def _search(self, pages: Iterator[tuple[list[Any], bool]], kind: str, marker: str, reason: str) -> Any:
        """Return the oldest entry with the marker, or `NotFound`; runs in a thread."""
        times, is_whole = [], False
        try:
            for entries, is_last in pages:
                times += [time_in(one, "created") for one in entries]
                with_marker = [one for one in entries if self._marker_of(one, kind) == marker]
                if with_marker:
                    return with_marker[-1]
                is_whole = is_last
                if is_last or not entries:
                    break
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise ToolUnavailable(f"{self.name} sent a list that cannot be read ({error}).") from error
        return NotFound(oldest_of(times, is_whole=is_whole or not times), reason)

    def _marker_of(self, entry: Mapping[str, Any], kind: str) -> str:
        """Return the marker of an issue or comment, from the list or by a request of its own."""
        brought = entry.get("properties")
        if isinstance(brought, list):
            brought = {one.get("key"): one.get("value") for one in brought if isinstance(one, dict)}
        if isinstance(brought, dict) and (self._is_cloud or PROPERTY in brought):
            return _marker_in(brought.get(PROPERTY))
        path = f"/{_API}/{kind}/{quote(text_in(entry, 'id'), safe='')}/properties/{PROPERTY}"
        try:
            return _marker_in(self._exchange(Approved("GET", path, f"read a {kind}")).get("value"))
        except NotThere:
            return ""  # it has no such property

    def _ticket(self, key: str) -> Ticket:
        _, _, number = key.rpartition("-")
        if not number.isascii() or not number.isdigit() or not int(number):
            raise ValueError("no key in the answer")
        return Ticket(int(number), key, f"{self._url}/browse/{key}")

    def _comment(self, key: str, found: Any) -> Comment:
        comment = text_in(found, "id")
        if not comment:
            raise ValueError("no id in the answer")
        return Comment(comment, f"{self._url}/browse/{key}?focusedId={comment}")

    # ---- one request ----------------------------------------------------------------------------

    def _refuse_while_running(self, key: str) -> None:
        """Say nothing about an effect while its request still runs in this process.

        Raises:
            ToolUnavailable: it runs.
        """
        if self._calls.is_running(key):
            raise ToolUnavailable("The request to Jira still runs in the worker, beyond its time limit.")

    async def _ask(
        self,
        approved: Approved,
        read: Callable[[Any], _Read],
        params: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> _Read:
        def work() -> _Read:
            found = self._exchange(approved, params)
            try:
                return read(found)
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                reading = Reading(self.name, approved, ())
                raise reading.lost(f"an answer that cannot be read: {error}") from error

        return await self._call(work, key)

    async def _call(self, work: Callable[[], _Read], key: str = "") -> _Read:
        found: _Read = await self._calls.call(work, {}, key)
        return found

    def _exchange(self, approved: Approved, params: Mapping[str, Any] | None = None) -> Any:
        """Send one request and return the JSON of its answer; runs in a thread.

        Raises:
            ToolError: by the table of `activities.tools.tickets.answers`.
        """
        token = self._token.get_secret_value()
        basic = base64.b64encode(f"{self._user}:{token}".encode()).decode()
        reading = Reading(self.name, approved, [token, basic])
        adapter = _OneRequest(self._url, approved, self._limits)
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
                    raise reading.unreached(_said(error)) from None
                raise reading.lost(_said(error)) from None
        if adapter.answer is None:
            raise reading.lost("there was no answer")
        return reading.document(adapter.answer)


class _OneRequest(HTTPAdapter):
    """Sends the approved request, once, and keeps its answer."""

    def __init__(self, url: str, approved: Approved, limits: Limits) -> None:
        super().__init__(max_retries=0)
        self._limits = limits
        self._url = url
        self._approved = approved
        self.is_sent = False
        self.answer: Answer | None = None

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send the request and read its answer, as far as `MAX_ANSWER` within its limits."""
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
        request.headers["Accept-Encoding"] = "identity"  # a small answer must not unpack to a large one
        ends = time.monotonic() + self._limits.whole
        timeout = (self._limits.connect, self._limits.read)
        self.is_sent = True
        response = super().send(request, **{**options, "stream": True, "timeout": timeout})
        try:
            body = _body_of(response.raw, ends)
        finally:
            response.raw.close()
        headers = {name.lower(): value for name, value in response.headers.items()}
        self.answer = Answer(response.status_code, headers, body)
        response.raw = io.BytesIO(body)  # what the library reads and logs
        return response


def _body_of(raw: Any, ends: float) -> bytes:
    body = bytearray()
    while chunk := raw.read1(_CHUNK, decode_content=False):
        body += chunk
        if len(body) > MAX_ANSWER:
            raise HTTPError(f"its answer is longer than {MAX_ANSWER:,} bytes")
        if time.monotonic() > ends:
            raise HTTPError("no whole answer in time")
    return bytes(body)


def _is_unsent(error: BaseException) -> bool:
    """Return whether no connection was made, so that nothing can have been sent."""
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


def _said(error: BaseException) -> str:
    """Return the innermost message, without the library's own wrapping."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return str(reason or error) or type(error).__name__


def _properties(marker: str) -> list[JsonValue]:
    return [{"key": PROPERTY, "value": {"marker": marker}}]


def _marker_in(value: Any) -> str:
    return text_in(value, "marker")


def number_or_zero(document: Any, name: str) -> int:
    """Return a count of an answer; 0 if it is none, or missing.

    Raises:
        ValueError: it is missing.
    """
    value = document.get(name)
    if value == 0:
        return 0
    return number_in(document, name)
