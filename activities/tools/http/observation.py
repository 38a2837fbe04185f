"""Observe the state of the URL that a call relies on, for the draft and again just before the call.

    PUT, PATCH, DELETE          the URL of the call, because the call changes its content
    POST, GET, HEAD             nothing, unless the argument `observe` gives a URL

The state is the response to a GET without its body: the ETag and a digest. Two states are equal if either of
these is equal, because servers behind one name may give different ETags for the same body. JSON is hashed in
its canonical form, so the order of names and the form of numbers do not matter. If GET cannot read a URL
(403, 405, a redirect, a large body without an ETag), nothing is observed.

Earlier steps of the same run may have changed the URL, by an unsafe call to it or to a URL below it. The
result of such a call is then expected: the ETag that a PUT or PATCH returned, no resource after a DELETE, and
anything after other calls.

Imports no client.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from pydantic import JsonValue

from activities.tools.http.call import ABSENT, LATER, NOT_SUPPORTED, SAFE, Answer
from activities.tools.http.headers import KEY_HEADER, is_json
from activities.tools.http.wire import Call
from plangate.domain.errors import ToolUnavailable
from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.plan import canonical_json, refuse_duplicate_names
from plangate.domain.plans.tool import Receipt
from plangate.domain.plurals import counted
from plangate.http_dates import requested_delay

OBSERVED_BY_DEFAULT: Final = frozenset({"PUT", "PATCH", "DELETE"})
MAX_OBSERVED: Final = 1024 * 1024  # bytes of a body
_SUCCESS: Final = range(200, 300)
_MAX_TAG: Final = 200
_MAX_SHOWN_TAG: Final = 40
# Headers for authentication and content negotiation. Other headers belong to the body or the call, such as
# its own precondition, or may cause a server to act.
_GET_HEADERS: Final = frozenset({
    "accept", "accept-language", "api-key", "authorization", "user-agent", "x-api-key",
})  # fmt: skip


def reading_of(url: str, headers: Mapping[str, str]) -> Call:
    """Return a GET request for ``url`` that keeps the call's headers that are valid for GET."""
    return Call("GET", url, {name: value for name, value in headers.items() if name in _GET_HEADERS})


def state_of(url: str, answer: Answer) -> dict[str, JsonValue]:
    """Return the state that a response shows.

    Raises:
        ToolUnavailable: the server could not respond now.
    """
    status = answer.status
    if status in LATER or (status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in NOT_SUPPORTED):
        message = f"{cut(url, 200)} cannot be observed now: the answer was {answer}."
        raise ToolUnavailable(message, requested_delay(answer.headers))
    state: dict[str, JsonValue] = {"url": url, "status": status}
    if status not in _SUCCESS:
        return state
    etag = one_line(answer.headers.get("etag", "").strip().removeprefix("W/"))
    if etag and len(etag) <= _MAX_TAG:
        state["etag"] = etag
    if answer.is_whole:
        state["bytes"] = len(answer.body)
        state["sha256"] = _digest(answer)
    return state


def shows_result_of(call: Call, state: JsonValue) -> bool:
    """Return whether the URL of a PUT or DELETE has the expected state: its body, or no resource."""
    if not isinstance(state, dict) or state.get("url") != call.url:
        return False
    if call.method == "DELETE":
        return state.get("status") in ABSENT
    sent = Answer(HTTPStatus.OK, call.headers, call.content or b"", is_whole=True)
    exists = isinstance(state.get("status"), int) and state["status"] in _SUCCESS
    return call.method == "PUT" and exists and state.get("sha256") == _digest(sent)


def receipt_without_response(call: Call, state: JsonValue) -> Receipt:
    """Return the receipt for a call whose response was lost, if its URL shows the result.

    Later steps cannot refer to the response.
    """
    etag = state.get("etag", "") if isinstance(state, dict) else ""
    return Receipt(
        summary=f"{call} got no response, but its URL shows the result ({in_words(state)})",
        details={
            "method": call.method,
            "url": call.url,
            "etag": etag,
            "idempotency_key": call.headers[KEY_HEADER],
        },
    )


def is_readable(state: JsonValue) -> bool:
    """Return whether changes of a state can be detected: an ETag, a digest, or the resource's absence."""
    if not isinstance(state, dict):
        return False
    return state.get("status") in ABSENT or "etag" in state or "sha256" in state


def state_holds(seen: JsonValue, now: JsonValue, receipts: Sequence[Receipt]) -> bool:
    """Return whether the state is unchanged since the draft, apart from changes by steps of this run."""
    if not isinstance(seen, dict) or not isinstance(now, dict) or not is_readable(seen):
        return not is_readable(seen)
    if seen.get("url") != now.get("url"):
        return False
    changes = [one.details for one in receipts if _changed(one.details, str(seen["url"]))]
    if not changes:
        return _same(seen, now)
    last = changes[-1]
    is_the_same_url = last.get("url") == seen["url"]
    if is_the_same_url and last["method"] == "DELETE":
        return now.get("status") in ABSENT
    if is_the_same_url and last["method"] in OBSERVED_BY_DEFAULT and last.get("etag"):
        return now.get("etag") == last["etag"]
    return True


def in_words(state: JsonValue) -> str:
    """Return ``200 OK, 812 bytes, ETag "33a64df5"`` or ``404 Not Found``."""
    if not isinstance(state, dict) or not isinstance(state.get("status"), int):
        return "unknown"
    parts = [str(Answer(int(str(state["status"])), {}, b"", is_whole=True))]
    if isinstance(state.get("bytes"), int):
        parts.append(counted(int(str(state["bytes"])), "byte"))
    if "etag" in state:
        parts.append(f"ETag {cut(str(state['etag']), _MAX_SHOWN_TAG)}")
    return ", ".join(parts)


def _digest(answer: Answer) -> str:
    return hashlib.sha256(_normalized_body(answer)).hexdigest()


def _normalized_body(answer: Answer) -> bytes:
    """Return the body, in canonical form if it is JSON."""
    if is_json(answer.headers.get("content-type", "").lower().strip()):
        try:
            return canonical_json(json.loads(answer.body, object_pairs_hook=refuse_duplicate_names))
        except (ValueError, RecursionError):
            pass  # not JSON, or without a canonical form
    return answer.body


def _same(seen: Mapping[str, JsonValue], now: Mapping[str, JsonValue]) -> bool:
    if seen["status"] in ABSENT:
        return now.get("status") in ABSENT
    same = (seen[name] == now.get(name) for name in ("etag", "sha256") if name in seen)
    return now.get("status") == seen["status"] and any(same)


def _changed(details: Mapping[str, JsonValue], url: str) -> bool:
    """Return whether a receipt belongs to a call that may have changed ``url``."""
    called, method = details.get("url"), details.get("method")
    if not isinstance(called, str) or not isinstance(method, str) or method in SAFE:
        return False
    called, url = called.partition("?")[0], url.partition("?")[0]
    return called == url or called.startswith(url.rstrip("/") + "/")
