"""After an escalation, another role may also give the approvals; nothing else changes."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plangate.audit.rules import rule_violations
from plangate.domain.decisions.decision import Arrival, Choice, Verdict
from plangate.domain.errors import FileInvalid
from plangate.domain.people.people import People, Person, identify
from plangate.domain.policies.escalation import Escalation
from plangate.domain.policies.policy import Matched as Step
from plangate.domain.policies.policy import Rule, combined, strictest
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.policies.requirement_comparison import missing_demand
from plangate.domain.policies.viewers import Party, Viewers
from plangate.domain.runs.audit import Decided, Reopened
from plangate.domain.runs.fold import apply
from plangate.domain.runs.open_decisions import needed_decisions
from plangate.domain.runs.review import judge
from plangate.domain.runs.revocation import invalid_approvals
from plangate.domain.runs.run import Phase, RunState
from plangate.domain.runs.status import status_of
from plangate.domain.runs.who_may_see import may_see
from plangate.policy.policy_file import policy_in
from plangate.presentation.clock import moment
from plangate.presentation.markdown import details_page
from plangate.presentation.run_page import run_page
from plangate.web.offered_decisions import may_decide_now, offered
from tests.support.build import DEADLINE, NOON, arrival, chained, drafted, requested, state_after
from tests.support.drawn_pages import read_html, render_run
from tests.unit.test_run_page import printed

HALF = timedelta(minutes=30)
LATER = Escalation(role="finance", after_seconds=1800, to="board")
FINANCE = Requirement(needs=(Need(role="finance", count=1),), escalations=(LATER,))
TWO = FINANCE.model_copy(update={"needs": (Need(role="finance", count=2),)})
PEOPLE = People(
    persons=(
        Person(name="rita", roles=("finance", "board")),
        Person(name="dana", roles=("finance",)),
        Person(name="beth", roles=("board",)),
        Person(name="bill", roles=("board",)),
        Person(name="erik", roles=("ops",)),
    )
)


def judged(state: RunState, one: Arrival) -> Decided:
    assert one.decision is not None
    return judge(state, one, identify(PEOPLE, one.decision.by, one.received_at))


def approve(state: RunState, by: str, at: datetime) -> tuple[RunState, Verdict]:
    decided = judged(state, arrival(by=by, at=at))
    return apply(state, decided), decided.verdict


def test_the_other_role_may_approve_from_that_time_on_and_not_earlier() -> None:
    state = state_after(drafted(requirement=FINANCE))
    before, verdict = approve(state, "beth", NOON + HALF - timedelta(microseconds=1))
    assert before.phase is Phase.IN_REVIEW
    assert verdict.reason == (
        "beth has no role that can decide on this plan; it needs 1 approval by finance "
        "(from Thu 2026-01-01 12:30 UTC also by board)"
    )
    after, verdict = approve(state, "beth", NOON + HALF)
    assert verdict.accepted
    assert after.phase is Phase.EXECUTING
    (approval,) = after.approvals
    assert approval.approver.standings[0].roles == ("board", "anyone")


def test_the_time_of_receipt_matters_and_not_the_time_of_the_check() -> None:
    state = state_after(drafted(requirement=TWO))
    state, _ = approve(state, "beth", NOON + HALF)
    state, verdict = approve(state, "bill", NOON + HALF - timedelta(seconds=1))
    assert not verdict.accepted
    assert state.phase is Phase.IN_REVIEW


def test_the_same_number_of_approvals_is_needed_and_each_person_counts_once() -> None:
    state, late = state_after(drafted(requirement=TWO)), NOON + HALF
    state, verdict = approve(state, "beth", late)
    assert verdict.reason.startswith("approved; still needed: 1 approval by finance")
    again, verdict = approve(state, "beth", late + timedelta(seconds=1))
    assert not verdict.accepted
    done, _ = approve(again, "dana", late)
    assert done.phase is Phase.EXECUTING


def test_the_requester_cannot_approve_through_another_role() -> None:
    state = state_after(drafted(requirement=FINANCE))
    _, verdict = approve(state, "rita", NOON + HALF)
    assert verdict.reason == "rita is the requester; another person must approve"


def test_an_escalation_role_may_later_reject_and_edit_but_never_resolve() -> None:
    state = state_after(drafted(requirement=FINANCE))
    assert not judged(state, arrival("reject", "beth", at=NOON)).verdict.accepted
    assert judged(state, arrival("reject", "beth", at=NOON + HALF)).verdict.accepted
    assert FINANCE.resolving.any_of == (("finance",),)


def test_escalation_times_count_from_the_reopening_and_earlier_approvals_stay_valid() -> None:
    state = state_after(drafted(requirement=TWO))
    state, _ = approve(state, "beth", NOON + HALF)
    state, _ = approve(state, "dana", NOON + HALF)
    later = NOON + timedelta(minutes=40)
    lost = invalid_approvals(state, without("dana"), later)
    assert [one.name for one in lost] == ["dana"]
    event = Reopened(
        fingerprint=state.fingerprint or "", step=1, lost=lost, reopened_at=later, deadline=DEADLINE + HALF
    )
    state = apply(state, event)
    assert [one.name for one in state.approvers] == ["beth"]
    assert state.later_approvers[0].at == later + HALF
    _, verdict = approve(state, "bill", later + timedelta(minutes=1))
    assert not verdict.accepted
    state, verdict = approve(state, "bill", later + HALF)
    assert verdict.accepted
    assert state.phase is Phase.EXECUTING


def without(name: str) -> People:
    return People(persons=tuple(one for one in PEOPLE.persons if one.name != name))


def test_an_approval_by_the_other_role_is_lost_with_that_role() -> None:
    state, _ = approve(state_after(drafted(requirement=FINANCE)), "beth", NOON + HALF)
    left = People(persons=(Person(name="beth", roles=("ops",)),))
    assert [one.reason for one in invalid_approvals(state, left, DEADLINE)] == [
        "beth does not have the role board"
    ]
    assert invalid_approvals(state, PEOPLE, DEADLINE) == ()


def test_a_timeout_never_approves_a_plan() -> None:
    state = state_after(drafted(requirement=FINANCE))
    state, _ = approve(state, "erik", NOON)
    assert not state.is_approved
    assert state.phase is Phase.IN_REVIEW  # time alone cannot change that


def test_an_auditor_detects_an_approval_that_was_too_early_for_its_role() -> None:
    opened = requested(), drafted(requirement=FINANCE)
    state, at = state_after(opened[1]), NOON + HALF
    good = judged(state, arrival(by="beth", at=at))
    assert not list(rule_violations("plan-1", chained([*opened, good], at=NOON)[:2]))
    (found,) = _found([*opened, good], at)
    assert not found
    early = good.model_copy(update={"arrival": arrival(by="beth", at=at - timedelta(seconds=1))})
    (found,) = _found([*opened, early], at - timedelta(seconds=1))
    assert "was accepted, though beth has no role that can decide on this plan" in found


def _found(events: list[object], at: datetime) -> list[str]:
    entries = chained(events)  # type: ignore[arg-type]
    entries[-1] = entries[-1].model_copy(update={"at": at})
    return [" ".join(one.what for one in rule_violations("plan-1", entries))]


# ---- matching rules -----------------------------------------------------------------------------


def rule(*roles: str, name: str = "one", later: tuple[Escalation, ...] = ()) -> Rule:
    return Rule(name=name, needs=tuple(Need(role=role, count=1) for role in roles), escalations=later)


def both(one: Rule, other: Rule) -> tuple[Escalation, ...]:
    return combined([Step(rules=(one, other))], one, "").escalations


def test_a_rule_without_escalation_keeps_its_role_despite_other_rules() -> None:
    assert both(rule("finance", later=(LATER,)), rule("finance")) == ()
    assert both(rule("finance", later=(LATER,)), rule("ops")) == (LATER,)


def test_the_longest_time_of_all_rules_applies() -> None:
    longer = LATER.model_copy(update={"after_seconds": 7200})
    assert both(rule("finance", later=(LATER,)), rule("finance", later=(longer,))) == (longer,)


ROLES = ("finance", "ops", "board")
ESCALATIONS = st.lists(
    st.builds(
        Escalation,
        role=st.sampled_from(ROLES),
        after_seconds=st.integers(1, 4),
        to=st.sampled_from(ROLES),
    ),
    max_size=4,
)


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    roles = draw(st.lists(st.sampled_from(ROLES), unique=True, max_size=3))
    return Requirement(
        needs=tuple(Need(role=role, count=draw(st.integers(1, 2))) for role in roles),
        escalations=tuple(one for one in draw(ESCALATIONS) if one.role in roles),
        remind=tuple(draw(st.lists(st.integers(1, 3), unique=True))),
    )


@given(one=requirements(), other=requirements())
def test_the_stricter_of_two_requirements_is_no_weaker_than_either(
    one: Requirement, other: Requirement
) -> None:
    found = strictest(one, other)
    for part in (one, other):
        assert missing_demand(found, part) is None, (found, part)


@given(one=requirements(), other=requirements(), roles=st.sets(st.sampled_from(ROLES)), at=st.integers(0, 5))
def test_two_rules_together_exclude_everyone_that_either_rule_excludes(
    one: Requirement, other: Requirement, roles: set[str], at: int
) -> None:
    def fills(requirement: Requirement, role: str) -> bool:
        later = [e.to for e in requirement.escalations if e.role == role and e.after_seconds <= at]
        return role in roles or any(to in roles for to in later)

    together = strictest(one, other)
    for part in (one, other):
        for need in part.needs:
            assert not fills(together, need.role) or fills(part, need.role)


def test_a_forged_escalation_is_weaker_than_the_policy() -> None:
    plain = FINANCE.model_copy(update={"escalations": ()})
    assert missing_demand(FINANCE, plain) == "no approval by board for finance after only 1800 seconds"
    earlier = FINANCE.model_copy(update={"escalations": (LATER.model_copy(update={"after_seconds": 1}),)})
    assert missing_demand(earlier, FINANCE) == "no approval by board for finance after only 1 seconds"
    assert missing_demand(plain, FINANCE) is None


# ---- displayed text -----------------------------------------------------------------------------


def test_the_page_shows_from_the_start_who_may_approve_later() -> None:
    status = status_of(state_after(drafted(requirement=FINANCE)), "records")
    assert [(one.role, one.to, one.at) for one in status.reliefs] == [("finance", "board", NOON + HALF)]
    page = printed(run_page(status, NOON))
    at = moment(NOON + HALF)
    assert f"from {at}, in 30 min, board (instead of finance)" in page
    assert f"since {at}, 5 min ago, board" in printed(run_page(status, NOON + timedelta(minutes=35)))


def test_markdown_and_the_inbox_show_it_too() -> None:
    state = state_after(drafted(requirement=FINANCE))
    page = details_page(state)
    assert "For finance, from Thu 2026-01-01 12:30 UTC also by board." in page
    inbox = " ".join(read_html(render_run(status_of(state, "records"))).text.split())
    assert "For finance, from 2026-01-01 12:30 UTC" in inbox
    assert "also by board." in inbox


def test_a_list_includes_the_run_for_an_escalation_role_from_that_time_on() -> None:
    status = status_of(state_after(drafted(requirement=FINANCE)), "records")
    beth = identify(PEOPLE, "beth", NOON)
    assert not may_decide_now(status, beth, NOON)
    assert may_decide_now(status, beth, NOON + HALF)
    assert Choice.APPROVE in offered(status, beth, NOON + HALF)
    assert offered(status, beth, NOON) == ()
    (wanted,) = needed_decisions(status, PEOPLE, NOON + HALF)
    assert wanted.names == ("dana", "beth", "bill")
    (wanted,) = needed_decisions(status, PEOPLE, NOON)
    assert wanted.names == ("dana",)


def test_an_escalation_role_may_see_the_run_from_the_start() -> None:
    seen_by = (Viewers(name="few", who=(Party.DECIDERS,)),)
    state = state_after(drafted(requirement=FINANCE.model_copy(update={"seen_by": seen_by})))
    beth, erik = (identify(PEOPLE, name, NOON).approver for name in ("beth", "erik"))
    assert may_see(state, beth)
    assert not may_see(state, erik)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('escalate = [{ after = "24h", to = "anyone" }]', "anyone would be everyone but the requester"),
        ('escalate = [{ after = "24h", to = "finance" }]', "may already approve for finance"),
        ('escalate = [{ after = "0s", to = "board" }]', "is not between 1 second and 365 days"),
        ('escalate = [{ after = "2 working days", to = "board" }]', "is not a valid duration"),
        ('timeout = "1h"\nescalate = [{ after = "1h", to = "board" }]', "no earlier than the review ends"),
        ('timeout = "1h"\nremind = ["1h"]', "would come before the review begins"),
        ('timeout = "2 working days"', "set its calendar"),
        ('timeout = "2 working days"\ncalendar = "x"', "is not a calendar in this file"),
        ('timeout = "0 working hours"\ncalendar = "x"', "is not between 1 and 2000 working hours"),
        ('timeout = "3 working weeks"', "is not a valid duration"),
    ],
)
def test_an_error_in_the_times_of_a_rule_explains_what_to_do(line: str, message: str) -> None:
    with pytest.raises(FileInvalid) as error:
        policy_in(f'[default]\nneeds = [{{ role = "finance" }}]\n{line}')
    assert message in str(error.value)
