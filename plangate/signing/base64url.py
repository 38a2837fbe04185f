"""Encode base64url without padding (RFC 4648, 5), only in canonical form: each value has one encoding."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

_ALPHABET: Final = re.compile(r"[A-Za-z0-9_-]*")


def encoded(raw: bytes) -> str:
    """Return ``raw`` as base64url."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """Return the bytes of a string that `encoded` returned.

    Raises:
        ValueError: it is not base64url, or not in the form that `encoded` returns.
    """
    if not _ALPHABET.fullmatch(text):
        raise ValueError("is not base64url")
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encoded(raw) != text:
        raise ValueError("is not base64url in canonical form")
    return raw
