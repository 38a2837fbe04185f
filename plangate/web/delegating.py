"""Delegate roles and end delegations on a person's page: the form, its proof, and its result."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError
from starlette.datastructures import FormData

from plangate.domain.decisions.decision import first_faults
from plangate.domain.decisions.delegations import (
    DelegatedRoles,
    DelegationAction,
    DelegationContext,
    DelegationRequest,
    DelegationRules,
    active_now,
    judge,
    read_delegation,
)
from plangate.domain.errors import Refused
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Identified, People, same_person
from plangate.policy.delegated_roles import delegations_in
from plangate.presentation.clock import now
from plangate.signing.delegations import (
    DelegationClaims,
    attested_delegation,
    delegation_claims,
    order_in,
)
from plangate.signing.passkeys import Assertion, passkey_token
from plangate.web.key_signing import named
from plangate.web.results import ResultKind
from plangate.web.visitors import Visitor, Web

_OPEN_AGAIN = "The form contains no role to delegate or delegation to end; reload your page and try again."


@dataclass(frozen=True, slots=True)
class Typed:
    """The content of the form, exactly as typed."""

    to: str = ""
    roles: tuple[str, ...] = ()
    until: str = ""
    reason: str = ""


NOTHING_TYPED = Typed()


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a request, and the reason that the worker gave."""

    kind: ResultKind
    reason: str


def typed_in(form: FormData) -> Typed:
    """Return the content of a submitted form."""
    said = {name: value for name, value in form.items() if isinstance(value, str)}
    return Typed(
        to=said.get("to", ""),
        roles=tuple(one for one in form.getlist("roles") if isinstance(one, str)),
        until=said.get("until", ""),
        reason=said.get("reason", ""),
    )


def end_in(typed: Typed, until_utc: str) -> datetime | None:
    """Return when a delegation ends: at 23:59 UTC of the typed day, unless a script sends the exact time."""
    return moment_in(until_utc) or moment_in(f"{typed.until}T23:59")


def moment_in(text: str) -> datetime | None:
    """Return the time in a form, in UTC; a time without a zone is in UTC. None if it is not a time."""
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # its time zone may move it outside the valid years
        return None


def delegation_from(visitor: Visitor, typed: Typed, until: datetime) -> DelegationRequest:
    """Return the request to delegate the roles that were typed.

    Raises:
        Refused: a part of it is malformed.
    """
    person = visitor.people.find(typed.to) if visitor.people is not None else None
    try:
        return DelegationRequest(
            action=DelegationAction.LEND,
            by=visitor.name,
            to=person.name if person is not None else typed.to,
            roles=typed.roles,
            until=until,
            reason=typed.reason.strip(),
        )
    except ValidationError as error:
        raise Refused(f"This delegation cannot be sent: {first_faults(error)}.") from None


def objection_to(visitor: Visitor, order: DelegationRequest, rules: DelegationRules) -> str:
    """Return the reason why a worker would refuse this delegation even with the strongest proof.

    It is empty if there is no reason. The check prevents people from signing a request that would be refused.
    The worker checks again, and only its result is final.
    """
    approver = visitor.identified.approver
    if approver is None:
        return visitor.identified.objection or f"{visitor.name} is not known"
    proven = Identified(approver=approver.model_copy(update={"assurance": Assurance.SIGNED}))
    at = now()
    arrival = read_delegation(key="page", inputs=[order.model_dump(mode="json")], received_at=at)
    verdict = judge((), arrival, proven, visitor.people, DelegationContext(rules=rules, at=at)).verdict
    return "" if verdict.accepted else verdict.reason


def delegations_to(people: People | None, name: str, to: str) -> tuple[DelegatedRoles, ...]:
    """Return the delegations to another person that this person made by requests and can end now."""
    active = active_now(delegations_in(people), now()) if people is not None else ()
    return tuple(one for one in active if same_person(one.by, name) and same_person(one.to, to))


def least_of(
    order: DelegationRequest, rules: DelegationRules, delegations: tuple[DelegatedRoles, ...]
) -> Assurance:
    """Return the proof that a page asks for to delegate these roles, or to end these delegations."""
    named = [rules.of(role) for role in order.roles]
    asked = [one.assurance for one in named if one is not None]
    return max([Assurance.TYPED, *asked, *(one.assurance for one in delegations)])


async def claims_to_sign(web: Web, order: DelegationRequest) -> DelegationClaims:
    """Return the claims that a visitor signs, for the workers' installation.

    Raises:
        NotAnswered: no worker reports its installation.
    """
    client = await web.gate.client()
    audience = named((await client.delegations()).audience)
    return delegation_claims(order, audience=audience, at=now(), token_id=secrets.token_urlsafe(16))


def order_from(form: FormData, visitor: Visitor) -> tuple[DelegationRequest, DelegationClaims | None]:
    """Return the request in a confirmation form, and the claims to sign, if any.

    Raises:
        Refused: the form has no request, or another person's request.
    """
    claims, said = (str(form.get(name) or "") for name in ("claims", "order"))
    stated = None
    try:
        if claims:
            stated = DelegationClaims.model_validate_json(claims)
        order = order_in(stated) if stated is not None else DelegationRequest.model_validate_json(said)
    except ValueError:
        raise Refused(_OPEN_AGAIN) from None
    is_delegation = order.action in (DelegationAction.LEND, DelegationAction.END)
    if not is_delegation or order.by != visitor.name or order.signature is not None:
        raise Refused(_OPEN_AGAIN)
    return order, stated


def signed(order: DelegationRequest, claims: DelegationClaims, assertion: Assertion) -> DelegationRequest:
    """Return a request with the token of the passkey that signed its claims."""
    return order.model_copy(update={"signature": passkey_token(claims, assertion)})


async def attested(web: Web, visitor: Visitor, order: DelegationRequest) -> DelegationRequest:
    """Return a request, attested by this server if its sender is logged in and the login is valid."""
    people = visitor.people
    if visitor.session.assurance is not Assurance.LOGIN or people is None or not web.is_trusted_by(people):
        return order
    client = await web.gate.client()
    audience = (await client.delegations()).audience
    if audience is None:
        return order
    token_id = secrets.token_urlsafe(16)
    return attested_delegation(order, web.key, audience=audience, at=now(), token_id=token_id)


async def send(web: Web, order: DelegationRequest) -> Result:
    """Send a request and return its result.

    Raises:
        NotAnswered: it failed in Temporal.
        TemporalUnreachable: the server does not respond; nothing was sent.
    """
    client = await web.gate.client()
    answer = await client.delegate(order)
    if answer is None:
        return Result(ResultKind.KEPT, "")
    if answer.accepted is None:
        return Result(ResultKind.NOT_RECORDED, answer.reason)
    return Result(ResultKind.ACCEPTED if answer.accepted else ResultKind.REFUSED, answer.reason)
