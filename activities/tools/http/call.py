"""Classify the response to an HTTP call.

    2xx                         done: the receipt
    3xx to GET and HEAD         refused: nothing happened; another URL needs another plan
    307, 308                    refused: the server has not acted yet
    other 3xx                   unknown: many servers return 303 when the call is done
    408, 425, 429               unavailable: nothing happened; retry later, after Retry-After if it is given
    503 with Retry-After        unavailable; without it unknown: gateways also send it for a lost server
    409 where keys are honoured unknown: an earlier attempt with this key may still be running
    other 4xx, 501, 505         refused: nothing happened
    other 5xx                   unknown

Imports no client.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from pydantic import BaseModel

from activities.tools.http.headers import KEY_HEADER
from activities.tools.http.wire import Call
from plangate.domain.errors import EffectUnknown, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.tool import Receipt
from plangate.http_dates import requested_delay

SAFE: Final = frozenset({"GET", "HEAD"})
IDEMPOTENT: Final = SAFE | {"PUT", "DELETE"}
LATER: Final = frozenset({408, 425, 429})
ABSENT: Final = frozenset({404, 410})
NOT_SUPPORTED: Final = frozenset({501, 505})
EXCERPT: Final = 2_000

_SAME_METHOD_REDIRECTS: Final = frozenset({307, 308})
_TEXT: Final = re.compile(r"text/|.*[/+](json|xml|yaml|javascript|x-www-form-urlencoded)\b", re.IGNORECASE)
_LATIN: Final = re.compile(r"charset=\"?(iso-8859-1|latin-?1|windows-1252)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response; header names are in lower case.

    ``is_whole`` is False if the body was too long to be read completely, or was truncated.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool

    def text(self) -> str:
        """Return the body as text, or "" if it is not text."""
        content_type = self.headers.get("content-type", "")
        if not _TEXT.match(content_type) or self.headers.get("content-encoding", "identity") != "identity":
            return ""
        return self.body.decode("latin-1" if _LATIN.search(content_type) else "utf-8", "replace")

    def __str__(self) -> str:
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)


class Answered(BaseModel):
    """The fields of a receipt that later steps can refer to."""

    status: int
    content_type: str
    body: str


def failure_of(call: Call, answer: Answer, *, honours_keys: bool) -> ToolError | None:
    """Return the tool error for a response, according to the table above, or None for success."""
    status = answer.status
    message = f"{call} was answered {answer}"
    excerpt = cut(one_line(answer.text().strip()), 300)
    if excerpt:
        message += f" ({excerpt})"
    match status // 100:
        case 2:
            return None
        case 3 if call.method in SAFE or status in _SAME_METHOD_REDIRECTS:
            target = cut(one_line(answer.headers.get("location", "nowhere")), 200)
            return ToolRefused(
                f"{message}: redirects are not followed; put the target in the plan ({target})."
            )
        case 4 if status in LATER:
            return ToolUnavailable(f"{message}; nothing was done.", requested_delay(answer.headers))
        case 4 if status == HTTPStatus.CONFLICT and honours_keys:
            return EffectUnknown(f"{message}; an earlier attempt may still be running.")
        case 4 if status in ABSENT and call.method == "DELETE":
            return ToolRefused(f"{message}; it never existed, or an earlier attempt has deleted it.")
        case 4:
            return ToolRefused(f"{message}; it was not done.")
        case 5 if status == HTTPStatus.SERVICE_UNAVAILABLE and "retry-after" in answer.headers:
            return ToolUnavailable(f"{message}; nothing was done.", requested_delay(answer.headers))
        case 5 if status in NOT_SUPPORTED:
            return ToolRefused(f"{message}; it was not done.")
        case _:
            return EffectUnknown(f"{message}.")


def receipt_of(call: Call, answer: Answer) -> Receipt:
    """Return the receipt for a successful call."""
    text = answer.text()
    return Receipt(
        summary=f"{call} was answered {answer}",
        details={
            "method": call.method,
            "url": call.url,
            "status": answer.status,
            "etag": cut(one_line(answer.headers.get("etag", "").strip().removeprefix("W/")), 200),
            "content_type": cut(one_line(answer.headers.get("content-type", "")), 200),
            "body": text[:EXCERPT],
            "body_is_whole": answer.is_whole and len(text) <= EXCERPT,
            "idempotency_key": call.headers[KEY_HEADER],
        },
    )
