"""The trusted web servers: their web origins, and the keys that they use to attest logins."""

from urllib.parse import urlsplit

from plangate.domain.base import Frozen


class TrustedWeb(Frozen):
    """The web servers that a worker or an auditor trusts; by default none.

    Attributes:
        origins: the web origins at which passkeys may be used (such as `https://plangate.example.org`); None
            for any.
        keys: the public keys that may attest a login, as base64url; None for any.
    """

    origins: frozenset[str] | None = frozenset()
    keys: frozenset[str] | None = frozenset()


NO_WEB = TrustedWeb()
"""The setting of an installation without a web server."""
ANY_WEB = TrustedWeb(origins=None, keys=None)
"""The setting of an auditor who configures no web server: trust those in the record, and report that."""


def trusted_by_both(one: TrustedWeb, other: TrustedWeb) -> TrustedWeb:
    """Return the web servers that both trust."""
    return TrustedWeb(
        origins=_both(one.origins, other.origins),
        keys=_both(one.keys, other.keys),
    )


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def relying_party_of(origin: str) -> str | None:
    """Return the WebAuthn RP id of an origin, its host; None if passkeys cannot work at this origin.

    Browsers offer passkeys over https, and on localhost without it.
    """
    try:
        parts = urlsplit(origin)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return None
    if origin != f"{parts.scheme}://{host}{port}" or not host or not origin.isascii():
        return None  # browsers convert other characters to Punycode
    is_local = parts.scheme == "http" and (host == "localhost" or host.endswith(".localhost"))
    return host if parts.scheme == "https" or is_local else None
