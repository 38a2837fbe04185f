"""Classify and read the response to a request, by the same rules for GitHub and Jira.

    2xx                                 done, if the body can be read; else unknown
    301, 302, 307, 308                  refused: the target has moved, and nothing was done
    408, 425, 429                       unavailable: nothing happened; the error contains the delay
    403 with a wait or a rate limit     unavailable in the same way
    503 with Retry-After                unavailable
    other 4xx                           refused: nothing happened
    anything else                       unknown

For a request that only reads, unknown is treated as unavailable. Imports no client.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from pydantic import JsonValue

from plangate.domain.errors import EffectUnknown, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.escaping import cut, one_line
from plangate.http_dates import http_date, requested_delay

MAX_ANSWER: Final = 8 * 1024 * 1024
"""The maximum size of an answer, in bytes: a page of a list with the longest bodies fits."""

_MOVED: Final = frozenset({301, 302, 307, 308})
_ABSENT: Final = frozenset({404, 410})
_LATER: Final = frozenset({408, 425, 429})
_EXCERPT: Final = 300
_MAX_URL: Final = 500
_LARGEST: Final = 10**12  # number or id
_PAUSE: Final = timedelta(minutes=1)  # if a limit was hit and no waiting time is given
_LONGEST: Final = timedelta(hours=1)  # the longest window of GitHub's limits


@dataclass(frozen=True, slots=True)
class Approved:
    """The only request that may be sent.

    Attributes:
        method: the HTTP method.
        path: the path below the vendor's address, without the query.
        purpose: its purpose as a phrase, such as 'create the ticket'.
        payload: its JSON.
    """

    method: str
    path: str
    purpose: str
    payload: Mapping[str, JsonValue] | None = None

    @property
    def reads(self) -> bool:
        """Whether the request changes nothing."""
        return self.method == "GET"

    def refuse_other(self, method: str, path: str, content: bytes) -> None:
        """Compare the request that is about to be sent with the approved one.

        Raises:
            ToolRefused: it differs.
        """
        try:
            payload = json.loads(content) if content else None
        except ValueError:
            payload = content
        expected = dict(self.payload) if self.payload is not None else None
        if (method, path, payload) != (self.method, self.path, expected):
            raise ToolRefused(
                "The request about to be sent differs from what was approved; nothing was sent. This is a "
                "bug in Plangate or the vendor's library: report it."
            )


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __str__(self) -> str:
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)


class NotAccessible(ToolRefused):
    """The requested object does not exist, or the token may not see it."""


class Reading:
    """Reads the responses of one vendor to one request."""

    def __init__(self, vendor: str, approved: Approved, secrets: Sequence[str]) -> None:
        self._vendor = vendor
        self._approved = approved
        self._secrets = [secret for secret in secrets if secret]

    def not_sent(self, why: object) -> ToolUnavailable:
        """Return the error for a request that was not sent at all."""
        return ToolUnavailable(
            f"{self._vendor} cannot be reached to {self._approved.purpose} ({self._plain(why)}); nothing was "
            "sent."
        )

    def no_result(self, why: object) -> ToolError:
        """Return the error for a request whose response did not arrive or is invalid."""
        message = f"{self._vendor} returned no result for the request to {self._approved.purpose}"
        if self._approved.reads:
            return ToolUnavailable(
                f"{self._vendor} cannot {self._approved.purpose} now ({self._plain(why)})."
            )
        return EffectUnknown(f"{message} ({self._plain(why)}).")

    def document(self, answer: Answer) -> Any:
        """Return the JSON of a successful response; None if it has no content.

        Raises:
            ToolError: according to the table above.
        """
        failure = self._failure(answer)
        if failure is not None:
            raise failure
        if answer.status == HTTPStatus.NO_CONTENT:
            return None
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            raise self.no_result(f"{answer}, with a body that is not JSON") from None

    def _failure(self, answer: Answer) -> ToolError | None:
        message = f"{self._vendor} did not {self._approved.purpose}: {answer}"
        excerpt = self._plain(_message(answer.body))
        message += f" ({excerpt})" if excerpt else ""
        wait, status = wait_of(answer.headers), answer.status
        is_limited = wait is not None or "rate limit" in excerpt.lower()
        match status // 100:
            case 2:
                return None
            case 3 if status in _MOVED:
                return ToolRefused(f"{message}. It has moved; use its new name or address. Nothing was done.")
            case 4 if status in _LATER or (status == HTTPStatus.FORBIDDEN and is_limited):
                return ToolUnavailable(f"{message}; nothing was done.", wait or _PAUSE)
            case 4:
                kind = NotAccessible if status in _ABSENT else ToolRefused
                return kind(f"{message}; nothing was done.{_advice(status)}")
            case 5 if status == HTTPStatus.SERVICE_UNAVAILABLE and wait is not None:
                return ToolUnavailable(f"{message}; nothing was done.", wait)
            case _:
                return self.no_result(f"{answer}: {excerpt}" if excerpt else answer)

    def _plain(self, reason: object) -> str:
        text = str(reason) or type(reason).__name__
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return cut(one_line(text.strip()), _EXCERPT)


def _advice(status: int) -> str:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return " Check the token in the settings of the worker."
        case HTTPStatus.FORBIDDEN | HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            return " Check that project and ticket exist, and that the token may do this."
        case _:
            return ""


def wait_of(headers: Mapping[str, str]) -> timedelta | None:
    """Return the requested delay, at most an hour: `Retry-After`, or the reset of a rate limit.

    Times are compared with the response's own date, so that no clock is needed.
    """
    wait = requested_delay(headers)
    if wait is None and headers.get("x-ratelimit-remaining") == "0":
        until, now = _epoch(headers.get("x-ratelimit-reset", "")), http_date(headers.get("date", ""))
        wait = max(until - now, timedelta()) if until is not None and now is not None else _PAUSE
    if wait is None:
        return _PAUSE if headers.get("retry-after", "").strip() else None
    return min(wait, _LONGEST)


def _epoch(text: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _message(body: bytes) -> str:
    """Return an error's text: GitHub's ``message``, or Jira's ``errorMessages`` and ``errors``."""
    try:
        found = json.loads(body[:100_000])
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    listed = found.get("errorMessages")
    field_errors = found.get("errors")
    parts = [found.get("message"), *(listed if isinstance(listed, list) else [])]
    if isinstance(field_errors, dict):
        parts += [f"{name}: {message}" for name, message in field_errors.items()]
    elif isinstance(field_errors, list):
        parts += [
            " ".join(str(one[name]) for name in ("field", "code", "message") if one.get(name))
            for one in field_errors
            if isinstance(one, dict)
        ]
    return "; ".join(str(part) for part in parts if part)


def number_in(document: Any, name: str) -> int:
    """Return a positive whole number from a response.

    Raises:
        ValueError: it does not contain one.
    """
    value = document.get(name) if isinstance(document, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LARGEST:
        raise ValueError(f"no {name} in the answer")
    return value


def text_in(document: Any, name: str) -> str:
    """Return a text from a response, as one line; "" if there is none."""
    value = document.get(name) if isinstance(document, dict) else None
    return cut(one_line(value), _MAX_URL) if isinstance(value, str) else ""


def time_in(document: Any, name: str) -> datetime:
    """Return an aware time from a response.

    Raises:
        ValueError: it does not contain one.
    """
    found = datetime.fromisoformat(text_in(document, name))
    if found.tzinfo is None:
        raise ValueError(f"{name} has no time zone")
    return found
