"""The earliest start of a plan: in files, forms, differences and on pages."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from plangate.cli.plan_yaml import yaml_of
from plangate.domain.plans.plan import Plan, ProposedPlan, removed_steps, without_steps
from plangate.domain.plans.plan_changes import changes_between, in_short, kept_before, plan_before
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import ModelUse
from plangate.domain.runs.status import Status, status_of
from plangate.domain.times.calendars import Calendar, Hours
from plangate.domain.times.start_times import calendar_words
from plangate.policy.starting import starts_of
from plangate.presentation.clock import moment
from plangate.presentation.lists import pending_table
from plangate.presentation.markdown import details_page
from plangate.presentation.run_page import run_page
from plangate.web.plan_form import FormFaults, form_of, plan_from
from tests.support.build import DEADLINE, HOUR, NOON, PLAN, arrival, decide, drafted, state_after
from tests.unit.test_plan_yaml import read
from tests.unit.test_run_page import printed

LATER = NOON + timedelta(days=3)
OFFICE = Calendar(name="office", zone="Europe/Berlin", hours=(Hours(begin=time(9), end=time(17)),))
CLOSE = Calendar(name="close", zone="Europe/Berlin", weekdays=(), extra_days=(date(2026, 1, 2),))
TWO = ProposedPlan.model_validate(
    {
        "summary": "s",
        "not_before": LATER.isoformat(),
        "steps": [{"tool": "t", "arguments": {"n": number}} for number in (1, 2)],
    }
)


def plan(not_before: datetime | None) -> Plan:
    return PLAN.model_copy(update={"not_before": not_before})


def test_the_earliest_start_is_in_the_edited_text_and_is_read_back() -> None:
    text = yaml_of(TWO, header=[], step_notes=["", ""])
    assert 'not_before: "2026-01-04T12:00:00+00:00"' in text
    assert ProposedPlan.model_validate(read(text)) == TWO


def test_a_form_keeps_changes_and_removes_the_earliest_start() -> None:
    assert plan_from(TWO, {}) == TWO
    sooner = plan_from(TWO, {"not_before": "2026-01-03T13:00:00+01:00"})
    assert sooner.not_before == LATER - timedelta(days=1)
    assert plan_from(TWO, {"not_before": "  "}).not_before is None
    with pytest.raises(FormFaults, match="must be a day and a time"):
        plan_from(TWO, {"not_before": "tomorrow"})
    assert form_of(plan_from(TWO, {"not_before": ""})).not_before.text == ""


@pytest.mark.parametrize(
    ("before", "after"), [(None, LATER), (LATER, None), (LATER, LATER + HOUR), (LATER, LATER), (None, None)]
)
def test_a_diff_contains_the_earliest_start_and_restores_the_previous_plan(
    before: datetime | None, after: datetime | None
) -> None:
    old, new = plan(before), plan(after)
    found = changes_between(old, new)
    assert bool(found) is (before != after)
    assert in_short(found) == ("the earliest start changed" if before != after else "")
    kept = kept_before(1, "f" * 64, old, new)
    assert plan_before(type(kept).model_validate_json(kept.model_dump_json()), new) == old


def test_striking_a_step_leaves_the_earliest_start_unchanged() -> None:
    old = Plan.model_validate(TWO.model_dump())
    left = without_steps(TWO, {2})
    assert left.not_before == LATER
    assert removed_steps(old, left) == (2,)
    assert removed_steps(old, left.model_copy(update={"not_before": None})) is None


def in_review(requirement: Requirement | None = None) -> Status:
    needs = requirement or Requirement(needs=(Need(role="anyone", count=1),))
    starts = starts_of(needs, NOON, DEADLINE, LATER)
    return status_of(state_after(drafted(plan(LATER), requirement=needs, starts=starts)), "records")


def test_the_pages_show_the_earliest_start_as_a_date_and_later_that_the_run_waits() -> None:
    shown = printed(run_page(in_review(), NOON))
    assert "not before" in shown
    assert f"at the earliest {moment(NOON + timedelta(days=3))}, in 3 days" in shown
    listed = " ".join(printed(pending_table([in_review()], NOON), width=300).split())
    assert "runs in 3 days at the earliest" in listed
    state = decide(state_after(drafted(plan(LATER))), arrival(plan=drafted(plan(LATER)).fingerprint))
    waiting = status_of(state, "records")
    shown = printed(run_page(waiting, NOON))
    assert "approved, waiting to begin" in shown
    assert "can withdraw their approval" in shown
    assert "No step begins before 2026-01-04 12:00:00 UTC" in details_page(state)
    assert "Not before 2026-01-04 12:00:00 UTC." in details_page(state)
    assert "as the plan specifies" in shown
    proposed = state_after(drafted(plan(LATER), planner=ModelUse(model="m")))
    assert "which the planner proposed" in printed(run_page(status_of(proposed, "records"), NOON))
    assert "12:00:00 UTC, as the planner proposes." in details_page(proposed)
    assert "approved, waiting to begin" not in printed(run_page(waiting, LATER))


def test_a_waiting_plan_that_needs_no_approval_shows_how_to_stop_it() -> None:
    waiting = status_of(state_after(drafted(plan(LATER), requirement=Requirement())), "records")
    shown = printed(run_page(waiting, NOON))
    assert "approved, waiting" not in shown
    assert "It needs no approval. To stop it, withdraw it:" in shown
    assert f" withdraw {waiting.workflow_id}" in shown
    assert "To stop it" not in printed(run_page(waiting, LATER))


def test_the_pages_show_windows_and_freezes_and_that_no_times_remain() -> None:
    needs = Requirement(needs=(Need(role="anyone", count=1),), windows=(OFFICE,), freezes=(CLOSE,))
    shown = " ".join(printed(run_page(in_review(needs), NOON)).split())
    assert "steps begin Mon-Fri 09:00-17:00 Europe/Berlin (office)" in shown
    assert "no step begins on 2026-01-02 Europe/Berlin (close)" in shown
    assert f"at the earliest {moment(datetime(2026, 1, 5, 8, tzinfo=UTC))}" in shown
    assert "never: no possible start time is left" in printed(
        run_page(in_review(needs), NOON + timedelta(days=99))
    )
    state = state_after(drafted(requirement=needs))
    assert "Steps begin Mon-Fri 09:00-17:00 Europe/Berlin (office)." in details_page(state)


def test_the_description_of_a_calendar_includes_its_exceptions() -> None:
    bank = OFFICE.model_copy(
        update={"country": "DE", "region": "BY", "days_off": (date(2026, 12, 24),), "weekdays": (0, 1, 5)}
    )
    assert calendar_words(bank) == (
        "Mon, Tue, Sat 09:00-17:00 Europe/Berlin, but not on holidays of DE-BY, but not on 2026-12-24"
    )
    many = CLOSE.model_copy(update={"extra_days": tuple(date(2026, 12, day) for day in range(24, 32))})
    assert calendar_words(many) == (
        "on 2026-12-24, 2026-12-25, 2026-12-26, 2026-12-27, and 4 more days Europe/Berlin"
    )
    quarters = CLOSE.model_copy(update={"extra_days": (), "yearly_extra": ("03-31", "06-30")})
    assert calendar_words(quarters) == "on each 31 March, each 30 June Europe/Berlin"
    rest = OFFICE.model_copy(update={"yearly_off": ("12-24",)})
    assert calendar_words(rest) == "Mon-Fri 09:00-17:00 Europe/Berlin, but not on each 24 December"
