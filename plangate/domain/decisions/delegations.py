"""Delegations and absences in the delegation trail: people delegate roles for a time, or report an absence.

`judge` decides whether a request is accepted; `delegations_after` and `away_after` return the delegations and
absences that result from accepted requests. These have the same effect as those in the list of people
(`plangate.policy.delegated_roles`). These limits apply:

- The policy lists the roles that may be delegated, by default none.
- People can delegate only their own roles: a delegated role cannot be delegated again.
- The request needs at least the proof of identity that the role's rules require.
- A delegation lasts at most `LONGEST`, even if no request ends it.

An absence only redirects messages, so a typed name is enough for it, and no rule restricts it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal, TypeVar, assert_never

from pydantic import Field, StringConstraints

from plangate.domain.base import AwareDatetime, Frozen, OutsideRun
from plangate.domain.decisions.decision import (
    MAX_SIGNATURE,
    PersonName,
    Verdict,
    is_placeholder,
)
from plangate.domain.decisions.received import MAX_REASON, Received, SentRequest, only_object
from plangate.domain.escaping import one_line
from plangate.domain.people.absence import delegates_of
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE, Absence, Approver, Identified, People, same_person
from plangate.domain.plans.plan import Audience

LONGEST: Final = timedelta(days=90)
SIGNED_WITHIN: Final = timedelta(minutes=10)
"""The maximum time from a request's signature to its receipt by the Temporal server."""
MAX_ROLES: Final = 20
Timed = TypeVar("Timed", "DelegatedRoles", "Away")
"""A record that is in effect for a limited time."""
_HOW: Final = (
    'send one JSON object such as {"action": "lend", "by": "dana", "to": "bob", "roles": ["finance"], '
    '"until": "2026-12-24T00:00:00Z"}'
)


class DelegationAction(StrEnum):
    """The kinds of requests to delegate; ``list`` only queries the delegations and absences."""

    LEND = "lend"
    END = "end"
    AWAY = "away"
    BACK = "back"
    LIST = "list"


class DelegationRequest(SentRequest):
    """One person's request: to start or end a delegation, or to start or end their own absence.

    Attributes:
        to: the person who may act for the sender, or who gets their messages. If empty, the messages go to
            the people to whom the sender has delegated roles.
        roles: the delegated roles; empty in other requests.
        until: when the delegation or the absence ends; None in a request to end it.
        reason: the reason, shown to people.
    """

    action: DelegationAction
    to: PersonName | Literal[""] = ""
    roles: tuple[Annotated[str, StringConstraints(min_length=1, max_length=100)], ...] = Field(
        default=(), max_length=MAX_ROLES
    )
    until: AwareDatetime | None = None
    reason: str = Field(default="", max_length=MAX_REASON)
    signature: str | None = Field(default=None, max_length=MAX_SIGNATURE)


DelegationArrival = Received[DelegationRequest]
"""A message that was sent as a request to delegate."""


class DelegableRole(Frozen):
    """A role that people may delegate according to the policy, and the proof that its rules require."""

    role: str
    assurance: Assurance = Assurance.TYPED


class DelegationRules(Frozen):
    """The roles that people may delegate according to the policy; none by default."""

    roles: tuple[DelegableRole, ...] = ()

    def of(self, role: str) -> DelegableRole | None:
        """Return the rule for one role, or None if it may not be delegated."""
        return next((one for one in self.roles if one.role == role), None)


class DelegationDecided(OutsideRun):
    """A processed request: accepted or refused. Recorded only in the delegation trail.

    Attributes:
        approver: the identified sender, if any.
        judged_at: when the request was processed, by the server's clock; it takes effect then.
        rules: the roles that people may delegate according to the policy.
        policy: SHA-256 of the policy; empty without one.
        people: SHA-256 of the list of people; empty without one.
    """

    kind: Literal["delegation_decided"] = "delegation_decided"
    arrival: DelegationArrival
    verdict: Verdict
    approver: Approver | None = None
    judged_at: AwareDatetime
    rules: DelegationRules = DelegationRules()
    policy: str = ""
    people: str = ""


class DelegatedRoles(Frozen):
    """Roles that one person delegated to another, from ``since`` to ``until``, with this ``assurance``."""

    by: str
    to: str
    roles: tuple[str, ...]
    since: AwareDatetime
    until: AwareDatetime
    reason: str = ""
    assurance: Assurance = Assurance.TYPED

    def __str__(self) -> str:
        """Return a description in one clause."""
        until = f"{self.until:%Y-%m-%d %H:%M} UTC"
        return f"{one_line(self.to)} may act for {one_line(self.by)} as {', '.join(self.roles)} until {until}"


class Away(Absence):
    """The absence of one person, as they reported it in a request."""

    by: str

    def __str__(self) -> str:
        """Return a description in one clause."""
        until = f"{self.until:%Y-%m-%d %H:%M} UTC"
        return f"{one_line(self.by)} is away until {until}"


class DelegationAnswer(Frozen):
    """The result of a request: whether it was accepted, the current delegations, and the people who are away.

    ``accepted`` is None for a query, or while the request has not been processed yet; ``reason`` then
    explains why.
    ``audience`` is the installation and namespace that a request is signed for.
    """

    accepted: bool | None = None
    reason: str = ""
    lent: tuple[DelegatedRoles, ...] = ()
    away: tuple[Away, ...] = ()
    audience: Audience | None = None


def read_delegation(*, key: str, inputs: Sequence[object], received_at: AwareDatetime) -> DelegationArrival:
    """Parse a message that was sent as a request to delegate. It never raises an exception."""
    return DelegationArrival.read(_read, key=key, inputs=inputs, received_at=received_at)


def is_delegation_query(inputs: Sequence[object]) -> bool:
    """Return whether a message only queries the delegations: it changes nothing, and is not recorded."""
    return len(inputs) == 1 and inputs[0] == {"action": DelegationAction.LIST.value}


@dataclass(frozen=True, slots=True)
class DelegationContext:
    """The data that `judge` uses: the policy's rules and its SHA-256, and the server's time."""

    rules: DelegationRules
    at: AwareDatetime
    policy: str = ""


def judge(
    before: Sequence[DelegationDecided],
    arrival: DelegationArrival,
    sender: Identified,
    people: People | None,
    by: DelegationContext,
) -> DelegationDecided:
    """Return the request as accepted or refused.

    Args:
        before: the earlier requests, oldest first.
        arrival: the request.
        sender: the sender of the request, identified by the list of people and the signature.
        people: the list of people.
        by: the rules and the time.
    """
    objection = _objection(before, arrival, sender, people, by)
    order, reason = arrival.order, objection or ""
    if objection is None and order is not None:
        reason = _acceptance(order, sender, people, by.at)
    return DelegationDecided(
        arrival=arrival,
        verdict=Verdict(accepted=objection is None, reason=reason),
        approver=sender.approver,
        judged_at=by.at,
        rules=by.rules,
        policy=by.policy,
        people=people.hash if people is not None else "",
    )


def delegations_after(decisions: Iterable[DelegationDecided]) -> tuple[DelegatedRoles, ...]:
    """Return the delegations that result from these requests, including those that have ended."""
    delegations: list[DelegatedRoles] = []
    for order, approver, at in _accepted(decisions):
        if order.action is DelegationAction.LEND and order.until is not None:
            delegations.append(
                DelegatedRoles(
                    by=approver.name,
                    to=order.to,
                    roles=order.roles,
                    since=at,
                    until=order.until,
                    reason=order.reason,
                    assurance=approver.assurance,
                )
            )
        elif order.action is DelegationAction.END:
            delegations = [
                _ended(one, at) if _is_between(one, approver.name, order.to) else one for one in delegations
            ]
    return tuple(delegations)


def away_after(decisions: Iterable[DelegationDecided]) -> tuple[Away, ...]:
    """Return the absences that result from these requests, including those that have ended.

    Only a person's last request is in effect: a new absence ends the earlier one.
    """
    away: list[Away] = []
    for order, approver, at in _accepted(decisions):
        if order.action in (DelegationAction.AWAY, DelegationAction.BACK):
            away = [_ended(one, at) if same_person(one.by, approver.name) else one for one in away]
        if order.action is DelegationAction.AWAY and order.until is not None:
            away.append(
                Away(
                    by=approver.name,
                    since=at,
                    until=order.until,
                    to=order.to,
                    reason=order.reason,
                )
            )
    return tuple(away)


def _accepted(
    decisions: Iterable[DelegationDecided],
) -> Iterator[tuple[DelegationRequest, Approver, datetime]]:
    """Yield the accepted requests, each with its sender and the time when it was accepted."""
    for decision in decisions:
        order, approver = decision.arrival.order, decision.approver
        if decision.verdict.accepted and order is not None and approver is not None:
            yield order, approver, decision.judged_at


def active_now(limited: Iterable[Timed], at: AwareDatetime) -> tuple[Timed, ...]:
    """Return the delegations or absences that are in effect at that time."""
    return tuple(one for one in limited if one.since <= at < one.until)


def _objection(
    before: Sequence[DelegationDecided],
    arrival: DelegationArrival,
    sender: Identified,
    people: People | None,
    by: DelegationContext,
) -> str | None:
    order, approver = arrival.order, sender.approver
    if order is None:
        return arrival.fault
    if people is None:
        return (
            "there is no list of people, so no role can be delegated and no absence set; set PLANGATE_PEOPLE"
        )
    if approver is None or sender.objection:
        return sender.objection or f"{order.by} is not known"
    signed_at = approver.signed_at
    if signed_at is not None and signed_at < arrival.received_at - SIGNED_WITHIN:
        return "it was signed too long before it arrived; sign it again"
    match order.action:
        case DelegationAction.END:
            if any(
                _is_between(one, approver.name, order.to)
                for one in active_now(delegations_after(before), by.at)
            ):
                return None
            return f"{approver.name} has not delegated any role to {order.to}"
        case DelegationAction.BACK:
            now = active_now(away_after(before), by.at)
            is_away = any(same_person(one.by, approver.name) for one in now)
            return None if is_away else f"{approver.name} is not away"
        case DelegationAction.AWAY:
            wrong_person = _may_not_accept(order, approver, people) if order.to else None
            return wrong_person or _wrong_end(order, by.at)
        case DelegationAction.LEND | DelegationAction.LIST:
            return _may_not_accept(order, approver, people) or _may_not_delegate(order, approver, by)
        case _:
            assert_never(order.action)


def _may_not_accept(order: DelegationRequest, approver: Approver, people: People) -> str | None:
    person = people.find(order.to)
    if person is None:
        return f"{order.to} is not in the list of people"
    if not person.active:
        return f"{person.name} is no longer active"
    if same_person(person.name, approver.name):
        return "people cannot stand in for themselves; choose another person"
    return None


def _wrong_end(order: DelegationRequest, at: datetime) -> str | None:
    if order.until is None or order.until <= at:
        return '"until" has passed; choose a later time'
    if order.until > at + LONGEST:
        return f'"until" is more than {LONGEST.days} days ahead; choose an earlier time'
    return None


def _may_not_delegate(order: DelegationRequest, approver: Approver, by: DelegationContext) -> str | None:
    wrong_end = _wrong_end(order, by.at)
    if wrong_end:
        return wrong_end
    own = {role for one in approver.standings if same_person(one.person, approver.name) for role in one.roles}
    for role in order.roles:
        if role == ANYONE:
            return f"everyone already has the role {ANYONE}"
        if role not in own and role in approver.roles():
            return (
                f"{approver.name} has the role {role} only by delegation, "
                "and a delegated role cannot be delegated further"
            )
        if role not in own:
            return f"{approver.name} does not have the role {role}"
        delegable = by.rules.of(role)
        if delegable is None:
            named = ", ".join(one.role for one in by.rules.roles) or "none"
            return f"the policy does not allow anyone to delegate the role {role}; delegable roles: {named}"
        if approver.assurance < delegable.assurance:
            return _unproven(role, delegable.assurance)
    return None


def _unproven(role: str, assurance: Assurance) -> str:
    how = "; delegate it on your page of the inbox by passkey, or make a key with `starter.py keys new`"
    how = how if assurance is Assurance.SIGNED else ""
    return f"the rules for the role {role} require the assurance {assurance}, and so does delegating it{how}"


def _acceptance(order: DelegationRequest, sender: Identified, people: People | None, at: datetime) -> str:
    by = sender.approver.name if sender.approver else order.by
    if order.action is DelegationAction.BACK:
        return f"{by} is back, and gets their own messages again"
    if order.action is DelegationAction.END or order.until is None:
        return (
            f"{order.to} may no longer act for {by} in the roles that {by} delegated; "
            "approvals given in them are no longer valid"
        )
    if order.action is DelegationAction.AWAY:
        until = f"{by} is away until {order.until:%Y-%m-%d %H:%M} UTC"
        person = people.find(by) if people is not None else None
        delegates = delegates_of(person, people, at) if person is not None and people is not None else ()
        if not order.to and not delegates:
            return f"{until}; no substitute is named and no role is delegated, so messages still go to {by}"
        who = order.to or " and ".join(delegates)
        return f"{until}; messages go to {who}, but {by} keeps the right to decide"
    return f"{order.to} may act for {by} as {', '.join(order.roles)} until {order.until:%Y-%m-%d %H:%M} UTC"


def _is_between(one: DelegatedRoles, by: str, to: str) -> bool:
    return same_person(one.by, by) and same_person(one.to, to)


def _ended(one: Timed, at: datetime) -> Timed:
    return one if one.until <= at else one.model_copy(update={"until": max(at, one.since)})


def _read(inputs: Sequence[object]) -> DelegationRequest:
    order = only_object(DelegationRequest, inputs, _HOW)
    for name in (order.by, order.to):
        if name and is_placeholder(name):
            raise ValueError(f"a name is only a placeholder, {name}; replace it with the real name")
    wrong = _wrong_parts(order)
    if wrong is not None:
        raise ValueError(wrong)
    return order


def _wrong_parts(order: DelegationRequest) -> str | None:
    to, roles, until = bool(order.to), bool(order.roles), order.until is not None
    match order.action:
        case DelegationAction.LIST:
            return '"list" needs "action" and no other field'
        case DelegationAction.LEND:
            return None if to and roles and until else '"lend" needs "to", "roles" and "until"'
        case DelegationAction.END:
            is_end = to and not roles and not until
            return None if is_end else '"end" needs only "to": it ends every delegation to that person'
        case DelegationAction.AWAY:
            is_absence = until and not roles
            return None if is_absence else '"away" needs "until", and optionally "to", but no "roles"'
        case DelegationAction.BACK:
            return '"back" must not have "to", "roles" or "until"' if to or roles or until else None
        case _:
            assert_never(order.action)
