"""The right to resolve a held run, which every check derives from the policy and the list of people."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from plangate.audit.inspection import inspect_all
from plangate.domain.errors import EffectUnknown, ToolRefused
from plangate.domain.people.people import People
from plangate.domain.runs.audit import Claimed, Decided
from plangate.policy.people_file import people_in
from plangate.policy.policy_file import policy_in
from tests.support.gate import Gate
from tests.support.sealed_records import sealing, trust
from tests.support.transactions import hook_transactions
from tests.workflow.test_audit_no_false_positives import reset

POLICY = policy_in(
    """
hold_timeout = "4h"
strike_keeps_approver = true

[[resolve]]
name = "on call"
when = "true"
roles = ["ops"]
resolutions = ["retry", "skip"]

[default]
needs = [{ role = "finance" }]
"""
)
ROLES = {"rita": ["ops"], "dana": ["finance"], "erik": ["ops"], "olga": ["ops"], "anna": ["finance", "ops"]}


@dataclass
class ChangingPeople:
    """The list of people; those in ``left`` are not active."""

    left: set[str] = field(default_factory=set)

    def people(self) -> People:
        lines = []
        for name, roles in ROLES.items():
            lines += ["[[person]]", f"name = '{name}'", f"roles = {roles}"]
            lines.append(f"active = {'false' if name in self.left else 'true'}")
            if name in ("rita", "anna"):
                lines.append("delegates = [{ to = 'dana', roles = ['ops'] }]")
        return people_in("\n".join(lines) + "\n")


@pytest.fixture
def people(idle_gate: Gate) -> ChangingPeople:
    found = ChangingPeople()
    idle_gate.policy, idle_gate.directory = POLICY, found
    return found


def findings(gate: Gate, people: ChangingPeople) -> list[str]:
    sealing(gate).seal()
    trusted = trust().model_copy(update={"people": people.people()})
    with gate.database.read() as connection:
        return [str(one) for one in inspect_all(connection, trusted, lambda *_: None).findings]


async def edited(gate: Gate, *texts: str) -> Any:
    """Edit a plan as Anna, and return the status of her revision."""
    status = await gate.in_review(*texts)
    new = {"summary": "By Anna", "steps": [{"tool": "note", "arguments": {"text": one}} for one in texts]}
    assert (await gate.decide(status, "edit", "anna", new_plan=new)).accepted
    return await gate.until("in_review", status.workflow_id, lambda now: now.revision == 2)


async def test_only_people_with_a_role_in_the_policy_can_resolve(
    idle_gate: Gate, people: ChangingPeople
) -> None:
    gate = idle_gate
    async with gate.worker():
        status = await edited(gate, "one", "two")
        gate.notebook.failures = [ToolRefused("No.")]
        assert not (await gate.decide(status, by="anna")).accepted
        assert (await gate.decide(status, by="dana")).accepted
        refusals = {
            by: (await gate.resolve(status.workflow_id, "retry", by)).reason
            for by in ("dana", "rita", "anna", "mallory")
        }
        assert refusals == {
            "dana": "dana may not resolve this run; it needs ops",  # nor may the people who delegated to her
            "rita": "rita is the requester; another person must resolve it",
            "anna": "anna edited this plan; another person must resolve it",
            "mallory": "mallory is not in the list of people",
        }
        undo = await gate.resolve(status.workflow_id, "undo", "erik")
        assert "the policy does not allow 'undo' here (rule: on call)" in undo.reason
        held = await gate.held(status.workflow_id)
        assert held.held is not None
        assert held.held.resolutions == ("retry", "skip", "abort")
        assert held.deadline is not None
        assert (held.deadline - held.held.since).total_seconds() == 4 * 3600
        assert (await gate.resolve(status.workflow_id, "skip", "erik")).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["two"]
    assert findings(gate, people) == []


def let_erik_leave(people: ChangingPeople, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Erik leave as soon as his resolution is recorded."""

    async def erik_leaves(result: Any, is_receipt: bool) -> None:
        del is_receipt
        events = result if isinstance(result, tuple) else ()
        if any(one.approver and one.approver.name == "erik" for one in events if isinstance(one, Decided)):
            people.left = {"erik"}

    hook_transactions(monkeypatch, "admit_decisions", after=erik_leaves)


@pytest.mark.parametrize("resolution", ["retry", "skip"])
async def test_a_step_does_not_begin_under_a_resolution_by_a_person_who_has_left(
    idle_gate: Gate, people: ChangingPeople, resolution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Erik leaves between his resolution and the next step, so the run is held again."""
    gate = idle_gate

    let_erik_leave(people, monkeypatch)
    async with gate.worker():
        status = await gate.in_review("one", "two")
        gate.notebook.failures = [ToolRefused("No.")]
        assert (await gate.decide(status, by="dana")).accepted
        assert (await gate.resolve(status.workflow_id, resolution, "erik")).accepted
        again = await gate.until(
            "held", status.workflow_id, lambda now: bool(now.held and "erik" in now.held.why)
        )
        assert again.held is not None
        assert again.held.step == (1 if resolution == "retry" else 2)
        said = f"erik resolved step 1 with '{resolution}', and now erik is no longer active"
        assert again.held.why == said
        assert gate.notebook.texts() == []
        assert (await gate.resolve(status.workflow_id, "retry", "olga", comment="I looked")).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == (["one", "two"] if resolution == "retry" else ["two"])
    assert findings(gate, people) == []


async def test_a_step_stays_in_doubt_if_the_retry_does_not_begin(
    idle_gate: Gate, people: ChangingPeople, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the next retry would have a new idempotency key, and the effect might happen twice."""
    gate = idle_gate

    let_erik_leave(people, monkeypatch)
    async with gate.worker():
        status = await gate.in_review("one")
        gate.notebook.failures = [EffectUnknown("The connection broke.")]
        assert (await gate.decide(status, by="dana")).accepted
        assert (await gate.resolve(status.workflow_id, "retry", "erik")).accepted
        again = await gate.until(
            "held", status.workflow_id, lambda now: bool(now.held and "erik" in now.held.why)
        )
        assert again.steps[0].state == "in_doubt"
        assert (await gate.resolve(status.workflow_id, "retry", "olga", comment="I looked")).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    trail = [entry.event for entry in gate.api.trail(status.workflow_id)]
    assert len({one.idempotency_key for one in trail if isinstance(one, Claimed)}) == 1
    assert findings(gate, people) == []


async def test_a_run_reset_to_before_its_hold_is_held_again_and_does_nothing(gate: Gate) -> None:
    gate.notebook.failures = [ToolRefused("No.")]
    status = await gate.in_review("one")
    await gate.signal(status)
    before = await gate.held(status.workflow_id)
    await reset(gate, status.workflow_id, "workflow_execution_signaled_event_attributes")
    again = await gate.held(status.workflow_id)
    assert again.held == before.held
    assert gate.notebook.texts() == []
    assert (await gate.resolve(status.workflow_id, "retry")).accepted
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one"]
