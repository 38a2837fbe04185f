"""Create and send the requests about keys that people sign on a page with a passkey."""

import secrets

from pydantic import ValidationError

from plangate.domain.decisions.key_requests import KeyAction, KeyRequest
from plangate.domain.errors import NotAnswered, Refused
from plangate.domain.plans.plan import Audience
from plangate.presentation.clock import now
from plangate.signing.enrolment import EnrolmentClaims, enrolment_claims
from plangate.signing.passkeys import Assertion, passkey_token
from plangate.web.visitors import Visitor, Web


async def claims_to_sign(
    web: Web, visitor: Visitor, action: KeyAction, person: str, key: str
) -> EnrolmentClaims:
    """Return the claims about a key that a visitor signs, for the workers' installation.

    Raises:
        NotAnswered: no worker reports its installation.
    """
    client = await web.gate.client()
    return enrolment_claims(
        action,
        person,
        key,
        by=visitor.name,
        audience=named((await client.stops()).audience),
        at=now(),
        token_id=secrets.token_urlsafe(16),
    )


def named(audience: Audience | None) -> Audience:
    """Return the installation that a worker reports, for the claims to sign.

    Raises:
        NotAnswered: the worker reports none.
    """
    if audience is None:
        raise NotAnswered(
            "No worker is running to identify this installation, so nothing is signed; start one."
        )
    return audience


def claims_in(text: str, otherwise: str) -> EnrolmentClaims:
    """Return the claims in a submitted form.

    Raises:
        Refused: the form has no claims; the message is ``otherwise``.
    """
    try:
        return EnrolmentClaims.model_validate_json(text)
    except ValidationError:
        raise Refused(otherwise) from None


async def send_signed(
    web: Web,
    visitor: Visitor,
    claims: EnrolmentClaims,
    assertion: Assertion,
    *,
    action: KeyAction,
    person: str,
    key: str,
) -> bool:
    """Send the request that a visitor has signed, and return whether a worker has already accepted it.

    Raises:
        Refused: a worker refused it.
    """
    order = KeyRequest(
        action=action,
        person=person,
        key=key,
        by=visitor.name,
        signature=passkey_token(claims, assertion),
    )
    client = await web.gate.client()
    answer = await client.request_key_change(order)
    if answer is not None and not answer.accepted:
        raise Refused(answer.reason)
    return answer is not None
