"""Before each step, people, keys, roles and delegations are checked again."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from plangate.domain.decisions.decision import Choice
from plangate.domain.errors import DirectoryUnavailable
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Delegation, Key, People, Person
from plangate.domain.runs.audit import Reopened
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.signing.decisions import Claims, sign
from plangate.signing.jws import key_id, public_of
from plangate.tool import EffectStatus
from tests.support.fakes import LOST, TRANSIENT, NoteArguments, Notebook
from tests.support.gate import Gate
from tests.support.policies import Wants, wants
from tests.support.sealed_records import KEYS

PAST, FUTURE = datetime(2020, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)


@dataclass
class ChangingPeople:
    """A list of people that a test changes; while ``is_broken`` is set, it cannot be read."""

    persons: dict[str, Person] = field(default_factory=dict)
    is_broken: bool = False

    def people(self) -> People:
        if self.is_broken:
            raise DirectoryUnavailable("The list of people is broken.")
        return People(persons=tuple(self.persons.values()))

    def change(self, name: str, /, **changes: object) -> None:
        self.persons[name] = self.persons[name].model_copy(update=changes)


class SlowToAnswer(Notebook):
    """A tool that cannot immediately look up the result of a call."""

    asked = 0

    async def find_out(self, arguments: NoteArguments, idempotency_key: str) -> EffectStatus:
        self.asked += 1
        if self.asked == 1:
            raise OSError("The look-up is unavailable.")
        return await super().find_out(arguments, idempotency_key)


def key_of(name: str, **limits: datetime) -> Key:
    public = public_of(KEYS[name])
    return Key(id=key_id(public), x=public, **limits)


def needs(*roles: str, signed: bool = False) -> Wants:
    assurance = Assurance.SIGNED if signed else Assurance.TYPED
    return wants(*((role, 1) for role in roles), assurance=assurance)


def signed(
    status: Status, by: str, jti: str, decision: Choice = Choice.APPROVE, *, at: datetime | None = None
) -> str:
    claims = Claims(
        aud=f"{status.installation}/{status.namespace}",
        workflow_id=status.workflow_id, fingerprint=status.fingerprint or "", decision=decision, comment="",
        by=by, iat=int((at or now()).timestamp()), jti=jti,
    )  # fmt: skip
    return sign(claims, KEYS[by])


@pytest.fixture
def people(idle_gate: Gate) -> ChangingPeople:
    """Rita is the requester; Dana and Erik have keys; Fred delegates his role to Gina."""
    lent = Delegation(to="gina", roles=("legal",))
    persons = (
        Person(name="rita"),
        Person(name="dana", roles=("finance",), keys=(key_of("dana"),)),
        Person(name="erik", roles=("ops",), keys=(key_of("erik"),)),
        Person(name="fred", roles=("legal",), delegates=(lent,)),
        Person(name="gina", roles=("ops",)),
    )
    found = ChangingPeople({one.name: one for one in persons})
    idle_gate.directory = found
    return found


async def start_step_one(gate: Gate, *approvals: tuple[str, str | None]) -> Status:
    """Approve a plan of two steps, and keep its first step running until the notebook's `gate` is set."""
    status = await gate.in_review("one", "two")
    gate.notebook.gate.clear()
    for by, jti in approvals:
        answer = await gate.decide(status, by=by, signature=signed(status, by, jti) if jti else None)
        assert answer.accepted, answer.reason
    await gate.notebook.entered.wait()
    return status


async def attempts_of(gate: Gate, status: Status) -> int:
    """Return the number of attempts of the step that is waiting."""
    described = await gate.handle(status.workflow_id).describe()
    return max([one.attempt for one in described.raw_description.pending_activities], default=0)


async def reopened(gate: Gate, status: Status) -> Status:
    """Let the first step finish, and wait for the review that the second one reopens."""
    gate.notebook.gate.set()
    return await gate.until("in_review", status.workflow_id, lambda found: bool(found.lost))


REVOCATIONS: dict[str, tuple[dict[str, object], str]] = {
    "key removed": ({"keys": ()}, "is not one of dana's in the list of people"),
    "key ended": ({"keys": (key_of("dana", valid_until=PAST),)}, "was not valid when dana signed"),
    "key not begun": ({"keys": (key_of("dana", valid_from=FUTURE),)}, "was not valid when dana signed"),
    "left": ({"active": False}, "dana is no longer active"),
    "another person now": ({"name": "donna"}, "dana is not in the list of people"),
    "lost the role": ({"roles": ("ops",)}, "dana does not have the role finance"),
}


@pytest.mark.parametrize("case", REVOCATIONS)
async def test_a_revoked_approval_reopens_the_review_with_the_reason_and_other_approvals_stay(
    idle_gate: Gate, people: ChangingPeople, case: str
) -> None:
    gate = idle_gate
    gate.policy = needs("finance", "ops", signed=True)
    changes, reason = REVOCATIONS[case]
    before = people.persons["dana"]
    async with gate.worker():
        status = await start_step_one(gate, ("dana", "dana-0001"), ("erik", "erik-0001"))
        people.change("dana", **changes)
        again = await reopened(gate, status)
        ((name, why),) = [(lost.name, lost.reason) for lost in again.lost]
        assert (name, reason in why) == ("dana", True), why
        assert again.approved_by == ("erik",)
        assert [need.role for need in again.still_needed] == ["finance"]
        assert gate.notebook.texts() == ["one"]
        people.persons["dana"] = before
        old = await gate.decide(again, signature=signed(again, "dana", "dana-0001"))
        assert "used before" in old.reason
        assert (await gate.decide(again, signature=signed(again, "dana", "dana-0002"))).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        assert gate.notebook.texts() == ["one", "two"]
    events = [entry.event for entry in gate.api.trail(status.workflow_id)]
    assert sum(isinstance(event, Reopened) for event in events) == 1


async def test_an_ended_delegation_is_not_valid_for_the_next_step(
    idle_gate: Gate, people: ChangingPeople
) -> None:
    idle_gate.policy = needs("legal")
    async with idle_gate.worker():
        status = await start_step_one(idle_gate, ("gina", None))
        people.change("fred", delegates=())
        again = await reopened(idle_gate, status)
        assert [lost.reason for lost in again.lost] == [
            "fred has not authorized gina to act in the role legal"
        ]
        assert (await idle_gate.decide(again, by="fred")).accepted
        assert (await idle_gate.result(status.workflow_id)).outcome == "executed"


async def test_a_lost_role_that_is_not_needed_does_not_reopen_the_review(
    idle_gate: Gate, people: ChangingPeople
) -> None:
    people.change("dana", roles=("finance", "ops"))
    idle_gate.policy = needs("finance", "ops")
    async with idle_gate.worker():
        status = await start_step_one(idle_gate, ("dana", None), ("erik", None))
        people.change("dana", roles=("finance",))
        idle_gate.notebook.gate.set()
        assert (await idle_gate.result(status.workflow_id)).outcome == "executed"


async def test_no_step_begins_while_the_list_of_people_cannot_be_read(
    idle_gate: Gate, people: ChangingPeople
) -> None:
    gate = idle_gate
    gate.policy = needs("finance")
    async with gate.worker():
        status = await start_step_one(gate, ("dana", None))
        people.is_broken = True
        gate.notebook.gate.set()
        while await attempts_of(gate, status) < 2:
            await asyncio.sleep(0.05)
        assert gate.notebook.texts() == ["one"]
        people.is_broken = False
        assert (await gate.result(status.workflow_id)).outcome == "executed"


async def test_a_step_without_an_effect_is_checked_again_before_a_retry(
    idle_gate: Gate, people: ChangingPeople
) -> None:
    gate = idle_gate
    gate.policy = needs("finance")
    gate.notebook.failures = [TRANSIENT]
    async with gate.worker():
        status = await start_step_one(gate, ("dana", None))
        people.change("dana", active=False)
        again = await reopened(gate, status)
        assert [step.state for step in again.steps] == ["pending", "pending"]
        assert gate.notebook.texts() == []


async def test_a_running_step_is_finished_despite_later_revocations(
    idle_gate: Gate, people: ChangingPeople
) -> None:
    gate = idle_gate
    notebook = SlowToAnswer("note", gate.notebook.path, remembers=True)
    notebook.failures, notebook.writes_before_failing = [LOST], True
    gate.tools["note"], gate.policy = notebook, needs("finance")
    async with gate.worker():
        status = await gate.in_review("one")
        notebook.gate.clear()
        assert (await gate.decide(status)).accepted
        await notebook.entered.wait()
        people.change("dana", active=False)
        people.is_broken = True
        notebook.gate.set()
        await gate.until("executing", status.workflow_id, lambda one: bool(one.steps[0].last_error))
        people.is_broken = False  # nothing is claimed before the list can be read
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        assert notebook.texts() == ["one"]


async def test_the_last_approver_sees_which_approval_is_no_longer_valid(
    idle_gate: Gate, people: ChangingPeople
) -> None:
    gate = idle_gate
    gate.policy = needs("finance", "ops")
    async with gate.worker():
        status = await gate.in_review("one")
        assert (await gate.decide(status, by="dana")).accepted
        people.change("dana", active=False)
        answer = await gate.decide(status, by="erik")
        assert answer.accepted
        assert answer.reason.startswith("approved, but dana is no longer active; the plan runs when")
        after = await gate.until("in_review", status.workflow_id, lambda now: now.approved_by == ("erik",))
        assert [one.name for one in after.lost] == ["dana"]
    assert gate.notebook.texts() == []


async def test_no_one_can_approve_while_the_requester_is_not_listed(
    idle_gate: Gate, people: ChangingPeople
) -> None:
    """Under a new name, the requester would appear to be another person."""
    gate = idle_gate
    gate.policy = needs("finance")
    people.change("rita", roles=("finance",))
    async with gate.worker():
        status = await gate.in_review("pay rita")
        rita = people.persons.pop("rita")
        people.persons["rita miller"] = rita.model_copy(update={"name": "rita miller"})
        for by in ("rita miller", "dana"):
            answer = await gate.decide(status, by=by)
            assert not answer.accepted
            assert "rita, the requester, is not in the list of people" in answer.reason
        assert (await gate.decide(status, "reject", by="dana")).accepted
    assert gate.notebook.texts() == []


async def test_a_list_added_after_the_request_must_contain_the_requester(
    idle_gate: Gate, people: ChangingPeople
) -> None:
    gate = idle_gate
    gate.directory = None
    async with gate.worker():
        status = await gate.in_review("pay rita", requester="Rita M.")
    gate.directory = people
    async with gate.worker():
        answer = await gate.decide(status, by="rita")
        assert (answer.accepted, "Rita M., the requester" in answer.reason) == (False, True)
        people.persons["rita m."] = Person(name="Rita M.", active=False)
        assert (await gate.decide(status, by="dana", comment="now")).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
