"""The headers that a plan may set: an allow-list, names in one spelling, media types too.

Servers fold ``_`` and ``-``, and capitals do not count; so a name is lower case, without ``_``, and compared
as that. What is neither in `ALLOWED` nor in PLANGATE_HTTP_HEADERS is not sent. What belongs to the
connection, and what makes a call another one than its method and URL say, cannot be allowed at all.
Standard library only.
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
# What belongs to the connection and what Plangate itself sets; how the body is to be read; and what servers
# and proxies take for another method, host, address or path than those of the call.
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


def one_name(text: str) -> str:
    """Return the one spelling of a header's name.

    Raises:
        ValueError: it is no plain name, or none that a plan could ever set.
    """
    name, shown = text.lower(), cut(one_line(text), 60)
    if not text.isascii() or not _NAME.fullmatch(name):
        raise ValueError(f"'{shown}' is no name of a header; use letters, digits and '-' alone")
    if name in _NEVER or _NEVER_LIKE.fullmatch(name):
        raise ValueError(f"'{shown}' is not for a plan to set; take it out")
    return name


def one_spelling(headers: Mapping[str, str]) -> dict[str, str]:
    """Return all headers in their one spelling, in the order of their names.

    Raises:
        ValueError: a name or a value cannot be sent, or a name is there twice.
    """
    spelled: dict[str, str] = {}
    for text, value in headers.items():
        name = one_name(text)
        if name in spelled:
            raise ValueError(f"'{name}' is there twice")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"the value of '{name}' is not one line of ASCII without outer blanks")
        spelled[name] = _value(name, value)
    return dict(sorted(spelled.items()))


def is_json(media_type: str) -> bool:
    """Return whether a media type in its one spelling is a kind of JSON."""
    return bool(_JSON.fullmatch(media_type.partition(";")[0]))


class HeaderList:
    """`ALLOWED` and the headers that the setting PLANGATE_HTTP_HEADERS adds to them.

    Raises:
        SettingsInvalid: an entry of the setting is no header that can be allowed.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        try:
            self._names = ALLOWED | {one_name(entry) for entry in entries}
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
                    raise ValueError(f"'{name}' names the {parameter}, and a body is sent as UTF-8")
            return media
        case "accept":
            return ", ".join(_media(name, one.strip(" ")) for one in value.split(","))
        case _:
            return value


def _media(name: str, value: str) -> str:
    """Return a media type in lower case, as are its parameters' names: ``text/plain; charset=utf-8``."""
    match = _MEDIA.fullmatch(value)
    if match is None:
        raise ValueError(f"'{name}' holds {cut(one_line(value), 60)!r}, which is no plain media type")
    spelled, seen = [match["type"].lower()], set()
    for parameter in match["parameters"].split(";")[1:]:
        key, _, text = parameter.strip(" ").partition("=")
        key = key.lower()
        if key in seen:
            raise ValueError(f"'{name}' has the parameter {key} twice")
        seen.add(key)
        spelled.append(f"{key}={text.lower() if key in ('charset', 'q') else text}")
    return "; ".join(spelled)
