"""Attest, with a web server's key, a decision by a person who is logged in to that server.

The attestation is only as trustworthy as the web server: a compromised one can attest anything. A worker
accepts it only from the keys in PLANGATE_WEB_KEYS, with the assurance ``login``.
"""

from datetime import datetime, timedelta
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.exceptions import PyJWTError
from pydantic import BaseModel

from plangate.signing.jws import key_id, kid_of, read_token, write_token

TYPE: Final = "plangate-login+jwt"
VALID_FOR: Final = timedelta(minutes=10)
"""The maximum time from an attestation to its receipt by the Temporal server."""


def login_token(claims: BaseModel, web_key: Ed25519PrivateKey) -> str:
    """Attest ``claims`` with the key of a web server, and return the token."""
    return write_token(claims.model_dump(mode="json"), web_key, TYPE)


def is_login_token(token: str) -> bool:
    """Return whether a token is an attestation of a login; it may still be malformed."""
    try:
        return jwt.get_unverified_header(token).get("typ") == TYPE
    except (PyJWTError, ValueError):
        return False


def attested_by(token: str, keys: frozenset[str] | None, known: str | None = None) -> str:
    """Return the public key of the web server that claims to have attested a login.

    Args:
        token: the received token.
        keys: the keys of the trusted web servers; None for any key.
        known: the key in the record, if any.

    Raises:
        ValueError: the token is malformed, or attested by another key.
    """
    kid = kid_of(token)
    candidates = keys if known is None else {known} if keys is None else keys & {known}
    for public in sorted(candidates or ()):
        if key_id(public) == kid:
            return public
    raise ValueError("its login is attested by a key that is not one of PLANGATE_WEB_KEYS")


def read_login(token: str, public: str) -> dict[str, Any]:
    """Verify an attestation with the public key of a web server, and return its claims as JSON values.

    Raises:
        ValueError: it is not valid; the message explains why.
    """
    return read_token(token, public, TYPE)


def is_expired(attested_at: datetime, received_at: datetime) -> bool:
    """Return whether an attestation was received too late."""
    return received_at > attested_at + VALID_FOR
