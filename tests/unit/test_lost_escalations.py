"""Escalations that are cancelled by other rules are reported together with those rules."""

from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.plans.plan import Plan, Step
from plangate.domain.policies.escalation import Escalation
from plangate.domain.policies.policy import Matched, Rule, combined
from plangate.domain.policies.requirement import Need
from plangate.policy.lost_escalations import lost_escalations
from plangate.policy.policy_file import policy_in

ROLES = ("finance", "board", "ops")
DEFAULT = Rule(name="default", needs=(Need(role="anyone", count=1),))


@st.composite
def rules(draw: st.DrawFn) -> list[Rule]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        roles = draw(st.lists(st.sampled_from(ROLES), min_size=1, unique=True))
        pairs = st.tuples(st.sampled_from(roles), st.integers(1, 9), st.sampled_from(ROLES))
        later = tuple(
            Escalation(role=role, after_seconds=after, to=to)
            for role, after, to in draw(st.lists(pairs, max_size=3))
        )
        needs = tuple(Need(role=role, count=1) for role in roles)
        found.append(Rule(name=f"rule-{number}", needs=needs, escalations=later))
    return found


@given(rules())
def test_every_escalation_takes_effect_or_is_reported_with_the_overriding_rules(
    found: list[Rule],
) -> None:
    requirement = combined([Matched(rules=tuple(found))], DEFAULT, "")
    kept = {(one.role, one.to) for one in requirement.escalations}
    lost = list(lost_escalations(found, requirement.escalations))
    assert {(one.role, one.to) for one in lost}.isdisjoint(kept)
    written = {(one.role, one.to) for rule in found for one in rule.escalations}
    assert written == kept | {(one.role, one.to) for one in lost}
    by_name = {rule.name: rule for rule in found}
    for one in lost:
        for name in one.because:
            assert any(need.role == one.role for need in by_name[name].needs)
            assert all((more.role, more.to) != (one.role, one.to) for more in by_name[name].escalations)


TEXT = """
[[rule]]
name = "refunds"
when = 'step.tool == "refund"'
needs = [{ role = "finance" }]
escalate = [{ after = "2m", to = "board" }]

[[rule]]
name = "money"
when = 'step.tool in ["refund", "pay"]'
needs = [{ role = "finance" }]

[[rule]]
name = "mails"
when = 'step.tool == "mail"'
needs = [{ role = "ops" }]
"""


def test_an_explanation_is_given_only_if_both_rules_apply_to_the_plan() -> None:
    policy = policy_in(TEXT)
    for tools, expected in (("refund",), [("refunds", ("money",))]), (("pay", "mail"), []):
        plan = Plan(summary="Do it", steps=tuple(Step(tool=tool, arguments={}) for tool in tools))
        found = policy.explain(plan, request="", requester="rita")
        assert found.requirement.escalations == ()
        assert [(one.rule, one.because) for one in found.lost_escalations] == expected
