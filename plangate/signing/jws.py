"""Write and read compact JWS (RFC 7515) with EdDSA over Ed25519 (RFC 8037), only in canonical form.

`decisions` and `checkpoints` define the meaning of a token.
"""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt.exceptions import InvalidAlgorithmError, InvalidSignatureError, PyJWTError

from plangate.domain.escaping import cut, one_line
from plangate.signing.base64url import encoded

PUBLIC_PREFIX: Final = "ed25519:"
_ALGORITHM: Final = "EdDSA"
_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}")
_UNREADABLE: Final = "its signature cannot be read"
_HEADERS: Final = frozenset({"alg", "kid", "typ"})
_PRIME: Final = 2**255 - 19
# The y of the eight points of small order (RFC 7748, 6.1): anyone can create signatures for such a public
# key.
_SMALL_ORDER: Final = frozenset(
    {
        0,
        1,
        _PRIME - 1,
        int.from_bytes(
            bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
        ),
        int.from_bytes(
            bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
        ),
    }
)


def write_token(claims: Mapping[str, Any], key: Ed25519PrivateKey, kind: str) -> str:
    """Sign ``claims`` with ``key`` and return the token; its header ``typ`` is ``kind``."""
    headers = {"kid": key_id(public_of(key)), "typ": kind}
    return jwt.encode(dict(claims), key, algorithm=_ALGORITHM, headers=headers)


def read_token(token: str, public: str, kind: str) -> dict[str, Any]:
    """Verify a token's signature with the key ``public`` and return its claims as JSON values.

    Raises:
        ValueError: the signature is not valid, or the token is of another kind; the message explains why.
    """
    kid_of(token)
    try:
        header = jwt.get_unverified_header(token)
        if set(header) != _HEADERS:
            raise ValueError(_UNREADABLE)
        if header["typ"] != kind:
            raise ValueError("its signature is of another kind")
        claims: dict[str, Any] = jwt.decode(
            token,
            Ed25519PublicKey.from_public_bytes(_bytes(public)),
            algorithms=[_ALGORITHM],
            # The caller compares them with the server's clock and with the audience of the run or request.
            options={"verify_iat": False, "verify_aud": False},
        )
    except InvalidAlgorithmError:
        named = cut(one_line(str(header.get("alg"))), 20)
        raise ValueError(f"its signature uses the algorithm {named}; only EdDSA is accepted") from None
    except InvalidSignatureError:
        raise ValueError("its signature does not match what was signed") from None
    except PyJWTError:
        raise ValueError(_UNREADABLE) from None
    # Exactly as `write_token` writes them: repeated names and other encodings are refused.
    if _bytes(token.split(".")[1]) != json.dumps(claims, separators=(",", ":")).encode():
        raise ValueError(_UNREADABLE)
    return claims


def unverified_claims(token: str) -> dict[str, Any]:
    """Return the claims of a token, without verifying it.

    Raises:
        ValueError: it is not a token.
    """
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except PyJWTError:
        raise ValueError(_UNREADABLE) from None
    return claims


def kid_of(token: str) -> str | None:
    """Return the id of the key that ``token`` claims to be signed with; None if it has no key id.

    Only the form that `write_token` returns is accepted: base64 has several forms, and a token must be used
    only once.

    Raises:
        ValueError: it is not a token.
    """
    tail = token.rpartition(".")[2]
    if not _FORM.fullmatch(token) or encoded(_bytes(tail)) != tail:
        raise ValueError(_UNREADABLE)
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except PyJWTError:
        raise ValueError(_UNREADABLE) from None
    return kid if isinstance(kid, str) else None


def public_of(key: Ed25519PrivateKey) -> str:
    """Return the public key, 32 bytes as base64url."""
    return encoded(key.public_key().public_bytes_raw())


def key_id(public: str) -> str:
    """Return the RFC 7638 thumbprint of a public key."""
    canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}'
    digest = hashes.Hash(hashes.SHA256())
    digest.update(canonical.encode())
    return encoded(digest.finalize())


def checked_public(public: str) -> str:
    """Return ``public`` without its prefix, in canonical form.

    Raises:
        ValueError: it is not an Ed25519 public key, or it is a weak one.
    """
    try:
        raw = _bytes(public.removeprefix(PUBLIC_PREFIX))
        Ed25519PublicKey.from_public_bytes(raw)
        is_weak = _is_weak(raw)
    except ValueError:
        is_weak = True
    if is_weak:
        raise ValueError(
            "is not an Ed25519 public key; paste the line that `starter.py keys` printed"
        ) from None
    return encoded(raw)


def _is_weak(raw: bytes) -> bool:
    """Return whether anyone could create signatures for this key, or its encoding is not canonical."""
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    return y >= _PRIME or y in _SMALL_ORDER


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
