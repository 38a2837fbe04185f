"""Where ``http_request`` may go: URLs that mean one thing, the hosts of the settings, addresses.

An entry of the settings is HOST or HOST:PORT. HOST alone stands for the default port of the URL's scheme
(443 for https, 80 for http); any other port is named. The same holds in all three lists of hosts.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from plangate.domain.errors import SettingsInvalid, ToolUnavailable

RESOLVE_SECONDS: Final = 5
_MAX_HOST: Final = 253
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")

_HOST: Final = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
_PORT: Final = r"(?::(?P<port>[0-9]{1,5}))?"
_ENTRY: Final = re.compile(_HOST + _PORT)
_URL: Final = re.compile(rf"(?P<scheme>https?)://{_HOST}{_PORT}(?P<path>/[^?]*)?(?:\?.*)?")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# What RFC 3986 lets stand for itself; a client would encode anything else in its own way.
_UNENCODED: Final = re.compile(r"[^A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]|%(?![0-9A-Fa-f]{2})")

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Place:
    """One server: what two URLs that lead to it have in common. An IPv6 host carries no brackets here."""

    scheme: str
    host: str
    port: int

    @property
    def is_default_port(self) -> bool:
        """Whether the scheme says the port already."""
        return _DEFAULT_PORTS[self.scheme] == self.port

    @property
    def literal(self) -> IpAddress | None:
        """The address, where the host is one and no name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.is_default_port else f"{host}:{self.port}"


def place_of(url: str) -> Place:
    """Return where ``url`` leads.

    Raises:
        ValueError: two readers might read it differently, or it is no URL; the message says why.
    """
    foreign = next((char for char in url if not "!" <= char <= "~"), None)
    if foreign is not None:
        raise ValueError(
            f"holds U+{ord(foreign):04X}; write an international host in its punycode form (xn--…) "
            "and everything else percent-encoded"
        )
    if "#" in url:
        raise ValueError("holds a #fragment, which is never sent; take it out")
    if "@" in url.partition("://")[2].partition("/")[0].partition("?")[0]:
        raise ValueError("names a user before the host; send credentials in a header")
    unencoded = _UNENCODED.search(url)
    if unencoded:
        raise ValueError(f"holds {unencoded[0]!r} unencoded; write it as %{ord(unencoded[0]):02X}")
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("is no http:// or https:// URL")
    if {".", ".."} & set((match["path"] or "").split("/")):
        raise ValueError("holds '.' or '..' in its path; write the path that it leads to")
    host, port = _host_and_port(match)
    return Place(match["scheme"], host, port or _DEFAULT_PORTS[match["scheme"]])


def _host_and_port(match: re.Match[str]) -> tuple[str, int | None]:
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 2**16:
        raise ValueError(f"names the port {port}, which does not exist")
    return _host(match["host"].lower()), port


def _host(text: str) -> str:
    if text.startswith("["):
        return str(ipaddress.IPv6Address(text[1:-1]))
    labels = text.split(".")
    if len(text) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"names the host {text!r}, which cannot exist")
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        # A number is an address, and of its many ways to be written (0x7f.1) only one is readable.
        return str(ipaddress.IPv4Address(text))
    return text


class HostList:
    """The hosts that one setting names."""

    def __init__(self, setting: str, entries: Iterable[str]) -> None:
        self.setting = setting
        self._entries = frozenset(self._read(entry) for entry in entries)

    def __contains__(self, place: Place) -> bool:
        if (place.host, place.port) in self._entries:
            return True
        return place.is_default_port and (place.host, None) in self._entries

    def _read(self, entry: str) -> tuple[str, int | None]:
        match = _ENTRY.fullmatch(entry)
        try:
            if match is not None:
                return _host_and_port(match)
        except ValueError:
            pass
        raise SettingsInvalid(
            f"The setting {self.setting} cannot be used: {entry!r} is no HOST or HOST:PORT "
            "(no scheme, no path, no wildcard)."
        )


def is_public(address: IpAddress) -> bool:
    """Return whether an address is one of the open internet; the cloud's metadata service, say, is not."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if address.ipv4_mapped or address.sixtofour or address.teredo or address.is_site_local:
            return False  # an IPv4 address in disguise, or a range that was private once
    return address.is_global and not (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return all addresses of ``host``, in the order in which to try them.

    Raises:
        ToolUnavailable: the name cannot be resolved now.
    """
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        said = error.strerror or "no answer in time"
        raise ToolUnavailable(f"The host {host} cannot be found ({said}); nothing was sent.") from error
    return tuple(dict.fromkeys(str(socket_address[0]) for *_, socket_address in found))
