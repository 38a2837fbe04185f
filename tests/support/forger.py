"""Write a complete run as a worker does; an attacker with write access to the database could do this.

A worker seals it afterwards, like all entries.
"""

from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.domain.decisions.decision import Arrival, Choice, Decision, Verdict, Via
from plangate.domain.people.people import People
from plangate.domain.plans.drafting import check_plan
from plangate.domain.plans.idempotency_key import idempotency_key
from plangate.domain.plans.plan import Audience, fingerprint_of
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.requirement import Requirement
from plangate.domain.runs.audit import (
    Claimed,
    Closed,
    Decided,
    Drafted,
    Event,
    Outcome,
    Requested,
    RunRef,
    StepDone,
    step_key,
)
from plangate.records.ledger import Effect, EffectState, claim_effect, end_claim
from plangate.records.trail import Note, OpenTrail, open_trail
from plangate.records.used_signatures import use_token
from plangate.signing.decisions import Claims, Subject, sign, verify
from tests.support.fakes import notes
from tests.support.gate import Gate

STEP = timedelta(seconds=1)


class Forger:
    """Writes one run of one step, which begins at ``at``."""

    def __init__(self, gate: Gate, run: str, at: datetime) -> None:
        self._database, self._run, self._at = gate.database, run, at
        self._audience = Audience(installation=gate.database.installation, namespace="default")
        requested = Requested(request="", requester="rita", timeout_seconds=3600, requested_at=at)
        self._ref = RunRef(workflow_id=run, chain_id="chain", requested=requested)
        self._plan = check_plan(
            notes("pay"), {name: tool.declaration for name, tool in gate.tools.items()}, 5
        )
        self._fingerprint = fingerprint_of(self._plan, 1, run, self._audience)

    def advance_to(self, at: datetime) -> None:
        """Advance the time of the next entries."""
        self._at = at

    def draft(self, requirement: Requirement) -> None:
        at = self._at = self._at + STEP
        drafted = Drafted(
            revision=1, plan=self._plan, fingerprint=self._fingerprint, audience=self._audience,
            requirement=requirement, drafted_at=at, deadline=at + timedelta(hours=1), requester="rita",
        )  # fmt: skip
        with self._database.write() as connection:
            self._put(open_trail(connection, self._ref), "drafted:1", drafted)

    def approve(self, by: str, key: Ed25519PrivateKey, people: People) -> None:
        at = self._at = self._at + STEP
        subject = Subject(workflow_id=self._run, fingerprint=self._fingerprint, audience=self._audience)
        signature = sign(
            Claims(
                aud=str(self._audience), workflow_id=self._run, fingerprint=self._fingerprint, by=by,
                decision=Choice.APPROVE, comment="", iat=int(at.timestamp()), jti=f"{by}-{self._run}-012345",
            ),
            key,
        )  # fmt: skip
        decision = Decision(decision=Choice.APPROVE, by=by, plan=self._fingerprint, signature=signature)
        arrival = Arrival(key="r:signal:1", via=Via.SIGNAL, name="approve", received_at=at, decision=decision)
        sender = verify(decision, subject=subject, people=people, at=at)
        verdict = Verdict(accepted=True, reason="approved; the plan can run now")
        decided = Decided(arrival=arrival, verdict=verdict, approver=sender.approver, people=people.hash)
        with self._database.write() as connection:
            trail = open_trail(connection, self._ref)
            self._put(trail, arrival.key, decided, actor=by)
            use_token(trail, arrival.key, sender)

    def execute(self, people: People) -> None:
        key = idempotency_key(self._run, self._fingerprint, 1)
        effect = Effect(
            idempotency_key=key, workflow_id=self._run, fingerprint=self._fingerprint, step=1,
            state=EffectState.BEGUN, holder="h", attempts=1,
        )  # fmt: skip
        claimed = Claimed(
            step=1, idempotency_key=key, fingerprint=self._fingerprint, attempt=1, people=people.hash
        )
        receipt = Receipt(summary="paid")
        self._at += STEP
        with self._database.write() as connection:
            trail = open_trail(connection, self._ref)
            claim_effect(trail, None, effect)
            end_claim(trail, key, "h", EffectState.DONE, receipt)
            self._put(trail, step_key(self._fingerprint, 1, "claimed:1"), claimed)
            self._put(trail, step_key(self._fingerprint, 1, "done"), StepDone(step=1, receipt=receipt))
            self._put(trail, "closed", Closed(outcome=Outcome.EXECUTED))

    def _put(self, trail: OpenTrail, key: str, event: Event, actor: str = "worker@here") -> None:
        trail.append(Note(key=key, at=self._at, actor=actor, event=event))
