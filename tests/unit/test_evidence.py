"""A signature in the trail must match its record: one made with another key is not accepted."""

import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.audit.evidence import bundle_findings, bundle_of, examined, read_bundle
from plangate.domain.decisions.decision import Arrival, Choice, Decision, Verdict, Via
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE, Approver, Key, People, Person, PersonRoles
from plangate.domain.plans.plan import Plan, Step, fingerprint_of
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import (
    AuditEntry,
    Decided,
    RuleText,
    read_event,
)
from plangate.domain.runs.checkpoint import Seal, SealedBy
from plangate.signing.checkpoints import checkpoint_after
from plangate.signing.decisions import Claims, sign
from plangate.signing.jws import PUBLIC_PREFIX, key_id, public_of
from tests.support.build import NOON, RUN, chained, drafted, requested
from tests.support.fakes import AUDIENCE

DANA, EVE = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
PLAN = Plan(summary="One note", steps=(Step(tool="note", arguments={"text": "a"}),))
FINGERPRINT = fingerprint_of(PLAN, 1, RUN, AUDIENCE)
LIST_TEXT = f"""
[[person]]
name = "rita"
[[person]]
name = "dana"
keys = [{{ public = "{PUBLIC_PREFIX}{public_of(DANA)}" }}]
"""
LIST = RuleText(hash=hashlib.sha256(LIST_TEXT.encode()).hexdigest(), text=LIST_TEXT)
SIGNED = Requirement(needs=(Need(role=ANYONE, count=2),), assurance=Assurance.SIGNED)


def claims(**more: Any) -> Claims:
    said: dict[str, Any] = {
        "aud": str(AUDIENCE), "workflow_id": RUN, "fingerprint": FINGERPRINT, "decision": Choice.APPROVE,
        "comment": "", "by": "dana", "iat": int(NOON.timestamp()), "jti": "0123456789",
    }  # fmt: skip
    return Claims(**{**said, **more})


def approver(**more: Any) -> Approver:
    said: dict[str, Any] = {
        "name": "dana", "standings": (PersonRoles(person="dana", roles=(ANYONE,)),),
        "assurance": Assurance.SIGNED,
        "key_id": key_id(public_of(DANA)), "public_key": public_of(DANA), "signed_at": NOON,
        "token_id": "0123456789",
    }  # fmt: skip
    return Approver(**{**said, **more})


def approved(token: str | None, maker: Approver, key: str = "s1") -> Decided:
    decision = Decision(decision=Choice.APPROVE, by=maker.name, plan=FINGERPRINT, signature=token)
    arrival = Arrival(key=key, via=Via.SIGNAL, name="approve", received_at=NOON, decision=decision)
    verdict = Verdict(accepted=True, reason="valid")
    return Decided(arrival=arrival, verdict=verdict, approver=maker, people=LIST.hash)


def trail(*decided: Decided) -> list[AuditEntry]:
    return chained((requested(), drafted(PLAN, requirement=SIGNED), *decided))


def said(*decided: Decided, people: People | None = None) -> list[str]:
    return [one.what for one in examined(RUN, trail(*decided), people)]


def test_a_correctly_signed_decision_is_not_a_finding() -> None:
    assert said(approved(sign(claims(), DANA), approver())) == []


@pytest.mark.parametrize(
    ("token", "maker", "words"),
    [
        (None, approver(), "has no signature"),
        (sign(claims(), DANA), approver(public_key=None), "has no signature"),
        (sign(claims(), EVE), approver(), "does not match what was signed"),
        (sign(claims(), DANA), approver(key_id=key_id(public_of(EVE))), "was recorded with a key other"),
        (sign(claims(jti="another-token-id"), DANA), approver(), "recorded with a time or id other"),
        (sign(claims(iat=int(NOON.timestamp()) - 9), DANA), approver(), "recorded with a time or id other"),
        (sign(claims(comment="but"), DANA), approver(), "signed with another comment"),
        (sign(claims(workflow_id="plan-2"), DANA), approver(), "signed for the run plan-2"),
        (sign(claims(fingerprint="ab" * 32), DANA), approver(), "signed for plan abababababab"),
        (sign(claims(decision=Choice.REJECT), DANA), approver(), "signed for 'reject'"),
        (sign(claims(iat=253_402_300_799), DANA), approver(), "recorded with a time or id other"),
    ],
)
def test_a_decision_wrongly_recorded_as_verified_is_a_finding(
    token: str | None, maker: Approver, words: str
) -> None:
    (finding,) = said(approved(token, maker))
    assert finding.startswith("the decision by dana has the assurance signed, but")
    assert words in finding


def test_a_signature_from_before_the_plan_is_a_finding() -> None:
    entries = chained((requested(), approved(sign(claims(), DANA), approver())))
    found = [one.what for one in examined(RUN, entries, None)]
    assert any("was signed before there was a plan" in one for one in found), found


def test_one_signature_proves_one_person_and_one_decision() -> None:
    token = sign(claims(), DANA)
    as_erik = approver(name="erik", standings=(PersonRoles(person="erik", roles=(ANYONE,)),))
    findings = said(approved(token, approver()), approved(token, as_erik, "s2"))
    assert any("in the name of dana" in one for one in findings)
    again = said(approved(token, approver()), approved(token, approver(), "s2"))
    assert any("its signature was used before" in one for one in again)


def test_a_key_missing_from_the_auditors_list_is_reported() -> None:
    token = sign(claims(), DANA)
    other_key = Key(id=key_id(public_of(EVE)), x=public_of(EVE))
    for persons in ((Person(name="Dana"),), (Person(name="Dana", keys=(other_key,)),)):
        (finding,) = said(approved(token, approver()), people=People(persons=persons))
        assert "is not one of dana's in the list of people" in finding
    (finding,) = said(approved(token, approver()), people=People())
    assert "dana is not in the list of people" in finding


def test_an_unsigned_decision_is_not_proof_if_a_signature_is_required() -> None:
    unsigned = approver(
        assurance=Assurance.TYPED, key_id=None, public_key=None, signed_at=None, token_id=None
    )
    (finding,) = said(approved(None, unsigned))
    assert "was accepted, though this plan takes signed decisions only" in finding


def test_a_bundle_has_only_one_valid_encoding() -> None:
    bundle = bundle_of(RUN, trail(approved(sign(claims(), DANA), approver())), (), ())
    text = json.dumps(bundle.model_dump(mode="json"))
    assert read_bundle(text) == bundle
    raw = json.loads(text)
    raw["entries"][0]["event"] = {"kind": "unknown"}
    for other in (
        json.dumps(raw),
        text.replace('"format"', '"workflow_id": "plan-2", "format"'),
        text.replace("+00:00", "Z"),
        text.replace('"number": 1', '"number": true'),
        text.replace('"number": 1', '"number": 1.0'),
        "[]", "{}", "", "nonsense", "[" * 100_000,
    ):  # fmt: skip
        with pytest.raises((ValueError, RecursionError)):
            read_bundle(other)


def test_an_unsealed_bundle_is_reported_as_such() -> None:
    bundle = bundle_of(RUN, trail(approved(sign(claims(), DANA), approver())), (), (LIST,))
    (finding,) = bundle_findings(bundle, trusted=frozenset(), people=None)
    assert finding.is_unsealed
    assert "the last 3 entries are not sealed by a checkpoint" in finding.what


def test_a_bundle_that_another_key_seals_is_reported() -> None:
    entries = trail(approved(sign(claims(), DANA), approver()))
    seal = Seal(workflow_id=RUN, number=len(entries), hash=entries[-1].hash)
    sealed = SealedBy(
        entry=seal.number, checkpoint=checkpoint_after(None, [seal], NOON, EVE), leaves=(seal.leaf(),)
    )
    bundle = bundle_of(RUN, entries, (sealed,), (LIST,))
    assert list(bundle_findings(bundle, trusted=frozenset({public_of(EVE)}), people=None)) == []
    (finding,) = bundle_findings(bundle, trusted=frozenset({public_of(DANA)}), people=None)
    assert f"was signed by the untrusted key {PUBLIC_PREFIX}{public_of(EVE)}" in finding.what


def test_a_name_that_is_no_longer_valid_can_be_read_from_an_old_trail() -> None:
    maker = approver(
        name="YOUR-NAME",
        assurance=Assurance.TYPED,
        key_id=None,
        public_key=None,
        token_id=None,
        signed_at=None,
    )
    entry = trail(approved(None, maker))[-1]
    assert read_event(entry.written) == entry.event


def test_a_text_that_is_not_a_list_of_people_is_not_parsed_as_one() -> None:
    """For example, a policy in place of a list must not prevent people from being checked."""
    for text in ("[[rule]]\n", "[[person]]\nname = 'dana'\nactive = 'perhaps'\n", "= 0"):
        kept = RuleText(hash=hashlib.sha256(text.encode()).hexdigest(), text=text)
        event = approved(sign(claims(), DANA), approver()).model_copy(update={"people": kept.hash})
        bundle = bundle_of(RUN, trail(event), (), (kept,))
        found = [one.what for one in bundle_findings(bundle, trusted=frozenset(), people=None)]
        wanted = f"refers to a list of people that is missing or cannot be read ({kept.hash[:12]})"
        assert wanted in found, text
