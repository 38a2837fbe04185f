"""Verify the requests about keys in the rules trail.

- The key, the sender and the time of a request are those of the received message.
- An accepted request is proven by the list of people that it refers to: its sender signed it, and the
  signature is valid and was used once. `plangate.signing.enrolment` and
  `plangate.domain.decisions.key_requests.judge` accept the request again.
- A list of people that is put into effect contains only changes to keys that were accepted earlier. It
  contains all the changes that were accepted long before and that it proves.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from plangate.audit.dates import CLOCK_DIFFERENCE
from plangate.audit.received import wrong_arrival
from plangate.audit.recorded_proof import UsedTokens, recorded_claims
from plangate.domain.decisions.key_requests import KeyDecided, KeyRequest, judge
from plangate.domain.escaping import one_line
from plangate.domain.people.people import Approver, Identified, People
from plangate.domain.runs.audit import RULES_TRAIL, AuditEntry, RulesInEffect
from plangate.domain.runs.findings import Finding
from plangate.domain.runs.revocation import no_proof
from plangate.policy.kept_lists import PeopleByHash
from plangate.signing.enrolment import (
    ENROLMENT,
    KeyStatement,
    enrolment_in,
    key_request_difference,
    statement_of,
    with_enrolments,
)


def broken_key_requests(
    entries: Sequence[AuditEntry], people_by_hash: PeopleByHash, installation: str
) -> Iterator[Finding]:
    """Yield every request that is not confirmed, and every list with keys that differ from the requests.

    Args:
        entries: the rules trail, whose hashes have been checked.
        people_by_hash: the lists of people that it refers to.
        installation: the id of these records.
    """
    accepted: list[tuple[AuditEntry, KeyStatement]] = []
    used = UsedTokens()
    for entry in entries:
        event, wrong = entry.event, None
        if isinstance(event, KeyDecided):
            wrong = wrong_arrival(entry, event) or _wrong_request(event, people_by_hash, used, installation)
            if event.verdict.accepted and event.arrival.order is not None:
                accepted.append((entry, statement_of(event.arrival.order)))
        elif isinstance(event, RulesInEffect) and event.what == "people":
            wrong = _wrong_list(entry, people_by_hash(event.hash), accepted)
        if wrong:
            yield Finding(workflow_id=RULES_TRAIL, entry=entry.number, what=wrong)


def _wrong_request(
    event: KeyDecided, people_by_hash: PeopleByHash, used: UsedTokens, installation: str
) -> str | None:
    order, approver, people = event.arrival.order, event.approver, people_by_hash(event.people)
    is_whole = order is not None and approver is not None and approver.is_signed and event.people
    if event.verdict.accepted and not is_whole:
        return "was accepted, though it cannot be read, or has no signature or list of people"
    if order is None or approver is None or not approver.is_proven or people is None:
        return None  # another finding reports a list that is missing
    repeated = used.use(approver)
    wrong = _unproven(order, approver, event.arrival.received_at, people, installation) or repeated
    if wrong:
        return f"{one_line(approver.name)}'s request about a key is not proven: {one_line(wrong)}"
    return _wrong_verdict(event, order, people)


def _unproven(
    order: KeyRequest, approver: Approver, received_at: datetime, people: People, installation: str
) -> str | None:
    try:
        claims = recorded_claims(order.signature, approver, received_at, ENROLMENT, people.web)
    except ValueError as error:
        return str(error)
    if claims.aud.partition("/")[0] != installation:
        return "it was signed for another installation"
    return key_request_difference(claims, order, None)


def _wrong_verdict(event: KeyDecided, order: KeyRequest, people: People) -> str | None:
    if not event.verdict.accepted or event.approver is None:
        return None
    lost = no_proof(event.approver, people, event.arrival.received_at)
    if lost:
        return f"was accepted, though {one_line(lost)}"
    try:
        enrolment = enrolment_in(people, statement_of(order))
    except ValueError as error:
        return f"was accepted, though {one_line(str(error))}"
    again = judge(event.arrival, Identified(approver=event.approver), people, enrolment, event.judged_at)
    return None if again.verdict.accepted else f"was accepted, though {one_line(again.verdict.reason)}"


def _wrong_list(
    entry: AuditEntry, people: People | None, accepted: Sequence[tuple[AuditEntry, KeyStatement]]
) -> str | None:
    if people is None:
        return None
    known = {statement.token for _, statement in accepted}
    has = {one.token for one in people.enrolments}
    for one in people.enrolments:
        if one.token not in known:
            return f"contains a change to a key of {one_line(one.person)} that no request in this trail made"
    for before, statement in accepted:
        is_due = before.at + CLOCK_DIFFERENCE < entry.at and statement.token not in has
        if is_due and len(with_enrolments(people, (statement,)).enrolments) > len(people.enrolments):
            return f"does not contain the key change of entry {before.number}"
    return None
