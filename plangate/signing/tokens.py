"""Verify the three kinds of tokens that prove who decided, each with one public key.

- signed by an Ed25519 key of the person: a JWS whose ``typ`` gives its statement (`plangate.signing.jws`);
- signed by a passkey of the person (`plangate.signing.passkeys`);
- a login, attested with the key of a web server (`plangate.signing.logins`).

The kind determines the assurance of a valid token. A token of one kind cannot be read as a token of another
kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar, assert_never

from pydantic import BaseModel, JsonValue, ValidationError

from plangate.domain.people.assurance import Assurance
from plangate.domain.people.trusted_web import ANY_WEB, TrustedWeb
from plangate.signing import jws, logins, passkeys
from plangate.signing.public_keys import is_passkey, thumbprint_of


class Kind(StrEnum):
    """How a token was created."""

    KEY = "key"
    PASSKEY = "passkey"
    LOGIN = "login"

    @property
    def assurance(self) -> Assurance:
        """The assurance that a valid token of this kind proves."""
        match self:
            case Kind.KEY | Kind.PASSKEY:
                return Assurance.SIGNED
            case Kind.LOGIN:
                return Assurance.LOGIN
            case _:
                assert_never(self)


class SignedClaims(Protocol):
    """The claims of any token: the time of its signature, and its id."""

    @property
    def jti(self) -> str:
        """The id, chosen by the signer."""

    @property
    def signed_at(self) -> datetime:
        """When it was signed, according to the signer's clock."""


Signed = TypeVar("Signed", bound=SignedClaims)


@dataclass(frozen=True, slots=True)
class Statement(Generic[Signed]):
    """A kind of statement that a token contains, such as a decision.

    Attributes:
        typ: the ``typ`` of a JWS with this statement.
        claims: the model of its claims.
        what: its name in messages, as in 'its signature is not that of a decision'.
        accepts_logins: whether a login may prove it.
        accepts_batches: whether one passkey assertion may sign several of them.
    """

    typ: str
    claims: type[Signed]
    what: str
    accepts_logins: bool = True
    accepts_batches: bool = False

    def read(self, raw: Mapping[str, JsonValue]) -> Signed:
        """Return the claims of a token.

        Raises:
            ValueError: the claims are of another kind.
        """
        try:
            model: type[BaseModel] = self.claims  # type: ignore[assignment]
            return model.model_validate(dict(raw))  # type: ignore[return-value]
        except ValidationError:
            raise ValueError(f"its signature is not that of {self.what}") from None


@dataclass(frozen=True, slots=True)
class Proof(Generic[Signed]):
    """A valid token: its claims, and how they were proven.

    Attributes:
        claims: the verified claims.
        kind: how the token was created.
        public_key: the key of the person, or of the web server that attested a login.
        origin: where a passkey was used.
        batch: how many decisions the same assertion signs; None if it signs only this one.
    """

    claims: Signed
    kind: Kind
    public_key: str
    origin: str | None = None
    batch: int | None = None

    @property
    def approver_fields(self) -> dict[str, object]:
        """The fields of an `Approver` that record it."""
        return {
            "assurance": self.kind.assurance,
            "key_id": thumbprint_of(self.public_key),
            "public_key": self.public_key,
            "signed_at": self.claims.signed_at,
            "token_id": self.claims.jti,
            "origin": self.origin,
            "batch": self.batch,
        }


def kind_of(token: str) -> Kind:
    """Return the kind of a token; it may still be malformed."""
    if passkeys.is_passkey_token(token):
        return Kind.PASSKEY
    return Kind.LOGIN if logins.is_login_token(token) else Kind.KEY


def verified(
    token: str, public: str, statement: Statement[Signed], web: TrustedWeb = ANY_WEB
) -> Proof[Signed]:
    """Verify a token with one public key: a person's, or a web server's for a login.

    Args:
        token: the received token.
        public: the key as it is stored.
        statement: the kind of statement that the token must contain.
        web: the sites where passkeys may be used, and the servers that may attest logins.

    Raises:
        ValueError: it is not valid; the message explains why.
    """
    kind = kind_of(token)
    if (kind is Kind.PASSKEY) is not is_passkey(public):
        raise ValueError("its signature and its key are of different kinds")
    match kind:
        case Kind.PASSKEY:
            read = passkeys.verified(token, public, web.origins)
            return Proof(claims_of_passkey(read, statement), kind, public, read.origin, read.batch)
        case Kind.LOGIN:
            if not statement.accepts_logins:
                raise ValueError(f"a login is not enough for {statement.what}")
            by = logins.attested_by(token, web.keys, public)
            return Proof(statement.read(logins.read_login(token, by)), kind, by)
        case Kind.KEY:
            return Proof(statement.read(jws.read_token(token, public, statement.typ)), kind, public)
        case _:
            assert_never(kind)


def stated_claims(token: str) -> Mapping[str, JsonValue]:
    """Return the claims of a token, without verifying it; empty if it cannot be read."""
    try:
        if kind_of(token) is Kind.PASSKEY:
            return passkeys.read_passkey_token(token).claims
        return jws.unverified_claims(token)
    except ValueError:
        return {}


def claims_of_passkey(read: passkeys.PasskeyToken, statement: Statement[Signed]) -> Signed:
    """Return the claims of a passkey's token.

    Raises:
        ValueError: they are of another kind, or were signed in a list although they must be signed alone.
    """
    claims = statement.read(read.claims)
    if read.batch is not None and not statement.accepts_batches:
        raise ValueError(f"{statement.what} must be signed alone, not in a list")
    return claims


def moment_of(seconds: int) -> datetime:
    """Return the ``iat`` claim as a time."""
    return datetime.fromtimestamp(seconds, UTC)
