"""Send one HTTP request for a tool; errors say whether it may have had an effect. Imports `httpx2`.

Redirects are not followed, because they would hide whether the first request had an effect. Requests are not
retried, because only the step decides on retries. The response is read up to a limit.
"""

import json
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from typing import Any, Final

from pydantic import JsonValue

from plangate.domain.errors import EffectUnknown, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.escaping import cut, one_line
from plangate.http_dates import requested_delay

MAX_ANSWER: Final = 4 * 1024 * 1024
"""The maximum size of a response in bytes."""
_LONGEST_REASON: Final = 200
_READS: Final = frozenset({"GET", "HEAD"})
_MAY_HAVE_ACTED: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT})
"""Status codes: a proxy timed out, or a request with this key is still in progress."""
_KEY: Final = "Idempotency-Key"
_OF_THE_BODY: Final = frozenset({"content-length", "transfer-encoding"})
_REASONS: Final = ("error", "message", "detail", "title")


def json_answer(
    method: str,
    url: str,
    *,
    form: Mapping[str, object] | None = None,
    body: JsonValue = None,
    headers: Mapping[str, str] | None = None,
    idempotency_key: str = "",
    seconds: float = 20,
) -> Any:
    """Send one request and return the JSON of the response; None if the response is empty.

    A tool that sends several requests must send the one with the effect last, because each error is about
    only one request.

    Args:
        method: the method of the request; GET and HEAD never have an effect.
        url: the URL of the request.
        form: the fields of a form to send, as text.
        body: JSON to send instead of a form.
        headers: additional headers, such as ``Authorization``.
        idempotency_key: the value of the header ``Idempotency-Key``; it replaces a value in ``headers``.
        seconds: how long to wait for a connection, and for each part of the response.

    Raises:
        ToolUnavailable: nothing happened: no connection was made, the proxy or the certificates of the
            environment cannot be used, or the response is 429.
        ToolRefused: nothing happened: the request is invalid, for example because a header is not ASCII, or
            the response is a 4xx other than 408 and 409, whose reason is quoted.
        EffectUnknown: any other failure; the effect may have happened.
    """
    import httpx2  # noqa: PLC0415  the command line imports this module too

    method = method.upper()
    try:
        parsed = httpx2.URL(url)
        parsed.raw_host.decode().encode("idna")  # as in the look-up of the host, which would fail later
    except (httpx2.InvalidURL, UnicodeError) as error:  # the error may quote a password from the URL
        why = type(error).__name__
        raise ToolRefused(f"The URL of the request cannot be used ({why}); nothing was sent.") from error
    place = one_line(cut(parsed.host, _LONGEST_REASON))
    unknown = ToolUnavailable if method in _READS else EffectUnknown
    sent: dict[str, Any] = {"json": body} if body is not None else {}
    every_header = _headers(headers or {}, idempotency_key, place)
    try:
        opened = httpx2.Client(timeout=seconds, follow_redirects=False)
    except (ValueError, OSError, ImportError, httpx2.InvalidURL) as error:
        why = type(error).__name__  # the error may quote the proxy's password
        raise ToolUnavailable(
            f"{place} cannot be reached, because the proxy or the certificates of this worker's environment "
            f"cannot be used ({why}); nothing was sent."
        ) from error
    with opened as client:
        try:
            if form is not None:
                sent = {"data": {name: str(value) for name, value in form.items()}}
            method.encode("ascii")
            request = client.build_request(method, url, headers=every_header, **sent)
        except (ValueError, TypeError, RecursionError) as error:
            why = one_line(cut(str(error), _LONGEST_REASON))
            raise ToolRefused(
                f"The request to {place} cannot be written ({why}); nothing was sent."
            ) from error
        try:
            with closing(client.send(request, stream=True)) as answer:
                content = b""
                for part in answer.iter_bytes():
                    content += part
                    if len(content) > MAX_ANSWER:
                        raise unknown(f"{place} returned more than {MAX_ANSWER:,} bytes.")
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            why = type(error).__name__
            raise ToolUnavailable(f"{place} cannot be reached ({why}); nothing was sent.") from error
        except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
            why = type(error).__name__
            raise ToolRefused(f"The request to {place} cannot be sent ({why}); nothing was sent.") from error
        except httpx2.HTTPError as error:
            raise unknown(f"No valid answer came from {place} ({type(error).__name__}).") from error
    return _value_of(answer.status_code, answer.headers, content, place, unknown)


def _headers(given: Mapping[str, str], idempotency_key: str, place: str) -> dict[str, str]:
    """Return the headers to send; Plangate's key replaces the tool's, in any spelling of the name.

    Raises:
        ToolRefused: a header cannot be sent. The message does not quote its value, which may be a secret.
    """
    found = dict(given)
    if idempotency_key:
        found = {name: text for name, text in given.items() if name.lower() != _KEY.lower()}
        found[_KEY] = idempotency_key
    for name, text in found.items():
        if name.lower() in _OF_THE_BODY:
            raise ToolRefused(
                f"The header {name} of the request to {place} is derived from its body, so a tool must not "
                "set it; nothing was sent."
            )
        if not name.isascii() or (isinstance(text, str) and not text.isascii()):
            raise ToolRefused(
                f"The header {one_line(cut(name, _LONGEST_REASON))} of the request to {place} has a "
                "non-ASCII character, which cannot be sent in a header; nothing was sent."
            )
    return found


def _value_of(
    status: int, headers: Mapping[str, str], content: bytes, place: str, unknown: type[ToolError]
) -> Any:
    if 200 <= status < 300:  # noqa: PLR2004  2xx
        if not content.strip():
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise unknown(f"{place} answered {status} with a body that is not JSON.") from None
    said = f"{place} answered {status}{_reason_in(content)}."
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise ToolUnavailable(said, requested_delay(headers))
    is_refused = 400 <= status < 500 and status not in _MAY_HAVE_ACTED  # noqa: PLR2004  4xx
    raise ToolRefused(said) if is_refused else unknown(said)


def _reason_in(content: bytes) -> str:
    """Return the reason in an error's JSON, such as ``: amount too large``; empty if it has no reason."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    for _ in range(2):  # as in {"error": {"message": "…"}}
        named = [found[name] for name in _REASONS if name in found] if isinstance(found, dict) else []
        found = next((one for one in named if one), None)
        if isinstance(found, str):
            return f": {one_line(cut(found, _LONGEST_REASON)).rstrip('.')}"
    return ""
