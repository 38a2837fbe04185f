"""Valid approvals, replayed approvals, and withdrawn approvals."""

from collections import Counter
from datetime import timedelta
from itertools import permutations
from random import Random
from typing import Any

from plangate.domain.decisions.decision import Arrival, Choice, Decision, Resolution, Verdict, Via
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Approver, InvalidApproval, People, Person, PersonRoles, identify
from plangate.domain.plans.idempotency_key import idempotency_key
from plangate.domain.policies.requirement import Need, Requirement, Resolvers
from plangate.domain.runs.audit import Claimed, Decided, Event, Reopened
from plangate.domain.runs.fold import KEPT_ACCEPTED, apply
from plangate.domain.runs.review import judge
from plangate.domain.runs.revocation import invalid_approvals, invalid_resolution, possible_replay
from plangate.domain.runs.run import Phase, Resolved, RunState, is_behind
from tests.support.build import DEADLINE, NOON, accepts, arrival, decide, drafted, requested, state_after
from tests.support.held_runs import held
from tests.support.naive_review import (
    Case,
    arrival_of,
    at,
    case_of,
    in_review,
    own_capacities,
    people_of,
    with_later,
)
from tests.support.senders import sender_of
from tests.support.times import times
from tests.unit.test_markdown import decided
from tests.unit.test_markdown import in_review as a_review

TWO = Requirement(needs=(Need(role="anyone", count=2),))


def approved_by(case: Case) -> tuple[RunState, list[tuple[str, list[tuple[str, str]], int]]]:
    """Check all approvals of a case; return the state, and the name, roles and hour of each accepted one."""
    state, people = in_review(case), people_of(case)
    ways = []
    for number, said in enumerate(one for one in case.said if one.choice is Choice.APPROVE):
        event = judge(state, arrival_of(said, number), sender_of(arrival_of(said, number), people))
        if event.verdict.accepted:
            ways.append((said.by, own_capacities(case, said.by, said.hour), said.hour))
        state = apply(state, event)
    return state, ways


def can_all_count(needs: dict[str, int], people: list[list[tuple[str, str]]]) -> bool:
    """Return whether each of these people can fill a separate place, trying every order."""
    places = [role for role, count in needs.items() for _ in range(count)]
    for chosen in permutations(places, len(people)):
        taken = [
            [who for who, role in ways if role == place] for ways, place in zip(people, chosen, strict=True)
        ]
        if _distinct(taken, frozenset()):
            return True
    return False


def _distinct(taken: list[list[str]], used: frozenset[str]) -> bool:
    if not taken:
        return True
    return any(_distinct(taken[1:], used | {who}) for who in taken[0] if who not in used)


def test_approvals_are_lost_as_in_the_simple_model() -> None:
    seen: Counter[str] = Counter()

    for seed in range(times(60)):
        rng = Random(seed)
        before, after, hour = case_of(rng), case_of(rng), rng.choice([9, 11, 13])
        before.valid_hours = None
        state, ways = approved_by(before)
        after.needs = before.needs
        left = {
            by: with_later(before, [way for way in had if way in own_capacities(after, by, hour)], then)
            for by, had, then in ways
        }
        gone = {by for by in left if not after.humans[by].active}
        kept = [left[by] for by in left if by not in gone]
        lost = {one.name.strip().lower() for one in invalid_approvals(state, people_of(after), at(hour))}
        assert gone <= lost, seed
        if can_all_count(before.needs, kept):
            assert lost == gone, seed
        else:
            assert lost > gone, seed
            still = [with_later(before, had, then) for by, had, then in ways if by not in lost]
            assert can_all_count(before.needs, still), seed
        seen["approved"] += bool(ways)
        seen["gone"] += bool(gone)
        seen["lost a role"] += bool(lost - gone)
        seen["held"] += bool(ways and not lost)
    assert all(seen[kind] >= 2 for kind in ("approved", "gone", "lost a role", "held")), seen


def test_without_a_list_of_people_only_age_invalidates_an_approval() -> None:
    ageing = Requirement(needs=(Need(role="anyone", count=1),), approval_valid_for=60)
    state = decide(state_after(drafted(requirement=ageing)), arrival())
    assert invalid_approvals(state, None, NOON + timedelta(seconds=60)) == ()
    assert invalid_approvals(state, None, NOON + timedelta(seconds=61)) == (
        InvalidApproval(name="dana", reason="dana's approval is too old"),
    )
    assert [one.reason for one in invalid_approvals(state, People(), NOON)] == [
        "dana is not in the list of people"
    ]


# ---- withdrawn approvals ------------------------------------------------------------------------


def withdrawal(by: str = "dana", **more: Any) -> Arrival:
    return arrival("withdraw_approval", by, **more)


def begun(state: RunState) -> RunState:
    key = idempotency_key("w", drafted().fingerprint, 1)
    return apply(state, Claimed(step=1, idempotency_key=key, fingerprint=drafted().fingerprint, attempt=1))


def test_one_of_two_approvals_is_withdrawn_and_the_other_stays_valid() -> None:
    state = decide(state_after(drafted(requirement=TWO)), arrival(), arrival(by="erik"), withdrawal())
    assert (state.phase, [one.name for one in state.approvers]) == (Phase.IN_REVIEW, ["erik"])


def test_an_approved_plan_is_in_review_again_until_its_first_step_is_claimed() -> None:
    state = decide(state_after(drafted()), arrival())
    assert state.phase is Phase.EXECUTING
    assert decide(state, withdrawal()).phase is Phase.IN_REVIEW
    assert not accepts(begun(state), withdrawal())


def test_a_withdrawal_recorded_after_a_claim_has_no_effect() -> None:
    state = begun(decide(state_after(drafted()), arrival()))
    late = Decided(arrival=withdrawal(), verdict=Verdict(accepted=True, reason=""))
    after = apply(state, late)
    assert (after.phase, after.approvals) == (state.phase, state.approvals)


def test_an_approval_can_be_withdrawn_after_the_deadline_and_a_review_cannot_be_decided() -> None:
    late = DEADLINE + timedelta(hours=1)
    assert accepts(decide(state_after(drafted()), arrival()), withdrawal(at=late))
    assert not accepts(decide(state_after(drafted(requirement=TWO)), arrival()), withdrawal(at=late))


def test_the_remaining_approvals_of_a_reopened_review_can_be_withdrawn() -> None:
    state = begun(decide(state_after(drafted(requirement=TWO)), arrival(), arrival(by="erik")))
    lost = (InvalidApproval(name="dana", reason="too old"),)
    again = Reopened(
        fingerprint=drafted().fingerprint, step=2, lost=lost, reopened_at=NOON, deadline=DEADLINE
    )
    state = apply(state, again)
    assert decide(state, withdrawal("erik")).approvals == ()
    assert accepts(decide(state, arrival(comment="again")), withdrawal())


def test_a_run_stores_a_limited_number_of_withdrawn_approvals() -> None:
    state = state_after(drafted(requirement=TWO))
    for minute in range(KEPT_ACCEPTED):
        when = NOON + timedelta(seconds=minute)
        state = decide(state, arrival(at=when, comment="x" * 400), withdrawal(at=when))
    assert len(state.decisions) == KEPT_ACCEPTED
    assert state.refusals_not_kept == KEPT_ACCEPTED
    assert state.approvals == ()


# ---- possible replays ---------------------------------------------------------------------------

AGEING = Requirement(needs=(Need(role="anyone", count=1),), approval_valid_for=60)


def said(
    choice: str,
    by: str = "dana",
    comment: str = "c",
    *,
    run: str = "r1",
    number: int = 1,
    accepted: bool = True,
) -> Decided:
    decision = Decision(decision=Choice(choice), by=by, plan=drafted().fingerprint, comment=comment)
    received = Arrival(
        key=f"{run}:signal:{number}", via=Via.SIGNAL, name=choice, received_at=NOON, decision=decision
    )
    approver = identify(None, by, NOON).approver
    return Decided(arrival=received, verdict=Verdict(accepted=accepted, reason=""), approver=approver)


def replay_objection(requirement: Requirement, *before: Event, now: Decided) -> str | None:
    state = state_after(drafted(requirement=requirement))
    return possible_replay(state, (requested(), *before), now.arrival, now.approver)


def test_after_a_reset_an_old_approval_is_accepted_only_with_another_comment() -> None:
    old = said("approve", comment="fine")
    assert replay_objection(AGEING, old, now=said("approve", comment="fine", run="r2"))
    assert replay_objection(AGEING, old, now=said("approve", comment="today", run="r2")) is None
    assert replay_objection(AGEING, old, now=said("approve", comment="fine", run="r1", number=2)) is None
    assert replay_objection(AGEING, old, now=said("approve", "erik", "fine", run="r2")) is None
    assert replay_objection(TWO, old, now=said("approve", comment="fine", run="r2")) is None


def test_a_reset_does_not_restore_a_lost_approval() -> None:
    lost = (InvalidApproval(name="Dana", reason="too old"),)
    again = Reopened(
        fingerprint=drafted().fingerprint, step=1, lost=lost, reopened_at=NOON, deadline=DEADLINE
    )
    assert replay_objection(TWO, said("approve"), again, now=said("approve", run="r2"))
    assert replay_objection(TWO, said("approve"), again, now=said("approve", number=2)) is None


def test_a_reset_does_not_make_a_refused_decision_valid() -> None:
    """Its sender may have received a role since, or an escalation may have begun; it is still invalid."""
    refused = said("approve", accepted=False)
    assert "that was refused" in (replay_objection(TWO, refused, now=said("approve", run="r2")) or "")
    assert replay_objection(TWO, refused, now=said("approve", run="r1", number=2)) is None
    assert replay_objection(TWO, refused, now=said("approve", comment="new", run="r2")) is None
    assert replay_objection(TWO, refused, now=said("approve", "erik", run="r2")) is None
    twice = (said("approve"), said("approve", number=2, accepted=False))
    assert replay_objection(TWO, *twice, now=said("approve", run="r2")) is None
    decision = refused.arrival.decision
    assert decision is not None
    of_another_plan = refused.model_copy(
        update={
            "arrival": refused.arrival.model_copy(
                update={"decision": decision.model_copy(update={"plan": "0" * 64})}
            )
        }
    )
    assert replay_objection(TWO, of_another_plan, now=said("approve", run="r2")) is None


def test_a_withdrawn_approval_does_not_become_valid_again_by_a_replay() -> None:
    before = (said("approve"), said("withdraw_approval", number=2))
    for run in ("r1", "r2"):
        assert "a replay of it" in (
            replay_objection(TWO, *before, now=said("approve", run=run, number=3)) or ""
        )
        assert replay_objection(TWO, *before, now=said("approve", comment="new", run=run, number=3)) is None
    refused = said("withdraw_approval", number=2, accepted=False)
    assert replay_objection(TWO, said("approve"), refused, now=said("approve", number=3)) is None
    assert replay_objection(TWO, *before, now=said("approve", "erik", number=3)) is None


def test_only_approvals_are_restored() -> None:
    before = (said("reject"), said("withdraw_approval", number=2))
    assert replay_objection(AGEING, *before, now=said("reject", run="r2")) is None


def test_a_signed_approval_is_dated_by_its_signature_regardless_of_its_arrival() -> None:
    hour = timedelta(hours=1)
    one_hour = Requirement(
        needs=(Need(role="anyone", count=1),), assurance=Assurance.SIGNED, approval_valid_for=3600
    )
    signer = identify(None, "dana", NOON).approver
    assert signer is not None
    signed = signer.model_copy(update={"assurance": Assurance.SIGNED, "key_id": "k", "signed_at": NOON})
    arrived = arrival(at=NOON + hour * 3)
    accepted = Decided(arrival=arrived, verdict=Verdict(accepted=True, reason="valid"), approver=signed)
    late = drafted(requirement=one_hour).model_copy(update={"deadline": NOON + hour * 9})
    state = state_after(late, accepted)
    assert invalid_approvals(state, None, NOON + hour) == ()
    (lost,) = invalid_approvals(state, None, NOON + hour * 3)
    assert lost.reason == "dana's approval is too old"


def test_records_without_the_newest_decision_of_a_run_are_older_than_the_run() -> None:
    reviewed = a_review({"text": "a"})
    once, twice = decided(reviewed, "one"), decided(reviewed, "one", "two", by="erik")
    assert is_behind(reviewed, once)
    assert is_behind(once, once)
    assert not is_behind(once, reviewed)
    assert is_behind(reviewed, twice)


def test_a_resolution_is_lost_with_the_role_or_the_person_that_it_needed() -> None:
    requirement = Requirement(
        needs=(Need(role="anyone", count=1),), resolvers=Resolvers(any_of=(("ops",), ("anyone", "support")))
    )
    erik = Approver(name="erik", standings=(PersonRoles(person="erik", roles=("ops", "anyone")),))
    state = held(requirement=requirement)
    assert state.held is not None
    chosen = Resolved(approver=erik, step=state.held.step, resolution=Resolution.SKIP)
    state = state.model_copy(update={"resolution": chosen})

    def lost(*persons: Person) -> str | None:
        return invalid_resolution(state, People(persons=persons), NOON)

    assert lost(Person(name="erik", roles=("ops", "support"))) is None
    reason = "erik resolved step 3 with 'skip', and now "
    assert lost(Person(name="erik", roles=("support",))) == f"{reason}erik may no longer resolve this run"
    assert lost(Person(name="erik", roles=("ops",), active=False)) == f"{reason}erik is no longer active"
    assert lost() == f"{reason}erik is not in the list of people"
