"""Access to a run: everyone on the list may see it unless the policy restricts this; approvers always may."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.people.people import ANYONE, Approver, PersonRoles
from plangate.domain.plans.plan import Audience, Plan, Step
from plangate.domain.policies.policy import strictest
from plangate.domain.policies.requirement import Need, Requirement, Resolvers
from plangate.domain.policies.requirement_comparison import missing_demand
from plangate.domain.policies.viewers import Party, Viewers
from plangate.domain.runs.audit import Drafted, Held, Requested
from plangate.domain.runs.fold import fold
from plangate.domain.runs.run import Phase, RunState
from plangate.domain.runs.status import status_of
from plangate.domain.runs.who_may_see import may_decide, may_see
from plangate.policy.policy_file import has_see_rules, policy_in
from tests.unit.test_policy_file import ROLES, explain, faults, policy, refund, rule

AT = datetime(2026, 5, 3, tzinfo=UTC)
NOTE = Step(tool="note", arguments={"text": "x"})
EVERYONE = ("rita", "erik", "dana", "olga", "ada", "zoe")
PEOPLE_ROLES = {"dana": ("finance",), "olga": ("ops",), "ada": ("auditor",)}


def person(name: str, *, lent: Sequence[tuple[str, str]] = ()) -> Approver:
    own = PersonRoles(person=name, roles=(*PEOPLE_ROLES.get(name, ()), ANYONE))
    return Approver(
        name=name, standings=(own, *(PersonRoles(person=who, roles=(role,)) for who, role in lent))
    )


def run(requirement: Requirement | None, *, authors: tuple[str, ...] = (), is_held: bool = False) -> RunState:
    """Return a run that rita requested, in review."""
    requested = Requested(request="pay", requester="rita", timeout_seconds=60, requested_at=AT)
    if requirement is None:
        return fold("plan-1", [requested])
    drafted = Drafted(
        revision=1,
        plan=Plan(summary="s", steps=(refund(1),)),
        fingerprint="f" * 64,
        audience=Audience(installation="i", namespace="n"),
        requirement=requirement,
        drafted_at=AT,
        deadline=AT,
    )
    held = Held(step=1, fingerprint="f" * 64, why="it failed", held_at=AT, deadline=AT)
    state = fold("plan-1", [requested, drafted, *([held] if is_held else [])])
    return state.model_copy(update={"authors": authors})


def seen_by(state: RunState) -> set[str]:
    """Return the people who may see the run; its state and its status must agree."""
    by_state = {name for name in EVERYONE if may_see(state, person(name))}
    assert by_state == {name for name in EVERYONE if may_see(status_of(state, "records"), person(name))}
    return by_state


def needing(role: str = "finance", **more: object) -> Requirement:
    return Requirement.model_validate({"needs": (Need(role=role, count=1),), **more})


def only(*who: str, roles: tuple[str, ...] = (), name: str = "secret") -> Viewers:
    return Viewers(name=name, who=tuple(map(Party, who)), roles=roles)


def see(when: str, who: str = "[]", roles: str = "[]", name: str = "secret") -> str:
    return f"[[see]]\nname = '{name}'\nwhen = '''{when}'''\nwho = {who}\nroles = {roles}\n"


def test_without_a_rule_every_listed_person_sees_every_run_and_others_see_none() -> None:
    assert seen_by(run(needing())) == set(EVERYONE)
    assert not may_see(run(needing()), None)


@pytest.mark.parametrize(
    ("viewers", "expected"),
    [
        (only("deciders"), {"dana"}),
        (only("requester"), {"dana", "rita"}),
        (only("requester", "authors"), {"dana", "rita", "erik"}),
        (only("authors", roles=("auditor",)), {"dana", "erik", "ada"}),
    ],
)
def test_a_rule_gives_access_to_the_people_it_lists_and_to_deciders(
    viewers: Viewers, expected: set[str]
) -> None:
    assert seen_by(run(needing(seen_by=(viewers,)), authors=("erik",))) == expected


def test_with_several_rules_each_must_give_access_and_deciders_always_have_it() -> None:
    both = (only("requester", roles=("auditor",)), only("authors", roles=("auditor",), name="other"))
    assert seen_by(run(needing(seen_by=both), authors=("erik",))) == {"dana", "ada"}


def test_resolvers_count_as_deciders_and_without_approvals_only_during_a_hold() -> None:
    hidden = (only("requester"),)
    resolved = needing(seen_by=hidden, resolvers=Resolvers(any_of=(("ops",),)))
    assert seen_by(run(resolved)) == {"rita", "dana", "olga"}
    free = Requirement(seen_by=hidden)
    assert seen_by(run(free)) == {"rita"}
    assert seen_by(run(free, is_held=True)) == set(EVERYONE)


def test_a_delegated_role_gives_access_but_not_as_the_requester() -> None:
    hidden = run(needing(seen_by=(only("deciders"),)))
    assert may_see(hidden, person("zoe", lent=[("dana", "finance")]))
    assert not may_see(hidden, person("zoe", lent=[("Rita ", "finance")]))


def test_a_run_without_a_plan_is_visible_only_to_its_requester_if_the_policy_restricts_access() -> None:
    drafting = run(None)
    assert drafting.phase is Phase.DRAFTING
    assert seen_by(drafting) == {"rita"}
    assert all(may_see(drafting, person(name), is_narrowed=False) for name in EVERYONE)
    assert has_see_rules(see("true", "['requester']"))
    assert not has_see_rules(rule("true"))
    assert has_see_rules("not = toml = at all")


def test_an_undecidable_rule_restricts_access(tmp_path: Path) -> None:
    rules = policy(tmp_path, see("step.tool == 'refund' && step.arguments.amount > 5.0", "['requester']"))
    assert explain(rules, NOTE).requirement.seen_by == ()
    assert explain(rules, NOTE, refund(7)).requirement.seen_by == (only("requester"),)
    unclear = explain(rules, refund("much"))
    assert unclear.requirement.seen_by == (only("requester"),)
    assert [one.sees for one in unclear.steps[0].unclear] == [True]
    assert unclear.steps[0].see == ("secret",)


def test_a_requirement_without_such_rules_is_stored_as_before() -> None:
    assert "seen_by" not in needing().model_dump_json()
    assert "seen_by" in needing(seen_by=(only("requester"),)).model_dump_json()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (see("true"), "includes no people; list the people who may see the run in who or roles"),
        (see("true", "['everyone']"), "must be one of: requester, authors, deciders"),
        (see("true", roles="['cook']"), "no active person has the role cook"),
        (see("true", roles=f"['{ANYONE}']"), "everyone in the list may already see every run"),
        (see("step.tol == 'x'", "['requester']"), "see 'secret' (line 1).when"),
        (see("true", "['requester']") * 2, "is also another rule's name"),
        (see("true", "['requester']") + "needs = []", "needs: unknown field"),
    ],
)
def test_an_error_is_reported_with_its_location(tmp_path: Path, text: str, said: str) -> None:
    assert said in faults(tmp_path, text, ROLES)


def test_without_a_list_of_people_such_rules_are_refused(tmp_path: Path) -> None:
    assert "no list of people is configured; set PLANGATE_PEOPLE" in faults(
        tmp_path, see("true", "['requester']"), None
    )
    assert policy_in(see("true", "['requester']")).see_rules  # a stored policy is not validated again


ALL_VIEWERS = st.builds(
    Viewers,
    name=st.sampled_from(["one", "two"]),
    who=st.lists(st.sampled_from(list(Party)), unique=True).map(tuple),
    roles=st.lists(st.sampled_from(["auditor", "ops"]), unique=True).map(tuple),
)
REQUIREMENTS = st.builds(
    lambda role, viewers: needing(role, seen_by=tuple(viewers)),
    st.sampled_from(["finance", "ops"]),
    st.lists(ALL_VIEWERS, max_size=3),
)


@given(REQUIREMENTS, REQUIREMENTS, st.sampled_from(EVERYONE))
def test_two_requirements_together_exclude_everyone_excluded_by_either(
    one: Requirement, other: Requirement, name: str
) -> None:
    both = strictest(one, other)
    assert missing_demand(both, one) is None
    if may_see(run(both), person(name)) and not may_decide(both, person(name), ("rita",)):
        assert may_see(run(one), person(name))
        assert may_see(run(other), person(name))


@given(REQUIREMENTS, REQUIREMENTS, st.sampled_from(EVERYONE))
def test_a_requirement_that_is_no_weaker_gives_no_one_else_access(
    one: Requirement, other: Requirement, name: str
) -> None:
    if one.needs == other.needs and missing_demand(one, other) is None and may_see(run(one), person(name)):
        assert may_see(run(other), person(name))


@given(REQUIREMENTS, st.sampled_from(EVERYONE))
def test_approvers_may_see_the_run(requirement: Requirement, name: str) -> None:
    if may_decide(requirement, person(name), ("rita",)):
        assert may_see(run(requirement), person(name))
