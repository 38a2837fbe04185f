"""Signed decisions: a token that binds one decision to one run, one plan and one moment.

Whoever has the approver's public key can check it, without us. `verify` says who sent a decision, or why its
signature does not prove it.
"""

from datetime import UTC, datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, ValidationError

from plangate.domain.assurance import Assurance
from plangate.domain.base import Frozen, Typed
from plangate.domain.decision import Choice, Decision
from plangate.domain.escaping import cut, one_line
from plangate.domain.people import Identified, Key, People, Person, in_force, same_person
from plangate.domain.plan import Audience, short
from plangate.domain.review import CLOCK_LEEWAY
from plangate.signing.jws import kid_of, read_token, write_token

TYPE: Final = "plangate-decision+jwt"
LAST_SECOND: Final = 253_402_300_799  # of the year 9999, behind which there are no dates
_HOW: Final = "sign with `starter.py sign`"


class Subject(Frozen):
    """What a decision is about: one plan of one run, and where that counts."""

    workflow_id: str
    fingerprint: str
    audience: Audience


class Claims(Typed):
    """What a token says.

    ``aud`` is an `Audience` as text, ``iat`` whole seconds since 1970, UTC, ``jti`` the signer's own choice.
    """

    aud: str
    workflow_id: str
    fingerprint: str = Field(pattern="^[0-9a-f]{64}$")
    decision: Choice
    comment: str
    by: str
    iat: int = Field(ge=0, le=LAST_SECOND, strict=True)
    jti: str = Field(pattern="^[A-Za-z0-9_-]{8,100}$")

    @property
    def signed_at(self) -> datetime:
        """When it was signed, by the signer's clock."""
        return datetime.fromtimestamp(self.iat, UTC)


def sign(claims: Claims, key: Ed25519PrivateKey) -> str:
    """Return the token that says ``claims`` under ``key``."""
    return write_token(claims.model_dump(mode="json"), key, TYPE)


def verify(decision: Decision, *, subject: Subject, people: People, at: datetime) -> Identified:
    """Return who sent ``decision``, which carries a signature, at that time.

    Args:
        decision: as it came.
        subject: the plan in review of the run that it came to.
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
    objection = other_than_signed(claims, decision, subject) or _wrong_time(claims, key, at)
    if objection:
        return known.model_copy(update={"objection": objection})
    proven = {
        "assurance": Assurance.SIGNED,
        "key_id": key.id,
        "public_key": key.x,
        "signed_at": claims.signed_at,
        "token_id": claims.jti,
    }
    return Identified(approver=known.approver.model_copy(update=proven))


def claims_of(token: str, public: str) -> Claims:
    """Return what ``token`` says, if the key whose public half is ``public`` signed it.

    Raises:
        ValueError: it did not, or it is no token of a decision; the message says why.
    """
    try:
        return Claims.model_validate(read_token(token, public, TYPE))
    except ValidationError:
        raise ValueError("its signature says other things than a decision") from None


def other_than_signed(claims: Claims, decision: Decision, subject: Subject) -> str | None:
    """Say in what ``decision``, as it came, and its subject differ from what was signed."""
    if claims.aud != str(subject.audience):
        return _another_audience(claims.aud, subject.audience)
    if claims.workflow_id != subject.workflow_id:
        return f"it is signed for the run {cut(one_line(claims.workflow_id), 60)}, not for this one"
    if claims.fingerprint != subject.fingerprint or not decision.names(claims.fingerprint):
        return f"it is signed for plan {short(claims.fingerprint)}, not for this one"
    if claims.decision is not decision.decision:
        return f"it is signed for '{claims.decision}', not for '{decision.decision}'"
    if claims.comment != decision.comment:
        return "it is signed with another comment"
    if not same_person(claims.by, decision.by):
        return f"it is signed in the name of {cut(one_line(claims.by), 60)}"
    return None


def _another_audience(signed: str, audience: Audience) -> str:
    installation, _, namespace = signed.partition("/")
    if installation != audience.installation:
        named = cut(one_line(installation), 40)
        return f"it is signed for another installation of Plangate ({named}), not for this one"
    return f"it is signed for the namespace {cut(one_line(namespace), 60)}, not for {audience.namespace}"


def _read(token: str, person: Person, at: datetime) -> tuple[Key, Claims]:
    try:
        kid = kid_of(token)
        key = next((key for key in person.keys if key.id == kid), None)
        if key is not None and in_force(key, at):
            return key, claims_of(token, key.x)
    except ValueError as error:
        raise ValueError(f"{error}; {_HOW}") from None
    if key is None:
        raise ValueError(
            f"it is signed with a key that is not one of {person.name}'s; the list of people has to have the "
            "public line that `starter.py keys list` prints"
        )
    raise ValueError(
        f"it is signed with a key of {person.name}'s that is not valid now; make another with `starter.py "
        "keys new`, and have its public line put into the list of people"
    )


def _wrong_time(claims: Claims, key: Key, at: datetime) -> str | None:
    if claims.signed_at > at + CLOCK_LEEWAY:
        return "it is signed in the future; set the signer's clock"
    if not in_force(key, claims.signed_at):
        return "it is signed at a time when the key was not valid"
    return None
