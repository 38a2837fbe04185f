"""A delegation that is recorded on the trail has the same effect as one in the list of people."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update

from plangate.audit.evidence import bundle_findings, bundle_of, read_bundle
from plangate.audit.inspection import Inspection, inspect_all
from plangate.audit.referenced_texts import referenced_texts
from plangate.client.delegating import query_delegations, send_delegation
from plangate.domain.decisions.delegations import DelegationAction, DelegationAnswer, DelegationRequest
from plangate.domain.errors import DirectoryUnavailable
from plangate.domain.people.absence import Absences
from plangate.domain.people.people import ANYONE, People
from plangate.domain.people.trusted_web import TrustedWeb
from plangate.domain.plans.plan import Audience
from plangate.domain.runs.audit import (
    DELEGATIONS_TRAIL,
    FIRST_HASH,
    AuditEntry,
    Decided,
    RuleText,
    read_event,
)
from plangate.domain.runs.findings import readable
from plangate.domain.runs.status import Status
from plangate.policy.delegated_roles import entries_in, split_kept, with_delegations
from plangate.policy.people_file import people_in
from plangate.policy.policy_file import policy_in
from plangate.presentation.clock import now
from plangate.records.checkpoints import newest_seal
from plangate.records.records import Records
from plangate.records.rule_texts import RecordedPeople, rules_in_effect_at
from plangate.records.tables import runs
from plangate.records.trail import read_trail
from plangate.signing.delegations import delegation_claims, signed_delegation
from tests.support.audit_edits import change_entry, disable_guards, rewrite_trail, trail_of
from tests.support.authenticator import Passkey
from tests.support.gate import Gate
from tests.support.proofs import DANA, MALLORY, WEB_SETTINGS, line_of
from tests.support.sealed_records import KEYS, sealing, signature, trust

PEOPLE = f"""
[[person]]
name = "rita"
[[person]]
name = "dana"
roles = ["finance", "legal"]
keys = [{line_of(KEYS["dana"])}, {line_of(DANA)}]
[[person]]
name = "erik"
keys = [{line_of(KEYS["erik"])}]
[[person]]
name = "fred"
[[person]]
name = "hugo"
active = false
"""
POLICY = """
delegable = ["finance"]
[[rule]]
name = "signed notes"
when = "plan.steps[0].arguments.text.startsWith('signed ')"
needs = [{ role = "finance" }]
assurance = "signed"
[default]
needs = [{ role = "legal" }]
"""


class Listed:
    def people(self) -> People:
        return people_in(PEOPLE)


@pytest.fixture
def lending(idle_gate: Gate) -> Gate:
    idle_gate.policy, idle_gate.directory = policy_in(POLICY), Listed()
    idle_gate.settings = idle_gate.settings.model_copy(update=WEB_SETTINGS)
    return idle_gate


def order(by: str = "dana", to: str = "erik", days: float = 14, **more: object) -> DelegationRequest:
    fields: dict[str, object] = {"action": DelegationAction.LEND, "by": by, "to": to, "roles": ("finance",)}
    fields["until"] = now() + timedelta(days=days)
    return DelegationRequest.model_validate({**fields, **more})


def end_request(by: str = "dana", to: str = "erik") -> DelegationRequest:
    return DelegationRequest(action=DelegationAction.END, by=by, to=to)


def signed(gate: Gate, one: DelegationRequest) -> DelegationRequest:
    audience = Audience(installation=gate.database.installation, namespace="default")
    return signed_delegation(one, KEYS[one.by], audience=audience, at=now(), token_id=uuid4().hex)


def by_passkey(gate: Gate, one: DelegationRequest, key: Passkey = DANA, **ceremony: Any) -> DelegationRequest:
    audience = Audience(installation=gate.database.installation, namespace="default")
    claims = delegation_claims(one, audience=audience, at=now(), token_id=uuid4().hex)
    return one.model_copy(update={"signature": key.token(claims, **ceremony)})


async def sent(gate: Gate, one: DelegationRequest) -> DelegationAnswer:
    answer = await send_delegation(gate.client, gate.settings.task_queue, one)
    assert answer is not None
    return answer


async def lent(gate: Gate, sign: Callable[[Gate, DelegationRequest], DelegationRequest] = signed) -> None:
    answer = await sent(gate, sign(gate, order()))
    assert answer.accepted, answer.reason


async def by_erik(gate: Gate, status: Status) -> tuple[bool, str]:
    answer = await gate.decide(status, by="erik", signature=signature(status, "erik"))
    return bool(answer.accepted), answer.reason


def inspected(gate: Gate) -> Inspection:
    with gate.database.read() as connection:
        return inspect_all(
            connection, trust().model_copy(update={"people": people_in(PEOPLE)}), lambda *_: None
        )


def exported(gate: Gate, run: str) -> str:
    with gate.database.read() as connection:
        seal, entries = newest_seal(connection, run), read_trail(connection, run)
        bundle = bundle_of(run, entries, (seal,) if seal else (), referenced_texts(connection, entries))
    return json.dumps(bundle.model_dump(mode="json"))


def found_in(text: str) -> list[str]:
    return [str(one) for one in bundle_findings(read_bundle(text), trusted=frozenset(), people=None)]


@pytest.mark.parametrize("sign", [signed, by_passkey])
async def test_a_decision_in_a_delegated_role_is_accepted_and_its_proof_is_in_the_bundle(
    lending: Gate, sign: Callable[[Gate, DelegationRequest], DelegationRequest]
) -> None:
    async with lending.worker():
        status = await lending.in_review("signed one")
        assert not (await lending.decide(status, by="erik")).accepted
        await lent(lending, sign)
        accepted, reason = await by_erik(lending, status)
        assert accepted, reason
        assert (await lending.result(status.workflow_id)).outcome == "executed"
        after = await lending.api.status(status.workflow_id)
        assert after.decisions[-1].on_behalf_of == ("dana",)
        sealing(lending).seal()
    assert inspected(lending).findings == ()
    text = exported(lending, status.workflow_id)
    assert found_in(text) == []
    with lending.database.read() as connection:
        listed = rules_in_effect_at(connection, "people", now())
    assert listed is not None
    assert listed.text is not None
    assert "# erik may act for dana as finance until" in listed.text.text


async def test_a_delegated_role_cannot_be_used_after_the_delegation_was_ended(lending: Gate) -> None:
    """Erik no longer has the role, so his approval is refused."""
    async with lending.worker():
        await lent(lending)
        status = await lending.in_review("signed one")
        ended = await sent(lending, end_request())
        assert ended.accepted, ended.reason
        assert ended.lent == ()
        accepted, reason = await by_erik(lending, status)
        assert (accepted, "no role" in reason) == (False, True)
        again = await sent(lending, end_request())
        assert (again.accepted, again.reason) == (
            False,
            "dana has not delegated any role to erik",
        )
    assert inspected(lending).findings == ()


@pytest.mark.parametrize(
    ("one", "is_signed", "reason"),
    [
        (order(roles=("legal",)), True, "the policy does not allow anyone to delegate the role legal"),
        (
            order(roles=("finance", "legal")),
            True,
            "the policy does not allow anyone to delegate the role legal",
        ),
        (order(roles=("operations",)), True, "dana does not have the role operations"),
        (order(roles=("anyone",)), True, "everyone already has the role anyone"),
        (order(), False, "require the assurance signed, and so does delegating it"),
        (order(days=-1), True, '"until" has passed'),
        (order(days=91), True, "more than 90 days ahead"),
        (order(to="dana"), True, "people cannot stand in for themselves"),
        (order(to="mallory"), True, "mallory is not in the list of people"),
        (order(to="hugo"), True, "hugo is no longer active"),
        (order(by="mallory"), False, "mallory is not in the list of people"),
        (order(by="fred"), False, "fred does not have the role finance"),
        (order(roles=()), False, '"lend" needs "to", "roles" and "until"'),
        (order(by="YOUR-NAME"), False, "is only a placeholder"),
    ],
)
async def test_an_invalid_delegation_is_refused_with_the_reason(
    lending: Gate, one: DelegationRequest, is_signed: bool, reason: str
) -> None:
    async with lending.worker():
        answer = await sent(lending, signed(lending, one) if is_signed else one)
    assert not answer.accepted
    assert reason in answer.reason
    assert answer.lent == ()
    assert inspected(lending).findings == ()


async def test_a_delegated_role_cannot_be_delegated_further(lending: Gate) -> None:
    async with lending.worker():
        await lent(lending)
        answer = await sent(lending, signed(lending, order("erik", "fred")))
    assert not answer.accepted
    assert "erik has the role finance only by delegation" in answer.reason
    assert "a delegated role cannot be delegated further" in answer.reason


async def test_without_a_list_or_without_a_policy_no_role_can_be_delegated(idle_gate: Gate) -> None:
    async with idle_gate.worker():
        answer = await sent(idle_gate, order())
    assert "there is no list of people" in answer.reason
    idle_gate.directory = Listed()
    async with idle_gate.worker():
        answer = await sent(idle_gate, signed(idle_gate, order()))
    assert "delegable roles: none" in answer.reason


async def test_a_signature_is_accepted_once_and_only_for_its_purpose(lending: Gate) -> None:
    one = signed(lending, order())
    async with lending.worker():
        assert (await sent(lending, one)).accepted
        for forged, reason in (
            (one, "was used before"),
            (one.model_copy(update={"to": "fred"}), "signed for erik, not for this person"),
            (one.model_copy(update={"by": "erik"}), "does not belong to erik"),
            (one.model_copy(update={"until": now() + timedelta(days=80)}), "signed for another end"),
            (one.model_copy(update={"roles": ("legal",)}), "signed for other roles"),
            (one.model_copy(update={"reason": "so"}), "signed with another reason"),
        ):
            answer = await sent(lending, forged)
            assert (answer.accepted, reason in answer.reason) == (False, True), answer.reason


async def test_a_query_about_delegations_gets_a_response_and_is_not_recorded(lending: Gate) -> None:
    async with lending.worker():
        await lent(lending)
        answer = await query_delegations(lending.client, lending.settings.task_queue)
    assert answer is not None
    assert [(one.by, one.to, one.roles) for one in answer.lent] == [("dana", "erik", ("finance",))]
    with lending.database.read() as connection:
        assert len(read_trail(connection, DELEGATIONS_TRAIL)) == 1


async def test_another_worker_with_the_same_records_has_the_delegations(lending: Gate) -> None:
    async with lending.worker():
        await lent(lending)
    async with lending.worker():
        status = await lending.in_review("signed one")
        accepted, reason = await by_erik(lending, status)
        assert accepted, reason
        await lending.result(status.workflow_id)
    assert inspected(lending).findings == ()


def relinked(text: str, change: Callable[[dict[str, Any]], None]) -> str:
    """Forge the list in a bundle: change its delegation, and adapt hashes and names."""
    bundle = read_bundle(text)
    (kept,) = [one for one in bundle.texts if split_kept(one.text)[1]]
    file, added = split_kept(kept.text)
    (entry,) = entries_in(added)
    event = json.loads(entry.written)
    change(event)
    other = entry.model_copy(update={"written": json.dumps(event), "event": read_event(json.dumps(event))})
    other = other.model_copy(update={"hash": other.expected_hash()})
    forged = with_delegations(people_in(file), [other], other.at)
    assert forged.hash != kept.hash
    texts = [one if one is not kept else RuleText(hash=forged.hash, text=forged.text) for one in bundle.texts]
    entries, previous = [], FIRST_HASH
    for one in bundle.entries:
        written = one.written.replace(kept.hash, forged.hash)
        again = one.model_copy(update={"written": written, "previous_hash": previous})
        entries.append(again.model_copy(update={"hash": (previous := again.expected_hash())}))
    read = [one for one in readable(entries) if isinstance(one, AuditEntry)]
    files = bundle_of(bundle.workflow_id, read, bundle.checkpoints, texts)
    return json.dumps(files.model_dump(mode="json"))


def unsigned(event: dict[str, Any]) -> None:
    event["arrival"]["order"]["signature"] = None
    event["approver"] |= dict.fromkeys(("key_id", "public_key", "signed_at", "token_id")) | {
        "assurance": "typed"
    }


def under_weaker_rules(event: dict[str, Any]) -> None:
    unsigned(event)
    event["rules"] = {"roles": [{"role": "finance", "assurance": "typed"}]}


def to_fred(event: dict[str, Any]) -> None:
    event["arrival"]["order"]["to"] = "fred"


def for_longer(event: dict[str, Any]) -> None:
    event["arrival"]["order"]["until"] = "2999-01-01T00:00:00Z"


def under_another_policy(event: dict[str, Any]) -> None:
    under_weaker_rules(event)
    event["policy"] = "ab" * 32


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (unsigned, "dana has not authorized erik to act in the role finance"),
        (to_fred, "dana has not authorized erik to act in the role finance"),
        (for_longer, "dana has not authorized erik to act in the role finance"),
        (
            under_weaker_rules,
            "was delegated under rules that differ from those of the policy that it refers to",
        ),
        (under_another_policy, "was delegated under a policy that is missing"),
    ],
)
async def test_a_role_that_was_not_delegated_is_detected_in_a_bundle(
    lending: Gate, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    async with lending.worker():
        await lent(lending)
        status = await lending.in_review("signed one")
        assert (await by_erik(lending, status))[0]
        await lending.result(status.workflow_id)
    text = exported(lending, status.workflow_id)
    assert all("not sealed" in one for one in found_in(text))
    assert any(words in one for one in found_in(relinked(text, change))), found_in(relinked(text, change))


@pytest.mark.parametrize(
    ("key", "ceremony"),
    [
        (DANA, {"origin": "https://evil.example.org", "rp_id": "evil.example.org"}),
        (DANA, {"rp_id": "example.org"}),
        (DANA, {"flags": 0x01}),
        (MALLORY, {}),
    ],
)
async def test_an_unproven_passkey_in_a_bundle_delegates_nothing(
    lending: Gate, key: Passkey, ceremony: dict[str, Any]
) -> None:
    """The list in the bundle contains the sites and the owners of passkeys."""
    async with lending.worker():
        await lent(lending, by_passkey)
        status = await lending.in_review("signed one")
        assert (await by_erik(lending, status))[0]
        await lending.result(status.workflow_id)
    text = exported(lending, status.workflow_id)
    assert all("not sealed" in one for one in found_in(text))

    def exchanged(event: dict[str, Any]) -> None:
        one = DelegationRequest.model_validate(event["arrival"]["order"])
        event["arrival"]["order"]["signature"] = by_passkey(lending, one, key, **ceremony).signature

    words = "dana has not authorized erik to act in the role finance"
    assert any(words in one for one in found_in(relinked(text, exchanged)))


async def test_a_delegation_of_another_installation_is_detected_in_a_bundle(lending: Gate) -> None:
    async with lending.worker():
        await lent(lending, by_passkey)
        status = await lending.in_review("signed one")
        assert (await by_erik(lending, status))[0]
        await lending.result(status.workflow_id)

    def elsewhere(event: dict[str, Any]) -> None:
        one = DelegationRequest.model_validate(event["arrival"]["order"])
        there = Audience(installation="ab" * 16, namespace="default")
        at, token_id = datetime.fromisoformat(event["approver"]["signed_at"]), event["approver"]["token_id"]
        claims = delegation_claims(one, audience=there, at=at, token_id=token_id)
        event["arrival"]["order"]["signature"] = DANA.token(claims)

    found = found_in(relinked(exported(lending, status.workflow_id), elsewhere))
    assert any("it was signed for another installation" in one for one in found), found


async def test_a_bundle_is_verified_with_the_origins_that_the_auditor_trusts(lending: Gate) -> None:
    async with lending.worker():
        await lent(lending, by_passkey)
        status = await lending.in_review("signed one")
        assert (await by_erik(lending, status))[0]
        await lending.result(status.workflow_id)
    bundle = read_bundle(exported(lending, status.workflow_id))
    elsewhere = TrustedWeb(origins=frozenset({"https://other.example.org"}), keys=None)
    found = [str(one) for one in bundle_findings(bundle, trusted=frozenset(), people=None, web=elsewhere)]
    assert any("dana's request is recorded as signed, but its passkey was used at" in one for one in found)


async def test_a_forged_delegation_on_the_trail_is_ignored_by_workers_and_detected(lending: Gate) -> None:
    async with lending.worker():
        await lent(lending)
        await lending.in_review("signed one")
    with lending.database.write() as connection:
        disable_guards(connection)
        rows = trail_of(connection, DELEGATIONS_TRAIL)
        event = json.loads(rows[0]["event"])
        under_weaker_rules(event)
        event["arrival"]["order"]["to"] = "fred"
        rows[0]["event"] = json.dumps(event, separators=(",", ":"))
        rewrite_trail(connection, DELEGATIONS_TRAIL, rows)
    async with lending.worker():
        status = await lending.in_review("signed two")
        answer = await lending.decide(status, by="fred")
    assert not answer.accepted
    with lending.database.read() as connection:
        event = read_trail(connection, status.workflow_id)[-1].event
    assert isinstance(event, Decided)
    assert event.approver is not None
    assert event.approver.roles() == {ANYONE}
    found = [str(one) for one in inspected(lending).findings]
    assert any("under rules that differ from those of the policy that it refers to" in one for one in found)
    assert any("a delegation that was never recorded" in one for one in found)


async def test_while_the_trail_of_delegations_is_damaged_decisions_wait(
    lending: Gate,
) -> None:
    async with lending.worker():
        await lent(lending)
    people = RecordedPeople(Listed(), Records(lending.database), "worker@here")
    assert await people.people()
    with lending.database.write() as connection:
        disable_guards(connection)
        change_entry(connection, trail_of(connection, DELEGATIONS_TRAIL)[0], actor="mallory")
        connection.execute(
            update(runs).where(runs.c.workflow_id == DELEGATIONS_TRAIL).values(head_hash="0" * 64)
        )
    with pytest.raises(DirectoryUnavailable, match="audit verify plangate:delegations"):
        await people.people(fresh=True)


def leaving(by: str = "dana", to: str = "", days: float = 7, **more: object) -> DelegationRequest:
    until = now() + timedelta(days=days)
    return DelegationRequest.model_validate(
        {"action": DelegationAction.AWAY, "by": by, "to": to, "until": until, **more}
    )


def returning(by: str = "dana") -> DelegationRequest:
    return DelegationRequest(action=DelegationAction.BACK, by=by)


async def listed_now(gate: Gate) -> People:
    with gate.database.read() as connection:
        listed = rules_in_effect_at(connection, "people", now())
    assert listed is not None
    assert listed.text is not None
    return people_in(listed.text.text)


async def test_an_absence_is_in_the_list_until_the_return_and_delegates_nothing(
    lending: Gate,
) -> None:
    async with lending.worker():
        status = await lending.in_review("signed one")
        assert status.unmet == ()
        answer = await sent(lending, signed(lending, leaving(to="erik", reason="on leave")))
        assert answer.accepted, answer.reason
        assert [(one.by, one.to) for one in answer.away] == [("dana", "erik")]
        assert "messages go to erik, but dana keeps the right to decide" in answer.reason
        people = await listed_now(lending)
        assert Absences(people, now()).recipients_for("dana") == ("erik",)
        assert not (await lending.decide(status, by="erik")).accepted
        blocked = await lending.until("in_review", status.workflow_id, lambda one: bool(one.unmet))
        (unmet,) = blocked.unmet
        assert "only dana can, and dana is away until" in str(unmet)
        await lent(lending)
        await lending.until("in_review", status.workflow_id, lambda one: not one.unmet)
        assert (await by_erik(lending, status))[0]
        back = await sent(lending, returning())
        assert (back.accepted, back.away) == (True, ())
        assert Absences(await listed_now(lending), now()).recipients_for("dana") == ("dana",)
        again = await sent(lending, returning())
        assert (again.accepted, again.reason) == (False, "dana is not away")
        sealing(lending).seal()
    assert inspected(lending).findings == ()
    assert found_in(exported(lending, status.workflow_id)) == []


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (leaving(days=-1), '"until" has passed'),
        (leaving(days=91), "more than 90 days ahead"),
        (leaving(to="dana"), "people cannot stand in for themselves"),
        (leaving(to="mallory"), "mallory is not in the list of people"),
        (leaving(to="hugo"), "hugo is no longer active"),
        (leaving(by="mallory"), "mallory is not in the list of people"),
        (leaving(until=None), '"away" needs "until"'),
        (leaving(roles=("finance",)), 'but no "roles"'),
        (returning().model_copy(update={"to": "erik"}), '"back" must not have "to"'),
    ],
)
async def test_an_invalid_absence_is_refused_with_the_reason(
    lending: Gate, one: DelegationRequest, reason: str
) -> None:
    async with lending.worker():
        answer = await sent(lending, one)
    assert answer.accepted is False
    assert reason in answer.reason


def by_ops(event: dict[str, Any]) -> None:
    event["approver"]["standings"][0]["roles"] = ["ops", "anyone"]


def to_mallory(event: dict[str, Any]) -> None:
    event["arrival"]["order"]["to"] = "mallory"


@pytest.mark.parametrize(
    ("edit", "said"),
    [(to_mallory, "mallory is not in the list of people"), (by_ops, "dana had other roles")],
)
async def test_an_absence_that_no_worker_would_accept_is_detected(
    lending: Gate, edit: Callable[[dict[str, Any]], None], said: str
) -> None:
    async with lending.worker():
        assert (await sent(lending, leaving(to="erik"))).accepted
        sealing(lending).seal()
    with lending.database.write() as connection:
        disable_guards(connection)
        rows = trail_of(connection, DELEGATIONS_TRAIL)
        event = json.loads(rows[0]["event"])
        edit(event)
        rows[0]["event"] = json.dumps(event, separators=(",", ":"))
        rewrite_trail(connection, DELEGATIONS_TRAIL, rows)
    found = " ".join(one.what for one in inspected(lending).findings)
    assert f"was accepted, though {said}" in found
