"""The verdict on a decision, and what stands on the record as approved."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.audit import Closed, Decided, Drafted, Event, Outcome, Requested, StepDone, StepInDoubt
from plangate.domain.decision import Arrival, Choice, Decision, Verdict, Via
from plangate.domain.errors import NotApproved
from plangate.domain.fold import KEPT_REFUSALS, apply, fold
from plangate.domain.plan import Plan, Step, fingerprint_of
from plangate.domain.policy import ONE_APPROVAL, Need, Requirement
from plangate.domain.review import authorise, judge
from plangate.domain.run import Phase, RunState, next_wakeup
from plangate.domain.tool import Receipt
from tests.support.fakes import AUDIENCE
from tests.support.senders import judge_all, sender_of, sent

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DEADLINE = NOON + timedelta(hours=1)
PLAN = Plan(summary="s", steps=(Step(tool="t", arguments={}), Step(tool="t", arguments={"n": 2})))
REQUESTED = Requested(request="r", requester="rita", timeout_seconds=3600, requested_at=NOON)


def drafted(revision: int = 1, requirement: Requirement = ONE_APPROVAL) -> Drafted:
    return Drafted(
        revision=revision,
        plan=PLAN,
        fingerprint=fingerprint_of(PLAN, revision, "w", AUDIENCE),
        audience=AUDIENCE,
        requirement=requirement,
        drafted_at=NOON,
        deadline=DEADLINE,
    )


def arrival(
    decision: str = "approve",
    by: str = "dana",
    plan: str | None = None,
    at: datetime = NOON,
    comment: str = "c",
) -> Arrival:
    said = Decision(decision=Choice(decision), by=by, plan=plan or drafted().fingerprint, comment=comment)
    return Arrival(key=f"{decision}{by}{at}", via=Via.SIGNAL, name=decision, received_at=at, decision=said)


def state_after(*events: Event) -> RunState:
    return fold("w", (REQUESTED, *events))


def decide(state: RunState, *arrivals: Arrival) -> RunState:
    for event in judge_all(state, sent(arrivals)):
        state = apply(state, event)
    return state


def accepts(state: RunState, one: Arrival) -> bool:
    return judge(state, one, sender_of(one)).verdict.accepted


def test_a_plan_without_needs_runs_by_itself() -> None:
    assert state_after(drafted(requirement=Requirement())).phase is Phase.EXECUTING


@pytest.mark.parametrize("decision", list(Choice))
def test_a_decision_that_is_written_down_late_changes_nothing_once_the_review_is_over(decision: str) -> None:
    late = arrival(decision, by="erik")
    accepted = Decided(
        arrival=late, verdict=Verdict(accepted=True, reason=""), approver=sender_of(late).approver
    )
    for over in (
        decide(state_after(drafted()), arrival()),
        state_after(drafted(), Closed(outcome=Outcome.WITHDRAWN)),
        decide(state_after(drafted()), arrival("request_changes")),
    ):
        after = apply(over, accepted)
        assert (after.phase, after.approvals, after.closed) == (over.phase, over.approvals, over.closed)


def test_two_needed_approvals_are_two_people() -> None:
    two = Requirement(needs=(Need(role="anyone", count=2),))
    state = decide(state_after(drafted(requirement=two)), arrival(), arrival(by="DANA"))
    assert state.phase is Phase.IN_REVIEW
    assert decide(state, arrival(by="erik")).phase is Phase.EXECUTING


def test_a_decision_at_the_deadline_is_too_late_and_one_just_before_it_is_not() -> None:
    state = state_after(drafted())
    assert not accepts(state, arrival(at=DEADLINE))
    assert accepts(state, arrival(at=DEADLINE - timedelta(microseconds=1)))


@pytest.mark.parametrize("decision", ["reject", "request_changes"])
def test_the_requester_may_reject_or_change_but_not_approve(decision: str) -> None:
    assert accepts(state_after(drafted()), arrival(decision, by="rita"))
    assert not accepts(state_after(drafted()), arrival("approve", by="rita"))


def test_one_reject_ends_the_review_whoever_approved_before() -> None:
    two = Requirement(needs=(Need(role="anyone", count=2),))
    state = decide(state_after(drafted(requirement=two)), arrival(), arrival("reject", by="erik"))
    assert state.state == "rejected"


def test_the_run_wakes_at_its_deadline_and_only_while_in_review() -> None:
    assert next_wakeup(state_after(), NOON) is None
    assert next_wakeup(state_after(drafted()), NOON) == DEADLINE
    late = DEADLINE + timedelta(days=1)
    assert next_wakeup(state_after(drafted()), late) == late
    assert next_wakeup(decide(state_after(drafted()), arrival()), NOON) is None


def test_only_the_newest_refusals_are_kept_and_the_rest_counted() -> None:
    state = state_after(drafted())
    state = decide(
        state, *(arrival(by="rita", at=NOON + timedelta(seconds=n)) for n in range(KEPT_REFUSALS + 7))
    )
    assert len(state.decisions) == KEPT_REFUSALS
    assert state.refusals_not_kept == 7
    assert state.decisions[0].arrival.received_at == NOON + timedelta(seconds=7)


def approved() -> RunState:
    return decide(state_after(drafted()), arrival())


def done(step: int) -> StepDone:
    return StepDone(step=step, receipt=Receipt(summary="ok"))


def test_an_approved_plan_is_authorised_step_by_step() -> None:
    authorise(approved(), drafted().fingerprint, 1)
    authorise(apply(approved(), done(1)), drafted().fingerprint, 2)


@pytest.mark.parametrize(
    ("state", "fingerprint", "step", "reason"),
    [
        (state_after(), drafted().fingerprint, 1, "No plan"),
        (state_after(drafted()), drafted().fingerprint, 1, "is not approved"),
        (decide(state_after(drafted()), arrival(by="rita")), drafted().fingerprint, 1, "is not approved"),
        (approved(), drafted(2).fingerprint, 1, "No plan"),
        (approved(), drafted().fingerprint, 2, "before the steps before it are done"),
        (approved(), drafted().fingerprint, 3, "no step 3"),
        (approved(), drafted().fingerprint, 0, "no step 0"),
        (apply(approved(), drafted(2)), drafted().fingerprint, 1, "was replaced"),
        (apply(approved(), drafted(2)), drafted(2).fingerprint, 1, "is not approved"),
        (
            apply(approved(), Closed(outcome=Outcome.WITHDRAWN)),
            drafted().fingerprint,
            1,
            "closed (withdrawn)",
        ),
        (apply(approved(), StepInDoubt(step=1, reason="?")), drafted().fingerprint, 2, "before the steps"),
    ],
)
def test_anything_else_is_not(state: RunState, fingerprint: str, step: int, reason: str) -> None:
    with pytest.raises(NotApproved, match=reason.replace("(", r"\(").replace(")", r"\)")):
        authorise(state, fingerprint, step)


arrivals = st.builds(
    arrival,
    decision=st.sampled_from(["approve", "reject", "request_changes"]),
    by=st.sampled_from(["dana", "rita", "RITA", "erik"]),
    plan=st.sampled_from([drafted(n).fingerprint[:length] for n in (1, 2, 3) for length in (8, 12, 64)]),
    at=st.sampled_from([NOON, DEADLINE - timedelta(seconds=1), DEADLINE, DEADLINE + timedelta(days=1)]),
)


@given(st.lists(arrivals, max_size=12))
def test_whatever_comes_an_approval_counts_only_in_review_in_time_on_this_plan_by_another_person(
    coming: list[Arrival],
) -> None:
    state, revision = state_after(drafted()), 1
    for one in coming:
        before = state
        (event,) = judge_all(state, sent([one]))
        state = apply(state, event)
        if event.verdict.accepted:
            assert before.phase is Phase.IN_REVIEW
            assert one.decision is not None
            assert drafted(revision).fingerprint.startswith(one.decision.plan)
            assert one.received_at < DEADLINE
            assert one.decision.decision != "approve" or one.decision.by.lower() != "rita"
        else:
            assert state.phase == before.phase
            assert event.verdict.reason
        if state.phase is Phase.DRAFTING:
            revision += 1
            state = apply(state, drafted(revision))
    accepted = [event for event in state.decisions if event.verdict.accepted and isinstance(event, Decided)]
    assert (state.phase is Phase.EXECUTING) == any(
        event.arrival.decision is not None and event.arrival.decision.decision == "approve"
        for event in accepted
    )
