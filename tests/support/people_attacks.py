"""Attacks on the identity of approvers, by an attacker who writes to the database and recomputes every hash.

They have their own key, which is in the list of people, or a stolen key that has expired or is not valid yet.
They write a complete, consistent trail. The list of people does not change; if the attack is about a
revocation, the step refers to the list after it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.domain.decisions.decision import Arrival, Choice, Decision, Verdict, Via
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import (
    ANYONE,
    Approver,
    Delegation,
    InvalidApproval,
    Key,
    People,
    Person,
    PersonRoles,
)
from plangate.domain.plans.idempotency_key import idempotency_key
from plangate.domain.plans.plan import Audience, Plan, Step, fingerprint_of
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import (
    FIRST_HASH,
    AuditEntry,
    Claimed,
    Closed,
    Decided,
    Drafted,
    Event,
    Outcome,
    Reopened,
    Requested,
    StepDone,
    entry_after,
)
from plangate.domain.runs.fold import fold
from plangate.domain.runs.review import judge
from plangate.signing.decisions import Claims, Subject, sign, verify
from plangate.signing.jws import key_id, public_of
from tests.support.build import drafted, requested

NOON = datetime(2026, 5, 3, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RUN = "plan-1"
AUDIENCE = Audience(installation="ab" * 16, namespace="default")
PLAN = Plan(summary="One note", steps=(Step(tool="note", arguments={"text": "a"}),))
FINGERPRINT = fingerprint_of(PLAN, 1, RUN, AUDIENCE)
SUBJECT = Subject(workflow_id=RUN, fingerprint=FINGERPRINT, audience=AUDIENCE)
OWNERS = {"finance": "dana", "ops": "erik", "legal": "fred"}
NAMES = ("dana", "erik", "fred", "gina", "mallory", "stranger")
KEYS = {name: Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)) for name in NAMES}
THEN, AFTER = "then", "after"
"""The names of the lists in effect at the decisions and at the step."""


@dataclass
class Case:
    """One run, valid until it is attacked: its list of people, its approvers, and its trail."""

    rng: Random
    people: People
    after: People
    requirement: Requirement
    decided: list[Decided] = field(default_factory=list)
    more: list[Event] = field(default_factory=list)
    """The entries between the decisions and the step."""

    def lists(self, name: str) -> People | None:
        return {THEN: self.people, AFTER: self.after}.get(name)

    def change(self, name: str, **changes: Any) -> None:
        """Change the list that is in effect from the decisions on."""
        self.people = changed(self.people, name, **changes)
        self.after = changed(self.after, name, **changes)

    def revoke(self, name: str, **changes: Any) -> None:
        """Change the list that is in effect when the step begins."""
        self.after = changed(self.after, name, **changes)

    def trail(self) -> list[AuditEntry]:
        claimed = Claimed(
            step=1,
            idempotency_key=idempotency_key(RUN, FINGERPRINT, 1),
            fingerprint=FINGERPRINT,
            attempt=1,
            people=AFTER,
        )
        done = StepDone(step=1, receipt=Receipt(summary="noted"))
        closed = Closed(outcome=Outcome.EXECUTED)
        return written([*opening(self.requirement), *self.decided, *self.more, claimed, done, closed])


def changed(people: People, name: str, **changes: Any) -> People:
    persons = [
        one.model_copy(update=changes) if one.name == name else one
        for one in people.persons
    ]  # fmt: skip
    return People(persons=tuple(persons))


def key_of(name: str, **limits: datetime | None) -> Key:
    public = public_of(KEYS[name])
    return Key(id=key_id(public), x=public, **limits)


def opening(requirement: Requirement) -> list[Event]:
    waits = drafted(
        PLAN, audience=AUDIENCE, requirement=requirement, drafted_at=NOON, deadline=NOON + 2 * DAY
    )
    return [requested(timeout_seconds=7 * 86400, requested_at=NOON), waits]


def written(events: Sequence[Event]) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    for number, event in enumerate(events, start=1):
        is_opening = isinstance(event, Requested | Drafted)
        at, key, actor = NOON if is_opening else NOON + DAY, f"key {number}", "worker"
        if isinstance(event, Decided):
            at, key = event.arrival.received_at, event.arrival.key
            actor = event.approver.name if event.approver else "unknown"
        before = entries[-1].hash if entries else FIRST_HASH
        entries.append(
            entry_after(before, workflow_id=RUN, number=number, key=key, at=at, actor=actor, event=event)
        )
    return entries


def token(by: str, signer: str, at: datetime, jti: str, choice: Choice = Choice.APPROVE) -> str:
    claims = Claims(
        aud=str(AUDIENCE), workflow_id=RUN, fingerprint=FINGERPRINT, decision=choice, comment="", by=by,
        iat=int(at.timestamp()), jti=jti,
    )  # fmt: skip
    return sign(claims, KEYS[signer])


def arrival(
    by: str, key: str, at: datetime, signature: str | None, choice: Choice = Choice.APPROVE
) -> Arrival:
    decision = Decision(decision=choice, by=by, plan=FINGERPRINT, signature=signature)
    return Arrival(key=key, via=Via.SIGNAL, name=choice, received_at=at, decision=decision)


def valid_decision(
    case: Case, by: str, choice: Choice = Choice.APPROVE, *, minute: int | None = None
) -> Decided:
    """Decide, with a worker's checks; if the decision is refused, the case is invalid."""
    number = len(case.decided) + 1
    at = NOON + timedelta(minutes=minute or number)
    received = arrival(by, f"r:signal:{number}", at, token(by, by, at, f"{by}-{number:08}", choice), choice)
    assert received.decision is not None
    sender = verify(received.decision, subject=SUBJECT, people=case.people, at=at)
    state = fold(RUN, [*opening(case.requirement), *case.decided])
    event = judge(state, received, sender)
    assert event.verdict.accepted, event.verdict.reason
    return event.model_copy(update={"people": THEN})


def forged(
    case: Case, position: int, by: str, signer: str, standings: Sequence[tuple[str, str]], **changes: Any
) -> None:
    """Replace a valid approval with one that ``signer`` signed, recorded as the forger chooses."""
    at = case.decided[position].arrival.received_at
    jti = f"forged-{position:04}"
    approver = Approver(
        name=by,
        standings=tuple(PersonRoles(person=person, roles=(role, ANYONE)) for person, role in standings),
        assurance=Assurance.SIGNED,
        key_id=key_id(public_of(KEYS[signer])),
        public_key=public_of(KEYS[signer]),
        signed_at=at.replace(microsecond=0),
        token_id=jti,
    ).model_copy(update=changes)
    received = arrival(by, f"r:signal:{position + 1}", at, token(by, signer, at, jti))
    case.decided[position] = Decided(
        arrival=received, verdict=Verdict(accepted=True, reason="forged"), approver=approver, people=THEN
    )


def valid_case(rng: Random) -> Case:
    """Create a run without an attack; in half of the cases, Gina acts for Fred."""
    roles = rng.sample(sorted(OWNERS), rng.randint(1, 3))
    delegation = Delegation(
        to="gina", roles=("legal",), valid_from=NOON - DAY * rng.randint(1, 9), valid_until=NOON + 3 * DAY
    )
    limits = {
        "valid_from": rng.choice([None, NOON - DAY]),
        "valid_until": rng.choice([None, NOON + 9 * DAY]),
    }
    persons = [Person(name="rita", roles=("finance",))]
    persons += [
        Person(
            name=name,
            roles=(role,),
            keys=(key_of(name, **limits),),
            delegates=(delegation,) if name == "fred" else (),
        )
        for role, name in OWNERS.items()
    ]
    persons += [
        Person(name="gina", keys=(key_of("gina"),)),
        Person(name="mallory", roles=("cook",), keys=(key_of("mallory"),)),
    ]
    rng.shuffle(persons)
    people = People(persons=tuple(persons))
    needs = tuple(Need(role=role, count=1) for role in roles)
    case = Case(rng, people, people, Requirement(needs=needs, assurance=Assurance.SIGNED))
    for role in roles:
        by = "gina" if role == "legal" and rng.random() < 0.5 else OWNERS[role]
        case.decided.append(valid_decision(case, by))
    return case


def attacked(case: Case) -> tuple[int, str, str]:
    """Choose the approval to attack; return its position, its approver, and the role that it is used for."""
    position = case.rng.randrange(len(case.decided))
    approver = case.decided[position].approver
    assert approver is not None
    role = case.requirement.needs[position].role
    return position, approver.name, role


# ---- forged approvals, each with the expected finding ----------------------------------------------


def role_not_held(case: Case) -> str:
    """Mallory, who has a key but not the role, approves 'as finance'."""
    position, _, role = attacked(case)
    forged(case, position, "mallory", "mallory", [("mallory", role)])
    return f"mallory does not have the role {role}"


def missing_delegation(case: Case) -> str:
    """Mallory acts for a person who has not delegated a role to Mallory."""
    position, _, role = attacked(case)
    forged(case, position, "mallory", "mallory", [("mallory", "cook"), (OWNERS[role], role)])
    return f"{OWNERS[role]} has not authorized mallory to act in the role {role}"


def delegation_at_another_time(case: Case) -> str:
    """Mallory acts under a delegation that is not in effect at that time."""
    position, _, role = attacked(case)
    limits = case.rng.choice([{"valid_until": NOON}, {"valid_from": NOON + DAY}])
    delegation = (Delegation(to="mallory", roles=(role,), **limits),)
    case.change(OWNERS[role], delegates=(*_delegates(case, OWNERS[role]), *delegation))
    forged(case, position, "mallory", "mallory", [("mallory", "cook"), (OWNERS[role], role)])
    return f"{OWNERS[role]} has not authorized mallory to act in the role {role}"


def key_of_another(case: Case) -> str:
    """Mallory's key signs in the name of a person with the role."""
    position, name, role = attacked(case)
    forged(case, position, name, "mallory", [(OWNERS[role], role)])
    return f"is not one of {name}'s in the list of people"


def unknown_key(case: Case) -> str:
    """An unknown key signs in the name of a person with the role."""
    position, name, role = attacked(case)
    forged(case, position, name, "stranger", [(OWNERS[role], role)])
    return f"is not one of {name}'s in the list of people"


def unlisted_person(case: Case) -> str:
    """A person who is not in the list approves."""
    position, _, role = attacked(case)
    forged(case, position, "stranger", "stranger", [("stranger", role)])
    return "stranger is not in the list of people"


def key_recorded_as_anothers(case: Case) -> str:
    """The record has the key of a person with the role, but Mallory's key has signed."""
    position, name, role = attacked(case)
    own = public_of(KEYS[name])
    forged(case, position, name, "mallory", [(OWNERS[role], role)], public_key=own, key_id=key_id(own))
    return "does not match what was signed"


def key_had_ended(case: Case) -> str:
    """A stolen key signs after it has expired."""
    _, name, _ = attacked(case)
    case.change(name, keys=(key_of(name, valid_until=NOON - DAY * case.rng.randint(0, 9)),))
    return f"was not valid when {name} signed"


def key_had_not_begun(case: Case) -> str:
    """A stolen key signs before it becomes valid."""
    _, name, _ = attacked(case)
    case.change(name, keys=(key_of(name, valid_from=NOON + DAY * case.rng.randint(1, 9)),))
    return f"was not valid when {name} signed"


def inactive_person(case: Case) -> str:
    """The key of an inactive person signs."""
    _, name, _ = attacked(case)
    case.change(name, active=False)
    return f"{name} is no longer active"


def role_never_held(case: Case) -> str:
    """The person never had the recorded role in the list."""
    position, name, role = attacked(case)
    case.change(OWNERS[role], roles=("cook",), delegates=())
    del position
    if name == OWNERS[role]:
        return f"{name} does not have the role {role}"
    return f"{OWNERS[role]} has not authorized {name} to act in the role {role}"


def unsigned_where_signed_required(case: Case) -> str:
    """An approval without a signature is used where signed ones are required."""
    position, name, role = attacked(case)
    proof = dict.fromkeys(("key_id", "public_key", "signed_at", "token_id"))
    forged(case, position, name, "mallory", [(OWNERS[role], role)], assurance=Assurance.TYPED, **proof)
    return "this plan takes signed decisions only"


def in_anothers_name(case: Case) -> str:
    """The decision is in one person's name, and is recorded as another person's."""
    position, name, role = attacked(case)
    forged(case, position, "mallory", "mallory", [(OWNERS[role], role)], name=name)
    return f"is attributed to {name}, but the decision names another person"


# ---- revoked between the approval and the step ---------------------------------------------------


def revoked_key(case: Case) -> str:
    """A step begins although the approval's key was removed from the list."""
    _, name, _ = attacked(case)
    case.revoke(name, keys=())
    return f"is not one of {name}'s in the list of people"


def ended_key(case: Case) -> str:
    """A step begins although the approval's key has expired in the meantime."""
    _, name, _ = attacked(case)
    case.revoke(name, keys=(key_of(name, valid_until=NOON + timedelta(hours=case.rng.randint(1, 9))),))
    return f"{name}'s signing key is no longer valid"


def key_ended_in_the_past(case: Case) -> str:
    """A step begins although the approval's key was stolen and its expiry was set to a time in the past."""
    _, name, _ = attacked(case)
    case.revoke(name, keys=(key_of(name, valid_until=NOON - DAY),))
    return f"was not valid when {name} signed"


def left_since(case: Case) -> str:
    """A step begins although the approver has left in the meantime."""
    _, name, _ = attacked(case)
    case.revoke(name, active=False)
    return f"{name} is no longer active"


def removed_from_list(case: Case) -> str:
    """A step begins although the approver is no longer in the list."""
    _, name, _ = attacked(case)
    case.after = People(persons=tuple(one for one in case.after.persons if one.name != name))
    return f"{name} is not in the list of people"


def role_removed(case: Case) -> str:
    """A step begins although the person who had or delegated the approval's role has lost it."""
    _, name, role = attacked(case)
    case.revoke(OWNERS[role], roles=("cook",))
    if name == OWNERS[role]:
        return f"{name} does not have the role {role}"
    return f"{OWNERS[role]} has not authorized {name} to act in the role {role}"


# ---- approvals that were withdrawn ----------------------------------------------------------------


def _withdraw(case: Case) -> tuple[int, str]:
    position, name, _ = attacked(case)
    case.more.append(valid_decision(case, name, Choice.WITHDRAW_APPROVAL, minute=30))
    return position, name


def step_after_a_withdrawal(case: Case) -> str:
    """A step begins although an approval was withdrawn."""
    _withdraw(case)
    return "is not approved according to the records"


def same_token_again(case: Case) -> str:
    """A withdrawn approval is recorded again, at another time."""
    position, _ = _withdraw(case)
    case.more.append(_again(case.decided[position]))
    return "it was signed before that approval was withdrawn"


def token_from_before(case: Case) -> str:
    """An approval that was signed before the withdrawal is recorded after it."""
    position, name = _withdraw(case)
    event, at = _again(case.decided[position]), NOON + timedelta(minutes=case.rng.randint(10, 29))
    assert event.approver is not None
    received = arrival(name, "r:signal:99", event.arrival.received_at, token(name, name, at, "from-before"))
    approver = event.approver.model_copy(update={"signed_at": at, "token_id": "from-before"})
    case.more.append(event.model_copy(update={"arrival": received, "approver": approver}))
    return "it was signed before that approval was withdrawn"


def withdrawal_by_another(case: Case) -> str:
    """Mallory withdraws the approval of another person, which is then no longer valid."""
    position, name, _ = attacked(case)
    at = NOON + timedelta(minutes=30)
    signed = token("mallory", "mallory", at, "withdrawn1", Choice.WITHDRAW_APPROVAL)
    received = arrival(name, "r:signal:98", at, signed, Choice.WITHDRAW_APPROVAL)
    approver = case.decided[position].approver
    verdict = Verdict(accepted=True, reason="forged")
    case.more.append(Decided(arrival=received, verdict=verdict, approver=approver, people=THEN))
    return "has the assurance signed, but its signature does not match what was signed"


def reopened_for_nothing(case: Case) -> str:
    """The review is reopened, although every approval is valid."""
    lost = case.rng.choice([(), (InvalidApproval(name="nobody", reason="forged"),)])
    case.more.append(
        Reopened(fingerprint=FINGERPRINT, step=1, lost=lost, reopened_at=NOON + DAY, deadline=NOON + 2 * DAY)
    )
    return "without an invalid approval" if not lost else "lists invalid approvals that did not exist: nobody"


def reopened_for_an_untrue_reason(case: Case) -> str:
    """The review is reopened, although every approval was valid according to the list at that time."""
    _, name, _ = attacked(case)
    lost, people = (InvalidApproval(name=name, reason="stolen"),), case.rng.choice([THEN, ""])
    case.more.append(
        Reopened(
            fingerprint=FINGERPRINT, step=1, lost=lost, people=people, reopened_at=NOON + DAY,
            deadline=NOON + 2 * DAY,
        )
    )  # fmt: skip
    return f"records a valid approval as invalid: {name}"


def _again(event: Decided) -> Decided:
    later = {"key": "r:signal:99", "received_at": NOON + timedelta(minutes=40)}
    return event.model_copy(update={"arrival": event.arrival.model_copy(update=later)})


def _delegates(case: Case, name: str) -> tuple[Delegation, ...]:
    person = case.people.find(name)
    return person.delegates if person else ()


ATTACKS: tuple[Callable[[Case], str], ...] = (
    role_not_held, missing_delegation, delegation_at_another_time, key_of_another, unknown_key,
    unlisted_person, key_recorded_as_anothers, key_had_ended, key_had_not_begun, inactive_person,
    role_never_held, unsigned_where_signed_required, in_anothers_name, revoked_key, ended_key,
    key_ended_in_the_past, left_since, removed_from_list,
    role_removed, step_after_a_withdrawal, same_token_again, token_from_before, withdrawal_by_another,
    reopened_for_nothing, reopened_for_an_untrue_reason,
)  # fmt: skip
AT_THE_STEP = frozenset(
    {
        revoked_key, ended_key, key_ended_in_the_past, left_since, removed_from_list, role_removed,
        step_after_a_withdrawal,
    }
)  # fmt: skip
"""The attacks that are found at the step; all others are found at their own entry."""
BY_TODAYS_LIST = (
    role_not_held, missing_delegation, delegation_at_another_time, key_of_another, unknown_key,
    unlisted_person, key_recorded_as_anothers, key_had_ended, key_had_not_begun, role_never_held,
    unsigned_where_signed_required,
    in_anothers_name, step_after_a_withdrawal, same_token_again, token_from_before, withdrawal_by_another,
    reopened_for_nothing,
)  # fmt: skip
"""The attacks that are found without the earlier lists."""
