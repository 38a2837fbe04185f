"""Convert people's public keys of both kinds: Ed25519 for the command line, and passkeys.

Plangate stores an Ed25519 key as its 32 bytes in base64url, and a passkey as ``passkey:`` and its COSE key in
base64url. When a key is shown or typed, both kinds have a prefix.
"""

from plangate.signing import cose_keys, jws


def is_passkey(public: str) -> bool:
    """Return whether a stored or typed key belongs to a passkey."""
    return public.startswith(cose_keys.PASSKEY_PREFIX)


def checked_key(typed: str) -> str:
    """Return a typed key as it is stored, in canonical form.

    Raises:
        ValueError: it is not an accepted public key; the message continues a sentence that begins with
            the location.
    """
    if not is_passkey(typed):
        return jws.checked_public(typed)
    cose_keys.cose_of(typed)
    return typed


def thumbprint_of(public: str) -> str:
    """Return the SHA-256 thumbprint of a stored key: RFC 7638 for Ed25519, RFC 9679 for passkeys.

    Raises:
        ValueError: it is not an accepted passkey.
    """
    return cose_keys.thumbprint(public) if is_passkey(public) else jws.key_id(public)


def shown(public: str) -> str:
    """Return a stored key in the form that people read and type."""
    return public if is_passkey(public) else jws.PUBLIC_PREFIX + public
