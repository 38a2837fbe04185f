"""Sign decisions and verify them: a token binds one decision to one run, one plan and one time.

Anyone who has the approver's public key can verify it without Plangate.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, JsonValue, ValidationError

from plangate.domain.assurance import Assurance
from plangate.domain.base import Frozen, Typed
from plangate.domain.decision import Choice, Decision, Resolution
from plangate.domain.escaping import cut, one_line
from plangate.domain.people import Approver, Identified, Key, People, Person, in_force, same_person
from plangate.domain.plan import Audience, canonical_json, short
from plangate.domain.review import CLOCK_LEEWAY
from plangate.signing.jws import kid_of, read_token, write_token

TYPE: Final = "plangate-decision+jwt"
LAST_SECOND: Final = 253_402_300_799  # of the year 9999, the last that Python's dates support
_HOW: Final = "sign with `starter.py sign`"


class SignedClaims(Protocol):
    """The claims of any token: when and under which id it was signed."""

    @property
    def jti(self) -> str:
        """The id, chosen by the signer."""

    @property
    def signed_at(self) -> datetime:
        """When it was signed, by the signer's clock."""


Signed = TypeVar("Signed", bound=SignedClaims)


class Subject(Frozen):
    """The subject of a decision: one plan of one run, and the installation and namespace it counts in."""

    workflow_id: str
    fingerprint: str
    audience: Audience


def _is_none(value: object) -> bool:
    return value is None


class Claims(Typed):
    """The claims of a token.

    ``aud`` is an `Audience` as text, ``iat`` is in seconds since 1970 (UTC), ``jti`` is chosen by the signer.
    An edit is signed with the SHA-256 of its new plan's canonical JSON (64 hex digits), a resolution with its
    step and the number of the hold that it answers.
    """

    aud: str
    workflow_id: str
    fingerprint: str = Field(pattern="^[0-9a-f]{64}$")
    decision: Choice
    comment: str
    by: str
    iat: int = Field(ge=0, le=LAST_SECOND, strict=True)
    jti: str = Field(pattern="^[A-Za-z0-9_-]{8,100}$")
    new_plan_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$", exclude_if=_is_none)
    step: int | None = Field(default=None, ge=1, strict=True, exclude_if=_is_none)
    resolution: Resolution | None = Field(default=None, exclude_if=_is_none)
    hold: int | None = Field(default=None, ge=1, strict=True, exclude_if=_is_none)

    @property
    def signed_at(self) -> datetime:
        """When it was signed, by the signer's clock."""
        return datetime.fromtimestamp(self.iat, UTC)


def claims_for(decision: Decision, subject: Subject, *, at: datetime, token_id: str) -> Claims:
    """Return the claims to sign or to attest for a decision on exactly the plan of ``subject``.

    They are the same for an Ed25519 key (`sign`), a passkey (`plangate.signing.passkeys`) and the login of a
    web server (`plangate.signing.logins`), and for every kind of decision: an edit has its new plan, a
    resolution its step and the number of its hold.

    Args:
        decision: as it will be sent.
        subject: the plan that was shown.
        at: when it is signed, by the signer's clock.
        token_id: a random text of 8 to 100 characters A-Z, a-z, 0-9, - and _; it counts once for each key.

    Raises:
        ValueError: the new plan has no canonical JSON, so it cannot be signed.
    """
    return Claims(
        aud=str(subject.audience),
        workflow_id=subject.workflow_id,
        fingerprint=subject.fingerprint,
        decision=decision.decision,
        comment=decision.comment,
        by=decision.by,
        iat=int(at.timestamp()),
        jti=token_id,
        new_plan_sha256=hash_of_new_plan(decision.new_plan),
        step=decision.step,
        resolution=decision.resolution,
        hold=decision.hold,
    )


def sign(claims: Claims, key: Ed25519PrivateKey) -> str:
    """Sign ``claims`` with ``key`` and return the token."""
    return write_token(claims.model_dump(mode="json"), key, TYPE)


def verify(decision: Decision, *, subject: Subject, people: People, at: datetime) -> Identified:
    """Identify the sender of a signed decision, and verify its signature.

    Args:
        decision: as received.
        subject: the plan in review of the run that received it.
        people: the list of people, with their public keys.
        at: when it was received, by the server's clock.

    Returns:
        The approver, with the assurance ``signed`` if the signature is valid; else an ``objection`` that
        says why it is not.
    """
    return identified(
        people,
        decision.by,
        decision.signature or "",
        at,
        read=claims_of,
        differs=lambda claims: other_than_signed(claims, decision, subject),
    )


def identified(
    people: People,
    name: str,
    token: str,
    at: datetime,
    *,
    read: Callable[[str, str], Signed],
    differs: Callable[[Signed], str | None],
) -> Identified:
    """Identify who sent a token under ``name``, and verify its signature.

    Args:
        people: the list of people, with their public keys.
        name: of the sender, as sent.
        token: as received.
        at: when it was received, by the server's clock.
        read: returns the claims of a token that the given public key signed.
        differs: returns how what was received differs from the claims, or None.
    """
    known = people.identify(name, at)
    person = people.find(name)
    if known.approver is None or person is None:
        return known
    try:
        key, claims = _signed_by(person, token, at, read)
    except ValueError as error:
        return known.model_copy(update={"objection": str(error)})
    objection = differs(claims) or _wrong_time(claims.signed_at, key, at)
    if objection:
        return known.model_copy(update={"objection": objection})
    return Identified(approver=_proven(known.approver, key, claims.signed_at, claims.jti))


def _proven(approver: Approver, key: Key, signed_at: datetime, token_id: str) -> Approver:
    """Return ``approver`` with the proof of a valid signature."""
    proof = {
        "assurance": Assurance.SIGNED,
        "key_id": key.id,
        "public_key": key.x,
        "signed_at": signed_at,
        "token_id": token_id,
    }
    return approver.model_copy(update=proof)


def claims_of(token: str, public: str) -> Claims:
    """Verify a token's signature by the key ``public`` and return its claims.

    Raises:
        ValueError: the signature is not valid, or it is not the token of a decision; the message says why.
    """
    try:
        return Claims.model_validate(read_token(token, public, TYPE))
    except ValidationError:
        raise ValueError("its signature is not that of a decision") from None


def other_than_signed(claims: Claims, decision: Decision, subject: Subject) -> str | None:
    """Return how ``decision`` and ``subject`` differ from what was signed, or None."""
    if claims.aud != str(subject.audience):
        return another_audience(claims.aud, subject.audience)
    if claims.workflow_id != subject.workflow_id:
        return f"it is signed for the run {cut(one_line(claims.workflow_id), 60)}, not for this one"
    if claims.fingerprint != subject.fingerprint or not decision.names(claims.fingerprint):
        return f"it is signed for plan {short(claims.fingerprint)}, not for this one"
    if claims.decision is not decision.decision:
        return f"it is signed for '{claims.decision}', not for '{decision.decision}'"
    if (claims.step, claims.resolution) != (decision.step, decision.resolution):
        return f"it is signed for '{claims.resolution}' of step {claims.step}, not for this resolution"
    if claims.hold != decision.hold:
        return f"it is signed for hold {claims.hold or 'none'} of this run, not for this one"
    if claims.new_plan_sha256 != hash_of_new_plan(decision.new_plan):
        return "it is signed for another new plan"
    if claims.comment != decision.comment:
        return "it is signed with another comment"
    if not same_person(claims.by, decision.by):
        return f"it is signed in the name of {cut(one_line(claims.by), 60)}"
    return None


def hash_of_new_plan(plan: JsonValue) -> str | None:
    """Return the SHA-256 (64 hex digits) of the canonical JSON of an edit's new plan; None without one.

    A plan that has no canonical JSON has no hash, so that no signature is valid for it.
    """
    if plan is None:
        return None
    try:
        return hashlib.sha256(canonical_json(plan)).hexdigest()
    except (ValueError, RecursionError):
        return ""


def another_audience(signed: str, audience: Audience) -> str:
    """Object to a token of another installation or namespace."""
    installation, _, namespace = signed.partition("/")
    if installation != audience.installation:
        named = cut(one_line(installation), 40)
        return f"it is signed for another installation of Plangate ({named}), not for this one"
    return f"it is signed for the namespace {cut(one_line(namespace), 60)}, not for {audience.namespace}"


def _signed_by(
    person: Person, token: str, at: datetime, read: Callable[[str, str], Signed]
) -> tuple[Key, Signed]:
    """Return the key of ``person`` that signed a token, valid at that time, and what ``read`` returns of it.

    Raises:
        ValueError: no such key signed it; the message says why.
    """
    try:
        kid = kid_of(token)
        key = next((key for key in person.keys if key.id == kid), None)
        if key is not None and in_force(key, at):
            return key, read(token, key.x)
    except ValueError as error:
        raise ValueError(f"{error}; {_HOW}") from None
    if key is None:
        raise ValueError(
            f"it is signed with a key that is not one of {person.name}'s; add the public line that "
            "`starter.py keys list` prints to the list of people"
        )
    raise ValueError(
        f"it is signed with a key of {person.name}'s that is not valid now; create one with `starter.py keys "
        "new`, and add its public line to the list of people"
    )


def _wrong_time(signed_at: datetime, key: Key, at: datetime) -> str | None:
    """Object to something signed in the future, or while the key was not valid."""
    if signed_at > at + CLOCK_LEEWAY:
        return "it is signed in the future; set the signer's clock"
    if not in_force(key, signed_at):
        return "it is signed at a time when the key was not valid"
    return None
