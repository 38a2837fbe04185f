"""The hosts that `http_request` may reach, and their addresses.

An entry of a setting is HOST or HOST:PORT. HOST alone means the default port of the URL's scheme (443 for
https, 80 for http); any other port must be specified. This applies to all three lists of hosts.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from activities.tools.http.addresses import IpAddress
from activities.tools.http.url import DEFAULT_PORTS, authority_of, read_authority, read_url
from plangate.domain.errors import SettingsInvalid, ToolUnavailable

RESOLVE_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class HttpServer:
    """One server, identified by scheme, host and port; an IPv6 host has no brackets."""

    scheme: str
    host: str
    port: int

    @property
    def is_default_port(self) -> bool:
        """Whether this is the default port of the scheme."""
        return DEFAULT_PORTS[self.scheme] == self.port

    @property
    def literal(self) -> IpAddress | None:
        """The address if the host is a literal address, otherwise None."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    def __str__(self) -> str:
        return authority_of(self.scheme, self.host, self.port)


def server_of(url: str) -> HttpServer:
    """Return the server that ``url`` leads to.

    Raises:
        ValueError: as for `read_url`.
    """
    read = read_url(url)
    return HttpServer(read.scheme, read.host, read.port)


class HostList:
    """The hosts in one setting."""

    def __init__(self, setting: str, entries: Iterable[str]) -> None:
        self.setting = setting
        self._entries = frozenset(self._read(entry) for entry in entries)

    def __contains__(self, server: HttpServer) -> bool:
        if (server.host, server.port) in self._entries:
            return True
        return server.is_default_port and (server.host, None) in self._entries

    def __iter__(self) -> Iterator[str]:
        """Yield the entries in the operator's notation, sorted."""
        return iter(sorted(host if port is None else f"{host}:{port}" for host, port in self._entries))

    def _read(self, entry: str) -> tuple[str, int | None]:
        try:
            return read_authority(entry)
        except ValueError:
            raise SettingsInvalid(
                f"The setting {self.setting} cannot be used: {entry!r} is not HOST or HOST:PORT "
                "(no scheme, no path, no wildcard)."
            ) from None


async def resolve(host: str, port: int) -> Sequence[str]:
    """Resolve ``host`` and return its addresses in the order in which they are to be tried.

    Raises:
        ToolUnavailable: the name cannot be resolved now.
    """
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        cause = error.strerror or f"no answer within {RESOLVE_SECONDS} s"
        raise ToolUnavailable(f"The host {host} cannot be resolved ({cause}); nothing was sent.") from error
    return tuple(dict.fromkeys(str(socket_address[0]) for *_, socket_address in found))
