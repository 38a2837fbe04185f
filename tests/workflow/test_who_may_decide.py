"""The right to decide, in real runs: people, roles, delegations and signatures, checked at each decision."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.audit.rule_references import referenced_rules
from plangate.domain.decisions.decision import Choice
from plangate.domain.errors import DirectoryUnavailable
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Identified
from plangate.domain.runs.audit import Decided
from plangate.domain.runs.status import Status
from plangate.policy.people_file import PeopleFile, read_people
from plangate.policy.policy_file import read_policy
from plangate.presentation.clock import now
from plangate.records.rule_texts import texts_of
from plangate.records.trail import read_trail
from plangate.signing.decisions import Claims, sign
from plangate.signing.jws import public_of
from tests.support.gate import Gate
from tests.support.policies import wants

DANA_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


@pytest.fixture
def people(idle_gate: Gate, tmp_path: Path) -> Path:
    """The list of people of the test instance: rita, dana (finance), erik (ops) and fred (both)."""
    path = tmp_path / "people.toml"
    write(path)
    idle_gate.directory = PeopleFile(path)
    return path


def write(path: Path, more: str = "", *, dana: str = "") -> None:
    path.write_text(
        f"""
        [[person]]
        name = "Rita"
        roles = ["finance"]
        [[person]]
        name = "Dana"
        roles = ["finance"]
        keys = [{{ public = "ed25519:{public_of(DANA_KEY)}" }}]
        {dana}
        [[person]]
        name = "Erik"
        roles = ["ops"]
        [[person]]
        name = "Fred"
        roles = ["finance", "ops"]
        {more}
        """
    )


def token(status: Status, **changes: Any) -> str:
    said: dict[str, Any] = {
        "aud": f"{status.installation}/{status.namespace}", "workflow_id": status.workflow_id,
        "fingerprint": status.fingerprint, "decision": Choice.APPROVE,
        "comment": "", "by": "dana", "iat": int(now().timestamp()), "jti": "0123456789",
    }  # fmt: skip
    return sign(Claims(**{**said, **changes}), DANA_KEY)


async def test_each_decision_refers_to_its_list_of_people_and_the_records_keep_it(
    idle_gate: Gate, people: Path
) -> None:
    idle_gate.policy = wants(("finance", 1), ("ops", 1))
    first = people.read_text()
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
        assert (await idle_gate.decide(status)).accepted
        write(people, '[[person]]\nname = "Gina"\n')
        assert (await idle_gate.decide(status, by="erik")).accepted
        await idle_gate.result(status.workflow_id)
    with idle_gate.database.read() as connection:
        entries = read_trail(connection, status.workflow_id)
        kept = {text.hash: text.text for text in texts_of(connection, referenced_rules(entries))}
    judged_by = [entry.event.people for entry in entries if isinstance(entry.event, Decided)]
    assert [kept[name] for name in judged_by] == [first, people.read_text()]


@pytest.mark.usefixtures("people")
async def test_only_people_with_the_required_roles_can_approve(idle_gate: Gate) -> None:
    idle_gate.policy = wants(("finance", 1), ("ops", 1))
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
        for by, why in {"zoe": "not in the list of people", "rita": "is the requester"}.items():
            assert why in (await idle_gate.decide(status, by=by)).reason
        assert (await idle_gate.decide(status, by="fred")).accepted
        assert "counts once" in (await idle_gate.decide(status, by="FRED")).reason
        assert (await idle_gate.decide(status, by="erik")).accepted
        assert (await idle_gate.result(status.workflow_id)).approved_by == ("Fred", "Erik")


@pytest.mark.usefixtures("people")
async def test_a_stranger_is_refused_as_one_even_if_no_model_could_change_the_plan(idle_gate: Gate) -> None:
    idle_gate.planner.has_model = False
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
        for by, why in {"zoe": "not in the list of people", "dana": "no model is configured"}.items():
            answer = await idle_gate.decide(status, "request_changes", by=by, comment="two, please")
            assert why in answer.reason


async def test_only_an_approval_that_would_start_the_plan_says_that_an_earlier_one_is_invalid(
    idle_gate: Gate, people: Path
) -> None:
    idle_gate.policy = wants(("finance", 1), ("ops", 2))
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
        assert (await idle_gate.decide(status)).accepted
        people.write_text(people.read_text().replace('name = "Dana"', 'name = "Gina"'))
        for decision, by in (("approve", "erik"), ("reject", "fred")):
            answer = await idle_gate.decide(status, decision, by=by)
            assert (answer.accepted, "approved, but" in answer.reason) == (True, False)


async def test_an_unlisted_requester_gets_no_plan(idle_gate: Gate, people: Path) -> None:
    write(people)
    async with idle_gate.worker():
        for name, outcome in {"stranger": "failed", "RITA": "withdrawn"}.items():
            workflow_id = await idle_gate.submit("one", requester=name)
            if outcome == "withdrawn":
                await idle_gate.until("in_review", workflow_id)
                await idle_gate.api.withdraw(workflow_id, "no longer needed")
            result = await idle_gate.result(workflow_id)
            assert result.outcome == outcome
            assert ("is not in the list of people" in result.reason) is (outcome == "failed")


async def test_a_person_who_left_while_the_run_waited_cannot_approve(idle_gate: Gate, people: Path) -> None:
    idle_gate.policy = wants(("finance", 1))
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
        write(people, dana="active = false")
        assert "no longer active" in (await idle_gate.decide(status)).reason
        write(people)
        assert (await idle_gate.decide(status)).accepted


async def test_a_decision_waits_while_the_list_of_people_is_invalid(idle_gate: Gate, people: Path) -> None:
    idle_gate.policy = wants(("finance", 1))
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
        people.write_text("[[person]")
        with pytest.raises(DirectoryUnavailable):
            PeopleFile(people).people()
        await idle_gate.signal(status)
        assert (await idle_gate.api.status(status.workflow_id)).state == "in_review"
        write(people)
        assert (await idle_gate.result(status.workflow_id)).outcome == "executed"


async def test_a_delegate_approves_in_the_delegators_name_and_the_record_shows_it(
    idle_gate: Gate, people: Path
) -> None:
    write(people, 'delegates = [{ to = "Erik", roles = ["finance"], until = 2999-01-01 }]')
    idle_gate.policy = wants(("finance", 2))
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
        assert (await idle_gate.decide(status, by="erik")).accepted
        assert "adds nothing" in (await idle_gate.decide(status, by="fred")).reason
        assert (await idle_gate.decide(status, by="dana")).accepted
        await idle_gate.result(status.workflow_id)
        decisions = (await idle_gate.api.status(status.workflow_id)).decisions
        assert [one.on_behalf_of for one in decisions if one.accepted] == [("Fred",), ()]


@pytest.mark.parametrize("limits", ["until = 2020-01-01", "from = 2999-01-01"])
async def test_a_delegation_outside_its_period_has_no_effect(
    idle_gate: Gate, people: Path, limits: str
) -> None:
    write(people, f'delegates = [{{ to = "Erik", roles = ["finance"], {limits} }}]')
    idle_gate.policy = wants(("finance", 1))
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
        assert "no role that can decide" in (await idle_gate.decide(status, by="erik")).reason


@pytest.mark.usefixtures("people")
async def test_an_unsigned_decision_is_refused_with_instructions_if_a_signature_is_required(
    idle_gate: Gate,
) -> None:
    idle_gate.policy = wants(("finance", 1), assurance=Assurance.SIGNED)
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
        for decision in ("approve", "reject", "request_changes"):
            answer = await idle_gate.decide(status, decision, comment="no")
            assert not answer.accepted
            assert "starter.py sign" in answer.reason
        await idle_gate.signal(status, plan=status.fingerprint, signature=token(status))
        result = await idle_gate.result(status.workflow_id)
        assert (result.outcome, result.unverified) == ("executed", ())


@pytest.mark.usefixtures("people")
async def test_a_signed_decision_is_accepted_once_across_all_runs(idle_gate: Gate) -> None:
    idle_gate.policy = wants(("finance", 2), assurance=Assurance.SIGNED)
    async with idle_gate.worker():
        status, other = await idle_gate.in_review("one"), await idle_gate.in_review("two")
        signed = token(status)
        assert (await idle_gate.decide(status, signature=signed)).accepted
        assert "counts once" in (await idle_gate.decide(status, signature=signed)).reason
        assert "signed for the run" in (await idle_gate.decide(other, signature=signed)).reason
        assert "used before" in (await idle_gate.decide(other, signature=token(other))).reason
        assert (await idle_gate.decide(other, signature=token(other, jti="another-one"))).accepted


@pytest.mark.usefixtures("people")
async def test_a_signature_for_another_installation_or_namespace_is_not_valid(
    idle_gate: Gate,
) -> None:
    idle_gate.policy = wants(("finance", 1), assurance=Assurance.SIGNED)
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
        for elsewhere, words in (
            (f"{'0' * 32}/{status.namespace}", "signed for another installation of Plangate (00000000"),
            (f"{status.installation}/staging", "signed for the namespace staging, not for default"),
        ):
            answer = await idle_gate.decide(status, signature=token(status, aud=elsewhere))
            assert (answer.accepted, words in answer.reason) == (False, True)
        assert (await idle_gate.decide(status, signature=token(status))).accepted


@pytest.mark.usefixtures("people")
async def test_a_signature_from_before_the_review_is_not_valid(idle_gate: Gate) -> None:
    idle_gate.policy = wants(("finance", 1), assurance=Assurance.SIGNED)
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
        early = int((now() - timedelta(minutes=6)).timestamp())
        answer = await idle_gate.decide(status, signature=token(status, iat=early))
        assert "before this review began" in answer.reason


@pytest.mark.usefixtures("people")
async def test_rules_and_records_see_the_requester_as_spelled_in_the_list_of_people(
    idle_gate: Gate, tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(
        """
        [[rule]]
        name = "what Rita asks for"
        when = "request.requester == 'Rita'"
        needs = [{ role = "anyone", count = 3 }]
        """
    )
    idle_gate.policy = read_policy(path, {}, None)
    async with idle_gate.worker():
        status = await idle_gate.in_review("one", requester="  RITA ")
        recorded = [entry.event for entry in idle_gate.api.trail(status.workflow_id)]

    assert status.requirement
    assert status.requirement.rules == ("what Rita asks for",)
    assert status.requester == "Rita"
    assert [event.requester for event in recorded if event.kind in ("requested", "drafted")] == ["Rita"] * 2


@pytest.mark.usefixtures("people")
async def test_an_unsigned_approval_is_marked_as_not_verified_everywhere(idle_gate: Gate) -> None:
    idle_gate.policy = wants(("finance", 2))
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
        await idle_gate.decide(status, by="fred")
        await idle_gate.decide(status, signature=token(status))
        result = await idle_gate.result(status.workflow_id)
        after = await idle_gate.api.status(status.workflow_id)
        assert result.unverified == after.unverified == ("Fred",)
        assert [one.assurance for one in after.decisions] == ["typed", "signed"]
        recorded = [entry.event for entry in idle_gate.api.trail(status.workflow_id)]
        assert [
            event.approver.is_signed for event in recorded if event.kind == "decided" and event.approver
        ] == [
            False,
            True,
        ]


async def test_an_exempt_plan_runs_without_approval_and_the_record_contains_the_rule(
    idle_gate: Gate, tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(
        """
        [[rule]]
        name = "a note or two"
        when = "step.tool == 'note' && counts.note < 3"
        needs = []
        """
    )
    idle_gate.policy = read_policy(path, {"note": idle_gate.notebook.declaration}, None)
    async with idle_gate.worker():
        free = await idle_gate.result(await idle_gate.submit("one", "two"))
        assert (free.outcome, free.approved_by) == ("executed", ())
        drafted = next(
            entry.event for entry in idle_gate.api.trail(free.workflow_id) if entry.event.kind == "drafted"
        )
        assert drafted.requirement.rules == ("a note or two",)
        assert len(drafted.requirement.policy_hash) == 64
        status = await idle_gate.in_review("one", "two", "three")
        assert str(status.requirement) == "1 approval by anyone but the requester"


def test_a_lookalike_name_does_not_identify_a_person(people: Path) -> None:
    listed = read_people(people)
    for name in ("D\u0430na", "Dana.", "Dan a", ""):
        assert listed.identify(name, now()) == Identified(objection=f"{name} is not in the list of people")
