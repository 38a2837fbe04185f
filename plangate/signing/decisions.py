"""Sign decisions and verify them: a token binds one decision to one run, one plan and one time.

Anyone who has the approver's public key can verify it without Plangate. `plangate.signing.tokens` defines the
kinds of token.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, JsonValue

from plangate.domain.base import Frozen, Typed
from plangate.domain.decisions.decision import Choice, Decision, Resolution
from plangate.domain.escaping import cut, one_line
from plangate.domain.people.people import Identified, Key, People, Person, is_valid_at, same_person
from plangate.domain.plans.plan import Audience, canonical_json, short
from plangate.domain.runs.review import CLOCK_LEEWAY
from plangate.domain.runs.status import Status
from plangate.signing.jws import kid_of, write_token
from plangate.signing.logins import attested_by, is_expired, read_login
from plangate.signing.passkeys import check_ceremony, is_signed_by, read_passkey_token
from plangate.signing.public_keys import is_passkey
from plangate.signing.tokens import (
    Kind,
    Proof,
    Signed,
    Statement,
    claims_of_passkey,
    kind_of,
    moment_of,
    verified,
)

TYPE: Final = "plangate-decision+jwt"
LAST_SECOND: Final = 253_402_300_799  # in the year 9999, the last year that Python's dates support
_HOW: Final = "sign with `starter.py sign`"


class Subject(Frozen):
    """The subject of a decision: one plan of one run, in one installation and namespace."""

    workflow_id: str
    fingerprint: str
    audience: Audience


def subject_of(status: Status) -> Subject | None:
    """Return the subject of a decision on the plan in ``status``; None if there is no plan."""
    if status.fingerprint is None or status.installation is None or status.namespace is None:
        return None
    audience = Audience(installation=status.installation, namespace=status.namespace)
    return Subject(workflow_id=status.workflow_id, fingerprint=status.fingerprint, audience=audience)


def _is_none(value: object) -> bool:
    return value is None


class Claims(Typed):
    """The claims of a token.

    ``aud`` is an `Audience` as text, ``iat`` is in seconds since 1970 (UTC), and ``jti`` is chosen by the
    signer. An edit is signed with the SHA-256 of its new plan's canonical JSON (64 hex digits). A resolution
    is signed with its step and the number of the hold that it resolves.
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
        """When it was signed, according to the signer's clock."""
        return moment_of(self.iat)


DECISION: Final = Statement(typ=TYPE, claims=Claims, what="a decision", accepts_batches=True)
"""The statement of a decision's token."""


def claims_for(decision: Decision, subject: Subject, *, at: datetime, token_id: str) -> Claims:
    """Return the claims to sign or attest for a decision on exactly the plan in ``subject``.

    They are the same for an Ed25519 key (`sign`), a passkey (`plangate.signing.passkeys`) and the login of a
    web server (`plangate.signing.logins`). For an edit, they also include its new plan; for a resolution, its
    step and the number of its hold.

    Args:
        decision: the decision to send.
        subject: the plan that was shown.
        at: when it is signed, according to the signer's clock.
        token_id: a random string of 8 to 100 characters A-Z, a-z, 0-9, - and _; each key may use it once.

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
    """Identify the sender of a decision with a token, and verify the token.

    Args:
        decision: the received decision.
        subject: the plan that is in review, of the run that received the decision.
        people: the list of people with their public keys, and the web servers that are trusted.
        at: when it was received, according to the server's clock.

    Returns:
        The approver with the assurance ``signed`` or ``login`` if the token is valid; otherwise with an
        ``objection`` that explains why it is not.
    """
    return identified(
        people,
        decision.by,
        decision.signature or "",
        at,
        statement=DECISION,
        differs=lambda claims: difference_from_signed(claims, decision, subject),
    )


def identified(
    people: People,
    name: str,
    token: str,
    at: datetime,
    *,
    statement: Statement[Signed],
    differs: Callable[[Signed], str | None],
) -> Identified:
    """Identify who sent a token under ``name``, and verify it.

    Args:
        people: the list of people with their public keys, and the web servers that are trusted.
        name: the name of the sender, as sent.
        token: the received token.
        at: when it was received, according to the server's clock.
        statement: the kind of statement that the token must contain.
        differs: returns how the received message differs from the claims, or None.
    """
    known = people.identify(name, at)
    person = people.find(name)
    if known.approver is None or person is None:
        return known
    try:
        if kind_of(token) is Kind.LOGIN:
            proof, key = _login(token, people, at, statement), None
        else:
            proof, key = _signed_by(person, token, people, at, statement)
    except ValueError as error:
        return known.model_copy(update={"objection": str(error)})
    objection = differs(proof.claims) or _wrong_time(proof.claims.signed_at, key, at)
    if objection:
        return known.model_copy(update={"objection": objection})
    return Identified(approver=known.approver.model_copy(update=proof.approver_fields))


def difference_from_signed(claims: Claims, decision: Decision, subject: Subject) -> str | None:
    """Return how ``decision`` and ``subject`` differ from the signed claims, or None."""
    if claims.aud != str(subject.audience):
        return another_audience(claims.aud, subject.audience)
    if claims.workflow_id != subject.workflow_id:
        return f"it is signed for the run {cut(one_line(claims.workflow_id), 60)}, not for this one"
    if claims.fingerprint != subject.fingerprint or not decision.refers_to(claims.fingerprint):
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
    """Return the SHA-256 (64 hex digits) of the canonical JSON of an edit's new plan; None if it has no plan.

    A plan without canonical JSON has no hash, so no signature is valid for it.
    """
    if plan is None:
        return None
    try:
        return hashlib.sha256(canonical_json(plan)).hexdigest()
    except (ValueError, RecursionError):
        return ""


def another_audience(signed: str, audience: Audience) -> str:
    """Return an error if a token is for another installation or namespace."""
    installation, _, namespace = signed.partition("/")
    if installation != audience.installation:
        named = cut(one_line(installation), 40)
        return f"it is signed for another installation of Plangate ({named}), not for this one"
    return f"it is signed for the namespace {cut(one_line(namespace), 60)}, not for {audience.namespace}"


def _login(token: str, people: People, at: datetime, statement: Statement[Signed]) -> Proof[Signed]:
    """Verify a login with the keys of the web servers that are trusted now.

    Raises:
        ValueError: it is not valid; the message explains why.
    """
    if not statement.accepts_logins:
        raise ValueError(f"a login is not enough for {statement.what}; sign it")
    public = attested_by(token, people.web.keys)
    claims = statement.read(read_login(token, public))
    if is_expired(claims.signed_at, at):
        raise ValueError("its login was attested too long before it arrived; decide in the inbox again")
    return Proof(claims, Kind.LOGIN, public)


def _signed_by(
    person: Person, token: str, people: People, at: datetime, statement: Statement[Signed]
) -> tuple[Proof[Signed], Key]:
    """Verify a token with the keys of ``person``; return the key that signed it and was valid at that time.

    Raises:
        ValueError: no such key signed it; the message explains why.
    """
    if kind_of(token) is Kind.PASSKEY:
        return _signed_by_passkey(person, token, people, at, statement)
    try:
        kid = kid_of(token)
        of_webs = people.web.keys or frozenset()  # a web server's key cannot be a person's
        own = (key for key in person.keys if key.x not in of_webs)
        key = next((key for key in own if key.id == kid), None)
        if key is not None and is_valid_at(key, at):
            return verified(token, key.x, statement), key
    except ValueError as error:
        raise ValueError(f"{error}; {_HOW}") from None
    if key is None:
        raise ValueError(
            f"it is signed with a key that does not belong to {person.name}; add the public key that "
            "`starter.py keys list` prints to the list of people"
        )
    raise ValueError(
        f"it is signed with a key of {person.name} that is not valid now; create one with `starter.py keys "
        "new`, and add its public key to the list of people"
    )


def _signed_by_passkey(
    person: Person, token: str, people: People, at: datetime, statement: Statement[Signed]
) -> tuple[Proof[Signed], Key]:
    """Do the same as `_signed_by` for a passkey.

    Its token contains no key id, so all of the person's keys are tried.
    """
    read = read_passkey_token(token)
    check_ceremony(read, people.web.origins)
    claims = claims_of_passkey(read, statement)
    key = next((key for key in person.keys if is_passkey(key.x) and is_signed_by(read, key.x)), None)
    if key is None:
        raise ValueError(
            f"it is not signed by a passkey of {person.name}; a new one is valid once it is in the list of "
            "people, or an enroller has confirmed it"
        )
    if not is_valid_at(key, at):
        raise ValueError(f"it is signed with a passkey of {person.name} that is not valid now; add another")
    return Proof(claims, Kind.PASSKEY, key.x, read.origin, read.batch), key


def _wrong_time(signed_at: datetime, key: Key | None, at: datetime) -> str | None:
    """Return an error if a signature is dated in the future, or when the key was not valid."""
    if signed_at > at + CLOCK_LEEWAY:
        return "its signature is dated in the future; correct the signer's clock"
    if key is not None and not is_valid_at(key, signed_at):
        return "it is signed at a time when the key was not valid"
    return None
