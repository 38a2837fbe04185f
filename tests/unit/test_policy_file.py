"""The policy as people write it: what it asks of a plan, how it fails closed, every fault with its place."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from activities.tools.registry import declarations
from plangate.domain.assurance import Assurance
from plangate.domain.drafting import check_plan
from plangate.domain.errors import FileInvalid
from plangate.domain.people import ANYONE
from plangate.domain.plan import Plan, Step
from plangate.domain.policy import DEFAULT_RULE, Matched, Need, Rule, combined
from plangate.domain.stops import StopRules
from plangate.policy.people_file import read_people
from plangate.policy.policy_file import Explanation, FilePolicy, read_policy
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


def test_a_step_that_no_rule_matches_gets_the_default_and_without_one_anybodys_approval(
    tmp_path: Path,
) -> None:
    assert asked(policy(tmp_path, rule("false"))) == {ANYONE: 1}
    assert asked(policy(tmp_path, rule("false") + '[default]\nneeds = [{role = "ops", count = 2}]')) == {
        "ops": 2
    }


@pytest.mark.parametrize("text", ["", "# rules are to come\n", "\ufeff"])
def test_an_empty_policy_is_no_policy(tmp_path: Path, text: str) -> None:
    assert "it is empty" in faults(tmp_path, text)


def test_a_byte_order_mark_changes_nothing_not_even_the_places(tmp_path: Path) -> None:
    assert asked(policy(tmp_path, "\ufeff" + rule("true"))) == {"finance": 1}
    assert "rule 'a rule' (line 1)" in faults(tmp_path, "\ufeff" + rule("nonsense("))


def test_a_limit_is_by_amount_and_by_the_sum_over_the_whole_plan(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        rule("step.tool == 'refund' && totals.refund.amount <= 500.0", "[]", "small")
        + rule("totals.refund.amount > 500.0", name="large"),
    )
    assert asked(rules, refund(400)) == {}
    assert explain(rules, refund(400)).requirement.rules == ("small",)
    assert asked(rules, refund(400), refund(400)) == {"finance": 1}


def test_sums_do_not_lie_by_rounding(tmp_path: Path) -> None:
    rules = policy(tmp_path, rule("totals.refund.amount == 1.0", "[]"))
    assert not math.isclose(sum([0.1] * 10), 1.0, rel_tol=0, abs_tol=0)
    assert asked(rules, *[refund(0.1)] * 10) == {}


def test_a_plan_is_free_only_if_no_rule_of_any_step_demands_anything(tmp_path: Path) -> None:
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
def test_where_a_condition_cannot_be_judged_a_rule_that_demands_matches_and_one_that_frees_does_not(
    tmp_path: Path, when: str
) -> None:
    guarded = f"step.tool == 'note' || {when}"
    demands, frees = policy(tmp_path, rule(guarded)), policy(tmp_path, rule(guarded, "[]"))
    assert asked(demands, refund(1)) == {"finance": 1}
    assert asked(frees, refund(1)) == {ANYONE: 1}
    (unclear,) = explain(demands, refund(1)).steps[0].unclear
    assert unclear.counts
    assert unclear.reason
    assert not explain(frees, refund(1)).steps[0].unclear[0].counts


def test_times_are_the_shortest_and_signed_if_any_rule_says_so(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        rule("true", name="one", more="timeout = '4h'\napproval_valid_for = '30m'")
        + rule("true", name="two", more="timeout = '1h30m'\nassurance = 'signed'"),
    )
    requirement = explain(rules).requirement
    assert (requirement.timeout_seconds, requirement.approval_valid_for) == (5_400, 1_800)
    assert requirement.assurance is Assurance.SIGNED
    assert requirement.rules == ("one", "two")


def test_every_fault_is_listed_with_its_rule_and_its_place(tmp_path: Path) -> None:
    told = faults(
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
        ".when: no tool is called refnd; there are: note, refund",
        ".when: note has no numeric argument text",
        ".when: no variable is called total; there are: counts, duplicates, plan, request, step, totals",
        ".when: no function is called lower",
        ".when: is neither true nor false of a step of any tool",
        "no active person has the role cfo; roles that people have: finance, ops",
        ".needs[0].count: must be at least 1",
        ".needs[0].cuont: unknown field; remove it",
        "needs no approval, so assurance, timeout, approval_valid_for, settle and batch have no effect",
        ".timeout: 'soon' cannot be read",
        '.assurance: must be "typed", "login" or "signed"',
        ".name: is reserved for [default]",
        "rule 'syntax' (line 76).name: is also another rule's name",
        "defualt: unknown field; remove it",
    ):
        assert words in told


def test_roles_want_a_list_of_people_and_anyone_does_not(tmp_path: Path) -> None:
    assert "set PLANGATE_PEOPLE" in faults(tmp_path, rule("true"), None)
    assert asked(policy(tmp_path, rule("true", '[{ role = "anyone", count = 2 }]'), None)) == {ANYONE: 2}


@pytest.mark.parametrize("text", ["rule = 3", "[[rule]\n", "rule = [1]", "\x00", "[default]\nneeds = 1"])
def test_what_is_no_policy_is_told_and_no_traceback(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text)


def test_the_hash_is_of_the_file_and_changes_with_it(tmp_path: Path) -> None:
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


@given(st.lists(rules_, min_size=1, max_size=4), needs)
def test_combined_rules_need_the_largest_count_of_each_role(
    matched: list[list[Rule]], default: list[Need]
) -> None:
    fallback = Rule(name=DEFAULT_RULE, needs=tuple(default))
    got = combined([Matched(rules=tuple(some)) for some in matched], fallback, "")
    everything = [one for some in matched for one in (some or [fallback])]
    expected: dict[str, int] = {}
    for one in everything:
        for need in one.needs:
            expected[need.role] = max(expected.get(need.role, 0), need.count)
    assert {need.role: need.count for need in got.needs} == expected
    asked = [one.assurance.rank for one in everything if one.needs]
    assert got.assurance.rank == max(asked, default=0)


@pytest.mark.parametrize(
    ("plan", "needs_", "rules"),
    [
        ("free", "no approval (rule: mail inside the bank)", ("mail inside the bank",)),
        ("one-approver", "1 approval by service", ("mail to a customer",)),
        (
            "two-from-finance",
            "1 approval by service and 2 approvals by finance, signed",
            ("mail to a customer", "refund"),
        ),
    ],
)
def test_the_bank_asks_for_what_its_walk_says(plan: str, needs_: str, rules: tuple[str, ...]) -> None:
    roles = read_people(BANK / "people.toml").roles()
    rules_of_bank = read_policy(BANK / "policy.toml", declarations(), roles)
    raw = yaml.safe_load((BANK / f"{plan}.yaml").read_text())
    checked = check_plan(raw, declarations(), 20)
    requirement = rules_of_bank.requirement_for(checked, request="", requester="rita")
    assert (str(requirement), requirement.rules) == (needs_, rules)


def test_the_policies_and_lists_that_the_reference_shows_can_be_used(tmp_path: Path) -> None:
    text = (PROJECT / "docs" / "policy.md").read_text()
    shown = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    *shown_rules, shown_people = shown
    shown_policy, shown_holds, shown_seers, shown_stops, shown_sums, shown_duplicates = shown_rules
    mailed = TOOLS | {"send_email": declarations()["send_email"]}
    path = tmp_path / "policy.toml"
    path.write_text(shown_policy)
    assert read_policy(path, mailed, frozenset({"finance", "operations"})).rules
    path.write_text(shown_holds + shown_policy + shown_stops)
    policy = read_policy(path, mailed, frozenset({"finance", "operations", "ops"}))
    assert policy.resolve_rules
    assert policy.stop_rules != StopRules()
    path.write_text(shown_seers.replace("pay_salary", "send_email"))
    assert read_policy(path, mailed, frozenset({"auditor"})).see_rules
    path.write_text(shown_duplicates)
    assert read_policy(path, declarations(), frozenset({"finance"})).rules
    path.write_text(shown_sums)
    assert read_policy(path, declarations(), frozenset({"finance"})).rules
    public = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
    path.write_text(shown_people.replace("ed25519:…", f"ed25519:{public}"))
    assert read_people(path).find("dana")


@pytest.mark.parametrize(
    "when",
    [
        "step.tool == 'http_request' && step.arguments.url.startsWith('https://Pay.example/')",
        "step.tool == 'http_request' && step.arguments.url.startsWith('https://pay.example:443/')",
        "step.tool == 'http_request' && step.arguments.url.startsWith('https://bücher.example/')",
        "step.tool == 'http_request' && step.arguments.headers['Content-Type'] == 'text/plain'",
        'step.tool == "send_email" && "Dana@example.org" in step.arguments.to',
        "step.tool == 'send_email' && step.arguments.to.exists(to, to.endsWith('@Payments.example'))",
    ],
)
def test_a_condition_on_a_spelling_that_no_plan_has_is_a_fault(tmp_path: Path, when: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(rule(when, '[{ role = "anyone" }]'))
    with pytest.raises(FileInvalid) as raised:
        read_policy(path, declarations(), None)

    assert "as plans have it: in lower case" in "\n".join(map(str, raised.value.faults))


@pytest.mark.parametrize(
    "when",
    [
        "step.tool == 'http_request' && step.arguments.url.startsWith('https://pay.example/Refunds')",
        "step.tool == 'http_request' && step.arguments.url.matches('(?i)https://pay.example/REFUNDS')",
        "step.tool == 'send_email' && step.arguments.to.exists(to, to.matches('(?i)@Payments[.]example$'))",
        "step.tool == 'send_email' && step.arguments.subject.contains('Meet us @ Noon')",
        "step.tool == 'refund' && step.arguments.to == ['Dana@Example.org']",
    ],
)
def test_a_condition_on_the_spelling_of_plans_or_on_another_tool_is_none(tmp_path: Path, when: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(rule(when, '[{ role = "anyone" }]'))

    assert read_policy(path, {**TOOLS, **declarations()}, None)


def test_texts_that_read_alike_are_one_to_a_condition(tmp_path: Path) -> None:
    rules = policy(tmp_path, rule("step.arguments.note.contains('u\u0308ber')"))

    assert asked(rules, refund(1, note="\u00fcber")) == {"finance": 1}
    assert asked(rules, refund(1, note="u\u0308ber")) == {"finance": 1}
