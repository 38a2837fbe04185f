"""Decide which IP addresses are public, using a list in this module, regardless of the Python version.

As of 2026-11-25: the IANA special-purpose registries for IPv4 (RFC 6890 and its successors) and IPv6,
multicast and reserved space, and addresses of cloud metadata services outside them. In IPv6 only global
unicast (2000::/3) is public, so that space assigned later is private until it is listed here.

Packets to an IPv6 address that embeds an IPv4 address may be sent to the IPv4 address. For the well-known
NAT64 prefix, the embedded address is checked; IPv4-mapped, IPv4-compatible, 6to4, Teredo and ISATAP addresses
are never public: use the plain IPv4 address. Only the standard library is used, without its ``is_global``,
which differs between versions.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

IpAddress = IPv4Address | IPv6Address

SPECIAL_V4: Final = (
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private use
    "100.64.0.0/10",  # shared by carriers; Alibaba's metadata service is 100.100.100.200
    "127.0.0.0/8",  # loopback
    "168.63.129.16/32",  # Azure's metadata and wire server
    "169.254.0.0/16",  # link-local; most clouds' metadata services
    "172.16.0.0/12",  # private use
    "192.0.0.0/24",  # IETF protocol assignments; Oracle's metadata service is 192.0.0.192
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # AMT
    "192.88.99.0/24",  # 6to4 relays, deprecated
    "192.168.0.0/16",  # private use
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarking
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved; limited broadcast
)
SPECIAL_V6: Final = (
    "2001::/23",  # IETF protocol assignments: Teredo, benchmarking, AMT, AS112, ORCHID, DRIP
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation
)

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE, 0x0100_5EFE, 0x0300_5EFE})
_NETWORKS_V4: Final = tuple(IPv4Network(network) for network in SPECIAL_V4)
_NETWORKS_V6: Final = tuple(IPv6Network(network) for network in SPECIAL_V6)


def is_public(address: IpAddress) -> bool:
    """Return whether an address is public; a cloud's metadata service, for example, is not."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NETWORKS_V4)
    value = int(address)
    if address in _NAT64:
        return is_public(IPv4Address(value & 0xFFFF_FFFF))
    if (value >> 32) & 0xFFFF_FFFF in _ISATAP:
        return False
    return address in _GLOBAL_UNICAST and not any(address in network for network in _NETWORKS_V6)
