"""Passkeys, logins and enrolled keys as proofs, from the decision to the audit."""

import json
from io import StringIO
from pathlib import Path

import pytest

from plangate.audit.evidence import Bundle, bundle_findings, bundle_of, read_bundle, with_keys_of
from plangate.audit.inspection import Inspection, inspect_all
from plangate.audit.rule_references import referenced_rules
from plangate.audit.trust_anchors import Trust
from plangate.domain.decisions.decision import Decision, DecisionAnswer
from plangate.domain.decisions.key_requests import KeyRequest
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.trusted_web import ANY_WEB, TrustedWeb
from plangate.domain.plans.plan import Audience
from plangate.domain.runs.status import Status
from plangate.domain.runs.stops import StopAnswer
from plangate.policy.people_file import PeopleFile, read_people
from plangate.presentation.bundle_pages import bundle_page
from plangate.presentation.clock import now
from plangate.presentation.console import Console
from plangate.presentation.page import Page
from plangate.presentation.run_page import run_page
from plangate.presentation.trail_page import trail_page
from plangate.records.rule_texts import texts_of
from plangate.records.trail import read_trail
from plangate.signing.jws import public_of
from tests.support.authenticator import ORIGIN
from tests.support.gate import Gate
from tests.support.orders import order
from tests.support.policies import wants
from tests.support.proofs import (
    DANA,
    DANA_KEY,
    ERIK,
    GINA,
    MALLORY,
    MALLORY_KEY,
    OTHER_WEB_KEY,
    WEB,
    WEB_KEY,
    WEB_SETTINGS,
    approval,
    key_request,
    people_text,
)

LOGIN = Assurance.LOGIN


@pytest.fixture
def people(idle_gate: Gate, tmp_path: Path) -> Path:
    path = tmp_path / "people.toml"
    path.write_text(people_text())
    idle_gate.directory = PeopleFile(path)
    idle_gate.settings = idle_gate.settings.model_copy(update=WEB_SETTINGS)
    idle_gate.policy = wants(("finance", 1), assurance=Assurance.SIGNED)
    return path


async def sent(gate: Gate, status: Status, decision: Decision) -> DecisionAnswer:
    answer = await gate.api.decide(status.workflow_id, decision)
    assert answer is not None
    return answer


async def ordered(gate: Gate, one: KeyRequest) -> StopAnswer:
    return await order(gate, **one.model_dump(mode="json"))


def audience_of(gate: Gate) -> Audience:
    return Audience(installation=gate.database.installation, namespace=gate.client.namespace)


def inspected(gate: Gate, path: Path | None = None, web: TrustedWeb = ANY_WEB) -> Inspection:
    with gate.database.read() as connection:
        people = read_people(path) if path else None
        return inspect_all(connection, Trust(people=people, web=web, now=now()), lambda *_: None)


def exported(gate: Gate, workflow_id: str) -> Bundle:
    with gate.database.read() as connection:
        entries = read_trail(connection, workflow_id)
        bundle = bundle_of(workflow_id, entries, (), texts_of(connection, referenced_rules(entries)))
    return read_bundle(json.dumps(bundle.model_dump(mode="json")))


def found(bundle: Bundle, path: Path | None = None, web: TrustedWeb = ANY_WEB) -> list[str]:
    people = read_people(path) if path else None
    findings = bundle_findings(bundle, trusted=frozenset(), people=people, web=web)
    return [str(one) for one in findings if not one.is_unsealed]


def words(page: Page) -> str:
    written = StringIO()
    Console(written).print(page)
    return written.getvalue()


async def test_a_passkey_approves_and_can_be_verified_offline(idle_gate: Gate, people: Path) -> None:
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one")
        assert not (await sent(gate, status, approval(status, "dana", MALLORY))).accepted
        signed = approval(status, "dana", DANA)
        answer = await sent(gate, status, signed)
        assert answer.accepted, answer.reason
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        ended = await gate.api.status(status.workflow_id)
        other = await gate.in_review("two")
        assert not (await sent(gate, other, signed)).accepted
    decided = ended.decisions[-1]
    assert (decided.assurance, decided.origin) == (Assurance.SIGNED, ORIGIN)
    assert f"(signed by passkey at {ORIGIN})" in words(run_page(ended, now()))
    with gate.database.read() as connection:
        assert f"signed by passkey {decided.key_id} at {ORIGIN}" in words(
            trail_page(read_trail(connection, status.workflow_id))
        )
    report = inspected(gate, people, WEB)
    assert (report.findings, report.origins) == ((), (ORIGIN,))
    bundle = exported(gate, status.workflow_id)
    assert found(bundle) == []
    assert found(bundle, people, WEB) == []
    elsewhere = TrustedWeb(origins=frozenset({"https://other.example.org"}), keys=None)
    assert "used at https://plangate.example.org" in "".join(found(bundle, people, elsewhere))
    assert "Not checked: that https://plangate.example.org" in words(
        bundle_page(bundle, is_trusted=False, has_people=True)
    )
    assert "Not checked" not in words(bundle_page(bundle, is_trusted=False, has_people=True, web=WEB))


async def test_a_login_is_enough_if_a_rule_accepts_it_and_its_web_server_is_trusted(
    idle_gate: Gate, people: Path
) -> None:
    gate = idle_gate
    gate.policy = wants(("finance", 1), assurance=LOGIN)
    async with gate.worker():
        status = await gate.in_review("one")
        typed = await gate.decide(status)
        assert "needs at least a login" in typed.reason
        for key in (OTHER_WEB_KEY, DANA_KEY, MALLORY_KEY):
            refused = await sent(gate, status, approval(status, "dana", key, LOGIN))
            assert "attested by a key that is not one of PLANGATE_WEB_KEYS" in refused.reason
        assert (
            "does not belong to dana" in (await sent(gate, status, approval(status, "dana", WEB_KEY))).reason
        )
        raw = {"by": "dana", "plan": status.fingerprint, "assurance": "login"}
        await gate.handle(status.workflow_id).signal("approve", raw)
        attested = approval(status, "dana", WEB_KEY, LOGIN)
        answer = await sent(gate, status, attested)
        assert answer.accepted, answer.reason
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        ended = await gate.api.status(status.workflow_id)
    assert [one.assurance for one in ended.decisions if one.accepted] == [LOGIN]
    assert any("assurance" in one.reason for one in ended.decisions if not one.accepted)
    report = inspected(gate, people, WEB)
    assert (report.findings, report.web_keys) == ((), (public_of(WEB_KEY),))
    bundle = exported(gate, status.workflow_id)
    assert found(bundle) == found(bundle, people, WEB) == []
    others = TrustedWeb(origins=None, keys=frozenset({public_of(OTHER_WEB_KEY)}))
    assert "attested by a key that is not one" in "".join(found(bundle, people, others))
    assert "Not checked: that the web server" in words(bundle_page(bundle, is_trusted=False, has_people=True))


async def test_a_login_is_not_enough_if_a_rule_requires_a_signature(idle_gate: Gate, people: Path) -> None:
    del people
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one")
        refused = await sent(gate, status, approval(status, "dana", WEB_KEY, LOGIN))
        assert "takes signed decisions only" in refused.reason


async def test_an_approval_by_login_is_lost_if_its_web_server_is_no_longer_trusted(
    idle_gate: Gate, people: Path
) -> None:
    del people
    gate = idle_gate
    gate.policy = wants(("finance", 1), ("ops", 1), assurance=LOGIN)
    async with gate.worker():
        status = await gate.in_review("one")
        assert (await sent(gate, status, approval(status, "dana", WEB_KEY, LOGIN))).accepted
    gate.settings = gate.settings.model_copy(update={"web_keys": ()})
    async with gate.worker():
        assert (await sent(gate, status, approval(status, "erik", ERIK))).accepted
        again = await gate.until(
            "in_review", status.workflow_id, lambda now: any(one.void for one in now.decisions)
        )
        assert "is not one of PLANGATE_WEB_KEYS" in "".join(one.void for one in again.decisions)
    assert inspected(gate, None).findings == ()


async def test_a_proposed_key_is_valid_once_an_enroller_has_confirmed_it(
    idle_gate: Gate, people: Path
) -> None:
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one")
        assert (
            "not signed by a passkey of gina"
            in (await sent(gate, status, approval(status, "gina", GINA))).reason
        )
        mine = audience_of(gate)
        for wrong, reason in (
            (
                key_request("confirm_key", "gina", GINA.public, mine, by="mallory", signer=MALLORY_KEY),
                "is not an enroller",
            ),
            (
                key_request("confirm_key", "gina", GINA.public, mine, signer=MALLORY_KEY),
                "does not belong to carol",
            ),
            (key_request("confirm_key", "zoe", GINA.public, mine), "zoe is not in the list"),
            (key_request("confirm_key", "gina", DANA.public, mine), "is or was a key of dana"),
            (
                key_request(
                    "confirm_key", "gina", GINA.public, Audience(installation="0" * 32, namespace="x")
                ),
                "another installation",
            ),
            (
                key_request("confirm_key", "gina", GINA.public, mine).model_copy(
                    update={"key": MALLORY.public}
                ),
                "for another key",
            ),
            (
                key_request("confirm_key", "gina", GINA.public, mine).model_copy(update={"person": "erik"}),
                "for a key of gina",
            ),
        ):
            answer = await ordered(gate, wrong)
            assert not answer.accepted
            assert reason in answer.reason
        confirmed = key_request("confirm_key", "gina", GINA.public, mine)
        answer = await ordered(gate, confirmed)
        assert answer.accepted, answer.reason
        assert "used before" in (await ordered(gate, confirmed)).reason
        assert (await sent(gate, status, approval(status, "gina", GINA))).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert inspected(gate, people, WEB).findings == ()
    assert inspected(gate).findings == ()
    bundle = exported(gate, status.workflow_id)
    assert found(bundle) == found(bundle, people, WEB) == []
    known = with_keys_of(bundle, read_people(people)).find("gina")
    assert known is not None
    assert [key.x for key in known.keys] == [GINA.public]
    people.write_text(people_text().replace("enroller = true\n", ""))
    assert "is not one of gina's" in "".join(found(bundle, people, WEB))


async def test_a_revoked_key_also_revokes_its_approvals(idle_gate: Gate, people: Path) -> None:
    gate = idle_gate
    gate.policy = wants(("finance", 1), ("ops", 1), assurance=Assurance.SIGNED)
    async with gate.worker():
        mine = audience_of(gate)
        assert (await ordered(gate, key_request("confirm_key", "gina", GINA.public, mine))).accepted
        status = await gate.in_review("one")
        assert (await sent(gate, status, approval(status, "gina", GINA))).accepted
        foreign = key_request("revoke_key", "gina", GINA.public, mine, by="mallory", signer=MALLORY_KEY)
        assert "only an enroller, or gina" in (await ordered(gate, foreign)).reason
        assert (await ordered(gate, key_request("revoke_key", "gina", GINA.public, mine))).accepted
        assert (await sent(gate, status, approval(status, "erik", ERIK))).accepted
        again = await gate.until(
            "in_review", status.workflow_id, lambda now: any(one.void for one in now.decisions)
        )
        assert "signing key" in "".join(one.void for one in again.decisions)
        assert "not valid now" in (await sent(gate, status, approval(status, "gina", GINA))).reason
        back = await ordered(gate, key_request("confirm_key", "gina", GINA.public, mine))
        assert "is or was a key of gina" in back.reason
        own = key_request("revoke_key", "dana", DANA.public, mine, by="dana", signer=DANA)
        assert (await ordered(gate, own)).accepted
        assert "not valid now" in (await sent(gate, status, approval(status, "dana", DANA))).reason
    assert inspected(gate, people, WEB).findings == ()
