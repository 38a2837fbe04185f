"""The audit checks approvers against the list of people that was in effect, and reports later revocations."""

import asyncio
import hashlib
from io import StringIO
from pathlib import Path

import pytest
from sqlalchemy import insert

from plangate.audit.evidence import bundle_findings, bundle_notes, bundle_of
from plangate.audit.inspection import Inspection, inspect_all
from plangate.audit.rule_references import referenced_rules
from plangate.audit.trust_anchors import Trust
from plangate.policy.people_file import PeopleFile, read_people
from plangate.presentation.clock import now
from plangate.presentation.console import Console
from plangate.presentation.run_page import run_page
from plangate.records.queries import status_on_record
from plangate.records.rule_texts import texts_of
from plangate.records.tables import rule_texts
from plangate.signing.jws import public_of
from tests.support.audit_edits import disable_guards, rewrite_trail, trail_of
from tests.support.gate import Gate
from tests.support.program import Home
from tests.support.sealed_records import KEYS
from tests.workflow.test_revocation import needs, signed

LIST = f"""
[[person]]
name = "rita"
[[person]]
name = "dana"
roles = ["finance"]
keys = [{{ public = "ed25519:{public_of(KEYS["dana"])}" }}]
[[person]]
name = "erik"
roles = ["ops"]
keys = [{{ public = "ed25519:{public_of(KEYS["erik"])}" }}]
"""


@pytest.fixture
def people(idle_gate: Gate, tmp_path: Path) -> Path:
    path = tmp_path / "people.toml"
    path.write_text(LIST)
    idle_gate.directory = PeopleFile(path)
    idle_gate.policy = needs("finance", signed=True)
    return path


def examined(gate: Gate, path: Path) -> Inspection:
    with gate.database.read() as connection:
        return inspect_all(connection, Trust(people=read_people(path), now=now()), lambda *_: None)


async def executed(gate: Gate) -> str:
    async with gate.worker():
        status = await gate.in_review("one")
        assert (await gate.decide(status, signature=signed(status, "dana", "dana-0001"))).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    return status.workflow_id


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('roles = ["finance"]', 'roles = ["finance"]\nactive = false', "dana is no longer active"),
        ('" }}]'.replace("}}", "}"), '", until = 2020-01-01 }]', "was not valid when dana signed"),
        ('roles = ["finance"]', 'roles = ["ops"]', "dana does not have the role finance"),
    ],
)
async def test_a_later_revocation_is_noted_and_is_not_a_finding(
    idle_gate: Gate, people: Path, old: str, new: str, said: str
) -> None:
    gate = idle_gate
    workflow_id = await executed(gate)
    inspection = examined(gate, people)
    assert (inspection.findings, inspection.notes) == ((), ())
    people.write_text(LIST.replace(old, new, 1))
    inspection = examined(gate, people)
    assert inspection.findings == ()
    (note,) = inspection.notes
    assert said in note.what
    entries = gate.api.trail(workflow_id)
    with gate.database.read() as connection:
        bundle = bundle_of(workflow_id, entries, (), texts_of(connection, referenced_rules(entries)))
    today = read_people(people)
    findings = list(bundle_findings(bundle, trusted=frozenset(), people=today))
    assert [one for one in findings if not one.is_unsealed] == []
    assert [said in one.what for one in bundle_notes(bundle, today, now())] == [True]


async def test_a_waiting_plan_shows_a_revoked_approval_in_its_status_and_not_in_the_audit(
    idle_gate: Gate, people: Path
) -> None:
    """The approval has no effect, now or later."""
    gate = idle_gate
    gate.policy = needs("finance", "ops", signed=True)
    async with gate.worker():
        status = await gate.in_review("one")
        assert (await gate.decide(status, signature=signed(status, "dana", "dana-0001"))).accepted
        assert (await gate.api.status(status.workflow_id)).revoked == ()
        people.write_text(LIST.replace('roles = ["finance"]', 'roles = ["finance"]\nactive = false'))
        await gate.decide(status, by="erik", decision="withdraw_approval")  # a worker reads the list
        shown = await gate.api.status(status.workflow_id)
        assert [(one.name, one.reason) for one in shown.revoked] == [("dana", "dana is no longer active")]
    by_record = status_on_record(gate.database, status.workflow_id)
    assert by_record is not None
    assert by_record.revoked == shown.revoked
    screen = StringIO()
    Console(screen).print(run_page(shown, now()))
    assert "dana is no longer active, so dana's approval is no longer valid" in screen.getvalue()
    assert examined(gate, people).notes == ()


async def test_a_revocation_is_reported_with_its_list(idle_gate: Gate, people: Path, tmp_path: Path) -> None:
    gate = idle_gate
    workflow_id = await executed(gate)
    entries = gate.api.trail(workflow_id)
    with gate.database.read() as connection:
        bundle = bundle_of(workflow_id, entries, (), texts_of(connection, referenced_rules(entries)))
    kept = tmp_path / "bundle.json"
    kept.write_text(bundle.model_dump_json())
    people.write_text(LIST.replace('roles = ["finance"]', 'roles = ["finance"]\nactive = false', 1))
    auditor = Home(gate.settings.var_dir, {"PLANGATE_PEOPLE": str(people)})
    alone = ("audit", "verify-bundle", str(kept), "--people", str(people), "--allow-unsealed")
    for words in (("audit", "verify"), alone):
        verified = await asyncio.to_thread(auditor.starter, *words)
        assert verified.code == 0, verified.err
        assert (
            f"revoked since then, according to the list of people {people}: 1. They were valid"
            in verified.out
        )


async def test_a_signed_approval_under_a_role_added_by_an_attacker_is_detected(
    idle_gate: Gate, people: Path
) -> None:
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one")
        refused = await gate.decide(status, by="erik", signature=signed(status, "erik", "erik-0001"))
        assert "no role that can decide" in refused.reason
    with gate.database.write() as connection:  # like an attacker with full access to the database
        disable_guards(connection)
        rows = trail_of(connection, status.workflow_id)
        row = rows[-1]
        row["event"] = (
            row["event"].replace('"accepted":false', '"accepted":true').replace('"ops"', '"finance"')
        )
        rewrite_trail(connection, status.workflow_id, rows)
        findings = inspect_all(connection, Trust(people=read_people(people)), lambda *_: None).findings
    (finding,) = [one for one in findings if one.entry is not None]
    assert "the decision by erik is not supported by the list from that time" in finding.what
    assert "erik does not have the role finance" in finding.what


async def test_a_list_of_people_written_by_an_attacker_is_detected(idle_gate: Gate, people: Path) -> None:
    """An attacker with full access to the database adds a list under which their forgery would be valid."""
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one")
        refused = await gate.decide(status, by="erik", signature=signed(status, "erik", "erik-0001"))
        assert "no role that can decide" in refused.reason
    forged = LIST.replace('"ops"', '"finance"')
    forged_hash = hashlib.sha256(forged.encode()).hexdigest()
    with gate.database.write() as connection:
        disable_guards(connection)
        connection.execute(insert(rule_texts), {"hash": forged_hash, "text": forged})
        rows = trail_of(connection, status.workflow_id)
        written = rows[-1]["event"].replace('"accepted":false', '"accepted":true')
        true_hash = hashlib.sha256(people.read_bytes()).hexdigest()
        rows[-1]["event"] = written.replace('"ops"', '"finance"').replace(true_hash, forged_hash)
        rewrite_trail(connection, status.workflow_id, rows)
        findings = [str(one) for one in inspect_all(connection, Trust(), lambda *_: None).findings]
    (found,) = [one for one in findings if "was never in effect on any worker" in one]
    assert forged_hash[:12] in found
