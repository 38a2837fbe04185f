"""Access to a run follows from the plans on its trail: no revision is more visible than the last."""

from plangate.audit.rules import rule_violations
from plangate.domain.people.people import identify
from plangate.domain.policies.viewers import Party
from plangate.domain.runs.audit import AuditEntry, Drafted, entry_after
from plangate.domain.runs.who_may_see import may_see
from plangate.policy.policy_file import policy_in
from plangate.presentation.clock import now
from tests.support.fakes import notes
from tests.support.gate import Gate
from tests.support.holds import found
from tests.support.sealed_records import FixedPeople, people

POLICY = """
[[see]]
name = "salaries"
when = "plan.steps.exists(one, one.arguments.text.contains('salary'))"
who = ["requester"]

[[rule]]
name = "notes"
when = "true"
needs = [{ role = "ops" }]
"""


def seen_by(gate: Gate, workflow_id: str) -> set[str]:
    status = gate.recorded(workflow_id)
    assert status is not None
    listed = ("dana", "erik", "rita", "fred")
    return {name for name in listed if may_see(status, identify(people(), name, now()).approver)}


async def test_a_new_revision_is_visible_to_no_more_people_than_the_previous_plan(idle_gate: Gate) -> None:
    gate = idle_gate
    gate.policy, gate.directory = policy_in(POLICY), FixedPeople()
    async with gate.worker():
        open_to_all = await gate.in_review("lunch")
        assert seen_by(gate, open_to_all.workflow_id) == {"dana", "erik", "rita", "fred"}
        secret = await gate.in_review("the salary of erik")
        assert seen_by(gate, secret.workflow_id) == {"rita", "erik"}
        answer = await gate.decide(secret, "edit", by="rita", new_plan=notes("lunch"))
        assert answer.accepted
        edited = await gate.until("in_review", secret.workflow_id, lambda now: now.revision == 2)
        assert seen_by(gate, secret.workflow_id) == {"rita", "erik"}  # the old plan is on its trail
        assert (await gate.decide(edited, by="erik")).accepted
        assert (await gate.result(secret.workflow_id)).outcome == "executed"
    assert found(gate, secret.workflow_id) == []
    entries = list(gate.api.trail(secret.workflow_id))
    assert [str(one) for one in rule_violations(secret.workflow_id, _opened(entries))] == [
        f"{secret.workflow_id}, entry 4: may be seen by more people than the previous plan"
    ]


def _opened(entries: list[AuditEntry]) -> list[AuditEntry]:
    """Return the trail, forged so that everyone may see the second plan."""
    second = next(one for one in entries if isinstance(one.event, Drafted) and one.event.revision > 1)
    assert isinstance(second.event, Drafted)
    assert second.event.requirement.seen_by[0].who == (Party.REQUESTER,)
    requirement = second.event.requirement.model_copy(update={"seen_by": ()})
    forged = entry_after(
        second.previous_hash,
        workflow_id=second.workflow_id,
        number=second.number,
        key=second.key,
        at=second.at,
        actor=second.actor,
        event=second.event.model_copy(update={"requirement": requirement}),
    )
    return [forged if one.number == second.number else one for one in entries]
