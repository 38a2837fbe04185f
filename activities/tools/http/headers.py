"""The headers that a plan may set: an allow-list with normalized names and media types.

Names are case-insensitive, and some servers treat ``_`` as ``-``, so names are in lower case and without
``_``. Headers that are neither in `ALLOWED` nor in PLANGATE_HTTP_HEADERS are refused. Headers of the
connection, and headers that can override the method or URL, can never be allowed. Uses only the standard
library.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from plangate.domain.errors import SettingsInvalid
from plangate.domain.escaping import cut, one_line

KEY_HEADER: Final = "idempotency-key"
ALLOWED: Final = frozenset({
    "accept", "accept-language", "api-key", "authorization", "content-language", "content-type", "if-match",
    "if-modified-since", "if-none-match", "if-unmodified-since", "prefer", "traceparent", "tracestate",
    "user-agent", "x-api-key", "x-correlation-id", "x-request-id",
})  # fmt: skip
# Headers that the connection or Plangate sets, that change the decoding of the body, or that servers and
# proxies interpret as another method, host, address or path.
_NEVER: Final = frozenset({
    "host", "content-length", "content-encoding", "transfer-encoding", "connection", "keep-alive", "te",
    "trailer", "upgrade", "expect", "via", "forwarded", "accept-encoding", KEY_HEADER,
})  # fmt: skip
_NEVER_LIKE: Final = re.compile(
    r"proxy-.*|x-forwarded-.*|x-original-.*|x-rewrite-.*|x-(?:http-)?method.*|x-host|x-real-ip|x-accel-.*"
)
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?")
_VALUE: Final = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
_MEDIA: Final = re.compile(
    r"(?P<type>[a-z0-9!#$&^_.+*-]+/[a-z0-9!#$&^_.+*-]+)"
    r"(?P<parameters>(?: *; *[a-z0-9-]+=[a-z0-9!#$%&'*+.^_`|~:-]+)*)",
    re.IGNORECASE,
)
_JSON: Final = re.compile(r"application/json|[^;]*\+json")
_UTF8: Final = frozenset({"utf-8"})


def normalized_name(text: str) -> str:
    """Return a normalized header name.

    Raises:
        ValueError: it is not a header name, or can never be set by a plan.
    """
    name, shown = text.lower(), cut(one_line(text), 60)
    if not text.isascii() or not _NAME.fullmatch(name):
        raise ValueError(f"'{shown}' is not a header name; use only letters, digits and '-'")
    if name in _NEVER or _NEVER_LIKE.fullmatch(name):
        raise ValueError(f"'{shown}' cannot be set by a plan; remove it")
    return name


def normalized_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers, normalized and sorted by name.

    Raises:
        ValueError: a name or a value cannot be sent, or a name occurs twice.
    """
    spelled: dict[str, str] = {}
    for text, value in headers.items():
        name = normalized_name(text)
        if name in spelled:
            raise ValueError(f"'{name}' occurs twice; remove one")
        if not _VALUE.fullmatch(value):
            raise ValueError(
                f"the value of '{name}' must be one line of ASCII without leading or trailing spaces"
            )
        spelled[name] = _value(name, value)
    return dict(sorted(spelled.items()))


def is_json(media_type: str) -> bool:
    """Return whether a normalized media type is JSON."""
    return bool(_JSON.fullmatch(media_type.partition(";")[0]))


class HeaderList:
    """`ALLOWED` and the headers of the setting PLANGATE_HTTP_HEADERS.

    Raises:
        SettingsInvalid: an entry is not a header that can be allowed.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        try:
            self._names = ALLOWED | {normalized_name(entry) for entry in entries}
        except ValueError as error:
            raise SettingsInvalid(f"The setting PLANGATE_HTTP_HEADERS cannot be used: {error}.") from None

    def __contains__(self, name: str) -> bool:
        return name in self._names


def _value(name: str, value: str) -> str:
    match name:
        case "content-type":
            media = _media(name, value)
            for parameter in media.split("; ")[1:]:
                if parameter.startswith("charset=") and parameter.removeprefix("charset=") not in _UTF8:
                    raise ValueError(f"'{name}' contains {parameter}, but bodies are UTF-8; remove it")
            return media
        case "accept":
            return ", ".join(_media(name, one.strip(" ")) for one in value.split(","))
        case _:
            return value


def _media(name: str, value: str) -> str:
    """Return a media type with type and parameter names in lower case: ``text/plain; charset=utf-8``."""
    match = _MEDIA.fullmatch(value)
    if match is None:
        raise ValueError(f"'{name}' contains {cut(one_line(value), 60)!r}, which is not a plain media type")
    spelled, seen = [match["type"].lower()], set()
    for parameter in match["parameters"].split(";")[1:]:
        key, _, text = parameter.strip(" ").partition("=")
        key = key.lower()
        if key in seen:
            raise ValueError(f"'{name}' has the parameter {key} twice")
        seen.add(key)
        spelled.append(f"{key}={text.lower() if key in ('charset', 'q') else text}")
    return "; ".join(spelled)
