"""Where ``http_request`` may go: the hosts of the settings, and their addresses.

An entry of the settings is HOST or HOST:PORT. HOST alone stands for the default port of the URL's scheme
(443 for https, 80 for http); any other port is named. The same holds in all three lists of hosts.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from activities.tools.http.addresses import IpAddress
from activities.tools.http.url import DEFAULT_PORTS, authority_of, read_authority, read_url
from plangate.domain.errors import SettingsInvalid, ToolUnavailable

RESOLVE_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Place:
    """One server: what two URLs that lead to it have in common. An IPv6 host carries no brackets here."""

    scheme: str
    host: str
    port: int

    @property
    def is_default_port(self) -> bool:
        """Whether the scheme says the port already."""
        return DEFAULT_PORTS[self.scheme] == self.port

    @property
    def literal(self) -> IpAddress | None:
        """The address, where the host is one and no name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    def __str__(self) -> str:
        return authority_of(self.scheme, self.host, self.port)


def place_of(url: str) -> Place:
    """Return where ``url`` leads.

    Raises:
        ValueError: two readers might read it differently, or it is no URL; the message says why.
    """
    read = read_url(url)
    return Place(read.scheme, read.host, read.port)


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
        try:
            return read_authority(entry)
        except ValueError:
            raise SettingsInvalid(
                f"The setting {self.setting} cannot be used: {entry!r} is no HOST or HOST:PORT "
                "(no scheme, no path, no wildcard)."
            ) from None


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
