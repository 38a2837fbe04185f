"""Runs that wait for one decision by Dana, written as by a worker, and an attacker's additions.

An attacker with access to the database writes a decision with any result and proof, and the entries that
follow an approval; a worker seals them afterwards, like all entries.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from plangate.domain.decisions.decision import Arrival, Choice, Decision, Resolution, Verdict, Via
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Identified, People
from plangate.domain.plans.drafting import check_plan
from plangate.domain.plans.idempotency_key import idempotency_key
from plangate.domain.plans.plan import Audience, Plan, fingerprint_of
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import (
    Claimed,
    Closed,
    Decided,
    Drafted,
    Event,
    Held,
    Outcome,
    Requested,
    RunRef,
    StepDone,
    StepFailed,
    step_key,
    step_result_key,
)
from plangate.records.ledger import Effect, EffectState, claim_effect, end_claim
from plangate.records.trail import Note, OpenTrail, open_trail
from plangate.records.used_signatures import use_token
from plangate.signing.decisions import Subject, verify
from tests.support.fakes import Notebook, notes
from tests.support.proofs import DANA, ERIK, proven

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
ARRIVED = NOON + timedelta(minutes=10)
"""The receipt time of the decision that the run waits for."""
WHY = "The connection broke."
NOTEBOOK = Notebook("note", Path("unused"))


@dataclass(frozen=True)
class ProofRun:
    """A run that waits for one kind of decision, with its plan and its author."""

    id: str
    choice: Choice
    audience: Audience
    plan: Plan
    requirement: Requirement
    people: People

    @property
    def ref(self) -> RunRef:
        asked = Requested(request="", requester="rita", timeout_seconds=86_400, requested_at=NOON)
        return RunRef(workflow_id=self.id, chain_id="run", requested=asked)

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.plan, 1, self.id, self.audience)

    @property
    def subject(self) -> Subject:
        return Subject(workflow_id=self.id, fingerprint=self.fingerprint, audience=self.audience)

    def decision(self) -> Decision:
        """Return the decision that Dana may make now, without a proof."""
        said = Decision(decision=self.choice, by="dana", plan=self.fingerprint, comment="I looked at it")
        if self.choice is Choice.EDIT:
            return said.model_copy(update={"new_plan": notes("another")})
        if self.choice is Choice.RESOLVE:
            return said.model_copy(update={"step": 1, "resolution": Resolution.RETRY, "hold": 1})
        return said

    # ---- writing ------------------------------------------------------------------------------------

    def begin(self, connection: Connection) -> None:
        """Record the run's events up to the point at which it waits for the decision."""
        trail = open_trail(connection, self.ref)
        drafted = Drafted(
            revision=1, plan=self.plan, fingerprint=self.fingerprint, audience=self.audience,
            requirement=self.requirement, drafted_at=NOON, deadline=NOON + timedelta(hours=20),
            requester="rita",
        )  # fmt: skip
        self._put(trail, "drafted:1", NOON, drafted)
        if self.choice in (Choice.WITHDRAW_APPROVAL, Choice.RESOLVE):
            self._approve(trail, "dana", minute=2)
        if self.choice is Choice.RESOLVE:
            self._approve(trail, "erik", minute=3)
            self._hold(trail)

    def _approve(self, trail: OpenTrail, by: str, minute: int) -> None:
        at = NOON + timedelta(minutes=minute)
        said = Decision(decision=Choice.APPROVE, by=by, plan=self.fingerprint)
        token_id = f"{by}-{self.id}"
        one = proven(said, self.subject, DANA if by == "dana" else ERIK, at=at, token_id=token_id)
        sender = verify(one, subject=self.subject, people=self.people, at=at)
        assert not sender.objection, sender.objection
        self.decide(trail, self.arrival(one, f"run:signal:{minute}", at), sender.approver, at)

    def arrival(self, one: Decision, key: str = "run:signal:9", at: datetime = ARRIVED) -> Arrival:
        return Arrival(key=key, via=Via.SIGNAL, name=one.decision, received_at=at, decision=one)

    def decide(self, trail: OpenTrail, arrival: Arrival, approver: object, at: datetime) -> None:
        """Record a decision as accepted, with this approver, and mark its token as used."""
        event = Decided.model_validate(
            {
                "arrival": arrival,
                "verdict": Verdict(accepted=True, reason="valid"),
                "approver": approver,
                "people": self.people.hash,
            }
        )
        assert event.approver is not None
        self._put(trail, arrival.key, at, event, actor=event.approver.name)
        use_token(trail, arrival.key, Identified(approver=event.approver))

    def _hold(self, trail: OpenTrail) -> None:
        at = NOON + timedelta(minutes=4)
        self._claim(trail, at, EffectState.RELEASED)
        failed = step_result_key(self.fingerprint, 1, "failed", undo=False, resolutions=0)
        self._put(trail, failed, at, StepFailed(step=1, reason=WHY))
        held = Held(
            number=1, step=1, fingerprint=self.fingerprint, why=WHY, held_at=at,
            deadline=at + timedelta(hours=20),
        )  # fmt: skip
        self._put(trail, "held:1", at, held)

    def _claim(self, trail: OpenTrail, at: datetime, state: EffectState) -> None:
        key = idempotency_key(self.id, self.fingerprint, 1)
        effect = Effect(
            idempotency_key=key, workflow_id=self.id, fingerprint=self.fingerprint, step=1,
            state=EffectState.BEGUN, holder="h", attempts=1,
        )  # fmt: skip
        claim_effect(trail, None, effect)
        receipt = Receipt(summary="noted") if state is EffectState.DONE else None
        end_claim(trail, key, "h", state, receipt)
        claimed = Claimed(
            step=1, idempotency_key=key, fingerprint=self.fingerprint, attempt=1, people=self.people.hash
        )
        self._put(trail, step_key(self.fingerprint, 1, "claimed:1"), at, claimed)

    def follow(self, trail: OpenTrail) -> None:
        """Record the entries that follow from an accepted decision, if any."""
        at = ARRIVED + timedelta(minutes=1)
        if self.choice is Choice.APPROVE:
            self._claim(trail, at, EffectState.DONE)
            done = StepDone(step=1, receipt=Receipt(summary="noted"))
            self._put(trail, step_key(self.fingerprint, 1, "done"), at, done)
            self._put(trail, "closed", at, Closed(outcome=Outcome.EXECUTED))
        elif self.choice is Choice.REJECT:
            self._put(trail, "closed", at, Closed(outcome=Outcome.REJECTED))

    def _put(self, trail: OpenTrail, key: str, at: datetime, event: Event, actor: str = "worker") -> None:
        trail.append(Note(key=key, at=at, actor=actor, event=event))


def proof_run(
    number: int,
    choice: Choice,
    audience: Audience,
    people: People,
    least: Assurance,
    *,
    batch: bool = False,
) -> ProofRun:
    plan = check_plan(notes("pay"), {"note": NOTEBOOK.declaration}, 5)
    needs = [Need(role="finance", count=1)]
    if choice in (Choice.WITHDRAW_APPROVAL, Choice.RESOLVE):
        needs.append(Need(role="ops", count=1))
    requirement = Requirement(needs=tuple(needs), assurance=least, batch=batch)
    return ProofRun(
        id=f"{choice.value.replace('_', '-')}-{number}", choice=choice, audience=audience, plan=plan,
        requirement=requirement, people=people,
    )  # fmt: skip
