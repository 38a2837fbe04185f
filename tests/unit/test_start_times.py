"""Start times of steps, given the plan, windows and freezes, compared with a list of all minutes."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from plangate.audit.rules import rule_violations
from plangate.domain.decisions.decision import Resolution
from plangate.domain.people.people import InvalidApproval
from plangate.domain.plans.plan import Plan, ProposedPlan, Step, fingerprint_of
from plangate.domain.policies.policy import strictest
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.policies.requirement_comparison import missing_demand
from plangate.domain.runs.audit import Claimed, Drafted, Held, Outcome, Reopened, StepFailed, entry_after
from plangate.domain.runs.lifecycle import why_may_not_end, why_not_allowed
from plangate.domain.runs.run import Phase, RunState, StepState, key_of
from plangate.domain.runs.starting import missed_start_times, wrong_start_times
from plangate.domain.times.calendars import Calendar, Hours
from plangate.domain.times.start_times import Beginning, StartSpan, StartTimes, calendar_words
from plangate.policy.starting import starts_of
from tests.support.build import (
    DEADLINE,
    HOUR,
    NOON,
    PLAN,
    RUN,
    after,
    arrival,
    chained,
    decide,
    done,
    drafted,
    requested,
    state_after,
)
from tests.support.fakes import AUDIENCE
from tests.support.start_cases import difference
from tests.support.times import times
from tests.unit.test_policy_file import explain, faults, policy, refund, rule

OFFICE = Calendar(name="office", zone="Europe/Berlin", hours=(Hours(begin=time(9), end=time(17)),))
NIGHTS = Calendar(name="nights", zone="UTC", weekdays=(5,), hours=(Hours(begin=time(22), end=time(4)),))
YEAR_END = Calendar(name="year-end", zone="Europe/Berlin", weekdays=(), extra_days=(date(2026, 1, 2),))
CALENDARS = """
[[calendar]]
name = "office"
zone = "Europe/Berlin"
hours = ["09:00-17:00"]
[[calendar]]
name = "year-end"
zone = "Europe/Berlin"
weekdays = []
extra_days = [2026-01-02]
"""


def wants(*windows: Calendar, freezes: tuple[Calendar, ...] = ()) -> Requirement:
    return Requirement(needs=(Need(role="anyone", count=1),), windows=windows, freezes=freezes)


def waiting(requirement: Requirement, **plan: Any) -> Drafted:
    made = PLAN.model_copy(update=plan)
    starts = starts_of(requirement, NOON, DEADLINE, made.not_before)
    return drafted(plan=made, requirement=requirement, starts=starts)


def approved(one: Drafted, at: datetime = NOON) -> RunState:
    return decide(state_after(one), arrival(plan=one.fingerprint, at=at))


@pytest.mark.parametrize("seed", range(times(20)))
def test_a_step_may_begin_exactly_at_the_listed_minutes(seed: int) -> None:
    """This is a seeded sample; `python -m chaos calendars` compares thousands."""
    assert difference(seed) is None


def test_a_plan_with_an_earliest_start_waits_for_it() -> None:
    later = NOON + timedelta(days=3)
    state = approved(waiting(Requirement(needs=(Need(role="anyone", count=1),)), not_before=later))
    assert (state.phase, state.waits_until(NOON)) == (Phase.EXECUTING, later)
    assert state.waits_until(later) is None


def test_a_step_may_begin_inside_a_window_and_outside_a_freeze() -> None:
    """Noon UTC on this Thursday is 13:00 in Berlin; Friday is frozen."""
    state = approved(waiting(wants(OFFICE, freezes=(YEAR_END,))))
    assert state.waits_until(NOON) is None
    monday = datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert state.waits_until(NOON + 5 * HOUR) == monday
    assert state.waits_until(datetime(2026, 1, 2, 12, tzinfo=UTC)) == monday


def test_if_there_are_two_windows_both_apply() -> None:
    state = approved(waiting(wants(OFFICE, NIGHTS)))
    assert state.beginning.spans == ()
    assert state.waits_until(NOON) is None
    assert state.beginning.first(NOON) is None


def test_after_the_last_time_no_step_may_begin_and_the_plan_expires() -> None:
    state = approved(waiting(wants(OFFICE)))
    end = state.beginning.end
    assert end is not None
    assert DEADLINE + timedelta(days=30) < end < DEADLINE + timedelta(days=36)
    assert not missed_start_times(state, end - HOUR)
    assert missed_start_times(state, end)
    assert why_may_not_end(state, Outcome.EXPIRED, end) is None
    assert not missed_start_times(after(state, claimed(state)), end)


def test_a_plan_with_a_resolved_step_does_not_expire_although_no_step_is_claimed_now() -> None:
    """Its step failed, its retry was reopened, and the plan is approved again: an effect could be lost."""
    state = approved(waiting(wants(OFFICE)))
    end, plan = state.beginning.end, state.fingerprint or ""
    assert end is not None
    failed = StepFailed(step=1, reason="no")
    held = Held(number=1, step=1, fingerprint=plan, why="no", held_at=NOON, deadline=end)
    state = after(state, claimed(state), failed, held)
    state = decide(state, arrival("resolve", plan=plan, step=1, hold=1, resolution=Resolution.RETRY))
    lost = (InvalidApproval(name="dana", reason="dana's approval is too old"),)
    state = after(state, Reopened(fingerprint=plan, step=1, lost=lost, reopened_at=NOON, deadline=DEADLINE))
    state = decide(state, arrival(plan=plan, comment="again"))
    assert (state.phase, state.claimed) == (Phase.EXECUTING, 0)
    assert {one.state for one in state.steps} == {StepState.PENDING}
    assert state.beginning.first(end) is None
    assert not missed_start_times(state, end)


@pytest.mark.parametrize("needs_approval", [True, False])
def test_a_refusal_during_the_wait_for_a_later_step_offers_no_withdrawal_of_approvals(
    needs_approval: bool,
) -> None:
    """`withdraw_approval` would be refused, because a step has begun."""
    one = waiting(wants(OFFICE) if needs_approval else Requirement(windows=(OFFICE,)))
    state = approved(one) if needs_approval else state_after(one)
    evening = NOON + 5 * HOUR
    reject = arrival("reject", plan=one.fingerprint, at=evening).decision
    withdrawal = arrival("withdraw_approval", plan=one.fingerprint, at=evening).decision
    assert reject is not None
    assert withdrawal is not None
    assert "until then" in (why_not_allowed(state, reject, evening) or "")
    begun = after(state, claimed(state), done(1))
    why = "is already approved" if needs_approval else "needs no approval"
    assert why_not_allowed(begun, reject, evening) == (
        f"the plan {why}, and its next step can begin at 2026-01-02 08:00:00 UTC"
    )
    assert (why_not_allowed(begun, withdrawal, evening) or "").startswith("step 1 has begun")


def test_without_recorded_times_a_plan_with_a_window_never_starts() -> None:
    bare = drafted(requirement=wants(OFFICE))
    assert approved(bare).beginning.first(NOON) is None
    assert wrong_start_times(bare) == "does not contain the times in which its steps may begin"


def claimed(state: RunState) -> Claimed:
    return Claimed(
        step=1, idempotency_key=key_of(state, 1, undo=False), fingerprint=state.fingerprint or "", attempt=1
    )


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (NOON, ""),
        (NOON + 5 * HOUR, "although its rules allow no step to begin before 2026-01-02 08:00"),
        (NOON + timedelta(days=60), "although no step may begin after"),
    ],
)
def test_an_auditor_detects_a_step_that_began_outside_its_times(at: datetime, words: str) -> None:
    one = waiting(wants(OFFICE))
    state = approved(one)
    trail = chained([requested(), one, *state.decisions])
    claim = entry_after(
        trail[-1].hash, workflow_id=RUN, number=4, key="claim", at=at, actor="w@h", event=claimed(state)
    )
    found = [what.what for what in rule_violations(RUN, [*trail, claim])]
    assert any(words in what for what in found) if words else found == []


def test_an_auditor_detects_a_step_outside_its_window_without_approval() -> None:
    one = waiting(Requirement(windows=(OFFICE,)))
    trail = chained([requested(), one])
    for at, count in ((NOON, 0), (NOON + 5 * HOUR, 1)):
        claim = entry_after(
            trail[-1].hash,
            workflow_id=RUN,
            number=3,
            key="claim",
            at=at,
            actor="w@h",
            event=claimed(state_after(one)),
        )
        found = [what.what for what in rule_violations(RUN, [*trail, claim])]
        assert [what for what in found if "allow no step to begin before 2026-01-02 08:00" in what] == found
        assert len(found) == count


def test_an_auditor_detects_a_step_before_the_earliest_start_of_its_plan() -> None:
    later = NOON + timedelta(days=3)
    one = waiting(Requirement(needs=(Need(role="anyone", count=1),)), not_before=later)
    state = approved(one)
    trail = chained([requested(), one, *state.decisions])
    claim = entry_after(
        trail[-1].hash, workflow_id=RUN, number=4, key="c", at=NOON, actor="w@h", event=claimed(state)
    )
    (found,) = rule_violations(RUN, [*trail, claim])
    assert found.what == "a step began although the plan does not begin before 2026-01-04 12:00:00 UTC"


def wider(one: StartTimes) -> StartTimes:
    first = StartSpan(since=NOON, until=one.spans[-1].until)
    return one.model_copy(update={"spans": (first,)})


def without_facts(one: StartTimes) -> StartTimes:
    return one.model_copy(update={"facts": ()})


def without_times(_: StartTimes) -> None:
    return None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (wider, "has start times that differ from those of its rules"),
        (without_facts, "has start times from calendars"),
        (without_times, "does not contain the times in which its steps may begin"),
    ],
)
def test_an_auditor_computes_the_times_again(change: Any, words: str) -> None:
    one = waiting(wants(OFFICE))
    assert wrong_start_times(one) is None
    found = list(
        rule_violations(RUN, chained([requested(), one.model_copy(update={"starts": change(one.starts)})]))
    )
    assert [words in each.what for each in found] == [True]
    free = drafted(starts=one.starts)
    assert wrong_start_times(free) == "has start times, but no rule requires any"


def test_the_earliest_start_is_part_of_the_fingerprint_in_one_notation() -> None:
    def of(text: str | None) -> str:
        plan = {"summary": "s", "steps": [{"tool": "t", "arguments": {}}], "not_before": text}
        made = Plan.model_validate(ProposedPlan.model_validate(plan).model_dump())
        return fingerprint_of(made, 1, RUN, AUDIENCE)

    assert of("2026-11-30T09:00:00+01:00") == of("2026-11-30T08:00:00Z") != of("2026-11-30T09:00:00Z")
    assert of(None) != of("2026-11-30T08:00:00Z")
    assert "not_before" not in PLAN.model_dump_json()


@pytest.mark.parametrize(
    "text", ["2026-11-30", "2026-11-30T09:00:00", "soon", 5, "0001-01-01T00:00:00+23:00"]
)
def test_an_earliest_start_without_a_zone_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match=r"2026-11-30T09:00:00\+01:00|out of range"):
        ProposedPlan.model_validate(
            {"summary": "s", "steps": [{"tool": "t", "arguments": {}}], "not_before": text}
        )


def test_the_calendars_of_all_matching_rules_apply(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        CALENDARS
        + rule("true", name="one", more="window = 'office'")
        + rule("true", name="two", more="freeze = 'year-end'")
        + rule("true", name="three", more="freeze = ['year-end', 'office']"),
    )
    found = explain(rules).requirement
    assert [one.name for one in found.windows] == ["office"]
    assert [one.name for one in found.freezes] == ["year-end", "office"]
    assert calendar_words(found.windows[0]) == "Mon-Fri 09:00-17:00 Europe/Berlin"


FREE = CALENDARS + rule("step.tool == 'note'", "[]", "notes", "window = 'office'\nfreeze = 'year-end'")
NOTE = Step(tool="note", arguments={"text": "x"})


def test_the_times_of_an_exempting_rule_apply_alone_and_with_other_rules(tmp_path: Path) -> None:
    alone = explain(policy(tmp_path, FREE), NOTE).requirement
    both = explain(policy(tmp_path, FREE + rule("step.tool == 'refund'", name="money")), NOTE, refund(1))
    default = explain(policy(tmp_path, CALENDARS + "[default]\nneeds = []\nwindow = 'office'\n")).requirement
    assert [bool(one.needs) for one in (alone, both.requirement, default)] == [False, True, False]
    for one in (alone, both.requirement):
        assert ([at.name for at in one.windows], [at.name for at in one.freezes]) == (
            ["office"],
            ["year-end"],
        )
    assert both.requirement.rules == ("money", "notes")
    assert [one.name for one in default.windows] == ["office"]
    assert not explain(policy(tmp_path, FREE)).requirement.windows


def test_a_rule_with_an_undecidable_condition_exempts_nothing_but_its_times_apply(
    tmp_path: Path,
) -> None:
    unclear = CALENDARS + rule("step.tool == 'refund' || 1 / 0 == 1", "[]", "odd", "window = 'office'")
    found = explain(policy(tmp_path, unclear), NOTE)
    assert [need.role for need in found.requirement.needs] == ["anyone"]
    assert [one.name for one in found.requirement.windows] == ["office"]
    assert found.requirement.rules == ("default", "odd")
    assert [(one.counts, one.waits) for one in found.steps[0].unclear] == [(False, True)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (rule("true", more="window = 'office'"), "'office' is not a calendar in this file"),
        (rule("true", more="freeze = 'office'"), "'office' is not a calendar in this file"),
        (
            '[[calendar]]\nname = "no"\nzone = "UTC"\nweekdays = []\n' + rule("true", more="window = 'no'"),
            "are empty, and there are no extra_days",
        ),
    ],
)
def test_an_error_is_reported(tmp_path: Path, text: str, said: str) -> None:
    assert said in faults(tmp_path, text)


def test_the_union_of_two_requirements_is_no_weaker_than_either() -> None:
    one, other = wants(OFFICE), wants(NIGHTS, freezes=(YEAR_END,))
    both = strictest(one, other)
    assert missing_demand(both, one) is None
    assert missing_demand(both, other) is None
    assert missing_demand(one, other) == "that steps begin only in the window nights"
    assert missing_demand(wants(NIGHTS), other) == "that no step begins in the freeze year-end"


def test_cooling_off_and_a_window_both_apply() -> None:
    until = datetime(2026, 1, 1, 16, 30, tzinfo=UTC)
    starts = starts_of(wants(OFFICE), NOON, DEADLINE, None)
    assert starts is not None
    both = Beginning(cooling_until=until, spans=starts.spans)
    assert both.first(NOON) == datetime(2026, 1, 2, 8, tzinfo=UTC)
