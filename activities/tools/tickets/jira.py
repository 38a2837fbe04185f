"""Jira Cloud and Jira Data Center: tickets are issues.

The marker is a property of the issue or comment, in the request that creates it; people do not see it.
Properties can be searched only if an app declares them, so the newest issues of the token's account (or the
newest comments on the issue) are listed. If the list does not contain their properties, each is read
separately.

`jira_request` sends the requests, with the vendor's library, which is synchronous: it runs in threads, which
cannot be stopped. Each request ends within `Limits.whole`; while one is still running, nothing is reported
about its effect.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import filterfalse
from typing import Any, Final, TypeVar
from urllib.parse import quote

from pydantic import JsonValue, SecretStr

from activities.tools.tickets.answers import Approved, NotAccessible, Reading, text_in, time_in
from activities.tools.tickets.jira_request import JiraRequests
from activities.tools.tickets.ticket import (
    Comment,
    CreateTicketArguments,
    Limits,
    Ticket,
    TicketState,
    oldest_of,
    where_to_look,
)
from plangate.domain.errors import ToolRefused, ToolUnavailable
from plangate.elapsed import elapsed
from plangate.tool import NotFound
from plangate.tool.threads import Calls

PROPERTY: Final = "plangate"
PAGES: Final = 4
PER_PAGE: Final = 50
_SEARCH_SECONDS: Final = 30  # seconds after which no further page is read; `find_out` may take a minute
_API: Final = "rest/api/2"
_Read = TypeVar("_Read")


class JiraTracker:
    """Issues of allowed projects."""

    setting = "PLANGATE_JIRA_PROJECTS"
    can_close = False  # the transition that closes an issue differs between projects

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
        self._kind = kind
        self._is_cloud = is_cloud
        self._exchange = JiraRequests(name, self._url, user, token, limits).exchange
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
        return await self._ask(approved, lambda found: self._ticket(wanted, found), key=marker)

    async def find_ticket(self, wanted: CreateTicketArguments, marker: str) -> Ticket | NotFound:
        """Return the oldest issue with this marker."""
        self._refuse_while_running(marker)
        reason = where_to_look(f"a ticket titled {wanted.title!r}", f"{wanted.project} on {self.name}")
        # Not filtered by project, because a Jira automation rule may move a new ticket immediately.
        jql = "creator = currentUser() ORDER BY created DESC"

        def is_similar(issue: Mapping[str, Any]) -> bool:
            return bool(issue["summary"] == wanted.title)

        found = await self._call(lambda: self._search(self._issues(jql), is_similar, "issue", marker, reason))
        return found if isinstance(found, NotFound) else self._ticket(wanted, found)

    async def close(self, project: str, number: int) -> None:
        """Refuse: see `can_close`.

        Raises:
            ToolRefused: always.
        """
        key = self.key_of(project, number)
        raise ToolRefused(f"Plangate cannot close tickets of Jira; close {key} yourself.")

    async def ticket_state(self, project: str, number: int) -> TicketState:
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

    async def find_comment(self, project: str, number: int, body: str, marker: str) -> Comment | NotFound:
        """Return the oldest comment with this marker on the issue."""
        self._refuse_while_running(marker)
        key = self.key_of(project, number)
        reason = where_to_look("the comment", f"{key} on {self.name}")

        def is_similar(comment: Mapping[str, Any]) -> bool:
            return bool(comment["body"] == body)

        found = await self._call(
            lambda: self._search(self._comments(key), is_similar, "comment", marker, reason)
        )
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
        except NotAccessible:
            return False
        return True

    # ---- finding by the marker ------------------------------------------------------------------

    def _issues(self, jql: str) -> Iterator[tuple[list[Any], bool]]:
        """Yield pages of issues, each with a flag for the last page."""
        parameters: dict[str, Any] = {"jql": jql, "maxResults": PER_PAGE, "fields": "created,summary"}
        path = f"/{_API}/search"
        if self._is_cloud:
            path, parameters = f"{path}/jql", {**parameters, "properties": PROPERTY}
        count = 0
        for _ in range(PAGES):
            found = self._exchange(Approved("GET", path, "list the tickets"), parameters)
            issues = [{**one, **one["fields"]} for one in found["issues"]]
            count += len(issues)
            if self._is_cloud:
                more = found.get("nextPageToken")
                parameters = {**parameters, "nextPageToken": more}
                yield issues, more is None
            else:
                parameters = {**parameters, "startAt": count}
                yield issues, count >= found["total"]

    def _comments(self, key: str) -> Iterator[tuple[list[Any], bool]]:
        approved, count = Approved("GET", f"/{_API}/issue/{key}/comment", "list the comments"), 0
        parameters = {"orderBy": "-created", "maxResults": PER_PAGE, "expand": "properties"}
        for _ in range(PAGES):
            found = self._exchange(approved, {**parameters, "startAt": count})
            count += len(found["comments"])
            yield found["comments"], count >= found["total"]

    def _search(
        self,
        pages: Iterator[tuple[list[Any], bool]],
        is_similar: Callable[[Mapping[str, Any]], bool],
        kind: str,
        marker: str,
        reason: str,
    ) -> Any:
        """Return the oldest entry with the marker, or `NotFound`; runs in a thread."""
        times: list[datetime] = []
        is_whole, ends = False, elapsed() + _SEARCH_SECONDS
        try:
            for entries, is_last in pages:
                times += _times(entries, is_last=is_last)
                # Each entry may need a request, so similar entries come first.
                for one in [*filter(is_similar, entries[::-1]), *filterfalse(is_similar, entries[::-1])]:
                    if self._marker_of(one, kind) == marker:
                        return one
                is_whole = is_last
                if is_last or elapsed() > ends:
                    break
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise ToolUnavailable(f"{self.name} sent a list that cannot be parsed ({error}).") from error
        self._check_token()
        return NotFound(oldest_of(times, is_whole=is_whole), reason)

    def _check_token(self) -> None:
        """Check that Jira accepts the token; for an expired token, its lists are incomplete.

        Raises:
            ToolError: Jira does not accept it, or did not respond.
        """
        request = Approved("GET", f"/{_API}/myself", "read the account of the token")
        found = self._exchange(request)
        if not (text_in(found, "accountId") or text_in(found, "key") or text_in(found, "name")):
            raise ToolUnavailable(f"{self.name} does not return the account of the token.")

    def _marker_of(self, entry: Mapping[str, Any], kind: str) -> str:
        """Return the marker of an issue or comment, from the list or by a separate request."""
        included = entry.get("properties")
        if isinstance(included, list):  # the entry is a comment
            included = {one["key"]: one["value"] for one in included}
        if isinstance(included, dict):
            return text_in(included.get(PROPERTY), "marker")
        path = f"/{_API}/{kind}/{quote(text_in(entry, 'id'), safe='')}/properties/{PROPERTY}"
        try:
            found = self._exchange(Approved("GET", path, f"read a {kind}"))
        except NotAccessible:
            return ""  # there is no such property
        return text_in(found["value"], "marker")

    def _ticket(self, wanted: CreateTicketArguments, found: Any) -> Ticket:
        key = text_in(found, "key")
        project, _, number = key.rpartition("-")
        if not number.isascii() or not number.isdigit() or not int(number):
            raise ValueError("no key in the answer")
        url = f"{self._url}/browse/{key}"
        if project != wanted.project:  # its number belongs to another ticket in the requested project
            return Ticket(None, key, url, f"it is no longer in {wanted.project}")
        return Ticket(int(number), key, url)

    def _comment(self, key: str, found: Any) -> Comment:
        comment = text_in(found, "id")
        if not comment:
            raise ValueError("no id in the answer")
        return Comment(comment, f"{self._url}/browse/{key}?focusedId={comment}")

    # ---- one request ----------------------------------------------------------------------------

    def _refuse_while_running(self, key: str) -> None:
        """Report nothing about an effect while its request is still running in this process.

        Raises:
            ToolUnavailable: it is still running.
        """
        if self._calls.is_running(key):
            raise ToolUnavailable("The request to Jira is still running, beyond its time limit.")

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
            except (ValueError, TypeError, AttributeError, LookupError) as error:
                reading = Reading(self.name, approved, ())
                raise reading.no_result(f"a response that cannot be parsed: {error}") from error

        return await self._call(work, key)

    async def _call(self, work: Callable[[], _Read], key: str = "") -> _Read:
        found: _Read = await self._calls.call(work, {}, key)
        return found


def _properties(marker: str) -> list[JsonValue]:
    return [{"key": PROPERTY, "value": {"marker": marker}}]


def _times(entries: list[Any], *, is_last: bool) -> list[datetime]:
    """Return the times at which the entries on a page were created.

    Raises:
        ValueError: a time is missing, or an empty page announces more entries.
    """
    if not entries and not is_last:
        raise ValueError("an empty page that is not the last")
    return [time_in(one, "created") for one in entries]
