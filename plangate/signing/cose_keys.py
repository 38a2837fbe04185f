"""Read and write the public keys of passkeys: canonical COSE keys (RFC 9052) for ES256, EdDSA and RS256.

This is the form that authenticators use: canonical CBOR with only the parameters of the key. Every reader of
the list of people therefore sees the same text, and a key has only one thumbprint.
"""

import hashlib
from typing import Any, Final

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from plangate.signing.base64url import decoded, encoded
from plangate.signing.jws import checked_public

PASSKEY_PREFIX: Final = "passkey:"
_KTY, _ALG, _CRV, _X, _Y = 1, 3, -1, -2, -3
_N, _E = -1, -2
_OKP, _EC2, _RSA = 1, 2, 3
_EDDSA, _ES256, _RS256 = -8, -7, -257
_ED25519, _P256 = 6, 1
_COORDINATE_BYTES: Final = 32
_RSA_BITS: Final = range(2_048, 4_097)
_EXPONENT: Final = b"\x01\x00\x01"
_MOST_BYTES: Final = 1_000  # the length of the longest key, an RSA key of 4,096 bits
_UNREADABLE: Final = (
    "is not the public key of a passkey for ES256, EdDSA or RS256; paste the line that the inbox shows, "
    f"{PASSKEY_PREFIX}…"
)


def passkey_of(cose: bytes) -> str:
    """Return an authenticator's COSE key as text for the list of people.

    Raises:
        ValueError: it is not a key that Plangate accepts.
    """
    _parameters(cose)
    return PASSKEY_PREFIX + encoded(cose)


def cose_of(public: str) -> bytes:
    """Return the COSE key in a string that `passkey_of` returned.

    Raises:
        ValueError: it is not such a string, or the key is not accepted; the message continues a sentence that
            begins with the location.
    """
    if not public.startswith(PASSKEY_PREFIX):
        raise ValueError(_UNREADABLE)
    try:
        cose = decoded(public.removeprefix(PASSKEY_PREFIX))
    except ValueError:
        raise ValueError(_UNREADABLE) from None
    _parameters(cose)
    return cose


def thumbprint(public: str) -> str:
    """Return the COSE key thumbprint (RFC 9679, SHA-256) of a passkey, as base64url.

    Raises:
        ValueError: see `cose_of`.
    """
    required = {name: value for name, value in _parameters(cose_of(public)).items() if name != _ALG}
    return encoded(hashlib.sha256(cbor2.dumps(required, canonical=True)).digest())


def _parameters(cose: bytes) -> dict[int, Any]:
    """Return the parameters of an accepted key as authenticators write them."""
    try:
        found = cbor2.loads(cose) if len(cose) <= _MOST_BYTES else None
        known = _known(found) if isinstance(found, dict) else None
        is_canonical = known is not None and cbor2.dumps(known, canonical=True) == cose
    except Exception:  # noqa: BLE001  any error of the parser means that it is not a key
        raise ValueError(_UNREADABLE) from None
    if known is None or not is_canonical:
        raise ValueError(_UNREADABLE)
    return known


def _known(found: dict[Any, Any]) -> dict[int, Any] | None:
    """Return the checked parameters of a key of one of the three kinds; None for any other kind."""
    match found.get(_KTY), found.get(_ALG):
        case (2, -7):
            return _checked_ec(found)
        case (1, -8):
            return _checked_okp(found)
        case (3, -257):
            return _checked_rsa(found)
        case _:
            return None


def _checked_ec(found: dict[Any, Any]) -> dict[int, Any] | None:
    x, y = found[_X], found[_Y]
    if found[_CRV] != _P256 or (len(x), len(y)) != (_COORDINATE_BYTES, _COORDINATE_BYTES):
        return None
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1())
    numbers.public_key()  # refuses points that are not on the curve
    return {_KTY: _EC2, _ALG: _ES256, _CRV: _P256, _X: x, _Y: y}


def _checked_okp(found: dict[Any, Any]) -> dict[int, Any] | None:
    x = found[_X]
    if found[_CRV] != _ED25519:
        return None
    checked_public(encoded(x))  # refuses other lengths, and points for which anyone can create signatures
    return {_KTY: _OKP, _ALG: _EDDSA, _CRV: _ED25519, _X: x}


def _checked_rsa(found: dict[Any, Any]) -> dict[int, Any] | None:
    n, e = found[_N], found[_E]
    modulus = int.from_bytes(n)
    if modulus.bit_length() not in _RSA_BITS or modulus % 2 == 0 or not n[0] or e != _EXPONENT:
        return None
    rsa.RSAPublicNumbers(int.from_bytes(e), modulus).public_key()
    return {_KTY: _RSA, _ALG: _RS256, _N: n, _E: e}
