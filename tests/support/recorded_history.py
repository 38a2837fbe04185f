"""A run with edits, holds, resolutions and undos, written event by event according to the rules.

Each event gets the next minute. A decision is signed by its person, checked by the real rules and recorded;
`forced` records a refused decision as accepted, as an attacker with write access to the database does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.domain.decisions.decision import Arrival, Choice, Decision, Resolution, Verdict, Via
from plangate.domain.errors import StepUnready
from plangate.domain.people.people import Approver, People
from plangate.domain.plans.plan import Audience, Plan, Step, fingerprint_of, removed_steps
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.audit import (
    FIRST_HASH,
    AuditEntry,
    Claimed,
    Closed,
    Decided,
    Drafted,
    Event,
    Held,
    Outcome,
    Released,
    Requested,
    RuleText,
    StepDone,
    StepFailed,
    StepInDoubt,
    StepUndone,
    entry_after,
)
from plangate.domain.runs.deadlines import hold_deadline
from plangate.domain.runs.fold import apply
from plangate.domain.runs.lifecycle import executed_because, undone_because
from plangate.domain.runs.resolved_references import resolve_references
from plangate.domain.runs.review import judge
from plangate.domain.runs.run import Phase, RunState, key_of, next_step, next_undo
from plangate.policy.people_file import people_in
from plangate.policy.policy_file import FilePolicy, policy_in
from plangate.signing.decisions import Claims, Subject, hash_of_new_plan, sign, verify
from plangate.signing.jws import PUBLIC_PREFIX, public_of
from tests.support.build import NOON

RUN = "plan-1"
AUDIENCE = Audience(installation="ab" * 16, namespace="default")
ROLES = {
    "rita": "'finance', 'ops'", "dana": "'finance'", "fred": "'finance'", "erik": "'ops'",
    "anna": "'finance', 'ops'", "gina": "'cook'", "mallory": "'cook'",
}  # fmt: skip
"""Rita is the requester and Anna the editor; both delegate to Gina."""
KEYS = {name: Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)) for name in ROLES}
_FINANCE = "[default]\nneeds = [{ role = 'finance' }]\n"
_BY_OPS = "[[resolve]]\nname = 'on call'\nwhen = 'true'\nroles = ['ops']\n"
POLICIES = tuple(
    map(
        policy_in,
        (
            _FINANCE,
            "strike_keeps_approver = true\n" + _FINANCE,
            "hold_timeout = '4h'\n" + _BY_OPS + _FINANCE + "assurance = 'signed'\n",
            _BY_OPS + "assurance = 'signed'\nresolutions = ['retry', 'mark_done', 'undo']\n" + _FINANCE,
        ),
    )
)
"""The last two let ops resolve; the last one does not allow 'skip'."""


def people(inactive: str = "") -> People:
    """The list of people; one person may have left."""
    lines = []
    for name, roles in ROLES.items():
        lines += ["[[person]]", f"name = '{name}'", f"roles = [{roles}]"]
        lines.append(f"keys = [{{ public = '{PUBLIC_PREFIX}{public_of(KEYS[name])}' }}]")
        lines += [f"active = {'false' if name == inactive else 'true'}"]
        if name in ("rita", "anna"):
            lines.append(f"delegates = [{{ to = 'gina', roles = [{roles}] }}]")
    return people_in("\n".join(lines) + "\n")


LISTED = people()


def plan_of(count: int) -> Plan:
    """A plan of this many steps; the second one refers to the first, and all but the last can be undone."""
    steps = []
    for number in range(1, count + 1):
        arguments: dict[str, Any] = {"text": f"note {number}"}
        if number == 2:
            arguments["after"] = {"from_step": 1, "field": "number"}
        steps.append(
            Step(tool="note", arguments=arguments, preview=f"Note {number}", undoable=number < count)
        )
    return Plan(summary="Notes", steps=tuple(steps))


class Refused(AssertionError):
    """An error: the rules refuse a decision that should be allowed."""


@dataclass
class RunHistory:
    """The run so far."""

    rng: Random
    policy: FilePolicy
    run: str = RUN
    state: RunState = field(init=False)
    now: datetime = NOON
    entries: list[AuditEntry] = field(default_factory=list)
    people: People = LISTED
    used: list[People] = field(default_factory=lambda: [LISTED])

    def __post_init__(self) -> None:
        self.state = RunState(workflow_id=self.run)
        self.add(Requested(request="", requester="rita", timeout_seconds=86_400, requested_at=self.now))
        self.draft(plan_of(self.rng.randint(3, 4)))

    # ---- events ---------------------------------------------------------------------------------

    def add(self, event: Event, actor: str = "worker@here", key: str = "") -> None:
        if isinstance(event, Requested):
            actor = "rita"
        before = self.entries[-1].hash if self.entries else FIRST_HASH
        number = len(self.entries) + 1
        self.entries.append(
            entry_after(
                before, workflow_id=self.run, number=number, key=key or f"key:{number}", at=self.now,
                actor=actor, event=event,
            )
        )  # fmt: skip
        self.state = apply(self.state, event)
        self.now += timedelta(minutes=1)

    def draft(self, plan: Plan, **changes: Any) -> Drafted:
        revision = self.state.next_revision
        before, edit = self.state.drafted, self.state.edit
        fields = {
            "revision": revision, "plan": plan,
            "fingerprint": fingerprint_of(plan, revision, self.run, AUDIENCE), "audience": AUDIENCE,
            "requirement": self.policy.requirement_for(plan, request="", requester="rita"),
            "drafted_at": self.now, "deadline": self.now + timedelta(hours=9), "requester": "rita",
            "author": edit.by if edit else "",
            "struck": removed_steps(before.plan, plan.proposed()) or () if before and edit else (),
        }  # fmt: skip
        drafted = Drafted(**{**fields, **changes})
        self.add(drafted)
        return drafted

    def arrival(
        self, by: str, choice: Choice, *, plan: str = "", signer: str = "", run: str = "", **more: Any
    ) -> Arrival:
        """Return a signed decision that is received now."""
        digits = plan or self.state.fingerprint or ""
        if choice is Choice.RESOLVE:
            more.setdefault("hold", self.state.next_hold)
        said = Decision(decision=choice, by=by, plan=digits, **{"comment": "c", **more})
        claims = Claims(
            aud=str(AUDIENCE), workflow_id=run or self.run, fingerprint=digits.ljust(64, "0"),
            decision=choice, comment=said.comment, by=by, iat=int(self.now.timestamp()),
            jti=f"{by}-{len(self.entries):08}",
            new_plan_sha256=hash_of_new_plan(said.new_plan), step=said.step, resolution=said.resolution,
            hold=said.hold,
        )  # fmt: skip
        said = said.model_copy(update={"signature": sign(claims, KEYS[signer or by])})
        number = len(self.entries) + 1
        return Arrival(
            key=f"r:signal:{number}", via=Via.SIGNAL, name=choice, received_at=self.now, decision=said
        )

    def judged(self, arrival: Arrival, *, unsigned: bool = False) -> Decided:
        """Return the decision with its result by the rules; ``unsigned``: only the name was typed."""
        assert arrival.decision is not None
        if unsigned:
            sender = self.people.identify(arrival.decision.by, arrival.received_at)
        else:
            subject = Subject(
                workflow_id=self.run, fingerprint=self.state.fingerprint or "", audience=AUDIENCE
            )
            sender = verify(arrival.decision, subject=subject, people=self.people, at=arrival.received_at)
        return judge(self.state, arrival, sender).model_copy(update={"people": self.people.hash})

    def decide(self, by: str, choice: Choice = Choice.APPROVE, **more: Any) -> None:
        """Decide as the rules allow."""
        event = self.judged(self.arrival(by, choice, **more))
        if not event.verdict.accepted:
            raise Refused(event.verdict.reason)
        self.add(event, actor=by, key=event.arrival.key)

    def forced(self, event: Decided, approver: Approver | None = None) -> str:
        """Record a refused decision as accepted; return why the rules refuse it."""
        assert not event.verdict.accepted, event.verdict.reason
        verdict = Verdict(accepted=True, reason="forged")
        forged = event.model_copy(update={"verdict": verdict, "approver": approver or event.approver})
        actor = forged.approver.name if forged.approver else "unknown"
        self.add(forged, actor=actor, key=event.arrival.key)
        return event.verdict.reason

    def resolve(self, resolution: Resolution, by: str = "", **more: Any) -> None:
        """Resolve the hold as the rules allow."""
        assert self.state.held is not None
        fields = {"step": self.state.held.step, "resolution": resolution, **more}
        self.decide(by or self.resolver(), Choice.RESOLVE, **fields)

    def resolver(self) -> str:
        """Return a person who may resolve."""
        assert self.state.drafted is not None
        is_ops = self.state.drafted.requirement.resolvers is not None
        return "erik" if is_ops else self.rng.choice(["dana", "fred"])

    # ---- steps ----------------------------------------------------------------------------------

    def claim(self, step: int | None = None, *, undo: bool = False, **changes: Any) -> int:
        """Begin a step, or its undo; by default the next one."""
        step = step or (next_undo(self.state) if undo else next_step(self.state)) or 1
        assert self.state.drafted is not None
        key = key_of(self.state, step, undo=undo)
        attempts = sum(
            isinstance(one.event, Claimed) and one.event.idempotency_key == key for one in self.entries
        )
        arguments = self.state.drafted.plan.steps[step - 1].arguments
        fields = {
            "step": step, "idempotency_key": key, "fingerprint": self.state.fingerprint or "",
            "attempt": attempts + 1, "people": self.people.hash, "undo": undo,
        }  # fmt: skip
        if "resolved" not in changes:
            fields["resolved"] = resolve_references(arguments, self.state.steps)
        self.add(Claimed(**{**fields, **changes}))
        return step

    def done(self, step: int, *, undo: bool = False) -> None:
        receipt = Receipt(summary="noted", details={"number": 40 + step})
        self.add(StepUndone(step=step, receipt=receipt) if undo else StepDone(step=step, receipt=receipt))

    def stop(self, step: int, *, in_doubt: bool, undo: bool = False) -> None:
        """Make a step fail, or leave it in doubt, perhaps after an attempt that had no effect."""
        if in_doubt:
            self.add(StepInDoubt(step=step, reason="no answer", undo=undo))
            return
        if self.rng.random() < 0.3:
            self.add(Released(step=step, attempt=self._attempts(step, undo=undo), reason="away", undo=undo))
            self.claim(step, undo=undo)
        self.add(StepFailed(step=step, reason="refused", undo=undo))

    def _attempts(self, step: int, *, undo: bool) -> int:
        key = key_of(self.state, step, undo=undo)
        return sum(
            isinstance(one.event, Claimed) and one.event.idempotency_key == key for one in self.entries
        )

    def hold(self, step: int, *, undo: bool = False, **changes: Any) -> None:
        assert self.state.drafted is not None
        progress = self.state.steps[step - 1]
        fields = {
            "number": self.state.next_hold, "step": step, "undo": undo,
            "fingerprint": self.state.fingerprint or "",
            "why": (progress.undo if undo else progress).reason, "held_at": self.now,
            "deadline": hold_deadline(self.state.drafted.requirement, self.now),
        }  # fmt: skip
        self.add(Held(**{**fields, **changes}))

    def close(self, outcome: Outcome, reason: str = "") -> None:
        self.add(Closed(outcome=outcome, reason=reason))

    # ---- sequences of events -------------------------------------------------------------------

    def approved(self) -> "RunHistory":
        """Approve the plan, perhaps after an edit."""
        if self.rng.random() < 0.4:
            self.edited()
        self.decide(self.rng.choice([one for one in ("dana", "fred") if one not in self.state.authors]))
        return self

    def edited(self, by: str = "anna", *, strike: bool = False) -> Plan:
        """Edit the plan as a person, and draft the revision."""
        assert self.state.drafted is not None
        plan = self.state.drafted.plan
        if strike:
            new = plan.model_copy(update={"steps": plan.steps[:-1]})
        else:
            new = plan.model_copy(update={"summary": f"Notes {len(self.entries)}"})
        self.decide(by, Choice.EDIT, new_plan=new.proposed().model_dump(mode="json"))
        self.draft(new)
        return new

    def held(self, *, in_doubt: bool | None = None, after: int | None = None) -> int:
        """Hold the run at a step; return it. ``after`` is how many steps are done before it."""
        if self.state.phase is Phase.IN_REVIEW:
            self.approved()
        count = len(self.state.steps)
        for _ in range(self.rng.randint(0, count - 1) if after is None else after):
            self.done(self.claim())
        step = self.claim()
        self.stop(step, in_doubt=self.rng.random() < 0.5 if in_doubt is None else in_doubt)
        self.hold(step)
        return step

    def finish(self) -> None:
        """Continue to the end."""
        while self.state.phase is Phase.EXECUTING and (step := next_step(self.state)) is not None:
            if not self.is_ready(step):
                return
            self.done(self.claim())
        while self.state.phase is Phase.UNDOING and next_undo(self.state) is not None:
            self.done(self.claim(undo=True), undo=True)
        if self.state.phase is Phase.EXECUTING:
            self.close(Outcome.EXECUTED, executed_because(self.state))
        elif self.state.phase is Phase.UNDOING:
            self.close(Outcome.FAILED, undone_because(self.state))
        elif self.state.closed is not None:
            self.close(self.state.closed.outcome, self.state.closed.reason)

    def is_ready(self, step: int) -> bool:
        """Return whether the references of a step can be resolved; otherwise, the run is held."""
        assert self.state.drafted is not None
        try:
            resolve_references(self.state.drafted.plan.steps[step - 1].arguments, self.state.steps)
        except StepUnready as error:
            self.add(StepFailed(step=step, reason=str(error)))
            self.hold(step)
            return False
        return True

    def deactivate(self, name: str) -> None:
        """Make a person inactive in the list of people that is current from now on."""
        self.people = people(inactive=name)
        self.used.append(self.people)

    def texts(self) -> tuple[RuleText, ...]:
        """The policy and the lists of people that the trail refers to."""
        policy = RuleText(hash=self.policy.policy_hash, text=self.policy.text)
        lists = [RuleText(hash=one.hash, text=one.text) for one in self.used]
        return (policy, *lists)


def valid_history(rng: Random) -> RunHistory:
    """Return a run without an attack that is randomly held, resolved, held again and undone."""
    history = RunHistory(rng, rng.choice(POLICIES))
    if rng.random() < 0.2:
        history.edited(rng.choice(["dana", "fred"]), strike=True)
    history.held()
    for _ in range(rng.randint(0, 3)):
        resolve_somehow(history)
        if history.state.phase not in (Phase.EXECUTING, Phase.UNDOING):
            break
        undo = history.state.phase is Phase.UNDOING
        step = next_undo(history.state) if undo else next_step(history.state)
        if step is None or rng.random() < 0.4:
            break
        if not undo and not history.is_ready(step):
            continue
        history.claim(step, undo=undo)
        history.stop(step, in_doubt=rng.random() < 0.5, undo=undo)
        history.hold(step, undo=undo)
    if history.state.phase is not Phase.HELD:
        history.finish()
    return history


def resolve_somehow(history: RunHistory) -> None:
    """Resolve a hold with any possible resolution."""
    held = history.state.held
    assert held is not None
    choices: Sequence[Resolution] = list(Resolution)
    while True:
        try:
            history.resolve(history.rng.choice(choices))
        except Refused:
            continue
        return
