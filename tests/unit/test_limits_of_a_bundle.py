"""What `verify-bundle` cannot detect, as docs/howto-verify.md lists it: these forged runs have no finding.

The forger writes the entries as a worker would, and a worker seals them. If a new check detects one of these,
move its line in the document from the limits to the checks.
"""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from plangate.domain.decisions.decision import Choice, Verdict
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.policies.rolling_totals import sums_wanted
from plangate.domain.runs.audit import Outcome
from plangate.domain.runs.fold import fold
from plangate.policy.policy_file import FilePolicy, policy_in
from tests.support.build import NOON
from tests.support.recorded_history import POLICIES, RunHistory, plan_of
from tests.unit.test_hold_attacks import found_in_bundle

AT_MOST_100_A_DAY = policy_in(
    "[default]\nneeds = [{ role = 'finance' }]\n[[rule]]\nname = 'much'\nneeds = [{ role = 'ops' }]\n"
    "when = \"tool == 'note' && recent('note', 'amount', '1d') > 100\"\n"
)


def begun(policy: FilePolicy = POLICIES[0], **more: Any) -> RunHistory:
    return RunHistory(Random(1), policy, **more)


def executed(history: RunHistory, **claim: Any) -> RunHistory:
    history.decide("dana")
    while history.state.closed is None:
        step = history.claim(**claim)
        history.done(step)
        if step == len(history.state.steps):
            history.close(Outcome.EXECUTED)
    return history


def a_receipt_for_an_effect_that_did_not_happen() -> RunHistory:
    return executed(begun())  # `RunHistory` calls no tool


def a_preview_that_does_not_describe_the_arguments() -> RunHistory:
    history = begun()
    history.decide("dana", Choice.REQUEST_CHANGES)
    steps = [one.model_copy(update={"preview": "Do nothing"}) for one in plan_of(3).steps]
    history.draft(Plan(summary="Nothing", steps=tuple(steps)))
    return executed(history)


def an_approval_in_a_typed_name() -> RunHistory:
    history = begun()
    event = history.judged(history.arrival("dana", Choice.APPROVE), unsigned=True)
    history.add(event, actor="dana", key=event.arrival.key)
    return history


def a_refusal_without_a_reason() -> RunHistory:
    history = begun()
    event = history.judged(history.arrival("dana", Choice.REJECT))
    refused = event.model_copy(update={"verdict": Verdict(accepted=False, reason="no")})
    history.add(refused, actor="dana", key=event.arrival.key)
    return history


def other_arguments_than_the_edits() -> RunHistory:
    history = begun()
    plan = plan_of(3)
    history.decide("anna", Choice.EDIT, new_plan=plan.proposed().model_dump(mode="json"))
    first = plan.steps[0].model_copy(update={"arguments": {"text": "another"}})
    history.draft(plan.model_copy(update={"steps": (first, *plan.steps[1:])}))
    return history


def a_rolling_total_without_the_other_runs() -> RunHistory:
    history = begun(AT_MOST_100_A_DAY)
    history.entries = history.entries[:1]
    history.state = fold(history.run, [history.entries[0].event])
    plan = Plan(summary="Much", steps=(Step(tool="note", arguments={"amount": 60}),))
    sums = sums_wanted(AT_MOST_100_A_DAY.limits, plan, ("rita",))
    assert [(one.own, one.others) for one in sums] == [("60", "0")]
    requirement = history.policy.requirement_for(plan, request="", requester="rita", recent=sums)
    assert [need.role for need in requirement.needs] == ["finance"]
    history.draft(plan, recent=sums, requirement=requirement)
    return executed(history, recent=sums)


def a_step_begun_despite_a_stop() -> RunHistory:
    return executed(begun(), stops=7)


def a_run_dated_a_year_ago() -> RunHistory:
    return executed(begun(now=NOON - timedelta(days=365)))


LIMITS: tuple[Callable[[], RunHistory], ...] = (
    a_receipt_for_an_effect_that_did_not_happen, a_preview_that_does_not_describe_the_arguments,
    an_approval_in_a_typed_name, a_refusal_without_a_reason, other_arguments_than_the_edits,
    a_rolling_total_without_the_other_runs, a_step_begun_despite_a_stop, a_run_dated_a_year_ago,
)  # fmt: skip


@pytest.mark.parametrize("forged", LIMITS, ids=lambda forged: forged.__name__)
def test_a_bundle_does_not_show(forged: Callable[[], RunHistory]) -> None:
    assert found_in_bundle(forged()) == []
