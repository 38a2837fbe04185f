"""Public keys of people, of both kinds: Ed25519 for the command line, and passkeys.

Where Plangate keeps a key, an Ed25519 key is its 32 bytes as base64url, and a passkey is ``passkey:`` and its
COSE key as base64url. Where people read or type a key, both kinds have their prefix.
"""

from plangate.signing import cose_keys, jws


def is_passkey(public: str) -> bool:
    """Return whether a kept or typed key is that of a passkey."""
    return public.startswith(cose_keys.PASSKEY_PREFIX)


def checked_key(typed: str) -> str:
    """Return a typed key as it is kept, in its one spelling.

    Raises:
        ValueError: it is not a public key that is accepted; the message reads after its place.
    """
    if not is_passkey(typed):
        return jws.checked_public(typed)
    cose_keys.cose_of(typed)
    return typed


def thumbprint_of(public: str) -> str:
    """Return the thumbprint of a kept key: RFC 7638 for Ed25519, RFC 9679 for passkeys, with SHA-256.

    Raises:
        ValueError: it is a passkey that is not accepted.
    """
    return cose_keys.thumbprint(public) if is_passkey(public) else jws.key_id(public)


def shown(public: str) -> str:
    """Return a kept key as people read and type it."""
    return public if is_passkey(public) else jws.PUBLIC_PREFIX + public
