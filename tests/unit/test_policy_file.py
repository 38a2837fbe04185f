"""The policy as written by an operator: its requirements, its safe failures, and errors with locations."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.tools.registry import declarations
from plangate.domain.errors import FileInvalid
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.policies.policy import Rule
from plangate.domain.policies.requirement import Need
from plangate.policy.policy_file import Explanation, FilePolicy, policy_in, read_policy
from plangate.settings import PROJECT
from tests.support.stand_in_tools import REFUND_AND_NOTE as TOOLS

BANK = PROJECT / "examples" / "bank"
ROLES = frozenset({"finance", "ops"})


def policy(tmp_path: Path, text: str, roles: frozenset[str] | None = ROLES) -> FilePolicy:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return read_policy(path, TOOLS, roles)


def rule(when: str, needs: str = '[{ role = "finance" }]', name: str = "a rule", more: str = "") -> str:
    return f"[[rule]]\nname = '{name}'\nwhen = '''{when}'''\nneeds = {needs}\n{more}\n"


def refund(amount: Any, **more: Any) -> Step:
    return Step(tool="refund", arguments={"amount": amount, "to": ["a@b.example"], "note": None, **more})


def explain(rules: FilePolicy, *steps: Step, request: str = "please") -> Explanation:
    plan = Plan(summary="s", steps=steps or (refund(400),))
    return rules.explain(plan, request=request, requester="rita")


def asked(rules: FilePolicy, *steps: Step, request: str = "please") -> dict[str, int]:
    requirement = explain(rules, *steps, request=request).requirement
    return {need.role: need.count for need in requirement.needs}


def faults(tmp_path: Path, text: str, roles: frozenset[str] | None = ROLES) -> str:
    with pytest.raises(FileInvalid) as raised:
        policy(tmp_path, text, roles)
    return "\n".join(map(str, raised.value.faults))


def test_a_step_without_a_matching_rule_gets_the_default_or_one_approval_by_anyone(
    tmp_path: Path,
) -> None:
    assert asked(policy(tmp_path, rule("false"))) == {ANYONE: 1}
    assert asked(policy(tmp_path, rule("false") + '[default]\nneeds = [{role = "ops", count = 2}]')) == {
        "ops": 2
    }


@pytest.mark.parametrize("text", ["", "# no rules yet\n", "\ufeff"])
def test_an_empty_policy_is_refused(tmp_path: Path, text: str) -> None:
    assert "it is empty" in faults(tmp_path, text)


def test_a_byte_order_mark_does_not_change_locations(tmp_path: Path) -> None:
    assert asked(policy(tmp_path, "\ufeff" + rule("true"))) == {"finance": 1}
    assert "rule 'a rule' (line 1)" in faults(tmp_path, "\ufeff" + rule("nonsense("))


def test_a_limit_applies_to_an_amount_and_to_the_sum_of_the_plan(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        rule("step.tool == 'refund' && totals.refund.amount <= 500.0", "[]", "small")
        + rule("totals.refund.amount > 500.0", name="large"),
    )
    assert asked(rules, refund(400)) == {}
    assert explain(rules, refund(400)).requirement.rules == ("small",)
    assert asked(rules, refund(400), refund(400)) == {"finance": 1}


def test_sums_are_exact(tmp_path: Path) -> None:
    rules = policy(tmp_path, rule("totals.refund.amount == 1.0", "[]"))
    assert not math.isclose(sum([0.1] * 10), 1.0, rel_tol=0, abs_tol=0)
    assert asked(rules, *[refund(0.1)] * 10) == {}


def test_a_plan_is_exempt_only_if_no_rule_of_any_step_requires_approval(tmp_path: Path) -> None:
    rules = policy(
        tmp_path, rule("step.tool == 'note'", "[]", "notes") + rule("step.tool == 'refund'", name="money")
    )
    note = Step(tool="note", arguments={"text": "x"})
    assert asked(rules, note) == {}
    assert asked(rules, note, refund(1)) == {"finance": 1}
    both = policy(tmp_path, rule("true", "[]", "all") + rule("step.tool == 'note'", name="notes"))
    assert asked(both, note) == {"finance": 1}


@pytest.mark.parametrize(
    "when",
    [
        "step.arguments.text == 'x'",
        "step.arguments.amount > 'x'",
        "1 / 0 == 1",
        "step.arguments.to[7] == 'x'",
    ],
)
def test_an_undecidable_condition_applies_requirements_and_not_exemptions(tmp_path: Path, when: str) -> None:
    guarded = f"step.tool == 'note' || {when}"
    requiring, exempting = policy(tmp_path, rule(guarded)), policy(tmp_path, rule(guarded, "[]"))
    assert asked(requiring, refund(1)) == {"finance": 1}
    assert asked(exempting, refund(1)) == {ANYONE: 1}
    (unclear,) = explain(requiring, refund(1)).steps[0].unclear
    assert unclear.counts
    assert unclear.reason
    assert not explain(exempting, refund(1)).steps[0].unclear[0].counts


def test_the_shortest_time_and_the_strongest_assurance_of_all_rules_apply(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        rule("true", name="one", more="timeout = '4h'\napproval_valid_for = '30m'")
        + rule("true", name="two", more="timeout = '1h30m'\nassurance = 'signed'"),
    )
    requirement = explain(rules).requirement
    assert (requirement.timeout_seconds, requirement.approval_valid_for) == (5_400, 1_800)
    assert requirement.assurance is Assurance.SIGNED
    assert requirement.rules == ("one", "two")


def test_every_error_is_listed_with_its_rule_and_location(tmp_path: Path) -> None:
    reported = faults(
        tmp_path,
        rule("step.tool ==", name="syntax")
        + rule("step.argments.amount > 1", name="field")
        + rule("step.arguments.amonut > 1", name="argument")
        + rule("totals.refnd.amount > 1", name="tool")
        + rule("totals.note.text > 1", name="total")
        + rule("total > 1", name="variable")
        + rule("lower(request.text) == 'x'", name="function")
        + rule("step.tool", name="no answer")
        + rule("true", "[{ role = 'cfo' }]", name="role")
        + rule("true", "[{ role = 'ops', count = 0 }]", name="count")
        + rule("true", "[{ role = 'ops', cuont = 1 }]", name="key")
        + rule("true", "[]", name="free", more="assurance = 'signed'")
        + rule("true", name="time", more="timeout = 'soon'")
        + rule("true", name="type", more="assurance = 'yes'")
        + rule("true", name="default")
        + rule("true", name="syntax")
        + "[defualt]\nneeds = []\n",
    )
    for words in (
        "rule 'syntax' (line 1).when: 1:13: Syntax error",
        "rule 'field' (line 6).when: step has no field argments; it has: arguments, number, reason, tool",
        ".when: no tool has an argument amonut",
        ".when: there is no tool called refnd; the tools are: note, refund",
        ".when: note has no numeric argument text",
        (
            ".when: there is no variable called total; "
            "the variables are: counts, duplicates, plan, request, step, totals"
        ),
        ".when: there is no function called lower",
        ".when: is neither true nor false for a step of any tool",
        "no active person has the role cfo; existing roles: finance, ops",
        ".needs[0].count: must be at least 1",
        ".needs[0].cuont: unknown field; remove it",
        (
            "needs no approval, so assurance, timeout, remind, approval_valid_for, settle, batch and "
            "notify_details have no effect"
        ),
        ".timeout: 'soon' is not a valid duration",
        '.assurance: must be "typed", "login" or "signed"',
        ".name: is reserved for [default]",
        "rule 'syntax' (line 76).name: is also another rule's name",
        "defualt: unknown field; remove it",
    ):
        assert words in reported


def test_roles_other_than_anyone_need_a_list_of_people(tmp_path: Path) -> None:
    assert "set PLANGATE_PEOPLE" in faults(tmp_path, rule("true"), None)
    assert asked(policy(tmp_path, rule("true", '[{ role = "anyone", count = 2 }]'), None)) == {ANYONE: 2}


@pytest.mark.parametrize("text", ["rule = 3", "[[rule]\n", "rule = [1]", "\x00", "[default]\nneeds = 1"])
def test_an_invalid_policy_is_reported_without_a_traceback(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text)


def test_the_hash_covers_the_file(tmp_path: Path) -> None:
    one, two = policy(tmp_path, rule("true")), policy(tmp_path, rule("true") + "# \n")
    assert one.policy_hash != two.policy_hash
    assert explain(one).requirement.policy_hash == one.policy_hash


@pytest.mark.parametrize(
    ("request_text", "tool", "free"),
    [
        ("Summarise the week", "http_request", True),
        ("Please REFUND him", "http_request", False),
        ("submitting it", "http_request", False),
        ("write to Kim", "send_email", False),
    ],
)
def test_the_keyword_example_works(request_text: str, tool: str, free: bool) -> None:
    rules = read_policy(PROJECT / "examples" / "policies" / "keywords.toml", declarations(), None)
    plan = Plan(summary="x", steps=(Step(tool=tool, arguments={}),))
    requirement = rules.requirement_for(plan, request=request_text, requester="rita")
    assert (not requirement.needs) is free


needs = st.lists(
    st.builds(Need, role=st.sampled_from(["a", "b", "c"]), count=st.integers(1, 3)),
    max_size=3, unique_by=lambda need: need.role,
)  # fmt: skip
rules_ = st.lists(
    st.builds(
        Rule,
        name=st.sampled_from(["x", "y", "z"]),
        needs=needs.map(tuple),
        assurance=st.sampled_from(Assurance),
    ),
    max_size=3,
)


NEEDED = st.sampled_from(["finance", "legal"])
PROOFS = st.sampled_from(["typed", "login", "signed"])


@given(st.lists(st.tuples(NEEDED, PROOFS), min_size=1, max_size=4))
def test_a_delegation_needs_the_proof_required_by_every_plan_that_its_role_may_decide(
    rules: list[tuple[str, str]],
) -> None:
    """Matching rules add up: one may require a role, and another a signature."""
    text = 'delegable = ["finance", "legal"]\n' + "".join(
        f'[[rule]]\nname = "rule {number}"\nwhen = "true"\nneeds = [{{ role = "{role}" }}]\n'
        f'assurance = "{assurance}"\n'
        for number, (role, assurance) in enumerate(rules)
    )
    made = policy_in(text)
    delegable = {one.role: one.assurance for one in made.delegation_rules.roles}
    requirement = explain(made).requirement
    for need in requirement.needs:
        assert delegable[need.role] >= requirement.assurance
