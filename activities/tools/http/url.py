"""URLs in their one spelling, or refused: what a rule, an approver and a server read is one text.

By RFC 3986, section 6, and further where servers take two spellings for one:

- scheme and host in lower case, hosts in A-labels; a port without zeros, and none where the scheme says it
- an empty path is ``/``; an empty query is left out, and so are empty parameters
- what may stand for itself does, everything else is percent-encoded in upper case. So ``%72`` becomes ``r``
  and ``%3a`` becomes ``:``, while ``[`` becomes ``%5B``

Refused is what two readers could read differently: users before the host, fragments, backslashes, ``.`` and
``..`` in any encoding, encoded or doubled slashes, ``;`` and its parameters, bare ``+``, percent signs
encoded twice, control characters, and octets that are not UTF-8 in normal form C.
Standard library and `host_names` only.
"""

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final
from urllib.parse import unquote_to_bytes

from activities.tools.host_names import one_host

MAX_URL: Final = 4_000
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_HOST: Final = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]%]+)"
_PORT: Final = r"(?::(?P<port>[0-9]{1,5}))?"
_AUTHORITY: Final = re.compile(_HOST + _PORT)
_TOKEN: Final = re.compile(r"%[0-9A-Fa-f]{2}|.", re.DOTALL)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_TWICE: Final = re.compile(r"%25[0-9A-Fa-f]{2}")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# What stands for itself, encoded or not, in a segment of a path and in a parameter of a query.
_IN_SEGMENT: Final = _UNRESERVED | frozenset("!$&'()*,=:@")
_IN_PARAMETER: Final = _UNRESERVED | frozenset("!$'()*,:@/?")
_BRACKETS: Final = {"[": "%5B", "]": "%5D"}
_SEPARATORS: Final = "/\\;%."
# What readers that fold leave out, and what they take for a slash or a backslash beyond normal form KC.
_FOLDED: Final = dict.fromkeys(map(ord, "\u00ad\u034f\u200b\u200c\u200d\u2060\ufeff")) | {
    **dict.fromkeys((0x2044, 0x2215, 0x29F8), "/"),
    **dict.fromkeys((0x2216, 0x29F5, 0x29F9), "\\"),
}


@dataclass(frozen=True, slots=True)
class Url:
    """A URL in its one spelling, in parts; ``host`` has no brackets, ``target`` is path and query."""

    scheme: str
    host: str
    port: int
    target: str

    def __str__(self) -> str:
        return f"{self.scheme}://{authority_of(self.scheme, self.host, self.port)}{self.target}"


def authority_of(scheme: str, host: str, port: int) -> str:
    """Return host and port as they stand in a URL and in ``Host``."""
    shown = f"[{host}]" if ":" in host else host
    return shown if DEFAULT_PORTS[scheme] == port else f"{shown}:{port}"


def one_url(text: str) -> str:
    """Return the one spelling of ``text``.

    Raises:
        ValueError: as `read_url`.
    """
    return str(read_url(text))


def read_url(text: str) -> Url:
    """Read a URL.

    Raises:
        ValueError: two readers might read it differently, or it is no URL; the message says why.
    """
    if len(text) > MAX_URL:
        raise ValueError(f"is longer than {MAX_URL} characters")
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme not in DEFAULT_PORTS or not separator:
        raise ValueError("is no http:// or https:// URL")
    _refuse_whole(text)
    cut = min((rest.index(mark) for mark in "/?" if mark in rest), default=len(rest))
    authority, path_and_query = rest[:cut], rest[cut:]
    if "@" in authority:
        raise ValueError("names a user before the host; send credentials in a header")
    host, port = read_authority(authority)
    path, _, query = path_and_query.partition("?")
    target = _path(path or "/")
    if parameters := "&".join(_parameter(part) for part in query.split("&") if part):
        target += f"?{parameters}"
    url = Url(scheme, host, port or DEFAULT_PORTS[scheme], target)
    if len(str(url)) > MAX_URL:
        raise ValueError(f"is longer than {MAX_URL} characters in its plain spelling")
    return url


def read_authority(text: str) -> tuple[str, int | None]:
    """Read HOST or HOST:PORT.

    Raises:
        ValueError: it is neither.
    """
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise ValueError(f"names {text!r} where HOST or HOST:PORT belongs")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 2**16:
        raise ValueError(f"names the port {port}, which does not exist")
    return _host(match["host"]), port


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            address = IPv6Address(text[1:-1])
        except AddressValueError:
            raise ValueError(f"names the address {text}, which is no IPv6 address") from None
        if address.ipv4_mapped:
            raise ValueError(f"names the address {text}; write {address.ipv4_mapped}, which it stands for")
        return str(address)
    name = one_host(text)
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        # A number is an address, and of its many ways to be written (0x7f.1) only one is readable.
        try:
            return str(IPv4Address(name))
        except AddressValueError:
            raise ValueError(
                f"names the address {name}, which is no IPv4 address in its plain form"
            ) from None
    return name


def _refuse_whole(text: str) -> None:
    """Refuse what belongs nowhere in a URL."""
    authority = text.partition("://")[2].partition("/")[0].partition("?")[0]
    for char in text:
        if not "!" <= char <= "~" and (char.isascii() or char not in authority):
            raise ValueError(f"holds U+{ord(char):04X}; write it percent-encoded, as UTF-8")
    if "#" in text:
        raise ValueError("holds a #fragment, which is never sent; take it out")
    if "\\" in text:
        raise ValueError("holds a backslash, which some readers take for a slash; write %5C in the query")


def _path(path: str) -> str:
    if "//" in path:
        raise _unclear("'//' in its path", "some servers take it for one slash; write one")
    if _TWICE.search(path):
        raise _unclear("a percent sign in its path that is encoded twice", "encode the path once")
    spelled = "".join(_in_path(piece) for piece in _TOKEN.findall(path))
    for segment in _decoded(spelled).split("/"):
        folded = unicodedata.normalize("NFKC", segment.translate(_FOLDED))
        if segment and not folded.strip(" ."):
            raise _unclear("'.' or '..' in its path", "write the path that it leads to")
        if any(folded.count(char) > segment.count(char) for char in _SEPARATORS):
            raise _unclear("a letter in its path that some servers take for a separator", "leave it out")
    return spelled


def _in_path(piece: str) -> str:
    char = _plain(piece)
    if piece == "/":
        return piece
    if char in "/\\":
        raise _unclear("an encoded slash in its path", "some servers take it for a plain one; leave it out")
    if char == ";":
        raise _unclear("';' in its path", "some servers cut a path there; leave it out")
    if piece == "+":
        raise _unclear("'+' in its path", "write %20 for a blank and %2B for a plus")
    if char < " " or char == "\x7f":
        raise _unclear(f"U+{ord(char):04X} in its path", "leave the control character out")
    return _spelled(piece, char, _IN_SEGMENT)


def _parameter(text: str) -> str:
    """Return the spelling of one ``name=value``; the first ``=`` is what parts them.

    A name with no value is written without the ``=``, since servers read both alike.
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
        raise _unclear("'+' in its query", "write %20 for a blank and %2B for a plus")
    if piece == ";":
        raise _unclear("';' in its query", "some servers part parameters there; write & or %3B")
    if char == "\0":
        raise _unclear("U+0000 in its query", "leave the control character out")
    return _spelled(piece, char, _IN_PARAMETER)


def _plain(piece: str) -> str:
    return chr(int(piece[1:], 16)) if len(piece) > 1 else piece


def _spelled(piece: str, char: str, itself: frozenset[str]) -> str:
    if char in itself:
        return char
    if len(piece) > 1:
        return piece.upper()
    if piece in _BRACKETS:
        return _BRACKETS[piece]
    raise ValueError(f"holds {piece!r} unencoded; write it as %{ord(piece):02X}")


def _decoded(spelled: str) -> str:
    try:
        text = unquote_to_bytes(spelled).decode()
    except UnicodeDecodeError:
        raise _unclear("percent-encoded octets that are not UTF-8", "encode them anew") from None
    if not unicodedata.is_normalized("NFC", text):
        raise _unclear("letters that are not in Unicode's normal form C", "encode them anew")
    return text


def _unclear(what: str, instead: str) -> ValueError:
    return ValueError(f"holds {what}; {instead}")
