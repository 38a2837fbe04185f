"""Enroll keys: verify the tokens that confirm a key, signed by an enroller, or that revoke a key.

Only the list of people decides which tokens are valid, so neither a web server nor the database can add a
key:

- A key is valid for a person once an enroller in the list has signed the person's name and the thumbprint.
  The enroller's key must be in the list itself, and valid at the time of the signature.
- A key is revoked once an enroller has signed the revocation, or the person has signed it with any of their
  keys. The validity of the key ends at that time, whether it was enrolled or is in the list; an earlier end
  in the list remains.
- A key that is in the list for any person, even an expired one, is not enrolled: the list takes precedence.

`with_enrolments` applies the tokens in order, and reports which are not valid and why.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from plangate.domain.base import Typed
from plangate.domain.decisions.key_requests import KeyAction, KeyRequest
from plangate.domain.escaping import cut, one_line
from plangate.domain.people.people import Enrolment, Identified, Key, People, Person, is_valid_at, same_person
from plangate.domain.plans.plan import Audience
from plangate.signing.decisions import LAST_SECOND, another_audience, identified
from plangate.signing.jws import kid_of, write_token
from plangate.signing.passkeys import is_passkey_token, read_passkey_token
from plangate.signing.public_keys import checked_key, is_passkey, thumbprint_of
from plangate.signing.tokens import Statement, moment_of, verified

TYPE: Final = "plangate-enrolment+jwt"


class EnrolmentClaims(Typed):
    """The claims of a token: the person and the key's thumbprint; the other claims are as in a decision."""

    aud: str
    action: KeyAction
    person: str
    key_id: str = Field(pattern="^[A-Za-z0-9_-]{43}$")
    by: str
    iat: int = Field(ge=0, le=LAST_SECOND, strict=True)
    jti: str = Field(pattern="^[A-Za-z0-9_-]{8,100}$")

    @property
    def signed_at(self) -> datetime:
        """When it was signed, according to the signer's clock."""
        return moment_of(self.iat)


ENROLMENT: Final = Statement(
    typ=TYPE, claims=EnrolmentClaims, what="a request about a key", accepts_logins=False
)
"""The statement of the token of a request about a key."""


class KeyStatement(Typed):
    """One change to keys as stored with the list: the token, and the key if the change confirms it."""

    token: str
    public: str | None = None


def enrolment_claims(
    action: KeyAction, person: str, key: str, *, by: str, audience: Audience, at: datetime, token_id: str
) -> EnrolmentClaims:
    """Return the claims to sign.

    Args:
        action: whether to confirm or to revoke the key.
        person: the owner of the key.
        key: the public key, as typed, to confirm it; its thumbprint to revoke it.
        by: the signer.
        audience: the installation and namespace for which it is signed.
        at: when it is signed.
        token_id: a random string, which may be used once.

    Raises:
        ValueError: ``key`` is not a public key, or not a thumbprint.
    """
    is_new = action is KeyAction.CONFIRM
    return EnrolmentClaims(
        aud=str(audience),
        action=action,
        person=person,
        key_id=thumbprint_of(checked_key(key)) if is_new else key,
        by=by,
        iat=int(at.timestamp()),
        jti=token_id,
    )


def signed_key_request(claims: EnrolmentClaims, key: str, signer: Ed25519PrivateKey) -> KeyRequest:
    """Return the signed request about ``key`` (as in `enrolment_claims`) with these claims."""
    return KeyRequest(
        action=claims.action,
        person=claims.person,
        key=key,
        by=claims.by,
        signature=write_token(claims.model_dump(mode="json"), signer, TYPE),
    )


def verify_key_request(order: KeyRequest, *, audience: Audience, people: People, at: datetime) -> Identified:
    """Identify the sender of a request about a key, and verify its signature.

    Args:
        order: the received request.
        audience: the installation and namespace that received it.
        people: the list of people with the enrolled keys, and the trusted web servers.
        at: when it was received, according to the server's clock.
    """
    return identified(
        people,
        order.by,
        order.signature,
        at,
        statement=ENROLMENT,
        differs=lambda claims: key_request_difference(claims, order, audience),
    )


def key_request_difference(
    claims: EnrolmentClaims, order: KeyRequest, audience: Audience | None
) -> str | None:
    """Return how ``order`` and its audience differ from the signed claims, or None.

    If ``audience`` is None, it is not compared.
    """
    if audience is not None and claims.aud != str(audience):
        return another_audience(claims.aud, audience)
    if claims.action is not order.action:
        return f"it is signed for '{claims.action}', not for '{order.action}'"
    if not same_person(claims.person, order.person):
        return f"it is signed for a key of {cut(one_line(claims.person), 60)}"
    if not same_person(claims.by, order.by):
        return f"it is signed in the name of {cut(one_line(claims.by), 60)}"
    try:
        is_new = order.action is KeyAction.CONFIRM
        named = thumbprint_of(checked_key(order.key)) if is_new else order.key
    except ValueError as error:
        return f"the key {error}"
    return None if claims.key_id == named else "it is signed for another key"


def statement_of(order: KeyRequest) -> KeyStatement:
    """Return a request as it is stored with the list."""
    return KeyStatement(
        token=order.signature, public=order.key if order.action is KeyAction.CONFIRM else None
    )


def with_enrolments(
    people: People, statements: Iterable[KeyStatement], installation: str | None = None
) -> People:
    """Return the list with the keys that these tokens, in their order, confirm or revoke.

    A token that the list does not confirm has no effect and is listed in `People.unproven`. The same applies
    to a token that was signed for another ``installation`` (if given).
    """
    for statement in statements:
        try:
            people = _applied(people, enrolment_in(people, statement, installation))
        except ValueError as error:
            people = people.model_copy(update={"unproven": (*people.unproven, str(error))})
    return people


def enrolment_in(people: People, statement: KeyStatement, installation: str | None = None) -> Enrolment:
    """Return the change that a token proves, given the list of people with the keys enrolled so far.

    Raises:
        ValueError: it does not prove a change in this installation; the message explains why.
    """
    found = _proven(people, statement)
    if installation is not None and found.installation != installation:
        raise ValueError(f"a change to a key of {found.person} was signed for another installation")
    return found


def _proven(people: People, statement: KeyStatement) -> Enrolment:
    enrolled = {one.key_id for one in people.enrolments if one.public is not None}
    for signer, key in _candidates(people, statement.token):
        claims = _claims_by(statement.token, key, people)
        if claims is not None and same_person(claims.by, signer.name):
            return _checked(claims, signer, statement, people, is_listed=key.id not in enrolled)
    raise ValueError("a key change is not signed with a valid key of anyone in the list of people")


def _candidates(people: People, token: str) -> Iterator[tuple[Person, Key]]:
    """Yield the keys that may have signed a token; a passkey's token contains only the name of its person."""
    try:
        kid = None if is_passkey_token(token) else kid_of(token)
        name = str(read_passkey_token(token).claims.get("by")) if is_passkey_token(token) else ""
    except ValueError:
        return
    for person in people.persons:
        for key in person.keys:
            if key.id == kid or (name and is_passkey(key.x) and same_person(person.name, name)):
                yield person, key


def _claims_by(token: str, key: Key, people: People) -> EnrolmentClaims | None:
    try:
        claims = verified(token, key.x, ENROLMENT, people.web).claims
    except ValueError:
        return None
    return claims if is_valid_at(key, claims.signed_at) else None


def _checked(
    claims: EnrolmentClaims, signer: Person, statement: KeyStatement, people: People, *, is_listed: bool
) -> Enrolment:
    person, public = people.find(claims.person), None
    what = f"a key of {cut(one_line(claims.person), 60)}"
    if person is None:
        raise ValueError(f"{what} is enrolled, but that person is not in the list of people")
    if claims.action is KeyAction.CONFIRM:
        if not signer.enroller or not is_listed:
            raise ValueError(f"{what} is confirmed by {signer.name}, with a key that may not enroll others")
        public = checked_key(statement.public or "")
        if thumbprint_of(public) != claims.key_id:
            raise ValueError(f"{what} is not the one that {signer.name} confirmed")
    elif not signer.enroller and not same_person(signer.name, person.name):
        raise ValueError(f"{what} is revoked by {signer.name}, who may not revoke it")
    return Enrolment(
        person=person.name,
        key_id=claims.key_id,
        public=public,
        by=signer.name,
        at=claims.signed_at,
        installation=claims.aud.partition("/")[0],
        token=statement.token,
    )


def _applied(people: People, enrolment: Enrolment) -> People:
    public = enrolment.public
    if public is not None and any(
        key.id == enrolment.key_id for person in people.persons for key in person.keys
    ):
        return people  # the list takes precedence
    persons = tuple(
        _changed(person, enrolment) if same_person(person.name, enrolment.person) else person
        for person in people.persons
    )
    return people.model_copy(update={"persons": persons, "enrolments": (*people.enrolments, enrolment)})


def _changed(person: Person, enrolment: Enrolment) -> Person:
    if enrolment.public is not None:
        new = Key(id=enrolment.key_id, x=enrolment.public, valid_from=enrolment.at)
        return person.model_copy(update={"keys": (*person.keys, new)})
    keys = tuple(_ended(key, enrolment.at) if key.id == enrolment.key_id else key for key in person.keys)
    return person.model_copy(update={"keys": keys})


def _ended(key: Key, at: datetime) -> Key:
    if key.valid_until is not None and key.valid_until <= at:
        return key
    return key.model_copy(update={"valid_until": at})
