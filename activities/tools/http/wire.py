"""Compare the final bytes of a request with the approved call before they are sent.

An HTTP client composes, encodes and adds headers. A strict parser, which accepts only one form, therefore
parses the final bytes, and the result is compared with the approved call. Uses only the standard library.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from plangate.domain.escaping import cut

_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: ([0-9]{1,9})\r\n", re.IGNORECASE)
_REQUEST_LINE: Final = re.compile(r"([A-Z]+) (/[!-~]*) HTTP/1\.1")
_HEADER: Final = re.compile(r"([A-Za-z0-9-]+): ((?:[!-~](?:[ -~]*[!-~])?)?)")
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Call:
    """The approved call.

    ``headers`` are all headers except those of the connection (`all_headers`); names are in lower case.
    ``json_body`` is the value of ``content``, if that is JSON.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None = None
    json_body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {cut(self.url, 200)}"

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return self.url.partition("://")[0]

    @property
    def authority(self) -> str:
        """The host, with the port unless it is the scheme's default."""
        return self.url.partition("://")[2].partition("/")[0]

    @property
    def target(self) -> str:
        """Path and query."""
        return self.url.removeprefix(f"{self.scheme}://{self.authority}")

    def all_headers(self) -> dict[str, str]:
        """Return every header of the request."""
        # No compression: a small response must not decompress to a large one.
        headers = {
            "host": self.authority,
            "user-agent": "plangate",
            "accept": "*/*",
            "accept-encoding": "identity",
            "connection": "close",
            **self.headers,
        }
        if self.content is not None or self.method in _WITH_BODY:
            headers["content-length"] = str(len(self.content or b""))
        return headers


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request as parsed from its bytes."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


def is_whole(raw: bytes) -> bool:
    """Return whether ``raw`` contains a complete request, or more."""
    head, end, body = raw.partition(_END)
    length = _LENGTH.search(head + b"\r\n")
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


def read_request(raw: bytes) -> SentRequest:
    """Parse a request.

    Raises:
        ValueError: it is not in the one accepted form; the message says why.
    """
    head, _, body = raw.partition(_END)
    if not head.isascii():
        raise ValueError("its head is not ASCII")
    first, *lines = head.decode("ascii").split("\r\n")
    request_line = _REQUEST_LINE.fullmatch(first)
    if request_line is None:
        raise ValueError("its first line is not method, target and HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None or header[1].lower() in headers:
            raise ValueError("a line of its head is not a header, or a header occurs twice")
        headers[header[1].lower()] = header[2]
    if "transfer-encoding" in headers or int(headers.get("content-length", "0")) != len(body):
        raise ValueError("its body does not have the declared length")
    return SentRequest(request_line[1], request_line[2], headers, body)


def difference(raw: bytes, call: Call) -> str | None:
    """Return the part that differs between the request ``raw`` and ``call``, or None."""
    try:
        sent = read_request(raw)
    except ValueError as error:
        return str(error)
    if sent.method != call.method:
        return "the method"
    if f"{call.scheme}://{sent.headers.get('host')}{sent.target}" != call.url:
        return "the URL"
    if sent.headers != call.all_headers():
        return "the headers"
    if sent.body != (call.content or b""):
        return "the body"
    if call.json_body is not None and not _same_json(sent.body, call.json_body):
        return "the JSON in the body"
    return None


def _same_json(body: bytes, approved: Any) -> bool:
    try:
        sent_json = json.loads(body)
    except ValueError:
        return False
    return json.dumps(sent_json, sort_keys=True) == json.dumps(approved, sort_keys=True)
