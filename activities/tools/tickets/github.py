"""GitHub, and GitHub Enterprise Server: tickets are issues.

The marker is an HTML comment at the end of a body: part of the creating request, kept by GitHub, and not
shown to readers. To find it, the newest issues or comments of the repository are listed, because the search
index lags by minutes. Pages are read until one is not full and has no link to a next page, at most `PAGES`.

`github_request` sends the requests, with the vendor's library.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from pydantic import SecretStr

from activities.tools.tickets.answers import Approved, NotAccessible, number_in, text_in, time_in
from activities.tools.tickets.github_request import Call, GitHubRequests
from activities.tools.tickets.ticket import (
    MARK,
    Comment,
    CreateTicketArguments,
    Limits,
    Ticket,
    TicketState,
    oldest_of,
    where_to_look,
)
from plangate.tool import NotFound

PAGES: Final = 20
PER_PAGE: Final = 50


class GitHubTracker:
    """Issues of allowed repositories."""

    setting = "PLANGATE_GITHUB_REPOS"
    can_close = True

    def __init__(
        self,
        name: str,
        url: str,
        token: SecretStr,
        repositories: Sequence[str],
        limits: Limits = Limits(),  # noqa: B008  immutable
    ) -> None:
        self.name = name
        self.projects = tuple(repositories)
        requests = GitHubRequests(name, url, token, limits)
        self._ask, self._ask_page = requests.ask, requests.ask_page

    def key_of(self, project: str, number: int) -> str:
        """Return ``acme/support#12``."""
        return f"{project}#{number}"

    async def create(self, wanted: CreateTicketArguments, marker: str) -> Ticket:
        """Create an issue."""
        owner, name = _parts(wanted.project)
        payload = {"title": wanted.title, "body": _with_marker(wanted.body, marker)}
        approved = Approved("POST", f"/repos/{owner}/{name}/issues", "create the ticket", payload)
        return await self._ask(
            approved,
            lambda github: github.rest.issues.async_create(
                owner, name, title=wanted.title, body=payload["body"]
            ),
            lambda found: self._ticket(wanted, found, marker),
        )

    async def find_ticket(self, wanted: CreateTicketArguments, marker: str) -> Ticket | NotFound:
        """Return the oldest issue with this marker."""
        owner, name = _parts(wanted.project)
        path = f"/repos/{owner}/{name}/issues"
        found = await self._search(
            Approved("GET", path, "list the tickets"),
            lambda page: (
                lambda github: github.rest.issues.async_list_for_repo(
                    owner, name, state="all", sort="created", direction="desc", per_page=PER_PAGE, page=page
                )
            ),
            lambda one: _marker_comment(marker) in _body(one),
            where_to_look(f"a ticket titled {wanted.title!r}", f"{wanted.project} on {self.name}"),
        )
        return found if isinstance(found, NotFound) else self._ticket(wanted, found, marker)

    async def close(self, project: str, number: int) -> None:
        """Close an issue as not planned."""
        owner, name = _parts(project)
        payload = {"state": "closed", "state_reason": "not_planned"}
        await self._ask(
            Approved("PATCH", f"/repos/{owner}/{name}/issues/{number}", "close the ticket", payload),
            lambda github: github.rest.issues.async_update(
                owner, name, number, state="closed", state_reason="not_planned"
            ),
            lambda found: _closed(_of_number(found, number)),
        )

    async def ticket_state(self, project: str, number: int) -> TicketState:
        """Return whether an issue is open, with its title."""
        owner, name = _parts(project)
        found = await self._ask(
            Approved("GET", f"/repos/{owner}/{name}/issues/{number}", f"read ticket {number} of {project}"),
            lambda github: github.rest.issues.async_get(owner, name, number),
            lambda found: _of_number(found, number),
        )
        kind = "pull request" if isinstance(found, dict) and found.get("pull_request") else "ticket"
        return TicketState(text_in(found, "title"), text_in(found, "state"), kind)

    async def comment(self, project: str, number: int, body: str, marker: str) -> Comment:
        """Comment on an issue or a pull request."""
        owner, name = _parts(project)
        payload = {"body": _with_marker(body, marker)}
        path = f"/repos/{owner}/{name}/issues/{number}/comments"
        return await self._ask(
            Approved("POST", path, "add the comment", payload),
            lambda github: github.rest.issues.async_create_comment(owner, name, number, body=payload["body"]),
            lambda found: _comment(found, body, marker),
        )

    async def find_comment(self, project: str, number: int, body: str, marker: str) -> Comment | NotFound:
        """Return the oldest comment with this marker on the issue.

        GitHub lists one issue's comments only oldest first, but a repository's comments also newest first.
        """
        owner, name = _parts(project)
        end = f"/repos/{project}/issues/{number}".lower()
        found = await self._search(
            Approved("GET", f"/repos/{owner}/{name}/issues/comments", "list the comments"),
            lambda page: (
                lambda github: github.rest.issues.async_list_comments_for_repo(
                    owner, name, sort="created", direction="desc", per_page=PER_PAGE, page=page
                )
            ),
            lambda one: (
                _marker_comment(marker) in _body(one) and text_in(one, "issue_url").lower().endswith(end)
            ),
            where_to_look("the comment", f"{self.key_of(project, number)} on {self.name}"),
        )
        return found if isinstance(found, NotFound) else _comment(found, body, marker)

    async def delete_comment(self, project: str, number: int, comment: str) -> None:  # noqa: ARG002
        """Delete a comment."""
        owner, name = _parts(project)
        await self._ask(
            Approved("DELETE", f"/repos/{owner}/{name}/issues/comments/{comment}", "delete the comment"),
            lambda github: github.rest.issues.async_delete_comment(owner, name, int(comment)),
            lambda found: found,
        )

    async def has_comment(self, project: str, number: int, comment: str) -> bool:  # noqa: ARG002
        """Return whether a comment exists."""
        owner, name = _parts(project)
        try:
            await self._ask(
                Approved("GET", f"/repos/{owner}/{name}/issues/comments/{comment}", "read the comment"),
                lambda github: github.rest.issues.async_get_comment(owner, name, int(comment)),
                lambda found: found,
            )
        except NotAccessible:
            return False
        return True

    def _ticket(self, wanted: CreateTicketArguments, found: Any, marker: str) -> Ticket:
        number = number_in(found, "number")
        _check_marker(found, marker)
        differs = [
            what
            for what, is_same in (
                ("title", found.get("title") == wanted.title),
                ("text", _body(found).replace("\r\n", "\n") == _with_marker(wanted.body, marker)),
            )
            if not is_same
        ]
        difference = f"its {' and '.join(differs)} is not what was sent" if differs else ""
        return Ticket(number, self.key_of(wanted.project, number), text_in(found, "html_url"), difference)

    async def _search(
        self,
        approved: Approved,
        page_of: Callable[[int], Call],
        matches: Callable[[Any], bool],
        reason: str,
    ) -> Any:
        """Return the oldest entry that satisfies ``matches``, or `NotFound`."""
        found, times, is_whole = None, [], False
        for page in range(1, PAGES + 1):
            (entries, created), has_more = await self._ask_page(approved, page_of(page), _listed)
            times += created
            found = next((one for one in reversed(entries) if matches(one)), found)
            is_whole = len(entries) < PER_PAGE and not has_more
            if found is not None or is_whole:
                break
        return found if found is not None else NotFound(oldest_of(times, is_whole=is_whole), reason)


def _parts(project: str) -> tuple[str, str]:
    owner, _, name = project.partition("/")
    return owner, name


def _marker_comment(marker: str) -> str:
    return f"{MARK}{marker} -->"


def _with_marker(body: str, marker: str) -> str:
    return f"{body}\n\n{_marker_comment(marker)}"


def _body(entry: Any) -> str:
    body = entry.get("body")
    return body if isinstance(body, str) else ""


def _of_number(document: Any, number: int) -> Any:
    if number_in(document, "number") != number:
        raise ValueError("it is about another ticket")
    return document


def _closed(document: Any) -> Any:
    if text_in(document, "state") != "closed":
        raise ValueError("the ticket is still open")
    return document


def _check_marker(document: Any, marker: str) -> None:
    if _marker_comment(marker) not in _body(document):
        raise ValueError("it is about something else: it does not contain the marker")


def _listed(document: Any) -> tuple[list[Any], list[Any]]:
    if not isinstance(document, list):
        raise TypeError("it is not a list")
    return document, [time_in(one, "created_at") for one in document]


def _comment(found: Any, body: str, marker: str) -> Comment:
    _check_marker(found, marker)
    is_same = _body(found).replace("\r\n", "\n") == _with_marker(body, marker)
    differs = "" if is_same else "its text is not what was sent"
    return Comment(str(number_in(found, "id")), text_in(found, "html_url"), differs)
