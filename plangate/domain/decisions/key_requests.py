"""Requests about keys: an enroller confirms a proposed key, or a key is revoked.

Like requests to stop and to release, they do not belong to a run. They are valid because of their signature,
which `plangate.signing.enrolment` verifies whenever the list of people is read. `judge` decides whether a
request is accepted.
"""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, ValidationError

from plangate.domain.base import AwareDatetime, OutsideRun
from plangate.domain.decisions.decision import (
    MAX_SIGNATURE,
    PersonName,
    Verdict,
    first_faults,
    is_placeholder,
)
from plangate.domain.decisions.received import Received, SentRequest
from plangate.domain.people.people import Approver, Enrolment, Identified, People, Person, same_person

VALID_FOR: Final = timedelta(minutes=10)
"""The maximum time from a request's signature to its receipt by the Temporal server."""
_LONGEST_KEY: Final = 1_500
_HOW: Final = 'send one JSON object such as {"action": "confirm_key", "person": "dana", "key": "passkey:…"}'


class KeyAction(StrEnum):
    """The kinds of requests about keys."""

    CONFIRM = "confirm_key"
    REVOKE = "revoke_key"


class KeyRequest(SentRequest):
    """One person's signed request: to confirm or revoke another person's key, or to revoke their own.

    Attributes:
        key: the public key to confirm, or the thumbprint of the key to revoke.
    """

    action: KeyAction
    person: PersonName
    key: Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST_KEY)]
    signature: str = Field(max_length=MAX_SIGNATURE)


KeyRequestArrival = Received[KeyRequest]
"""A message that was sent as a request about a key."""


class KeyDecided(OutsideRun):
    """A processed request about a key: accepted or refused. Recorded only in the rules trail.

    Attributes:
        approver: the identified sender, if any.
        judged_at: when it was processed, by the server's clock.
        people: SHA-256 of the list of people that was used.
    """

    kind: Literal["key_decided"] = "key_decided"
    arrival: KeyRequestArrival
    verdict: Verdict
    approver: Approver | None = None
    judged_at: AwareDatetime
    people: str = ""


def is_key_request(inputs: Sequence[object]) -> bool:
    """Return whether a message was sent as a request about a key."""
    first = inputs[0] if len(inputs) == 1 else None
    return isinstance(first, dict) and first.get("action") in [action.value for action in KeyAction]


def read_key_request(*, key: str, inputs: Sequence[object], received_at: AwareDatetime) -> KeyRequestArrival:
    """Parse a message that was sent as a request about a key. It never raises an exception."""
    return KeyRequestArrival.read(_read, key=key, inputs=inputs, received_at=received_at)


def judge(
    arrival: KeyRequestArrival,
    sender: Identified,
    people: People | None,
    enrolment: Enrolment | None,
    at: AwareDatetime,
) -> KeyDecided:
    """Return the request as accepted or refused.

    Args:
        arrival: the request.
        sender: the sender of the request, identified by the list of people and the signature.
        people: the list of people, with the keys enrolled so far.
        enrolment: the change to a key that the request's signature proves, according to that list, if any.
        at: when the request is processed, by the server's clock.
    """
    objection = _objection(arrival, sender, people, enrolment)
    order = arrival.order
    reason = objection or ""
    if objection is None and order is not None and people is not None:
        name = _listed_name(people, order.person)
        is_new = order.action is KeyAction.CONFIRM
        reason = f"the key is valid for {name} from now on" if is_new else f"the key of {name} is revoked"
    return KeyDecided(
        arrival=arrival,
        verdict=Verdict(accepted=objection is None, reason=reason),
        approver=sender.approver,
        judged_at=at,
        people=people.hash if people is not None else "",
    )


def _objection(
    arrival: KeyRequestArrival, sender: Identified, people: People | None, enrolment: Enrolment | None
) -> str | None:
    order = arrival.order
    if order is None:
        return arrival.fault
    if people is None:
        return "there is no list of people, so there are no keys; set PLANGATE_PEOPLE"
    if sender.approver is None or sender.objection:
        return sender.objection or f"{order.by} is not known"
    signed_at = sender.approver.signed_at
    if signed_at is not None and signed_at < arrival.received_at - VALID_FOR:
        return "it was signed too long before it arrived; sign it again"
    person, by = people.find(order.person), people.find(order.by)
    if person is None or by is None:
        return f"{order.person} is not in the list of people"
    if order.action is KeyAction.REVOKE:
        return _may_not_revoke(person, by, order, enrolment)
    return _may_not_confirm(person, by, people, enrolment)


def _may_not_revoke(person: Person, by: Person, order: KeyRequest, enrolment: Enrolment | None) -> str | None:
    if not by.enroller and not same_person(by.name, person.name):
        return f"only an enroller, or {person.name}, may revoke this key"
    if all(key.id != order.key for key in person.keys):
        return f"{person.name} has no key with this thumbprint"
    return None if enrolment else "its signature does not revoke this key"


def _may_not_confirm(person: Person, by: Person, people: People, enrolment: Enrolment | None) -> str | None:
    if not by.enroller:
        return f"{by.name} is not an enroller; the list of people marks enrollers with enroller = true"
    if not person.active:
        return f"{person.name} is no longer active"
    if enrolment is None:
        return "it must be signed with a key that its enroller has in the list of people"
    for one in people.persons:
        if any(key.id == enrolment.key_id for key in one.keys):
            return f"this key is or was a key of {one.name}"
    return None


def _listed_name(people: People, name: str) -> str:
    person = people.find(name)
    return person.name if person else name


def _read(inputs: Sequence[object]) -> KeyRequest:
    try:
        order = KeyRequest.model_validate(inputs[0])
    except ValidationError as error:
        raise ValueError(f"{first_faults(error)}; {_HOW}") from None
    if is_placeholder(order.by) or is_placeholder(order.person):
        raise ValueError("a name is only a placeholder; replace it with the real name")
    return order
