"""Parse public keys that were typed: the lines that `keys seal` and `keys new` print."""

from collections.abc import Sequence

from plangate.cli.exits import WrongUsage
from plangate.domain.escaping import one_line
from plangate.domain.people.trusted_web import TrustedWeb, relying_party_of
from plangate.signing.jws import PUBLIC_PREFIX, checked_public


def read_trusted_web(keys: Sequence[str], origins: Sequence[str]) -> TrustedWeb:
    """Return the web servers that an auditor trusts; without keys or without origins, any are trusted.

    Raises:
        WrongUsage: one is not a public key, or not an origin at which passkeys work.
    """
    for origin in origins:
        if relying_party_of(origin) is None:
            raise WrongUsage(
                f"{one_line(origin)} is not a valid passkey origin; use the form https://plangate.example.org"
            )
    return TrustedWeb(
        origins=frozenset(origins) if origins else None,
        keys=read_public_keys(keys, "the public key line of a web server") if keys else None,
    )


def read_public_keys(lines: Sequence[str], line: str = "the line that `keys seal` prints") -> frozenset[str]:
    """Parse public keys, one per line; ``line`` describes the expected lines in the error message.

    Raises:
        WrongUsage: a line is not a public key.
    """
    for typed in lines:
        if not typed.startswith(PUBLIC_PREFIX):
            raise WrongUsage(f"{one_line(typed)} is not a public key; use {line}, {PUBLIC_PREFIX}…")
    try:
        return frozenset(checked_public(typed) for typed in lines)
    except ValueError as error:
        raise WrongUsage(f"A public key {error}; it looks like {PUBLIC_PREFIX}… .") from None
