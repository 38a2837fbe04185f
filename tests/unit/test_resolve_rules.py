"""The policy for resolving held runs: the strictest rule applies, and unclear rules never allow more."""

from pathlib import Path
from typing import Any

import pytest

from plangate.domain.decisions.decision import Resolution
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE, Approver, PersonRoles
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.policies.approvers import can_resolve
from plangate.domain.policies.requirement import HOLD_SECONDS, Need, Requirement, Resolvers
from plangate.domain.policies.requirement_comparison import missing_demand
from plangate.policy.policy_file import policy_in
from tests.unit.test_policy_file import ROLES, explain, faults, policy, refund

NOTE = Step(tool="note", arguments={"text": "x"})
PAID = """[[rule]]
name = "paid"
when = "step.tool == 'refund'"
needs = [{ role = "finance" }]
"""


def resolve(
    when: str = "step.tool == 'refund'", roles: str = "['ops']", name: str = "on call", more: str = ""
) -> str:
    return f"[[resolve]]\nname = '{name}'\nwhen = \"{when}\"\nroles = {roles}\n{more}\n"


def requirement(text: str, *steps: Step) -> Requirement:
    return policy_in(text).requirement_for(
        Plan(summary="s", steps=steps or (refund(400),)), request="r", requester="rita"
    )


def person(*roles: str, name: str = "dana", by: str = "") -> Approver:
    own = PersonRoles(person=name, roles=(ANYONE, *(() if by else roles)))
    delegated = (PersonRoles(person=by, roles=roles),) if by else ()
    return Approver(name=name, standings=(own, *delegated))


def test_without_a_rule_people_who_could_approve_may_resolve() -> None:
    found = requirement(PAID)
    assert found.resolvers is None
    assert found.resolving.any_of == (("finance",),)
    assert requirement("[default]\nneeds = []\n").resolving.any_of == ((ANYONE,),)


def test_a_rule_that_matches_every_step_replaces_the_default() -> None:
    found = requirement(PAID + resolve("true", more="assurance = 'signed'"), refund(1), NOTE)
    assert found.resolvers == Resolvers(any_of=(("ops",),), assurance=Assurance.SIGNED, rules=("on call",))


def test_a_step_without_a_rule_also_requires_an_approver() -> None:
    found = requirement(PAID + resolve(), refund(1), NOTE).resolving
    assert found.any_of == (("ops",), ("finance", ANYONE))


def test_the_strictest_rule_of_all_steps_applies() -> None:
    rules = resolve(more="resolutions = ['retry', 'skip']") + resolve(
        "step.tool == 'note'",
        "['finance', 'legal']",
        "notes",
        "resolutions = ['skip', 'undo']\nassurance = 'signed'",
    )
    found = requirement(PAID + rules, refund(1), NOTE).resolving
    assert found.any_of == (("ops",), ("finance", "legal"))
    assert found.assurance is Assurance.SIGNED
    assert [one for one in Resolution if found.allows(one)] == [Resolution.SKIP, Resolution.ABORT]
    assert str(found) == "ops and (finance or legal), signed"


def test_rules_without_a_common_resolution_allow_only_abort() -> None:
    rules = resolve("true", more="resolutions = ['retry']") + resolve(
        "true", name="other", more="resolutions = ['skip']"
    )
    assert requirement(rules).resolving.resolutions == (Resolution.ABORT,)


def test_an_undecidable_rule_only_restricts(tmp_path: Path) -> None:
    """Its roles are required, and so are those of an approver."""
    text = PAID + resolve("step.arguments.amount > 1.0", f"['{ANYONE}']")
    clear = explain(policy(tmp_path, text), refund(400)).requirement.resolving
    unclear = explain(policy(tmp_path, text), refund("much"))
    assert clear.any_of == ((ANYONE,),)
    assert unclear.requirement.resolving.any_of == ((ANYONE,), ("finance",))
    assert [one.resolves for one in unclear.steps[0].unclear] == [True]
    assert not can_resolve(unclear.requirement, person(), ["rita"])


def test_a_resolution_needs_at_least_the_assurance_of_an_approval() -> None:
    signed = PAID + "assurance = 'signed'\n"
    assert requirement(signed + resolve("true")).resolving.assurance is Assurance.SIGNED


@pytest.mark.parametrize(
    ("approver", "may"),
    [
        (person("ops", "finance"), True),
        (person("ops"), False),
        (person("finance"), False),
        (person("ops", "finance", by="erik"), True),
        (person("ops", "finance", by="Rita "), False),
        (person("ops", "finance", by="anna"), False),
        (person("ops", "finance", name="RITA"), False),
        (person("ops", "finance", name="anna"), False),
    ],
)
def test_the_resolver_needs_a_role_of_each_group_and_is_neither_requester_nor_author(
    approver: Approver, may: bool
) -> None:
    asked = Requirement(resolvers=Resolvers(any_of=(("ops",), ("finance", "legal"))))
    assert can_resolve(asked, approver, ["rita", "anna"]) is may


def test_the_deadline_of_a_hold_and_the_rule_for_striking_are_frozen() -> None:
    found = requirement("hold_timeout = '24h'\nstrike_keeps_approver = true\n" + PAID)
    assert (found.longest_hold, found.strike_keeps_approver) == (86_400, True)
    assert (requirement(PAID).longest_hold, requirement(PAID).strike_keeps_approver) == (HOLD_SECONDS, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hold_timeout = 3", "hold_timeout: must be text such as '4h'"),
        ("hold_timeout = '0s'", "is not between 1 second"),
        ("strike_keeps_approver = 'yes'", "strike_keeps_approver: must be true or false"),
        (
            "[default]\nneeds = []\nhold_timeout = '4h'",
            "[default].hold_timeout: applies to every plan; write it at",
        ),
        (resolve(more="strike_keeps_approver = true"), "applies to every plan; write it at the top"),
        (resolve(roles="[]"), "roles: must have at least 1 item"),
        (resolve(roles="['cook']"), "roles: no active person has the role cook"),
        (resolve(more="resolutions = ['forget']"), "must be one of: retry, skip, mark_done, undo, abort"),
        (resolve(more="resolutions = []"), "resolutions: must have at least 1 item"),
        (resolve(more="needs = []"), "needs: unknown field"),
        (resolve(when="step.tol == 'x'"), "resolve 'on call' (line 1).when"),
        (resolve() + resolve(), "is also another rule's name"),
        (PAID + resolve(name="paid"), "is also another rule's name"),
        (resolve(name="default"), "is reserved for [default]"),
    ],
)
def test_an_error_in_the_rules_for_holds_is_reported_with_its_location(
    tmp_path: Path, text: str, said: str
) -> None:
    assert said in faults(tmp_path, text, ROLES)


def ruled(**more: Any) -> Requirement:
    return Requirement(needs=(Need(role="finance", count=1),), **more)


def by(*groups: tuple[str, ...], **more: Any) -> Requirement:
    return ruled(resolvers=Resolvers(any_of=groups, **more))


@pytest.mark.parametrize(
    ("asked", "required", "missing"),
    [
        (ruled(hold_seconds=9), ruled(hold_seconds=8), "a hold of at most 8 seconds"),
        (ruled(), ruled(hold_seconds=8), "a hold of at most 8 seconds"),
        (ruled(hold_seconds=HOLD_SECONDS + 1), ruled(), f"a hold of at most {HOLD_SECONDS} seconds"),
        (ruled(hold_seconds=8), ruled(), None),
        (ruled(strike_keeps_approver=True), ruled(), "that people who removed steps do not approve"),
        (ruled(), ruled(strike_keeps_approver=True), None),
        (by((ANYONE,)), ruled(), "resolutions by finance only"),
        (ruled(), by(("ops",)), "resolutions by ops only"),
        (by(("ops",)), by(("ops",), ("finance",)), "resolutions by finance only"),
        (by(("ops", "cook")), by(("ops",)), "resolutions by ops only"),
        (by(("ops",), ("cook",)), by(("ops", "legal")), None),
        (ruled(), by((ANYONE,)), None),
        (by(("ops",)), by(("ops",), assurance=Assurance.SIGNED), 'resolutions with the assurance "signed"'),
        (by(("ops",)), by(("ops",), resolutions=(Resolution.SKIP,)), "no resolution 'retry'"),
        (by(("ops",), resolutions=(Resolution.SKIP,)), by(("ops",)), None),
        (
            Requirement(needs=(Need(role="finance", count=1), Need(role="cook", count=1))),
            ruled(),
            "resolutions by finance only",
        ),
    ],
)
def test_a_requirement_is_weaker_if_it_is_easier_to_resolve(
    asked: Requirement, required: Requirement, missing: str | None
) -> None:
    assert missing_demand(asked, required) == missing
