"""Perform the two passkey ceremonies: signing a decision, and registering a new passkey.

A page contains the options as JSON; `static/passkey.js` passes them to the browser, and returns its response.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.domain.base import Frozen
from plangate.domain.people.people import identity
from plangate.signing.base64url import encoded
from plangate.signing.cose_keys import passkey_of
from plangate.signing.passkeys import Assertion, assertion_of
from plangate.web.public_address import WebAddress

REGISTERED_WITHIN: Final = timedelta(minutes=10)
_TIMEOUT: Final = 300_000  # milliseconds that the browser waits for the person
_ALGORITHMS: Final = (-7, -8, -257)  # ES256, EdDSA, RS256
_USER_ID_BYTES: Final = 32
_LONGEST: Final = 20_000  # maximum characters in a browser's response


class Registered(Frozen):
    """A new passkey: its public key in the format of the list of people, and its id on the authenticator."""

    public: str
    credential_id: str


def request_options(challenge: bytes, place: WebAddress, credential_ids: Sequence[str]) -> str:
    """Return the options, as JSON, to sign a challenge.

    Args:
        challenge: the challenge of the claims to sign.
        place: its host is the RP id.
        credential_ids: the passkeys that may sign; empty for any that the browser finds for this host.
    """
    return json.dumps(
        {
            "challenge": encoded(challenge),
            "rpId": place.name,
            "allowCredentials": [{"type": "public-key", "id": one} for one in credential_ids],
            "userVerification": "required",
            "timeout": _TIMEOUT,
        }
    )


def asserted(response: str) -> Assertion | None:
    """Return the assertion that a browser returned as JSON; None if it is invalid."""
    try:
        return assertion_of(json.loads(response)) if len(response) <= _LONGEST else None
    except (ValueError, RecursionError):
        return None


def creation_options(challenge: bytes, person: str, place: WebAddress, known_ids: Sequence[str]) -> str:
    """Return the options, as JSON, to create a passkey for a person who already has ``known_ids``."""
    user = hashlib.sha256(identity(person).encode()).digest()[:_USER_ID_BYTES]
    return json.dumps(
        {
            "challenge": encoded(challenge),
            "rp": {"id": place.name, "name": "Plangate"},
            "user": {"id": encoded(user), "name": person, "displayName": person},
            "pubKeyCredParams": [{"type": "public-key", "alg": one} for one in _ALGORITHMS],
            "excludeCredentials": [{"type": "public-key", "id": one} for one in known_ids],
            "authenticatorSelection": {"residentKey": "preferred", "userVerification": "required"},
            "attestation": "none",
            "timeout": _TIMEOUT,
        }
    )


def registered(response: str, challenges: Sequence[bytes], place: WebAddress) -> Registered:
    """Return the passkey that a browser returned as JSON for one of these challenges.

    Raises:
        ValueError: it is not a new passkey for this site, or its key type is not accepted.
    """
    from webauthn import verify_registration_response  # noqa: PLC0415  no other page needs it
    from webauthn.helpers.cose import COSEAlgorithmIdentifier  # noqa: PLC0415
    from webauthn.helpers.exceptions import WebAuthnException  # noqa: PLC0415

    if len(response) > _LONGEST:
        raise ValueError("the browser's response is too long")
    algorithms = [COSEAlgorithmIdentifier(one) for one in _ALGORITHMS]
    for challenge in challenges:
        try:
            made = verify_registration_response(
                credential=response,
                expected_challenge=challenge,
                expected_rp_id=place.name,
                expected_origin=place.url,
                require_user_verification=True,
                supported_pub_key_algs=algorithms,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError, RecursionError):
            continue
        return Registered(
            public=passkey_of(made.credential_public_key), credential_id=encoded(made.credential_id)
        )
    raise ValueError("the browser's response is not a new passkey")


def registration_challenges(own: Ed25519PrivateKey, subject: str, now: datetime) -> tuple[bytes, ...]:
    """Return the challenges with which ``subject`` (a session or an invitation) may register a passkey now.

    The first one is for pages that are rendered now. The challenges are derived from the server's key, so
    that nothing is stored.
    """
    period = int(now.timestamp() // REGISTERED_WITHIN.total_seconds())
    secret = hashlib.sha256(b"plangate-registration" + own.private_bytes_raw()).digest()
    return tuple(hmac.digest(secret, f"{subject}\n{one}".encode(), "sha256") for one in (period, period - 1))
