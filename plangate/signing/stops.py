"""Sign and verify stop and release requests: a token binds one request to one installation."""

from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from plangate.domain.base import Typed
from plangate.domain.escaping import cut, one_line
from plangate.domain.people.people import Identified, People, same_person
from plangate.domain.plans.plan import Audience
from plangate.domain.runs.stops import StopAction, StopRequest
from plangate.signing.decisions import LAST_SECOND, another_audience, identified
from plangate.signing.jws import write_token
from plangate.signing.tokens import Statement, moment_of

TYPE: Final = "plangate-stop+jwt"


class StopClaims(Typed):
    """The claims of a token: the request's content, and ``aud``, ``iat`` and ``jti`` as in a decision."""

    aud: str
    action: StopAction
    tool: str | None
    stop: int | None
    reason: str
    by: str
    iat: int = Field(ge=0, le=LAST_SECOND, strict=True)
    jti: str = Field(pattern="^[A-Za-z0-9_-]{8,100}$")

    @property
    def signed_at(self) -> datetime:
        """When it was signed, according to the signer's clock."""
        return moment_of(self.iat)


ORDER: Final = Statement(typ=TYPE, claims=StopClaims, what="a stop or a release")
"""The statement of a request's token."""


def signed_stop_request(
    order: StopRequest, key: Ed25519PrivateKey, *, audience: Audience, at: datetime, token_id: str
) -> StopRequest:
    """Return ``order`` signed with ``key``."""
    claims = StopClaims(
        aud=str(audience),
        action=order.action,
        tool=order.tool,
        stop=order.stop,
        reason=order.reason,
        by=order.by,
        iat=int(at.timestamp()),
        jti=token_id,
    )
    return order.model_copy(update={"signature": write_token(claims.model_dump(mode="json"), key, TYPE)})


def verify_stop_request(
    order: StopRequest, *, audience: Audience, people: People, at: datetime
) -> Identified:
    """Identify the sender of a signed request, and verify its signature.

    Args:
        order: the received request.
        audience: the installation and namespace that received it.
        people: the list of people with their public keys, and the web servers that are trusted.
        at: when it was received, according to the server's clock.
    """
    return identified(
        people,
        order.by,
        order.signature or "",
        at,
        statement=ORDER,
        differs=lambda claims: stop_request_difference(claims, order, audience),
    )


def stop_request_difference(claims: StopClaims, order: StopRequest, audience: Audience | None) -> str | None:
    """Return how ``order`` and its audience differ from the signed claims, or None.

    If ``audience`` is None, it is not compared.
    """
    if audience is not None and claims.aud != str(audience):
        return another_audience(claims.aud, audience)
    if claims.action is not order.action:
        return f"it is signed for '{claims.action}', not for '{order.action}'"
    if (claims.tool, claims.stop) != (order.tool, order.stop):
        return "it is signed for another tool or stop"
    if claims.reason != order.reason:
        return "it is signed with another reason"
    if not same_person(claims.by, order.by):
        return f"it is signed in the name of {cut(one_line(claims.by), 60)}"
    return None
