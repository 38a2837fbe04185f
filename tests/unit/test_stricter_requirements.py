"""A plan that needs more approvals because of a rolling total, and how its trail is audited."""

from datetime import timedelta
from typing import Any

import pytest

from activities.rolling_totals import StricterRequirement, reopened_for
from plangate.audit.proof import Lists, unproven
from plangate.audit.rules import rule_violations
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE, InvalidApproval
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.policies.rolling_totals import RecentSum, sums_wanted
from plangate.domain.runs.audit import Claimed, Drafted, Event, Reopened, RuleText
from plangate.domain.runs.fold import apply
from plangate.domain.runs.run import Phase, RunState, key_of
from plangate.domain.runs.status import status_of
from plangate.policy.policy_file import policy_in
from plangate.policy.requirements import weak_requirements
from plangate.presentation.markdown import details_page
from plangate.presentation.run_page import run_page
from plangate.presentation.trail_page import trail_page
from tests.support.build import (
    DEADLINE,
    HOUR,
    NOON,
    RUN,
    arrival,
    chained,
    decide,
    drafted,
    requested,
    state_after,
)
from tests.support.refund_tool import refund_plan

POLICY = policy_in(
    """
[[rule]]
name = "small"
when = "true"
needs = [{ role = "anyone" }]

[[rule]]
name = "much"
when = "recent('refund', 'amount', '24h', 'requester') > 500"
needs = [{ role = "anyone", count = 2 }]
timeout = "30m"
"""
)
TEXTS = [RuleText(hash=POLICY.policy_hash, text=POLICY.text)]
PLAN = refund_plan("300")


def sums(others: str) -> tuple[RecentSum, ...]:
    wanted = sums_wanted(POLICY.limits, PLAN, ["rita"])
    return tuple(one.model_copy(update={"others": others}) for one in wanted)


def needed(others: str) -> Requirement:
    return POLICY.requirement_for(PLAN, request="Do it.", requester="rita", recent=sums(others))


def draft(others: str = "0", **more: Any) -> Drafted:
    return drafted(PLAN, **{"requirement": needed(others), "recent": sums(others), **more})


def approved(*events: Event) -> RunState:
    state = state_after(requested(), draft(), *events)
    return decide(state, arrival(plan=state.fingerprint))


def reopened(others: str = "300", **more: Any) -> Reopened:
    event = Reopened(
        fingerprint=draft().fingerprint, step=1, reopened_at=NOON, deadline=NOON + HOUR / 2,
        requirement=needed(others), recent=sums(others),
    )  # fmt: skip
    return event.model_copy(update=more)


def after_approval(*events: Event) -> list[Event]:
    """Return these events after an approved plan."""
    (approval,) = approved().decisions
    return [requested(), draft(), approval, *events]


def claim(others: str | None = "0") -> Claimed:
    recent = sums(others) if others is not None else ()
    key = key_of(approved(), 1, undo=False)
    return Claimed(step=1, idempotency_key=key, fingerprint=draft().fingerprint, attempt=1, recent=recent)


def found(*events: Event) -> list[str]:
    trail = chained(events)
    findings = [
        *rule_violations(RUN, trail),
        *weak_requirements(RUN, trail, TEXTS),
        *unproven(RUN, trail, Lists()),
    ]
    return [one.what for one in findings]


def test_the_review_is_reopened_with_the_stricter_requirement_and_keeps_the_approval() -> None:
    state = apply(approved(), reopened())
    assert state.phase is Phase.IN_REVIEW
    assert state.drafted is not None
    assert state.drafted.requirement == needed("300")
    assert [one.name for one in state.approvers] == ["dana"]
    again = decide(state, arrival(by="erik", plan=state.fingerprint))
    assert again.phase is Phase.EXECUTING


def test_a_plan_with_enough_approvals_continues() -> None:
    shorter = needed("0").model_copy(update={"hold_seconds": 60})
    state = apply(approved(), reopened(requirement=shorter))
    assert state.phase is Phase.EXECUTING
    assert state.drafted is not None
    assert state.drafted.requirement.longest_hold == 60


def test_the_time_of_a_shorter_review_begins_with_its_reopening() -> None:
    event = reopened_for(
        approved(), StricterRequirement(requirement=needed("300"), recent=sums("300")), 1, None, NOON + HOUR
    )
    assert event.deadline == NOON + HOUR + timedelta(minutes=30)
    assert event.lost == ()


def test_an_approval_whose_proof_is_too_weak_is_lost_and_may_be_given_again() -> None:
    signed = Requirement(needs=(Need(role=ANYONE, count=1),), assurance=Assurance.SIGNED)
    event = reopened_for(approved(), StricterRequirement(requirement=signed, recent=()), 1, None, NOON)
    assert [(one.name, one.reason) for one in event.lost] == [("dana", "dana's approval is not signed")]
    assert apply(approved(), event).approvers == ()


def test_permitted_sequences_have_no_finding() -> None:
    assert found(*after_approval(claim())) == []
    assert found(*after_approval(claim("200"))) == []
    assert found(*after_approval(reopened())) == []


@pytest.mark.parametrize(
    ("event", "finding"),
    [
        (
            claim("300"),
            "according to the rolling totals when a step began, its plan asks",
        ),
        (claim(None), "a step began without a check of the rolling totals"),
        (reopened("0"), "reopens the review for a requirement that is no stricter"),
        (reopened(requirement=Requirement()), "requires less than the plan needed before"),
        (reopened(requirement=needed("300"), recent=()), "has different rolling totals than its plan"),
        (
            reopened(recent=tuple(one.model_copy(update={"own": "1"}) for one in sums("300"))),
            "has different rolling totals",
        ),
        (reopened(deadline=DEADLINE + HOUR), "reopens the review for longer than the first time"),
    ],
)
def test_forbidden_sequences_are_reported(event: Event, finding: str) -> None:
    findings = found(*after_approval(event))
    assert any(one.startswith(finding) for one in findings), findings


def test_the_rolling_totals_are_checked_again_after_the_review_was_reopened() -> None:
    again = reopened(requirement=None, recent=(), lost=(InvalidApproval(name="dana", reason="left"),))
    state = decide(apply(approved(claim()), again), arrival(by="erik", plan=draft().fingerprint))
    unchecked = [*after_approval(claim(), again), state.decisions[-1], claim(None)]
    missing = "a step began without a check of the rolling totals"
    assert missing in found(*unchecked)
    assert missing not in found(*after_approval(claim(), claim(None)))


def test_a_trail_without_a_request_has_findings() -> None:
    assert found(*after_approval(claim())[1:])


def test_a_plan_with_forged_sums_has_a_weaker_requirement_than_its_policy() -> None:
    forged = draft(recent=sums("300"))
    assert any("asks for less than the policy" in one for one in found(requested(), forged))
    assert found(requested(), draft(recent=())) == [
        "has different rolling totals than its plan and its policy require"
    ]


def test_the_pages_show_the_new_sum_and_why_the_review_is_open_again() -> None:
    state = apply(approved(), reopened("1180"))
    said = "with this plan 1,480 EUR in 24 hours: amount of refund, by rita"
    why = "because a rolling total requires more approvals than the plan has"
    page = "\n".join(row.margin + row.text for row in run_page(status_of(state, source="record"), NOON).rows)
    assert said in page
    assert why in page
    web = details_page(state)
    assert said in web
    assert "a rolling total requires more approvals" in web
    trail = "\n".join(row.text for row in trail_page(chained(after_approval(reopened("1180")))).rows)
    assert f"{said[:40]}" in trail
    shown = status_of(state, source="record").model_dump(mode="json")
    assert [(one["with_this_one"], one["others"], one["window"]) for one in shown["sums"]] == [
        ("1480", "1180", "24h")
    ]
