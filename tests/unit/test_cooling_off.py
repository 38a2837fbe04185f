"""The cooling-off time that the matching rules require, and the finding when a step begins too early."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plangate.audit.rules import rule_violations
from plangate.domain.policies.policy import strictest
from plangate.domain.policies.requirement import LONGEST_COOLING, ONE_APPROVAL, Need, Requirement
from plangate.domain.policies.requirement_comparison import missing_demand
from plangate.domain.runs.audit import Claimed, Decided, entry_after
from plangate.domain.runs.run import Phase, RunState, key_of
from plangate.presentation.markdown import details_page
from tests.support.build import (
    NOON,
    PLAN,
    RUN,
    after,
    arrival,
    chained,
    decide,
    drafted,
    requested,
    state_after,
)
from tests.unit.test_policy_file import explain, faults, policy, rule

SECONDS = st.none() | st.integers(min_value=1, max_value=LONGEST_COOLING)


def cooling(seconds: int | None, count: int = 1) -> Requirement:
    return Requirement(needs=(Need(role="anyone", count=count),), cooling_seconds=seconds)


def approved_at(*minutes: int, seconds: int | None = 3600) -> RunState:
    """Return the state after one required approval at each of these minutes after noon."""
    state = state_after(drafted(requirement=cooling(seconds, len(minutes))))
    names = ("dana", "erik", "gina")
    arrivals = [
        arrival(by=by, at=NOON + timedelta(minutes=one)) for by, one in zip(names, minutes, strict=False)
    ]
    return decide(state, *arrivals)


def test_cooling_off_begins_with_the_last_approval_regardless_of_the_order_of_checks() -> None:
    for order in ((5, 7), (7, 5)):
        state = approved_at(*order)
        assert state.phase is Phase.EXECUTING
        assert state.cooling_until == NOON + timedelta(hours=1, minutes=7)
        assert state.beginning.wait(NOON + timedelta(minutes=37)) == timedelta(minutes=30)
        assert state.beginning.wait(NOON + timedelta(hours=2)) == timedelta()


def test_without_such_a_rule_cooling_off_is_neither_required_nor_recorded() -> None:
    assert approved_at(5, seconds=None).cooling_until is None
    assert "cooling" not in ONE_APPROVAL.model_dump_json()


def test_a_plan_in_review_or_after_a_withdrawal_does_not_cool_off() -> None:
    assert state_after(drafted(requirement=cooling(60))).cooling_until is None
    state = approved_at(5)
    back = decide(state, arrival("withdraw_approval", at=NOON + timedelta(minutes=9)))
    assert (back.phase, back.cooling_until) == (Phase.IN_REVIEW, None)


def test_the_longest_time_of_all_rules_that_require_approval_applies(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        rule("true", name="one", more="settle = '60s'") + rule("true", name="two", more="settle = '5m'"),
    )
    assert explain(rules).requirement.cooling_seconds == 300
    default = policy(tmp_path, rule("false") + "[default]\nneeds = [{role = 'ops'}]\nsettle = '1m'")
    assert explain(default).requirement.cooling_seconds == 60
    assert explain(policy(tmp_path, rule("true"))).requirement.cooling_seconds is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (rule("true", more="settle = '0s'"), "is not between 1 second"),
        (rule("true", more="settle = '25h'"), "is longer than 24 hours"),
        (rule("true", more="settle = 60"), "must be text such as '4h'"),
        (
            rule("true", "[]", more="settle = '60s'"),
            "settle, batch and notify_details have no effect",
        ),
        (
            rule("true", more="settle = '30m'\napproval_valid_for = '30m'"),
            "if both match a plan, none of its steps can begin",
        ),
        (
            rule("true", name="slow", more="settle = '1h'")
            + rule("true", name="fresh", more="approval_valid_for = '30m'"),
            "settle in the rule slow that is at least as long as the approval_valid_for in fresh",
        ),
    ],
)
def test_an_error_is_reported(tmp_path: Path, text: str, said: str) -> None:
    assert said in faults(tmp_path, text)


def test_a_day_is_allowed(tmp_path: Path) -> None:
    assert (
        explain(policy(tmp_path, rule("true", more="settle = '24h'"))).requirement.cooling_seconds == 86_400
    )


@given(SECONDS, SECONDS)
def test_the_union_of_two_requirements_is_no_weaker_than_either(one: int | None, other: int | None) -> None:
    both = strictest(cooling(one), cooling(other))
    assert both.cooling_seconds == max((one, other), key=lambda seconds: seconds or 0)
    assert missing_demand(both, cooling(one)) is None
    assert (missing_demand(cooling(one), cooling(other)) is None) is ((one or 0) >= (other or 0))


def claimed(state: RunState) -> Claimed:
    return Claimed(
        step=1, idempotency_key=key_of(state, 1, undo=False), fingerprint=drafted().fingerprint, attempt=1
    )


@given(
    seconds=st.integers(min_value=1, max_value=LONGEST_COOLING),
    waited=st.floats(min_value=0, max_value=2 * LONGEST_COOLING),
)
def test_an_auditor_detects_exactly_the_steps_that_began_too_early(seconds: int, waited: float) -> None:
    state = approved_at(0, seconds=seconds)
    (approval,) = state.decisions
    trail = chained([requested(), drafted(requirement=cooling(seconds)), approval])
    claim = entry_after(
        trail[-1].hash,
        workflow_id=RUN,
        number=4,
        key="claim",
        at=NOON + timedelta(seconds=waited),
        actor="worker@here",
        event=claimed(state),
    )
    found = [one.what for one in rule_violations(RUN, [*trail, claim])]
    is_early = timedelta(seconds=waited) < timedelta(seconds=seconds)
    assert ["although approvals can be withdrawn" in one for one in found] == [True] * is_early


def test_the_web_ui_shows_when_the_first_step_may_begin() -> None:
    state = approved_at(5)
    assert "No step begins before 2026-01-01 13:05:00 UTC" in details_page(state)
    assert isinstance(state.decisions[0], Decided)
    begun = after(state, claimed(state))
    assert len(begun.steps) == len(PLAN.steps)
