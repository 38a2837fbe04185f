"""Normalize or refuse a URL, so that rules, approvers and servers read the same text.

URLs are normalized according to RFC 3986, section 6, and further where servers treat two spellings as equal:

- scheme and host in lower case, hosts in A-labels; a port without leading zeros, and no default port
- an empty path becomes ``/``; an empty query and empty parameters are removed
- a character that need not be encoded is not; every other character is percent-encoded in upper case: ``%72``
  becomes ``r``, ``%3a`` becomes ``:``, and ``[`` becomes ``%5B``

Anything that two programs could interpret differently is refused: users before the host, fragments,
backslashes, ``.`` and ``..`` in any encoding, encoded or doubled slashes, ``;`` and its parameters, bare
``+``, percent signs encoded twice, control characters, and octets that are not UTF-8 in normal form C. Uses
only the standard library and `host_names`.
"""

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final
from urllib.parse import unquote_to_bytes

from plangate.host_names import normalized_host

MAX_URL: Final = 4_000
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]%]+)"
_PORT: Final = r"(?::(?P<port>[0-9]{1,5}))?"
_AUTHORITY: Final = re.compile(_HOST + _PORT)
_TOKEN: Final = re.compile(r"%[0-9A-Fa-f]{2}|.", re.DOTALL)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DOUBLE_ENCODED: Final = re.compile(r"%25[0-9A-Fa-f]{2}")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Characters that are left unencoded in a path segment and in a query parameter.
_IN_SEGMENT: Final = _UNRESERVED | frozenset("!$&'()*,=:@")
_IN_PARAMETER: Final = _UNRESERVED | frozenset("!$'()*,:@/?")
_BRACKETS: Final = {"[": "%5B", "]": "%5D"}
_SEPARATORS: Final = "/\\;%."
# Characters that some programs drop or read as a slash or backslash, beyond those that normal form KC covers.
_CONFUSABLE: Final = dict.fromkeys(map(ord, "\u00ad\u034f\u200b\u200c\u200d\u2060\ufeff")) | {
    **dict.fromkeys((0x2044, 0x2215, 0x29F8), "/"),
    **dict.fromkeys((0x2216, 0x29F5, 0x29F9), "\\"),
}


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of a normalized URL; ``host`` has no brackets, ``target`` is path and query."""

    scheme: str
    host: str
    port: int
    target: str

    def __str__(self) -> str:
        return f"{self.scheme}://{authority_of(self.scheme, self.host, self.port)}{self.target}"


def authority_of(scheme: str, host: str, port: int) -> str:
    """Return the host and port as they appear in a URL and in ``Host``."""
    shown = f"[{host}]" if ":" in host else host
    return shown if DEFAULT_PORTS[scheme] == port else f"{shown}:{port}"


def normalized_url(text: str) -> str:
    """Return the normalized URL.

    Raises:
        ValueError: as for `read_url`.
    """
    return str(read_url(text))


def read_url(text: str) -> Url:
    """Parse a URL and normalize it.

    Raises:
        ValueError: it is not a URL, or is ambiguous; the message says why.
    """
    if len(text) > MAX_URL:
        raise ValueError(f"is longer than {MAX_URL} characters")
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme not in DEFAULT_PORTS or not separator:
        raise ValueError("is not an http:// or https:// URL")
    _refuse_characters(text)
    end = min((rest.index(mark) for mark in "/?" if mark in rest), default=len(rest))
    authority, path_and_query = rest[:end], rest[end:]
    if "@" in authority:
        raise ValueError("contains a user before the host; send credentials in a header")
    host, port = read_authority(authority)
    path, _, query = path_and_query.partition("?")
    target = _path(path or "/")
    if parameters := "&".join(_parameter(part) for part in query.split("&") if part):
        target += f"?{parameters}"
    url = Url(scheme, host, port or DEFAULT_PORTS[scheme], target)
    if len(str(url)) > MAX_URL:
        raise ValueError(f"is longer than {MAX_URL} characters when normalized")
    return url


def read_authority(text: str) -> tuple[str, int | None]:
    """Parse HOST or HOST:PORT.

    Raises:
        ValueError: it is neither.
    """
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise ValueError(f"has {text!r} where HOST or HOST:PORT is expected")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 2**16:
        raise ValueError(f"has the port {port}, which does not exist")
    return _host(match["host"]), port


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            address = IPv6Address(text[1:-1])
        except AddressValueError:
            raise ValueError(f"has the address {text}, which is not an IPv6 address") from None
        if address.ipv4_mapped:
            raise ValueError(f"has the address {text}; write the IPv4 address {address.ipv4_mapped}")
        return str(address)
    name = normalized_host(text)
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        # A numeric name is an address; only the dotted form is accepted, not other forms such as 0x7f.1.
        try:
            return str(IPv4Address(name))
        except AddressValueError:
            raise ValueError(f"has the address {name}, which is not a plain IPv4 address") from None
    return name


def _refuse_characters(text: str) -> None:
    """Refuse characters that are not allowed anywhere in a URL."""
    authority = text.partition("://")[2].partition("/")[0].partition("?")[0]
    for char in text:
        if not "!" <= char <= "~" and (char.isascii() or char not in authority):
            raise ValueError(f"contains U+{ord(char):04X}; write it percent-encoded, as UTF-8")
    if "#" in text:
        raise ValueError("has a #fragment, which is never sent; remove it")
    if "\\" in text:
        raise ValueError("contains a backslash, which some servers read as a slash; write %5C in the query")


def _path(path: str) -> str:
    if "//" in path:
        raise _ambiguous("'//' in its path", "some servers read it as one slash; write one")
    if _DOUBLE_ENCODED.search(path):
        raise _ambiguous("a doubly encoded percent sign in its path", "encode the path once")
    spelled = "".join(_in_path(piece) for piece in _TOKEN.findall(path))
    for segment in _decoded(spelled).split("/"):
        folded = unicodedata.normalize("NFKC", segment.translate(_CONFUSABLE))
        if segment and not folded.strip(" ."):
            raise _ambiguous("'.' or '..' in its path", "write the resolved path")
        if any(folded.count(char) > segment.count(char) for char in _SEPARATORS):
            raise _ambiguous("a character in its path that some servers read as a separator", "remove it")
    return spelled


def _in_path(piece: str) -> str:
    char = _plain(piece)
    if piece == "/":
        return piece
    if char in "/\\":
        raise _ambiguous("an encoded slash in its path", "some servers decode it; remove it")
    if char == ";":
        raise _ambiguous("';' in its path", "some servers cut the path there; remove it")
    if piece == "+":
        raise _ambiguous("'+' in its path", "write %20 for a space and %2B for a plus")
    if char < " " or char == "\x7f":
        raise _ambiguous(f"U+{ord(char):04X} in its path", "remove the control character")
    return _spelled(piece, char, _IN_SEGMENT)


def _parameter(text: str) -> str:
    """Return a normalized parameter ``name=value``, split at the first ``=``.

    A name with an empty value is written without the ``=``, because servers treat both alike.
    """
    name, _, value = text.partition("=")
    name = "".join(_in_query(piece) for piece in _TOKEN.findall(name))
    value = "".join(_in_query(piece) for piece in _TOKEN.findall(value.replace("=", "%3D")))
    _decoded(name)
    _decoded(value)
    return f"{name}={value}" if value else name


def _in_query(piece: str) -> str:
    char = _plain(piece)
    if piece == "+":
        raise _ambiguous("'+' in its query", "write %20 for a space and %2B for a plus")
    if piece == ";":
        raise _ambiguous("';' in its query", "some servers split parameters there; write & or %3B")
    if char == "\0":
        raise _ambiguous("U+0000 in its query", "remove the control character")
    return _spelled(piece, char, _IN_PARAMETER)


def _plain(piece: str) -> str:
    return chr(int(piece[1:], 16)) if len(piece) > 1 else piece


def _spelled(piece: str, char: str, unencoded: frozenset[str]) -> str:
    if char in unencoded:
        return char
    if len(piece) > 1:
        return piece.upper()
    if piece in _BRACKETS:
        return _BRACKETS[piece]
    raise ValueError(f"contains {piece!r} unencoded; write it as %{ord(piece):02X}")


def _decoded(spelled: str) -> str:
    try:
        text = unquote_to_bytes(spelled).decode()
    except UnicodeDecodeError:
        raise _ambiguous("percent-encoded octets that are not UTF-8", "encode them again") from None
    if not unicodedata.is_normalized("NFC", text):
        raise _ambiguous("text that is not in Unicode normal form C", "encode them again")
    return text


def _ambiguous(what: str, instead: str) -> ValueError:
    return ValueError(f"contains {what}; {instead}")
