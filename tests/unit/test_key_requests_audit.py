"""The auditor's rules for requests about keys, and for the lists that result from them."""

from datetime import timedelta
from typing import Any

import pytest

from plangate.audit.key_requests import broken_key_requests
from plangate.domain.decisions.decision import Verdict
from plangate.domain.decisions.key_requests import KeyDecided, KeyRequest, KeyRequestArrival, judge
from plangate.domain.people.people import People
from plangate.domain.runs.audit import FIRST_HASH, RULES_TRAIL, AuditEntry, Event, RulesInEffect, entry_after
from plangate.policy.effective_people import people_in_effect
from plangate.policy.people_file import people_in
from plangate.signing.enrolment import enrolment_in, statement_of, verify_key_request
from tests.support.fakes import AUDIENCE
from tests.support.proofs import DANA_KEY, GINA, MALLORY, MALLORY_KEY, WEB, key_request, people_text
from tests.unit.test_enrolment import AT

LISTED = people_in(people_text())
CONFIRM = key_request("confirm_key", "gina", GINA.public, AUDIENCE, at=AT)
REVOKE = key_request("revoke_key", "gina", GINA.public, AUDIENCE, at=AT + timedelta(minutes=5))
BEFORE = people_in_effect(LISTED, WEB, ())
ENROLLED = people_in_effect(LISTED, WEB, [statement_of(CONFIRM)])
REVOKED = people_in_effect(LISTED, WEB, [statement_of(CONFIRM), statement_of(REVOKE)])
LISTS = {one.hash: one for one in (BEFORE, ENROLLED, REVOKED)}
LATER = timedelta(hours=3)


def decided(order: KeyRequest, people: People, at: Any = AT) -> KeyDecided:
    arrival = KeyRequestArrival(key=f"run-{order.action}", received_at=at, order=order)
    sender = verify_key_request(order, audience=AUDIENCE, people=people, at=at)
    event = judge(arrival, sender, people, enrolment_in(people, statement_of(order)), at)
    assert event.verdict.accepted, event.verdict.reason
    return event


def in_force(people: People) -> RulesInEffect:
    return RulesInEffect(what="people", hash=people.hash)


def found(*events: tuple[Event, timedelta]) -> list[str]:
    entries: list[AuditEntry] = []
    for number, (event, after) in enumerate(events, start=1):
        entries.append(
            entry_after(
                entries[-1].hash if entries else FIRST_HASH,
                workflow_id=RULES_TRAIL,
                number=number,
                key=event.arrival.key if isinstance(event, KeyDecided) else f"people:{number}",
                at=AT + after,
                actor=event.approver.name if isinstance(event, KeyDecided) and event.approver else "worker",
                event=event,
            )
        )
    return [str(one) for one in broken_key_requests(entries, LISTS.get, AUDIENCE.installation)]


NOW = timedelta()
CONFIRMED = decided(CONFIRM, BEFORE)
ENDED = decided(REVOKE, ENROLLED, AT + timedelta(minutes=5))
VALID_EVENTS = (
    (in_force(BEFORE), NOW),
    (CONFIRMED, NOW),
    (in_force(ENROLLED), NOW),
    (ENDED, timedelta(minutes=5)),
    (in_force(REVOKED), timedelta(minutes=6)),
)


def test_requests_and_the_resulting_lists_have_no_finding() -> None:
    assert found(*VALID_EVENTS) == []


def test_a_list_without_a_revocation_is_reported_after_the_grace_period() -> None:
    assert found(*VALID_EVENTS[:4], (in_force(ENROLLED), timedelta(minutes=6))) == []
    said = found(*VALID_EVENTS, (in_force(ENROLLED), LATER))
    assert said == ["plangate:rules, entry 6: does not contain the key change of entry 4"]


def test_a_list_with_an_unconfirmed_key_is_reported() -> None:
    (said,) = found((in_force(BEFORE), NOW), (in_force(ENROLLED), NOW))
    assert "contains a change to a key of gina that no request in this trail made" in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"approver": None}, "has the actor"),
        ({"people": ""}, "has no signature or list of people"),
        ({"judged_at": AT + LATER}, "has a different time"),
        ({"approver": BEFORE.identify("carol", AT).approver}, "has no signature"),
        ({"approver": decided(REVOKE, ENROLLED).approver}, "a time or id other than the signed one"),
        ({"people": REVOKED.hash}, "is or was a key of gina"),
    ],
)
def test_a_changed_request_is_reported(changes: dict[str, Any], words: str) -> None:
    assert words in "".join(found((in_force(BEFORE), NOW), (CONFIRMED.model_copy(update=changes), NOW)))


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (
            key_request("confirm_key", "gina", GINA.public, AUDIENCE, at=AT, by="dana", signer=DANA_KEY),
            "may not",
        ),
        (
            key_request("confirm_key", "gina", GINA.public, AUDIENCE, at=AT, signer=MALLORY_KEY),
            "does not match",
        ),
        (CONFIRM.model_copy(update={"person": "erik"}), "signed for a key of gina"),
        (CONFIRM.model_copy(update={"key": MALLORY.public}), "for another key"),
    ],
)
def test_a_forged_request_is_reported(order: KeyRequest, words: str) -> None:
    forged = CONFIRMED.arrival.model_copy(update={"order": order})
    approver = CONFIRMED.approver
    if order.by == "dana":
        approver = verify_key_request(order, audience=AUDIENCE, people=BEFORE, at=AT).approver
    event = CONFIRMED.model_copy(
        update={"arrival": forged, "approver": approver, "verdict": Verdict(accepted=True, reason="valid")}
    )
    assert words in "".join(found((in_force(BEFORE), NOW), (event, NOW)))


def test_a_token_is_valid_for_one_request_only() -> None:
    twice = CONFIRMED.model_copy(update={"arrival": CONFIRMED.arrival.model_copy(update={"key": "another"})})
    said = "".join(found((in_force(BEFORE), NOW), (CONFIRMED, NOW), (twice, NOW)))
    assert "its signature was used before" in said
