"""Sign requests to delegate roles, and verify them: a token binds one request to one installation."""

from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from plangate.domain.base import AwareDatetime, Typed
from plangate.domain.decisions.delegations import DelegationAction, DelegationRequest
from plangate.domain.escaping import cut, one_line
from plangate.domain.people.people import Identified, People, identify, same_person
from plangate.domain.plans.plan import Audience
from plangate.signing.decisions import LAST_SECOND, another_audience, identified
from plangate.signing.jws import write_token
from plangate.signing.logins import login_token
from plangate.signing.tokens import Statement, moment_of

TYPE: Final = "plangate-delegation+jwt"


class DelegationClaims(Typed):
    """The claims of a token: the request's content, and ``aud``, ``iat`` and ``jti`` as in a decision."""

    aud: str
    action: DelegationAction
    to: str
    roles: tuple[str, ...]
    until: AwareDatetime | None
    reason: str
    by: str
    iat: int = Field(ge=0, le=LAST_SECOND, strict=True)
    jti: str = Field(pattern="^[A-Za-z0-9_-]{8,100}$")

    @property
    def signed_at(self) -> datetime:
        """When it was signed, according to the signer's clock."""
        return moment_of(self.iat)


DELEGATION: Final = Statement(typ=TYPE, claims=DelegationClaims, what="a request to delegate roles")
"""The statement of a request's token."""


def signed_delegation(
    order: DelegationRequest, key: Ed25519PrivateKey, *, audience: Audience, at: datetime, token_id: str
) -> DelegationRequest:
    """Return ``order`` signed with ``key``."""
    claims = delegation_claims(order, audience=audience, at=at, token_id=token_id)
    return order.model_copy(update={"signature": write_token(claims.model_dump(mode="json"), key, TYPE)})


def attested_delegation(
    order: DelegationRequest, web_key: Ed25519PrivateKey, *, audience: Audience, at: datetime, token_id: str
) -> DelegationRequest:
    """Return ``order`` with a web server's attestation that its sender is logged in."""
    claims = delegation_claims(order, audience=audience, at=at, token_id=token_id)
    return order.model_copy(update={"signature": login_token(claims, web_key)})


def delegation_claims(
    order: DelegationRequest, *, audience: Audience, at: datetime, token_id: str
) -> DelegationClaims:
    """Return the claims of a request, which are the same for an Ed25519 key, a passkey and a login.

    Args:
        order: the request to send.
        audience: the installation and namespace for which it is signed.
        at: when it is signed, according to the signer's clock.
        token_id: a random string of 8 to 100 characters A-Z, a-z, 0-9, - and _; each key may use it once.
    """
    return DelegationClaims(
        aud=str(audience),
        action=order.action,
        to=order.to,
        roles=order.roles,
        until=order.until,
        reason=order.reason,
        by=order.by,
        iat=int(at.timestamp()),
        jti=token_id,
    )


def order_in(claims: DelegationClaims) -> DelegationRequest:
    """Return the request in the claims, without its signature.

    Raises:
        ValueError: a part of it is malformed.
    """
    return DelegationRequest(
        action=claims.action,
        by=claims.by,
        to=claims.to,
        roles=claims.roles,
        until=claims.until,
        reason=claims.reason,
    )


def delegation_sender(
    order: DelegationRequest, *, audience: Audience, people: People | None, at: datetime
) -> Identified:
    """Identify the sender of a request, and verify its signature, if any.

    Args:
        order: the received request.
        audience: the installation and namespace that received it.
        people: the list of people, with their public keys.
        at: when it was received, according to the server's clock.
    """
    if order.signature is None or people is None:
        return identify(people, order.by, at)
    return identified(
        people,
        order.by,
        order.signature,
        at,
        statement=DELEGATION,
        differs=lambda claims: delegation_difference(claims, order, audience),
    )


def delegation_difference(
    claims: DelegationClaims, order: DelegationRequest, audience: Audience | None
) -> str | None:
    """Return how ``order`` and its audience differ from the signed claims, or None.

    If ``audience`` is None, it is not compared.
    """
    if audience is not None and claims.aud != str(audience):
        return another_audience(claims.aud, audience)
    if claims.action is not order.action:
        return f"it is signed for '{claims.action}', not for '{order.action}'"
    if not same_person(claims.to, order.to):
        return f"it is signed for {cut(one_line(claims.to), 60)}, not for this person"
    if claims.roles != order.roles:
        return "it is signed for other roles"
    if claims.until != order.until:
        return "it is signed for another end time"
    if claims.reason != order.reason:
        return "it is signed with another reason"
    if not same_person(claims.by, order.by):
        return f"it is signed in the name of {cut(one_line(claims.by), 60)}"
    return None
