"""A recorded requirement is derived again from its policy, because an attacker may have written it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert

from plangate.audit.evidence import bundle_findings, bundle_of, read_bundle
from plangate.audit.inspection import inspect_all
from plangate.audit.rule_references import referenced_rules
from plangate.domain.people.assurance import Assurance
from plangate.domain.plans.drafting import check_plan
from plangate.domain.plans.plan import Audience, Plan, fingerprint_of
from plangate.domain.policies.escalation import Escalation
from plangate.domain.policies.requirement import ONE_APPROVAL, Need, Requirement, Resolvers
from plangate.domain.runs.audit import RULES_TRAIL, AuditEntry, Drafted, Requested, RulesInEffect, RunRef
from plangate.domain.runs.request import PlanRequest
from plangate.policy.policy_file import FilePolicy, policy_in
from plangate.records.checkpoints import newest_seal
from plangate.records.rule_texts import record_rules, texts_of
from plangate.records.tables import rule_texts
from plangate.records.trail import Note, open_own_trail, open_trail
from tests.support.fakes import notes
from tests.support.gate import Gate
from tests.support.sealed_records import FixedPeople, sealing, signature, trust

STRICT = policy_in(
    """
hold_timeout = "2h"

[[rule]]
name = "payments"
when = "request.requester != 'fred' && totals.note.sum == 0 && step.arguments.text.startsWith('pay')"
needs = [{ role = "finance" }, { role = "anyone" }]
assurance = "signed"
timeout = "10m"
approval_valid_for = "5m"

[[resolve]]
name = "on call"
when = "step.arguments.text.startsWith('pay')"
roles = ["ops"]
resolutions = ["retry"]
"""
)
LAX = policy_in("[default]\nneeds = []\n")


def requirement_of(policy: FilePolicy, plan: Plan, **more: Any) -> Requirement:
    return policy.requirement_for(plan, request="", requester="rita").model_copy(update=more)


def recorded(gate: Gate, policy: FilePolicy) -> None:
    record_rules(gate.database, "policy", policy.text, policy.policy_hash, "worker@here")


def make_current(gate: Gate, policy: FilePolicy | None, ago: timedelta, number: int) -> None:
    """Record a policy on the rules trail, with a past date."""
    at, name = datetime.now(UTC) - ago, policy.policy_hash if policy else ""
    with gate.database.write() as connection:
        if policy:
            connection.execute(insert(rule_texts), {"hash": name, "text": policy.text})
        event = RulesInEffect(what="policy", hash=name)
        note = Note(key=f"policy:{number}", at=at, actor="worker@here", event=event)
        open_own_trail(connection, RULES_TRAIL, "worker@here", at).append(note)


def planned(gate: Gate, text: str = "pay 9000") -> Plan:
    return check_plan(notes(text), {name: tool.declaration for name, tool in gate.tools.items()}, 50)


def record_forged_plan(gate: Gate, ref: RunRef, requirement: Requirement, **more: Any) -> Drafted:
    """Write a plan, as an attacker with full access to the database could."""
    assert ref.requested is not None
    at = ref.requested.requested_at
    plan = planned(gate)
    audience = Audience(installation=gate.database.installation, namespace="default")
    drafted = Drafted(
        revision=1,
        plan=plan,
        fingerprint=fingerprint_of(plan, 1, ref.workflow_id, audience),
        audience=audience,
        requirement=requirement,
        drafted_at=at,
        deadline=at + timedelta(minutes=5),
    ).model_copy(update=more)
    with gate.database.write() as connection:
        note = Note(key="drafted:1", at=drafted.drafted_at, actor="worker@here", event=drafted)
        open_trail(connection, ref).append(note)
    return drafted


def requested(**more: Any) -> Requested:
    at = datetime.now(UTC)
    return Requested(request="", requester="rita", timeout_seconds=259_200, requested_at=at, **more)


async def begun(gate: Gate, text: str = "pay 9000", **more: Any) -> RunRef:
    """Start a run while no worker is running, and return a reference to it, as on its trail."""
    workflow_id = f"forged-{uuid4().hex[:8]}"
    request = PlanRequest(requester="rita", plan=notes(text), **more)
    handle = await gate.client.start_workflow(
        "PlanApproval",
        request.model_dump(mode="json"),
        id=workflow_id,
        task_queue=gate.settings.task_queue,
    )
    assert handle.result_run_id
    return RunRef(workflow_id=workflow_id, chain_id=handle.result_run_id, requested=requested())


def examined(gate: Gate, workflow_id: str) -> tuple[list[str], list[str]]:
    """Return the findings in the records, and in the bundle of one run."""
    sealing(gate).seal()
    with gate.database.read() as connection:
        found = [str(one) for one in inspect_all(connection, trust(), lambda *_: None).findings]
        entries: tuple[AuditEntry, ...] = gate.api.trail(workflow_id)
        seal = newest_seal(connection, workflow_id)
        texts = texts_of(connection, referenced_rules(entries))
        bundle = bundle_of(workflow_id, entries, [seal] if seal else [], texts)
    read = read_bundle(bundle.model_dump_json())
    return found, [str(one) for one in bundle_findings(read, trusted=trust().sealers, people=trust().people)]


WEAKER: dict[str, tuple[Callable[[Requirement], Requirement], str]] = {
    "no needs": (lambda one: Requirement(policy_hash=one.policy_hash), "1 approval by finance"),
    "a role is missing": (
        lambda one: one.model_copy(update={"needs": (Need(role="anyone", count=9),)}),
        "1 approval by finance",
    ),
    "one approval fewer": (
        lambda one: one.model_copy(update={"needs": (Need(role="finance", count=1),)}),
        "2 approvals in all",
    ),
    "no signatures": (
        lambda one: one.model_copy(update={"assurance": Assurance.TYPED}),
        'the assurance "signed"',
    ),
    "old approvals": (
        lambda one: one.model_copy(update={"approval_valid_for": None}),
        "approvals that are no older than 300 seconds",
    ),
    "a long review": (
        lambda one: one.model_copy(update={"timeout_seconds": 9_000}),
        "a review of at most 600 seconds",
    ),
    "a long hold": (
        lambda one: one.model_copy(update={"hold_seconds": 7_201}),
        "a hold of at most 7200 seconds",
    ),
    "any resolver": (
        lambda one: one.model_copy(update={"resolvers": Resolvers(any_of=(("ops", "finance"),))}),
        "resolutions by ops only",
    ),
    "any resolution": (
        lambda one: one.model_copy(update={"resolvers": Resolvers(any_of=(("ops",),))}),
        "no resolution 'skip'",
    ),
    "an escalation to another role": (
        lambda one: one.model_copy(
            update={"escalations": (Escalation(role="finance", after_seconds=1, to="ops"),)}
        ),
        "no approval by ops for finance after only 1 seconds",
    ),
    "editors who removed steps approve": (
        lambda one: one.model_copy(update={"strike_keeps_approver": True}),
        "that people who removed steps do not approve",
    ),
    "no policy": (
        lambda _: Requirement(rules=("harmless",)),
        "asks for less than is needed without a policy: 1 approval in all",
    ),
}


@pytest.mark.parametrize("weaker", WEAKER)
def test_an_auditor_detects_a_requirement_weaker_than_its_policy(idle_gate: Gate, weaker: str) -> None:
    weaken, said = WEAKER[weaker]
    recorded(idle_gate, STRICT)
    ref = RunRef(workflow_id="soft", chain_id="c", requested=requested(chain_id="c"))
    record_forged_plan(idle_gate, ref, weaken(requirement_of(STRICT, planned(idle_gate))))
    records, bundle = examined(idle_gate, "soft")
    assert len(records) == len(bundle) == 1
    assert records[0].startswith("soft, entry 2: asks for less than")
    assert said in records[0]
    assert bundle == records


def test_an_auditor_detects_another_requester_and_a_review_that_is_too_long(idle_gate: Gate) -> None:
    recorded(idle_gate, STRICT)
    full = requirement_of(STRICT, planned(idle_gate))
    changes: dict[str, dict[str, Any]] = {
        "requester": {"requester": "fred"},
        "review": {"deadline": datetime.now(UTC) + timedelta(hours=5)},
    }
    for name, more in changes.items():
        record_forged_plan(
            idle_gate, RunRef(workflow_id=name, chain_id="c", requested=requested()), full, **more
        )
    records, _ = examined(idle_gate, "review")
    assert len(records) == 2
    assert "requester, entry 2: has the requester fred, but rita sent the request" in records
    assert any("review, entry 2: asks for less" in one for one in records)


@pytest.mark.parametrize(("hours", "is_found"), [(0.5, False), (2, True)])
@pytest.mark.parametrize("earlier", [None, LAX])
def test_an_auditor_detects_a_plan_under_a_policy_replaced_long_before(
    idle_gate: Gate, earlier: FilePolicy | None, hours: float, *, is_found: bool
) -> None:
    gate = idle_gate
    if earlier:
        make_current(gate, earlier, timedelta(hours=9), 1)
    make_current(gate, STRICT, timedelta(hours=hours), 2 if earlier else 1)
    requirement = requirement_of(earlier, planned(gate)) if earlier else ONE_APPROVAL
    record_forged_plan(gate, RunRef(workflow_id="old", chain_id="c", requested=requested()), requirement)
    called = f"the policy {earlier.policy_hash[:12]}" if earlier else "no policy"
    said = f"old, entry 2: refers to {called}, though another one was in effect then"
    assert examined(gate, "old")[0] == ([said] if is_found else [])


def test_an_unreadable_policy_is_detected(idle_gate: Gate) -> None:
    text = "[[person]]\nname = 'dana'\n"
    unreadable = FilePolicy({}, LAX.default, None, text)
    recorded(idle_gate, unreadable)
    record_forged_plan(
        idle_gate,
        RunRef(workflow_id="x", chain_id="c", requested=requested()),
        Requirement(policy_hash=unreadable.policy_hash),
    )
    records, bundle = examined(idle_gate, "x")
    assert records == bundle
    assert "refers to a policy that cannot be read" in records[0]


@pytest.mark.parametrize("weaker", WEAKER)
async def test_a_worker_runs_nothing_under_a_weaker_requirement(idle_gate: Gate, weaker: str) -> None:
    gate = idle_gate
    weaken, said = WEAKER[weaker]
    gate.policy, gate.directory = STRICT, FixedPeople()
    ref = await begun(gate)
    record_forged_plan(gate, ref, weaken(requirement_of(STRICT, planned(gate))), requester="rita")
    async with gate.worker():
        result = await gate.result(ref.workflow_id)
    assert (result.outcome, gate.notebook.texts()) == ("failed", [])
    assert said in result.reason or "refers to no policy" in result.reason
    assert any(
        "asks for less" in one or "refers to no policy" in one for one in examined(gate, ref.workflow_id)[0]
    )


@pytest.mark.parametrize("earlier", [None, LAX])
async def test_a_worker_runs_nothing_under_a_replaced_policy(
    idle_gate: Gate, earlier: FilePolicy | None
) -> None:
    """The attacker backdates the plan to the time of that policy."""
    gate = idle_gate
    gate.policy, gate.directory = STRICT, FixedPeople()
    if earlier:
        make_current(gate, earlier, timedelta(hours=9), 1)
    make_current(gate, STRICT, timedelta(hours=2), 2 if earlier else 1)
    ref = await begun(gate)
    requirement = requirement_of(earlier, planned(gate)) if earlier else ONE_APPROVAL
    at = datetime.now(UTC) - timedelta(hours=3)
    record_forged_plan(
        gate, ref, requirement, drafted_at=at, deadline=at + timedelta(hours=70), requester="rita"
    )
    async with gate.worker():
        result = await gate.result(ref.workflow_id)
    assert (result.outcome, gate.notebook.texts()) == ("failed", [])
    assert "though another one was in effect then" in result.reason


async def test_a_worker_runs_nothing_under_an_unknown_policy(idle_gate: Gate) -> None:
    gate = idle_gate
    gate.policy, gate.directory = STRICT, FixedPeople()
    ref = await begun(gate)
    record_forged_plan(gate, ref, Requirement(policy_hash="ab" * 32), requester="rita")
    async with gate.worker():
        result = await gate.result(ref.workflow_id)
    assert (result.outcome, gate.notebook.texts()) == ("failed", [])
    assert "refers to a policy that the records do not contain" in result.reason


async def test_a_worker_without_a_policy_runs_nothing_without_approval(idle_gate: Gate) -> None:
    gate = idle_gate
    recorded(gate, STRICT)
    for requirement in (Requirement(), Requirement(policy_hash=STRICT.policy_hash)):
        ref = await begun(gate)
        record_forged_plan(gate, ref, requirement)
        async with gate.worker():
            assert (await gate.result(ref.workflow_id)).outcome == "failed"
    assert gate.notebook.texts() == []


async def test_a_step_checks_a_plan_written_to_the_records_without_a_draft(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim checks again, even if the draft did not."""
    gate = idle_gate
    gate.policy, gate.directory = STRICT, FixedPeople()
    monkeypatch.setattr("activities.planning.Planning._earlier", lambda *_: None)
    ref = await begun(gate)
    drafted = record_forged_plan(gate, ref, Requirement(policy_hash=STRICT.policy_hash), requester="rita")
    monkeypatch.setattr("activities.planning.Planning._record", lambda *_, **__: (drafted, False))
    async with gate.worker():
        result = await gate.result(ref.workflow_id)
    assert (result.outcome, gate.notebook.texts()) == ("failed", [])
    assert "asks for less than the policy that it refers to" in result.reason


@pytest.mark.parametrize("later", [LAX, None])
async def test_a_plan_runs_under_its_own_policy_after_a_change(
    idle_gate: Gate, later: FilePolicy | None
) -> None:
    gate = idle_gate
    gate.policy, gate.directory = STRICT, FixedPeople()
    async with gate.worker():
        status = await gate.in_review("pay 9000")
    gate.policy = later
    if later is None:
        record_rules(gate.database, "policy", "", "", "worker@here")
    async with gate.worker():
        assert (await gate.decide(status, signature=signature(status, "dana"))).accepted
        assert (await gate.decide(status, by="erik", signature=signature(status, "erik"))).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["pay 9000"]
    assert examined(gate, status.workflow_id) == ([], [])
    with gate.database.read() as connection:
        assert inspect_all(connection, trust(), lambda *_: None).entries > len(gate.api.trail(RULES_TRAIL))


async def test_a_plan_from_before_any_policy_runs_with_one_approval(
    idle_gate: Gate,
) -> None:
    gate = idle_gate
    gate.directory = FixedPeople()
    async with gate.worker():
        status = await gate.in_review("pay 9000")
    make_current(gate, STRICT, timedelta(seconds=-1), 1)
    gate.policy = STRICT
    async with gate.worker():
        await gate.decide(status)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert examined(gate, status.workflow_id) == ([], [])
