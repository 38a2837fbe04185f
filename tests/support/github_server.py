"""A fake of GitHub's issues; requests and responses match GitHub's published description.

A `FaultyServer` does the HTTP part. Lists are newest first, or in the requested order, in pages; with ``lag``
the newest entries are not listed yet, as GitHub's lists may lag.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

from tests.support.faulty_server import Answer, Request
from tests.support.github_openapi.cut import CUT

HOST = "https://api.github.com"


@lru_cache(maxsize=1)
def published() -> OpenAPI:
    """GitHub's API description, cut down to the paths in use."""
    return OpenAPI.from_dict(json.loads(CUT.read_text()))


@dataclass
class GitHubServer:
    """The issues of all repositories, and the errors that callers made."""

    token: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    lag: int = 0
    issues: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    misuses: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def titles(self) -> list[str]:
        """Return the titles of all issues, oldest first."""
        with self.lock:
            return [issue["title"] for issue in self.issues]

    def bodies(self) -> list[str]:
        """Return the bodies of all comments, oldest first."""
        with self.lock:
            return [comment["body"] for comment in self.comments]

    def open_issue(self, repository: str, title: str, body: str) -> None:
        """Open an issue, as if on GitHub's web pages."""
        with self.lock:
            self._create(repository, {"title": title, "body": body})

    def close(self, repository: str, number: int) -> None:
        """Close an issue on the page."""
        self._set_state(repository, number, "closed")

    def reopen(self, repository: str, number: int) -> None:
        """Open a closed issue again, on the page."""
        self._set_state(repository, number, "open")

    def _set_state(self, repository: str, number: int, state: str) -> None:
        with self.lock:
            (issue,) = (one for one in self.issues if _is_in(one, repository) and one["number"] == number)
            issue["state"] = state

    def __call__(self, request: Request) -> Answer:
        asked = MockRequest(
            HOST,
            request.method.lower(),
            request.path,
            args=dict(parse_qsl(request.query)),
            headers=dict(request.headers),
            data=request.body or None,
            content_type=request.headers.get("content-type", "application/json"),
        )
        try:
            published().validate_request(asked)
        except OpenAPIError as error:
            self.misuses.append(f"{request.method} {request.target}: {error!r}")
            return Answer(422, {"message": "Validation Failed", "documentation_url": HOST})
        if request.headers.get("authorization") not in (f"Bearer {self.token}", f"token {self.token}"):
            return Answer(401, {"message": "Bad credentials", "documentation_url": HOST})
        with self.lock:
            answer = self._answer(request)
        if answer.status < 300:
            response = MockResponse(answer.raw, status_code=answer.status, content_type="application/json")
            published().validate_response(asked, response)
        return answer

    def _answer(self, request: Request) -> Answer:
        _, _, owner, name, _, *rest = request.path.split("/")
        where, query = f"{owner}/{name}", dict(parse_qsl(request.query))
        match request.method, rest:
            case "POST", []:
                return Answer(201, self._create(where, json.loads(request.body)))
            case "GET", []:
                return Answer(200, self._page([one for one in self.issues if _is_in(one, where)], query))
            case "GET", ["comments"]:
                return Answer(200, self._page([one for one in self.comments if _is_in(one, where)], query))
            case method, ["comments", comment]:
                found = [one for one in self.comments if one["id"] == int(comment) and _is_in(one, where)]
                if found and method == "DELETE":
                    self.comments.remove(found[0])
                    return Answer(204, b"")
                return Answer(200, found[0]) if found else _not_found()
            case method, [number, *comments]:
                issues = [one for one in self.issues if one["number"] == int(number) and _is_in(one, where)]
                if not issues:
                    return _not_found()
                if comments:
                    return Answer(201, self._comment(issues[0], json.loads(request.body)))
                if method == "PATCH":
                    issues[0].update(json.loads(request.body))
                return Answer(200, issues[0])
            case _:
                return _not_found()

    def _page(self, entries: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        listed = entries[: len(entries) - self.lag] if self.lag else entries
        if query.get("direction", "desc") == "desc":
            listed = listed[::-1]
        size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
        return listed[(page - 1) * size : page * size]

    def _create(self, where: str, asked: dict[str, Any]) -> dict[str, Any]:
        now, number = self._now(), sum(_is_in(one, where) for one in self.issues) + 1
        url = f"{HOST}/repos/{where}/issues/{number}"
        page = f"https://github.com/{where}/issues/{number}"
        issue = {
            "id": len(self.issues) + 1_000,
            "node_id": f"I_{number}",
            "number": number,
            "title": asked["title"],
            "body": asked.get("body"),
            "state": "open",
            "user": None,
            "assignee": None,
            "milestone": None,
            "labels": [],
            "locked": False,
            "comments": 0,
            "closed_at": None,
            "created_at": now,
            "updated_at": now,
            "url": url,
            "repository_url": f"{HOST}/repos/{where}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "labels_url": f"{url}/labels{{/name}}",
            "html_url": page,
        }
        self.issues.append(issue)
        return issue

    def _comment(self, issue: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        now, number = self._now(), len(self.comments) + 5_000
        comment = {
            "id": number,
            "node_id": f"IC_{number}",
            "body": asked["body"],
            "user": None,
            "created_at": now,
            "updated_at": now,
            "url": f"{issue['repository_url']}/issues/comments/{number}",
            "issue_url": issue["url"],
            "html_url": f"{issue['html_url']}#issuecomment-{number}",
        }
        self.comments.append(comment)
        return comment

    def _now(self) -> str:
        return self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_in(entry: dict[str, Any], where: str) -> bool:
    return f"/repos/{where}/".lower() in entry["url"].lower()


def _not_found() -> Answer:
    return Answer(404, {"message": "Not Found", "documentation_url": HOST})
