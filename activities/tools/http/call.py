"""The answer to an HTTP call, and what it says of the world.

Only 2xx is a plain yes:

    2xx                         done: the receipt
    3xx, GET and HEAD           refused: nothing happened; another URL is another plan
    307, 308                    refused: they say that the server did nothing yet
    3xx otherwise               unknown: '303' is how many servers say that it is done
    408, 425, 429               nothing happened, later may be better
    503 with Retry-After        the same; without, gateways say it too when a server breaks off, so: unknown
    409 where keys are honoured unknown: the earlier attempt under this key may still be at work
    4xx otherwise, 501, 505     refused: nothing happened
    5xx otherwise               unknown

Imports no client: the tool judges answers without one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from activities.tools.http.headers import KEY_HEADER
from activities.tools.http.wire import Call
from plangate.domain.errors import EffectUnknown, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.escaping import cut, one_line
from plangate.domain.tool import Receipt

SAFE: Final = frozenset({"GET", "HEAD"})
IDEMPOTENT: Final = SAFE | {"PUT", "DELETE"}
EXCERPT: Final = 2_000

_NOT_YET: Final = frozenset({307, 308})
_LATER: Final = frozenset({408, 425, 429})
_NOT_THERE: Final = frozenset({404, 410})
_NOT_SUPPORTED: Final = frozenset({501, 505})
_TEXT: Final = re.compile(r"text/|.*[/+](json|xml|yaml|javascript|x-www-form-urlencoded)\b", re.IGNORECASE)
_LATIN: Final = re.compile(r"charset=\"?(iso-8859-1|latin-?1|windows-1252)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; names of headers in lower case.

    ``is_whole`` is False where the body was longer than is read, or broke off.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool

    def text(self) -> str:
        """Return the body as text, where it is text."""
        content_type = self.headers.get("content-type", "")
        if not _TEXT.match(content_type) or self.headers.get("content-encoding", "identity") != "identity":
            return ""
        return self.body.decode("latin-1" if _LATIN.search(content_type) else "utf-8", "replace")

    def __str__(self) -> str:
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)


def failure_of(call: Call, answer: Answer, *, honours_keys: bool) -> ToolError | None:
    """Return what the answer means where it is no success: the table above."""
    status = answer.status
    said = f"{call} was answered {answer}"
    told = cut(one_line(answer.text().strip()), 300)
    if told:
        said += f" ({told})"
    match status // 100:
        case 2:
            return None
        case 3 if call.method in SAFE or status in _NOT_YET:
            where = cut(one_line(answer.headers.get("location", "nowhere")), 200)
            return ToolRefused(
                f"{said}: it leads to {where}, which is not followed; put the right URL in the plan."
            )
        case 4 if status in _LATER:
            return ToolUnavailable(f"{said}; nothing was done.")
        case 4 if status == HTTPStatus.CONFLICT and honours_keys:
            return EffectUnknown(f"{said}; an earlier attempt may still be at work.")
        case 4 if status in _NOT_THERE and call.method == "DELETE":
            return ToolRefused(f"{said}; it never was there, or an earlier attempt has deleted it.")
        case 4:
            return ToolRefused(f"{said}; it was not done.")
        case 5 if status == HTTPStatus.SERVICE_UNAVAILABLE and "retry-after" in answer.headers:
            return ToolUnavailable(f"{said}; nothing was done.")
        case 5 if status in _NOT_SUPPORTED:
            return ToolRefused(f"{said}; it was not done.")
        case _:
            return EffectUnknown(f"{said}.")


def receipt_of(call: Call, answer: Answer) -> Receipt:
    """Return the receipt of a call that was done."""
    text = answer.text()
    return Receipt(
        summary=f"{call} was answered {answer}",
        details={
            "status": answer.status,
            "url": call.url,
            "content_type": cut(one_line(answer.headers.get("content-type", "")), 200),
            "body": text[:EXCERPT],
            "body_is_whole": answer.is_whole and len(text) <= EXCERPT,
            "idempotency_key": call.headers[KEY_HEADER],
        },
    )
