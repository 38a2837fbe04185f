"""The state that a run reports may be forged, so a decision is checked against the recorded trail."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from activities.decisions import _BatchJudge
from activities.plan_check import PlanCheck
from plangate.audit.rules import rule_violations
from plangate.domain.decisions.decision import Arrival, Choice, Decision, Verdict, Via
from plangate.domain.people.assurance import Assurance
from plangate.domain.plans.plan import Audience, Plan, Step
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import Decided, Drafted, WrittenEntry
from plangate.domain.runs.findings import readable
from plangate.domain.runs.fold import apply
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.run import Phase, RunState
from plangate.records.trail import Note, OpenTrail, open_trail
from plangate.signing.decisions import Claims, sign
from tests.support import build
from tests.support.build import NOON
from tests.support.fresh_records import fresh_records
from tests.support.record_writer import run_ref
from tests.support.sealed_records import KEYS, people
from workflows.plan_approval import Carried

HERE = Audience(installation="here", namespace="default")
OURS, THEIRS = "abcdef01" + "1" * 56, "abcdef01" + "2" * 56
PLAN = Plan(summary="s", steps=(Step(tool="note", arguments={}),))
BOTH = Requirement(
    needs=(Need(role="finance", count=1), Need(role="ops", count=1)), assurance=Assurance.SIGNED
)
NOW = NOON + timedelta(minutes=1)


def drafted(requirement: Requirement = BOTH, fingerprint: str = OURS, **more: Any) -> Drafted:
    fields = {"fingerprint": fingerprint, "audience": HERE, "requirement": requirement, **more}
    return build.drafted(PLAN, **fields)


def state(*events: Any, workflow_id: str = "plan-1") -> RunState:
    found = RunState(workflow_id=workflow_id)
    for event in (run_ref().requested, *events):
        found = apply(found, event)
    return found


def arrival(
    by: str = "dana", choice: Choice = Choice.APPROVE, number: int = 1, run_id: str = "r", **more: Any
) -> Arrival:
    message = Decision(decision=choice, by=by, **{"plan": OURS[:8], **more})
    return Arrival(
        key=f"{run_id}:signal:{number}", via=Via.SIGNAL, name=choice, received_at=NOW, decision=message
    )


def token(by: str, *, workflow_id: str = "plan-1", fingerprint: str = OURS) -> str:
    claims = Claims(
        aud=str(HERE), workflow_id=workflow_id, fingerprint=fingerprint, decision=Choice.APPROVE, comment="",
        by=by, iat=int(NOW.timestamp()), jti=f"{by}-0123456789",
    )  # fmt: skip
    return sign(claims, KEYS[by])


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[OpenTrail]:
    records = fresh_records(tmp_path / "records.db")
    with records.write() as connection:
        yield open_trail(connection, run_ref())
    records.close()


def record(trail: OpenTrail, *events: Any) -> None:
    for event in events:
        key = event.arrival.key if isinstance(event, Decided) else f"{event.kind}"
        trail.append(Note(key=key, at=NOON, actor="worker", event=event))


def judged(trail: OpenTrail, run: RunState, *arrivals: Arrival) -> list[Decided]:
    return _BatchJudge(trail, run, people(), HERE, plans=PlanCheck({}, 20), can_draft=True).judged(arrivals)


@pytest.mark.parametrize(
    ("run", "message"), [("plan-2", "signed for the run plan-2"), ("plan-1", "signed for plan")]
)
def test_an_approval_signed_for_another_plan_is_not_valid_for_one_with_the_same_prefix(
    trail: OpenTrail, run: str, message: str
) -> None:
    record(trail, drafted())
    forged = state(drafted(fingerprint=THEIRS), workflow_id=run)
    signed = [token(by, workflow_id=run, fingerprint=THEIRS) for by in ("dana", "erik")]
    verdicts = judged(
        trail, forged, arrival(signature=signed[0]), arrival("erik", number=2, signature=signed[1])
    )
    assert [one.verdict.accepted for one in verdicts] == [False, False]
    assert all(message in one.verdict.reason for one in verdicts)
    assert not any(one.approver and one.approver.is_signed for one in verdicts)


def test_approvals_signed_for_this_plan_are_accepted(trail: OpenTrail) -> None:
    record(trail, drafted())
    both = [arrival(by, signature=token(by), number=n) for n, by in enumerate(("dana", "erik"))]
    verdicts = judged(trail, state(drafted()), *both)
    assert [one.verdict.reason for one in verdicts] == [
        "approved; still needed: 1 approval by ops", "approved; the plan can run now"
    ]  # fmt: skip


def test_only_the_proven_original_of_a_signed_decision_is_the_proof_of_its_copy(trail: OpenTrail) -> None:
    """While a worker had no list of people, it accepted the same decision under the typed name."""
    signed = [arrival(signature=token("dana"), run_id=run) for run in ("typed", "proven", "copy")]
    record(trail, drafted())
    (proven,) = judged(trail, state(drafted()), signed[1])
    assert proven.approver is not None
    by_name = proven.approver.model_copy(update={"assurance": Assurance.TYPED})
    typed, copy = (proven.model_copy(update={"arrival": one, "approver": by_name}) for one in signed[::2])
    refused = proven.model_copy(
        update={
            "arrival": arrival(number=2, signature=token("dana")),
            "verdict": Verdict(accepted=False, reason="no"),
            "approver": proven.approver.model_copy(update={"origin": "https://refused.example"}),
        }
    )
    record(trail, refused, typed, proven)
    other = copy.model_copy(update={"arrival": arrival(signature=token("erik"))})
    batch = _BatchJudge(trail, state(drafted()), people(), HERE, plans=PlanCheck({}, 20), can_draft=True)
    assert batch.counted(copy).approver == proven.approver
    assert batch.counted(other).approver == by_name


@pytest.mark.parametrize(
    ("forged", "sent"),
    [
        (state(drafted(Requirement(needs=BOTH.needs))), arrival()),
        (state(drafted(Requirement(needs=(Need(role="finance", count=1),)))), arrival("fred")),
        (state(drafted(deadline=NOON + timedelta(days=9))), arrival(signature=token("dana"))),
        (
            state(drafted(Requirement(needs=BOTH.needs), revision=0)),
            arrival("fred", Choice.REQUEST_CHANGES, comment="c"),
        ),
        (state(drafted(Requirement(needs=BOTH.needs))), arrival("fred", Choice.REJECT)),
    ],
)
def test_a_decision_that_only_the_run_would_accept_is_refused(
    trail: OpenTrail, forged: RunState, sent: Arrival
) -> None:
    ended = NOW if sent.decision and sent.decision.signature else NOON + timedelta(hours=1)
    record(trail, drafted(deadline=ended))
    (verdict,) = judged(trail, forged, sent)
    assert not verdict.verdict.accepted
    assert apply(trail.state(), verdict).phase is Phase.IN_REVIEW


def test_a_recorded_approval_is_accepted_again_by_a_run_reset_to_before_it(
    trail: OpenTrail,
) -> None:
    one = drafted(Requirement(needs=(Need(role="finance", count=1),)))
    record(trail, one)
    record(trail, *judged(trail, state(one), arrival()))
    assert trail.state().phase is Phase.EXECUTING
    again, by_fred, by_erik = judged(
        trail, state(one), arrival(run_id="after"), arrival("fred", run_id="after", number=2),
        arrival("erik", run_id="after", number=3),
    )  # fmt: skip
    assert again.verdict.accepted
    assert [by_fred.verdict.accepted, by_erik.verdict.accepted] == [False, False]
    (by_fred,) = judged(trail, state(one), arrival("fred", run_id="after", number=2))
    assert by_fred.verdict.accepted  # in review, the record would have accepted it too
    (by_rita,) = judged(
        trail, state(one).model_copy(update={"requested": None}), arrival("rita", run_id="after")
    )
    assert not by_rita.verdict.accepted  # she is the requester


def test_the_state_is_computed_from_the_record_once_per_batch(
    trail: OpenTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(trail, drafted(Requirement(needs=(Need(role="finance", count=2),))))
    folded: list[RunState] = []
    fold = trail.state

    def counted() -> RunState:
        folded.append(fold())
        return folded[-1]

    monkeypatch.setattr(trail, "state", counted)
    run = trail.state()
    folded.clear()
    many_forged = [arrival("dana", number=n, signature="x.y.z") for n in range(50)]
    approvals = [arrival("dana", number=60), arrival("fred", number=61)]
    verdicts = judged(trail, run, *many_forged, *approvals)
    assert [one.verdict.accepted for one in verdicts] == [False] * 50 + [True, True]
    assert verdicts[-1].verdict.reason == "approved; the plan can run now"
    assert len(folded) == 1


@pytest.mark.parametrize("plan", ["", "a", OURS[:7]])
def test_a_short_prefix_never_identifies_a_plan(trail: OpenTrail, plan: str) -> None:
    message = arrival().model_dump(mode="json")
    message["decision"]["plan"] = plan
    with pytest.raises(ValidationError, match="too short"):
        Carried(carried=state(), request=PlanRequest(requester="rita"), arrivals=(message,))
    one = drafted(Requirement(needs=(Need(role="finance", count=1),)))
    record(trail, one)
    (good,) = judged(trail, state(one), arrival())
    decision = Decision.model_construct(**{**dict(good.arrival.decision or ()), "plan": plan})
    bad = good.model_copy(update={"arrival": good.arrival.model_copy(update={"decision": decision})})
    assert apply(trail.state(), good).phase is Phase.EXECUTING
    assert apply(trail.state(), bad).phase is Phase.IN_REVIEW
    assert not judged(trail, state(one), bad.arrival)[0].verdict.accepted
    entries = [
        *trail.entries(),
        trail.entries()[-1].model_copy(update={"number": 3, "event": bad, "actor": "dana", "at": NOW}),
    ]
    assert "was accepted but refers to no plan" in [
        found.what for found in rule_violations("plan-1", entries)
    ]
    record(trail, bad)
    stored = [WrittenEntry(**dict(one)) for one in trail.entries()]
    assert any("cannot read" in str(one) for one in readable(stored))
