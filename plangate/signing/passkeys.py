"""Write and verify tokens signed by a passkey: ``passkey.CLAIMS.ASSERTION``, both parts base64url.

CLAIMS is the canonical JSON (RFC 8785) of the claims, and the challenge that the passkey signs is the SHA-256
of exactly these bytes. ASSERTION is the canonical JSON of the browser's result (`Assertion`). One assertion
may approve several plans: ``passkey.CLAIMS.LIST.ASSERTION``, whose challenge is the SHA-256 of LIST
(`plangate.signing.batches`). Anyone who has the passkey's public key can verify the token, without Plangate
and without the server that requested it:

1. Each part is in canonical form, and a list contains the digest of the claims.
2. The client data is that of ``webauthn.get`` with this challenge, at a trusted origin, and not from a frame
   on another site.
3. The authenticator data is for that origin's RP id, and its flags indicate that a person was present and
   verified.
4. The signature matches, with the key and the key's algorithm (`webauthn` also checks 2 to 4).

Signature counters are not compared: synced passkeys have none, and the ``jti`` ensures that a token is used
only once.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, Field, JsonValue, ValidationError

from plangate.domain.base import Typed
from plangate.domain.escaping import cut, one_line
from plangate.domain.people.trusted_web import relying_party_of
from plangate.domain.plans.plan import canonical_json, refuse_duplicate_names
from plangate.signing.base64url import decoded, encoded
from plangate.signing.batches import check_batch, digests_in, list_of
from plangate.signing.cose_keys import cose_of

PREFIX: Final = "passkey."
_PARTS: Final = 2
_UNREADABLE: Final = "its signature cannot be read"
_HASH_BYTES: Final = 32
_FLAGS_AT: Final = 32
_USER_PRESENT: Final = 0x01
_USER_VERIFIED: Final = 0x04
_LONGEST_NAMED: Final = 80


class Assertion(Typed):
    """A browser's result for a challenge; each part as base64url.

    Attributes:
        credential_id: the id of the passkey that signed; not covered by the signature.
        client_data: ``clientDataJSON``: the browser's statement about the page that requested the signature.
        authenticator_data: the authenticator's statement: the RP id's hash, and flags.
        signature: the signature over the authenticator data and the SHA-256 of the client data.
    """

    credential_id: str = Field(min_length=1, max_length=1_400)
    client_data: str = Field(max_length=4_000)
    authenticator_data: str = Field(max_length=4_000)
    signature: str = Field(max_length=2_000)


@dataclass(frozen=True, slots=True)
class PasskeyToken:
    """A token that was read: its claims and the assertion, not verified yet."""

    claims: Mapping[str, JsonValue]
    challenge: bytes
    assertion: Assertion
    origin: str
    """The origin of the page that requested the signature, according to the browser."""
    batch: int | None = None
    """How many approvals the assertion signs; None if it signs only this one."""


def challenge_of(claims: BaseModel) -> bytes:
    """Return the challenge that a passkey signs for these claims."""
    return hashlib.sha256(_canonical(claims)).digest()


def challenge_of_batch(batch: Sequence[BaseModel]) -> bytes:
    """Return the challenge that a passkey signs once for several approvals with these claims."""
    return hashlib.sha256(_listed(batch)).digest()


def passkey_token(claims: BaseModel, assertion: Assertion, batch: Sequence[BaseModel] = ()) -> str:
    """Return the token with these claims and the assertion that a passkey made for their challenge.

    Args:
        claims: the claims of the token.
        assertion: the assertion from the browser.
        batch: the claims of all approvals that the assertion signs, if there are several.
    """
    said = canonical_json(assertion.model_dump(mode="json"))
    listed = f".{encoded(_listed(batch))}" if batch else ""
    return f"{PREFIX}{encoded(_canonical(claims))}{listed}.{encoded(said)}"


def assertion_of(credential: object) -> Assertion:
    """Return the assertion in the result of ``navigator.credentials.get``, as returned by its ``toJSON()``.

    Raises:
        ValueError: a part is missing or malformed.
    """
    try:
        response = credential["response"]  # type: ignore[index]
        found = Assertion(
            credential_id=credential["id"],  # type: ignore[index]
            client_data=response["clientDataJSON"],
            authenticator_data=response["authenticatorData"],
            signature=response["signature"],
        )
        for part in found.model_dump().values():
            decoded(part)
    except (KeyError, TypeError, ValueError):
        raise ValueError("the browser's response is not that of a passkey") from None
    return found


def is_passkey_token(token: str) -> bool:
    """Return whether a token is a passkey's; it may still be malformed."""
    return token.startswith(PREFIX)


def read_passkey_token(token: str) -> PasskeyToken:
    """Read a token, without verifying it.

    Raises:
        ValueError: it is malformed, or not in canonical form.
    """
    parts = token.removeprefix(PREFIX).split(".")
    has_list = len(parts) == _PARTS + 1
    if not is_passkey_token(token) or not (has_list or len(parts) == _PARTS):
        raise ValueError(_UNREADABLE)
    try:
        said = decoded(parts[0])
        claims = _json_object(said)
        listed = decoded(parts[1]) if has_list else None
        digests = digests_in(listed) if listed is not None else None
        assertion = Assertion.model_validate(_json_object(decoded(parts[-1])))
        client = _json_object(decoded(assertion.client_data), is_canonical=False)
        for part in assertion.model_dump().values():
            decoded(part)
        origin = _text(client["origin"])
    except (ValueError, TypeError, KeyError, ValidationError, RecursionError):
        raise ValueError(_UNREADABLE) from None
    if digests is not None:
        check_batch(digests, hashlib.sha256(said).hexdigest())
    return PasskeyToken(
        claims=claims,
        challenge=hashlib.sha256(said if listed is None else listed).digest(),
        assertion=assertion,
        origin=origin,
        batch=None if digests is None else len(digests),
    )


def check_ceremony(token: PasskeyToken, origins: Collection[str] | None) -> None:
    """Check what the browser and the authenticator state (2 and 3); only a valid signature proves it.

    Args:
        token: the token, as read.
        origins: the trusted origins; None for any.

    Raises:
        ValueError: it was not made for this challenge, at a trusted origin, by a verified person.
    """
    client = _json_object(decoded(token.assertion.client_data), is_canonical=False)
    if client.get("type") != "webauthn.get":
        raise ValueError("its passkey was used for something other than a signature")
    if client.get("challenge") != encoded(token.challenge):
        raise ValueError("its passkey signed a challenge that does not match its claims")
    host = relying_party_of(token.origin)
    named = cut(one_line(token.origin), _LONGEST_NAMED)
    if host is None or (origins is not None and token.origin not in origins):
        expected = f", not at {' or '.join(sorted(origins))}" if origins else ", which is not trusted"
        raise ValueError(f"its passkey was used at {named}{expected}")
    if client.get("crossOrigin", False) is not False or "topOrigin" in client:
        raise ValueError(f"its passkey was used at {named} inside a frame of another site")
    data = decoded(token.assertion.authenticator_data)
    if len(data) <= _FLAGS_AT or data[:_HASH_BYTES] != hashlib.sha256(host.encode()).digest():
        raise ValueError(f"its passkey does not belong to the RP id {cut(one_line(host), _LONGEST_NAMED)}")
    if not data[_FLAGS_AT] & _USER_PRESENT:
        raise ValueError("its authenticator says that no person was present")
    if not data[_FLAGS_AT] & _USER_VERIFIED:
        raise ValueError("its authenticator did not verify the person by fingerprint, face or PIN")


def is_signed_by(token: PasskeyToken, public: str) -> bool:
    """Return whether the passkey ``public`` signed this token (4); `check_ceremony` has checked the rest."""
    from webauthn import verify_authentication_response  # noqa: PLC0415  no other command needs it

    assertion, host = token.assertion, relying_party_of(token.origin)
    try:
        verify_authentication_response(
            credential={
                "id": assertion.credential_id,
                "rawId": assertion.credential_id,
                "type": "public-key",
                "response": {
                    "clientDataJSON": assertion.client_data,
                    "authenticatorData": assertion.authenticator_data,
                    "signature": assertion.signature,
                },
            },
            expected_challenge=token.challenge,
            expected_rp_id=host or "",
            expected_origin=token.origin,
            credential_public_key=cose_of(public),
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except Exception:  # noqa: BLE001  any error of the parser means that it is not a signature
        return False
    return True


def verified(token: str, public: str, origins: Collection[str] | None) -> PasskeyToken:
    """Verify a token with a passkey's public key, and return its claims.

    Raises:
        ValueError: it is not valid; the message explains why.
    """
    read = read_passkey_token(token)
    check_ceremony(read, origins)
    if not is_signed_by(read, public):
        raise ValueError("its signature does not match what was signed")
    return read


def _canonical(claims: BaseModel) -> bytes:
    return canonical_json(claims.model_dump(mode="json"))


def _listed(batch: Sequence[BaseModel]) -> bytes:
    return list_of(map(_canonical, batch))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("it is not text")
    return value


def _json_object(raw: bytes, *, is_canonical: bool = True) -> dict[str, Any]:
    found = json.loads(raw.decode(), object_pairs_hook=refuse_duplicate_names)
    if not isinstance(found, dict) or (is_canonical and canonical_json(found) != raw):
        raise ValueError("it is not one JSON object in canonical form")
    return found
