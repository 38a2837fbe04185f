"""A repeated edit or resolution: the record shows whether it is the same as the one that was applied."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from activities.decisions import _BatchJudge
from activities.failed_step import Holding
from activities.plan_check import PlanCheck
from activities.requirement_check import Requiring
from activities.tasks import HoldTask
from plangate.audit.rules import rule_violations
from plangate.domain.decisions.decision import Arrival, Choice, Decision, Resolution, Via
from plangate.domain.plans.plan import Audience
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import Decided, Drafted, Held, StepFailed, StepInDoubt
from plangate.domain.runs.fold import apply
from plangate.domain.runs.run import Phase, RunState
from plangate.records.database import Database
from plangate.records.records import Records
from plangate.records.trail import Note, OpenTrail, open_trail
from tests.support.build import NOON, drafted, requested
from tests.support.fakes import AUDIENCE, Notebook
from tests.support.fresh_records import fresh_records
from tests.support.policies import Wants
from tests.support.record_writer import run_ref
from tests.support.sealed_records import people

FINANCE = Requirement(needs=(Need(role="finance", count=1),))
MINUTE = timedelta(minutes=1)
NEW_PLAN = {"summary": "other", "steps": [{"tool": "note", "arguments": {"text": "x"}, "reason": ""}]}
OTHER_PLAN = {**NEW_PLAN, "summary": "yet another"}


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Database]:
    database = fresh_records(tmp_path / "records.db")
    yield database
    database.close()


@pytest.fixture
def trail(records: Database) -> Iterator[OpenTrail]:
    with records.write() as connection:
        yield open_trail(connection, run_ref())


@pytest.fixture
def plans(tmp_path: Path) -> PlanCheck:
    return PlanCheck({"note": Notebook("note", tmp_path / "notes")}, 20)


def plan(**more: Any) -> Drafted:
    return drafted(audience=AUDIENCE, requirement=FINANCE, requester="rita", **more)


def append_events(trail: OpenTrail, *events: Any) -> RunState:
    """Write events; return the recorded state."""
    for event in events:
        number = len(trail.entries()) + 1
        key = event.arrival.key if isinstance(event, Decided) else f"{event.kind}:{number}"
        at = event.arrival.received_at if isinstance(event, Decided) else NOON
        trail.append(Note(key=key, at=at, actor="worker", event=event))
    return trail.state()


def arrival_of(by: str, choice: Choice, number: int, run_id: str = "r", **more: Any) -> Arrival:
    decision = Decision(decision=choice, by=by, **{"plan": plan().fingerprint, "comment": "c", **more})
    return Arrival(
        key=f"{run_id}:signal:{number}", via=Via.SIGNAL, name=choice, received_at=NOON + MINUTE * number,
        decision=decision,
    )  # fmt: skip


def resolution(by: str, chosen: Resolution, number: int, run_id: str = "r", **more: Any) -> Arrival:
    return arrival_of(by, Choice.RESOLVE, number, run_id, **{"step": 1, "resolution": chosen, **more})


def judged(trail: OpenTrail, run: RunState, plans: PlanCheck, *arrivals: Arrival) -> list[Decided]:
    audience = Audience(installation="here", namespace="default")
    return _BatchJudge(trail, run, people(), audience, plans=plans, can_draft=True).judged(arrivals)


def stopped(event: StepFailed | StepInDoubt, number: int = 1) -> tuple[Any, Held]:
    held = Held(
        number=number,
        step=1,
        fingerprint=plan().fingerprint,
        why=event.reason,
        held_at=NOON,
        deadline=NOON + 99 * MINUTE,
    )
    return event, held


def until_held(trail: OpenTrail, plans: PlanCheck) -> RunState:
    """Approve the run and hold it at step 1; return its state."""
    state = append_events(trail, plan())
    append_events(trail, *judged(trail, state, plans, arrival_of("dana", Choice.APPROVE, 1)))
    return append_events(trail, *stopped(StepFailed(step=1, reason="no")))


def test_a_run_behind_its_record_gets_the_current_resolution(trail: OpenTrail, plans: PlanCheck) -> None:
    held = until_held(trail, plans)
    (first,) = judged(trail, held, plans, resolution("dana", Resolution.RETRY, 2))
    append_events(trail, first)
    (same,) = judged(trail, held, plans, resolution("fred", Resolution.RETRY, 3))
    assert same.verdict.accepted
    assert apply(held, same).phase is Phase.EXECUTING
    (other,) = judged(trail, held, plans, resolution("fred", Resolution.ABORT, 4))
    assert other.verdict.reason == "the run is not held now: dana resolved step 1 with 'retry'"
    (by_stranger,) = judged(trail, held, plans, resolution("erik", Resolution.RETRY, 5))
    assert not by_stranger.verdict.accepted
    append_events(trail, same)
    assert trail.state().resolutions == 1
    findings = [one.what for one in rule_violations("plan-1", trail.entries())]
    assert not any("was accepted" in one for one in findings)


def test_an_earlier_resolution_does_not_resolve_a_new_hold(trail: OpenTrail, plans: PlanCheck) -> None:
    """After a reset, the run is in its first hold, and its record in the second."""
    held = until_held(trail, plans)
    (first,) = judged(trail, held, plans, resolution("dana", Resolution.RETRY, 2))
    append_events(trail, first, *stopped(StepInDoubt(step=1, reason="?"), 2))
    for number, named in ((3, {}), (4, {"hold": 1})):
        again = resolution("dana", Resolution.RETRY, number, "after-reset", **named)
        (replayed,) = judged(trail, held, plans, again)
        append_events(trail, replayed)
        assert trail.state().held is not None
        assert trail.state().resolutions == 1
    (current,) = judged(trail, held, plans, resolution("dana", Resolution.RETRY, 5, "after-reset", hold=2))
    assert current.verdict.accepted
    assert append_events(trail, current).resolutions == 2


def test_the_second_of_two_concurrent_edits_is_refused_with_the_new_plan(
    trail: OpenTrail, plans: PlanCheck
) -> None:
    state = append_events(trail, plan())
    first, second = judged(
        trail,
        state,
        plans,
        arrival_of("dana", Choice.EDIT, 1, new_plan=NEW_PLAN),
        arrival_of("fred", Choice.EDIT, 2, new_plan=OTHER_PLAN),
    )
    assert first.verdict.accepted
    digits = plan().fingerprint[:12]
    assert second.verdict.reason == (
        f"dana has just edited plan {digits}; wait for revision 2, and decide on that one"
    )


def test_a_run_behind_its_record_accepts_only_the_drafted_edit(trail: OpenTrail, plans: PlanCheck) -> None:
    state = append_events(trail, plan())
    append_events(trail, *judged(trail, state, plans, arrival_of("dana", Choice.EDIT, 1, new_plan=NEW_PLAN)))
    (other,) = judged(trail, state, plans, arrival_of("fred", Choice.EDIT, 2, new_plan=OTHER_PLAN))
    assert "dana has just edited plan" in other.verdict.reason
    (asked,) = judged(trail, state, plans, arrival_of("fred", Choice.REQUEST_CHANGES, 3))
    assert "dana has just edited plan" in asked.verdict.reason
    (same,) = judged(trail, state, plans, arrival_of("dana", Choice.EDIT, 4, "after", new_plan=NEW_PLAN))
    assert same.verdict.accepted


def test_an_unlisted_author_prevents_approval_and_resolution(trail: OpenTrail, plans: PlanCheck) -> None:
    """Under another name, they could approve their own plan."""
    state = append_events(trail, plan(), plan(revision=2, author="gone", fingerprint="ab" * 32))
    (approval,) = judged(trail, state, plans, arrival_of("dana", Choice.APPROVE, 1, plan="ab" * 32))
    assert "gone, who edited this plan, is not in the list of people" in approval.verdict.reason


def test_a_run_is_not_held_under_a_requirement_that_is_easier_to_resolve(
    records: Database, plans: PlanCheck
) -> None:
    forged = FINANCE.model_copy(update={"hold_seconds": 10**6})
    at = requested().requested_at
    with records.write() as connection:
        trail = open_trail(connection, run_ref())
        state = append_events(trail, plan().model_copy(update={"requirement": forged}))
        append_events(trail, *judged(trail, state, plans, arrival_of("dana", Choice.APPROVE, 1)))
        task = HoldTask(run=run_ref(), fingerprint=plan().fingerprint, step=1, reason="no", at=at)
        holding = Holding(Records(records), Requiring(Wants(FINANCE)))
        result = holding.hold(trail, task)
    assert "asks for less than is needed without a policy: a hold of at most 259200 seconds" in result.refusal
    assert result.record.held is None
