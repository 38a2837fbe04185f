"""Define where the inbox listens, and its public address, which determines the origin, links and cookies."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from plangate.domain.errors import SettingsInvalid
from plangate.settings import Settings

_LOOPBACK_NAMES: Final = frozenset({"localhost"})
_MOST_PORTS: Final = 65_535


@dataclass(frozen=True, slots=True)
class WebAddress:
    """The address of a web server.

    Attributes:
        host: the address to listen on.
        port: the port to listen on.
        url: the address that people type, without a trailing slash.
    """

    host: str
    port: int
    url: str

    @property
    def netloc(self) -> str:
        """The host, and the port if it is not the scheme's default, as in the Host header."""
        return urlsplit(self.url).netloc

    @property
    def name(self) -> str:
        """The host that people type, without its port: the RP id of passkeys."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_loopback(self) -> bool:
        """Whether its address can be reached only from this machine."""
        return is_loopback(self.name)

    @property
    def is_secure(self) -> bool:
        """Whether its address uses https."""
        return self.url.startswith("https://")


def web_address_of(settings: Settings) -> WebAddress:
    """Return the address from the settings.

    Raises:
        SettingsInvalid: an address cannot be used.
    """
    host, port = _listening(settings.web_address)
    return WebAddress(host, port, settings.web_url.rstrip("/"))


def is_loopback(host: str) -> bool:
    """Return whether a host means this machine only."""
    name = host.lower().strip("[]")
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _listening(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > _MOST_PORTS:
        raise SettingsInvalid("The setting PLANGATE_WEB_ADDRESS cannot be used; use the form 127.0.0.1:8088.")
    return host.strip("[]"), int(port)
