"""Signed decisions: compact JWS (RFC 7515) with EdDSA over Ed25519 (RFC 8037), by PyJWT.

A token binds one decision to one run, one plan and one moment; whoever has the approver's public key can
check it, without us. `verify` says who sent a decision, or why its signature does not prove it.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt.exceptions import InvalidAlgorithmError, InvalidSignatureError, PyJWTError
from pydantic import Field, ValidationError

from plangate.domain.decision import Choice, Decision
from plangate.domain.model import Typed
from plangate.domain.people import Identified, Key, People, Person, in_force, same_person
from plangate.domain.plan import short
from plangate.domain.review import CLOCK_LEEWAY
from plangate.domain.visible import cut, one_line

TYPE: Final = "plangate-decision+jwt"
_ALGORITHM: Final = "EdDSA"
_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}")


class Claims(Typed):
    """What a token says. ``iat`` is in whole seconds since 1970, UTC; ``jti`` is the signer's own choice."""

    workflow_id: str
    fingerprint: str = Field(pattern="^[0-9a-f]{64}$")
    decision: Choice
    comment: str
    by: str
    iat: int = Field(ge=0, le=2**40, strict=True)
    jti: str = Field(pattern="^[A-Za-z0-9_-]{8,100}$")

    @property
    def signed_at(self) -> datetime:
        """When it was signed, by the signer's clock."""
        return datetime.fromtimestamp(self.iat, UTC)


def sign(claims: Claims, key: Ed25519PrivateKey) -> str:
    """Return the token that says ``claims`` under ``key``."""
    headers = {"kid": key_id(public_of(key)), "typ": TYPE}
    return jwt.encode(claims.model_dump(mode="json"), key, algorithm=_ALGORITHM, headers=headers)


def verify(
    decision: Decision, *, workflow_id: str, fingerprint: str, people: People, at: datetime
) -> Identified:
    """Return who sent ``decision``, which carries a signature, at that time.

    Args:
        decision: as it came.
        workflow_id: the run that it came to.
        fingerprint: of the plan in review, 64 hex digits.
        people: with everybody's public keys.
        at: when it was received, by the server's clock.
    """
    known = people.identify(decision.by, at)
    person = people.find(decision.by)
    if known.approver is None or person is None:
        return known
    try:
        key, claims = _read(decision.signature or "", person, at)
    except ValueError as error:
        return known.model_copy(update={"objection": str(error)})
    objection = _other_than_signed(claims, decision, workflow_id, fingerprint) or _wrong_time(claims, key, at)
    if objection:
        return known.model_copy(update={"objection": objection})
    proven = {"verified": True, "key_id": key.id, "signed_at": claims.signed_at, "token_id": claims.jti}
    return Identified(approver=known.approver.model_copy(update=proven))


def claims_of(token: str, key: Key) -> Claims:
    """Return what ``token`` says, if ``key`` signed it.

    Raises:
        ValueError: it did not, or it is no token of a decision; the message says why.
    """
    _check_form(token)
    try:
        header = jwt.get_unverified_header(token)
        if header.get("typ") != TYPE:
            raise ValueError("its signature is of another kind; sign with `starter.py sign`")
        claims: dict[str, Any] = jwt.decode(
            token,
            Ed25519PublicKey.from_public_bytes(_bytes(key.x)),
            algorithms=[_ALGORITHM],
            options={"verify_iat": False},  # the clock is looked at by whoever knows the server's
        )
        return Claims.model_validate(claims)
    except InvalidAlgorithmError:
        named = cut(one_line(str(header.get("alg"))), 20)
        raise ValueError(f"its signature uses the algorithm {named}; only EdDSA is taken") from None
    except InvalidSignatureError:
        raise ValueError("its signature does not fit what was signed") from None
    except (PyJWTError, ValidationError):
        raise ValueError("its signature cannot be read; sign with `starter.py sign`") from None


def public_of(key: Ed25519PrivateKey) -> str:
    """Return the public half, 32 bytes as base64url."""
    return _text(key.public_key().public_bytes_raw())


def key_id(public: str) -> str:
    """Return the RFC 7638 thumbprint of a public key."""
    canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}'
    digest = hashes.Hash(hashes.SHA256())
    digest.update(canonical.encode())
    return _text(digest.finalize())


def checked_public(public: str) -> str:
    """Return ``public`` if it is an Ed25519 public key.

    Raises:
        ValueError: it is none.
    """
    try:
        raw = _bytes(public)
        Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise ValueError(
            "is no Ed25519 public key; paste the line that `starter.py keys new` printed"
        ) from None
    return _text(raw)


def _check_form(token: str) -> None:
    """Refuse every spelling of a token but the one that `sign` gives: base64 can be written in many ways."""
    tail = token.rpartition(".")[2]
    if not _FORM.fullmatch(token) or _text(_bytes(tail)) != tail:
        raise ValueError("its signature cannot be read; sign with `starter.py sign`")


def _read(token: str, person: Person, at: datetime) -> tuple[Key, Claims]:
    _check_form(token)
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except PyJWTError:
        raise ValueError("its signature cannot be read; sign with `starter.py sign`") from None
    key = next((key for key in person.keys if key.id == kid), None)
    if key is None:
        raise ValueError(f"it is signed with a key that is not one of {person.name}'s")
    if not in_force(key, at):
        raise ValueError(f"it is signed with a key of {person.name}'s that is not valid now")
    return key, claims_of(token, key)


def _other_than_signed(claims: Claims, decision: Decision, workflow_id: str, fingerprint: str) -> str | None:
    if claims.workflow_id != workflow_id:
        return f"it is signed for the run {cut(one_line(claims.workflow_id), 60)}, not for this one"
    if claims.fingerprint != fingerprint or not claims.fingerprint.startswith(decision.plan):
        return f"it is signed for plan {short(claims.fingerprint)}, not for this one"
    if claims.decision is not decision.decision:
        return f"it is signed for '{claims.decision}', not for '{decision.decision}'"
    if claims.comment != decision.comment:
        return "it is signed with another comment"
    if not same_person(claims.by, decision.by):
        return f"it is signed in the name of {cut(one_line(claims.by), 60)}"
    return None


def _wrong_time(claims: Claims, key: Key, at: datetime) -> str | None:
    if claims.signed_at > at + CLOCK_LEEWAY:
        return "it is signed in the future; set the signer's clock"
    if not in_force(key, claims.signed_at):
        return "it is signed at a time when the key was not valid"
    return None


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
