"""A fake of Jira's issues: Data Center, or Cloud, whose search includes the properties.

No description of Jira's API is published under a licence that allows us to ship it. It refuses what Jira
refuses: unknown fields and projects, long summaries, the old search in the cloud. Like `GitHubServer`, it
answers a `FaultyServer`.
"""

import base64
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from tests.support.faulty_server import Answer, Request

_JQL = "creator = currentUser() ORDER BY created DESC"
_FIELDS = {"project", "issuetype", "summary", "description"}


@dataclass
class JiraServer:
    """The issues of the projects, all created by the account of the token."""

    token: str
    user: str = ""
    is_cloud: bool = False
    projects: tuple[str, ...] = ("OPS", "DESK")
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    lag: int = 0
    is_anonymous: bool = False  # whether the token has expired: reads are then anonymous, and return nothing
    issues: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    misuses: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def titles(self) -> list[str]:
        """Return the summaries of all issues, oldest first."""
        with self.lock:
            return [issue["fields"]["summary"] for issue in self.issues]

    def bodies(self) -> list[str]:
        """Return the bodies of all comments, oldest first."""
        with self.lock:
            return [comment["body"] for comment in self.comments]

    def repeat_newest(self, times: int) -> None:
        """Add this many issues like the newest one, with their own ids."""
        with self.lock:
            newest, number = self.issues[-1], len(self.issues)
            for n in range(number, number + times):
                key = f"{newest['key'].partition('-')[0]}-{n + 1}"
                self.issues.append({**newest, "id": str(10_000 + n), "key": key})

    def __call__(self, request: Request) -> Answer:
        basic = base64.b64encode(f"{self.user}:{self.token}".encode()).decode()
        expected = f"Basic {basic}" if self.user else f"Bearer {self.token}"
        if request.headers.get("authorization") != expected:
            return Answer(401, {"errorMessages": ["Client must be authenticated to access this resource."]})
        if self.is_anonymous and request.path.endswith(("/search", "/search/jql")):
            return Answer(200, {"issues": [], "total": 0})
        if self.is_anonymous:
            return Answer(401, {"errorMessages": ["Client must be authenticated to access this resource."]})
        with self.lock:
            answer = self._answer(request)
        if answer.status == 400:
            self.misuses.append(f"{request.method} {request.target}: {answer.body}")
        return answer

    def _answer(self, request: Request) -> Answer:
        asked = json.loads(request.body) if request.body else {}
        query = dict(parse_qsl(request.query))
        match request.method, request.path.removeprefix("/rest/api/2/").split("/"):
            case "POST", ["issue"]:
                return self._create(asked)
            case "GET", ["myself"]:
                return Answer(200, {"accountId": "a1"} if self.is_cloud else {"key": "bot", "name": "bot"})
            case "GET", ["search"] if not self.is_cloud:
                return self._search(query, int(query.get("startAt", 0)))
            case "GET", ["search", "jql"] if self.is_cloud:
                return self._search(query, int(query.get("nextPageToken", 0)))
            case "GET", ["search"]:
                return Answer(410, {"errorMessages": ["The requested API has been removed."]})
            case "GET", ["issue", key, "properties", name]:
                return self._property(self._issue(key), name)
            case "GET", ["comment", comment, "properties", name]:
                return self._property(self._found_comment(comment), name)
            case "GET", ["issue", key]:
                issue = self._issue(key)
                return Answer(200, _shown(issue)) if issue else _not_found()
            case method, ["issue", key, "comment", *comment]:
                return self._comments(method, key, comment, asked, query)
            case _:
                return _not_found()

    def _create(self, asked: dict[str, Any]) -> Answer:
        fields = asked["fields"]
        errors = {name: "Field cannot be set." for name in fields if name not in _FIELDS}
        if not fields.get("summary") or len(fields["summary"]) > 254:
            errors["summary"] = "Summary must be 1 to 254 characters."
        if fields["project"]["key"] not in self.projects:
            errors["project"] = "valid project is required"
        if len(fields.get("description", "")) > 32_767:
            errors["description"] = "The entered text is too long."
        if errors:
            return Answer(400, {"errorMessages": [], "errors": errors})
        project = fields["project"]["key"]
        number = sum(one["key"].startswith(f"{project}-") for one in self.issues) + 1
        issue = {
            "id": str(10_000 + len(self.issues)),
            "key": f"{project}-{number}",
            "fields": {
                **fields,
                "created": self._now(),
                "status": {"name": "To Do", "statusCategory": {"key": "new"}},
            },
            "properties": {one["key"]: one["value"] for one in asked.get("properties", [])},
        }
        self.issues.append(issue)
        return Answer(201, {"id": issue["id"], "key": issue["key"], "self": "http://jira/10000"})

    def _search(self, asked: dict[str, Any], start: int) -> Answer:
        if asked["jql"] != _JQL:
            return Answer(400, {"errorMessages": [f"Error in the JQL Query: {asked['jql']}"]})
        listed = (self.issues[: len(self.issues) - self.lag] if self.lag else self.issues)[::-1]
        end = start + int(asked["maxResults"])
        page = [
            _shown(one, with_properties=self.is_cloud and "properties" in asked) for one in listed[start:end]
        ]
        if self.is_cloud:
            more = {"nextPageToken": str(end)} if end < len(listed) else {"isLast": True}
            return Answer(200, {"issues": page, **more})
        return Answer(200, {"issues": page, "startAt": start, "total": len(listed)})

    def _comments(
        self, method: str, key: str, comment: list[str], asked: dict[str, Any], query: dict[str, str]
    ) -> Answer:
        if self._issue(key) is None:
            return _not_found()
        found = self._found_comment(comment[0]) if comment else None
        if comment and (found is None or found["issue"] != key):
            return _not_found()
        if method == "DELETE" and found is not None:
            self.comments.remove(found)
            return Answer(204, b"")
        if method == "POST":
            return self._comment(key, asked)
        if found is not None:
            return Answer(200, _shown(found))
        of_issue = [one for one in self.comments if one["issue"] == key]
        listed = of_issue[: len(of_issue) - self.lag] if self.lag else of_issue
        if query.get("orderBy") == "-created":
            listed = listed[::-1]
        start, most = int(query.get("startAt", 0)), int(query.get("maxResults", 50))
        shown = [_shown(one) for one in listed[start : start + most]]
        return Answer(200, {"comments": shown, "startAt": start, "total": len(listed)})

    def _comment(self, key: str, asked: dict[str, Any]) -> Answer:
        if not asked["body"] or len(asked["body"]) > 32_767 or asked.keys() - {"body", "properties"}:
            return Answer(400, {"errorMessages": [], "errors": {"comment": "Comment body is not valid."}})
        comment = {
            "id": str(20_000 + len(self.comments)),
            "issue": key,
            "body": asked["body"],
            "created": self._now(),
            "properties": {one["key"]: one["value"] for one in asked.get("properties", [])},
        }
        self.comments.append(comment)
        return Answer(201, _shown(comment))

    def _property(self, entry: dict[str, Any] | None, name: str) -> Answer:
        if entry is None or name not in entry["properties"]:
            return _not_found()
        return Answer(200, {"key": name, "value": entry["properties"][name]})

    def _issue(self, key: str) -> dict[str, Any] | None:
        return next((one for one in self.issues if key in (one["key"], one["id"])), None)

    def _found_comment(self, comment: str) -> dict[str, Any] | None:
        return next((one for one in self.comments if one["id"] == comment), None)

    def _now(self) -> str:
        return self.clock().strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def _shown(entry: dict[str, Any], *, with_properties: bool = False) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "properties" or with_properties}


def _not_found() -> Answer:
    return Answer(404, {"errorMessages": ["Issue does not exist or you do not have permission to see it."]})
