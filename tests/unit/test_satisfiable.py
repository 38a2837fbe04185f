"""A rule that no one on the list can satisfy is reported immediately, with the people and the reasons."""

from datetime import datetime, timedelta
from itertools import permutations, product
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import (
    ANYONE,
    Absence,
    Approver,
    Delegation,
    Key,
    People,
    Person,
    PersonRoles,
)
from plangate.domain.people.trusted_web import TrustedWeb
from plangate.domain.policies import approvers
from plangate.domain.policies.escalation import LaterApprovers
from plangate.domain.policies.requirement import Need, Requirement, Resolvers
from plangate.domain.runs.satisfiable import Deciders
from tests.support.build import NOON

DAY = timedelta(days=1)
DEADLINE = NOON + 3 * DAY
EXCLUDED = ("rita",)


def wants(*needs: tuple[str, int], assurance: Assurance = Assurance.TYPED) -> Requirement:
    return Requirement(needs=tuple(Need(role=r, count=n) for r, n in needs), assurance=assurance)


def finance(name: str, **more: object) -> Person:
    return Person.model_validate({"name": name, "roles": ("finance",), **more})


def away(days: float, to: str = "") -> tuple[Absence, ...]:
    return (Absence(since=NOON - DAY, until=NOON + days * DAY, to=to),)


def said(requirement: Requirement, *persons: Person, approved: tuple[str, ...] = ()) -> list[str]:
    people = People(persons=persons)
    approvers = [one for name in approved if (one := people.identify(name, NOON).approver) is not None]
    found = Deciders(people, NOON).unmet_approvals(requirement, approvers, EXCLUDED, DEADLINE)
    return [str(one) for one in found]


def test_an_obtainable_approval_is_not_reported() -> None:
    assert said(wants(("finance", 2)), finance("dana"), finance("bob")) == []
    assert said(wants(("finance", 2)), finance("dana"), finance("bob"), approved=("dana",)) == []
    assert said(wants((ANYONE, 1)), finance("dana"), finance("rita")) == []


@pytest.mark.parametrize(
    ("persons", "words"),
    [
        ([], "1 approval by finance: no one can"),
        ([finance("rita")], "1 approval by finance: no one can; rita requested or edited the plan"),
        ([finance("dana", active=False)], "1 approval by finance: no one can; dana is no longer active"),
        (
            [finance("dana", absences=away(9)), finance("rita"), finance("kim", active=False)],
            (
                "1 approval by finance: only dana can, and dana is away until Sat 2026-01-10 12:00 UTC; "
                "rita requested or edited the plan; kim is no longer active"
            ),
        ),
        (
            [finance("dana", absences=away(2))],
            "1 approval by finance: only dana can, and dana is away until Sat 2026-01-03 12:00 UTC",
        ),
        (
            [finance(name, active=False) for name in ("a", "b", "c", "d", "e")],
            (
                "1 approval by finance: no one can; a is no longer active; b is no longer active; "
                "c is no longer active; 2 more cannot either"
            ),
        ),
    ],
)
def test_the_reasons_for_unobtainable_approvals_are_given(persons: list[Person], words: str) -> None:
    assert said(wants(("finance", 1)), *persons) == [words]


def test_a_role_with_too_few_people_is_reported() -> None:
    assert said(wants(("finance", 2)), finance("dana")) == ["2 approvals by finance: only dana can"]
    one_is_away = said(wants(("finance", 2)), finance("dana"), finance("bob", absences=away(9)))
    assert one_is_away[0].startswith(
        "2 approvals by finance: only dana and bob can, and bob is away until Sat 2026-01-10"
    )


def test_one_person_with_two_roles_is_not_enough_for_both() -> None:
    both = Person(name="dana", roles=("finance", "ops"))
    assert len(said(wants(("finance", 1), ("ops", 1)), both)) == 2
    assert said(wants(("finance", 1), ("ops", 1)), both, finance("bob")) == []


def test_an_approval_that_people_of_two_roles_could_give_is_reported_once() -> None:
    both = Person(name="dana", roles=("finance", "ops"))
    away_too = Person(name="bob", roles=("ops",), active=False)
    needs = wants(("finance", 1), ("ops", 1))
    assert said(needs, both, away_too, approved=("dana",)) == [
        "1 approval by finance or ops: no one can; bob is no longer active"
    ]
    assert said(needs, both, finance("kim"), approved=("dana",)) == []


def test_delegates_can_approve_for_an_absent_person() -> None:
    lent = (Delegation(to="bob", roles=("finance",), valid_until=NOON + DAY),)
    dana = finance("dana", absences=away(9), delegates=lent)
    assert said(wants(("finance", 1)), dana, Person(name="bob")) == []
    ended = dana.model_copy(update={"delegates": (lent[0].model_copy(update={"valid_until": NOON}),)})
    assert said(wants(("finance", 1)), ended, Person(name="bob")) != []


def test_a_plan_that_must_be_signed_needs_people_with_keys() -> None:
    signed = wants(("finance", 1), assurance=Assurance.SIGNED)
    key = Key(id="k", x="x", valid_until=NOON)
    assert "dana has no passkey" in said(signed, finance("dana"))[0]
    assert "dana has no passkey" in said(signed, finance("dana", keys=(key,)))[0]
    lasting = key.model_copy(update={"valid_until": None})
    assert said(signed, finance("dana", keys=(lasting,))) == []
    login = wants(("finance", 1), assurance=Assurance.LOGIN)
    assert said(login, finance("dana")) != []
    web = People(persons=(finance("dana"),), web=TrustedWeb(keys=frozenset({"k"})))
    assert Deciders(web, NOON).unmet_approvals(login, (), EXCLUDED, None) == ()


def test_an_unresolvable_hold_is_detected() -> None:
    requirement = Requirement(resolvers=Resolvers(any_of=(("finance",), ("ops",))))
    alone = People(persons=(finance("dana"), Person(name="olga", roles=("ops",))))
    (one,) = Deciders(alone, NOON).unmet_resolution(requirement, EXCLUDED, DEADLINE)
    assert str(one) == "a resolution by finance and ops: no one can"
    persons = [one.model_copy(update={"absences": away(9)}) for one in alone.persons]
    (one,) = Deciders(People(persons=persons), NOON).unmet_resolution(requirement, EXCLUDED, DEADLINE)
    assert str(one) == "a resolution by finance and ops: no one can"
    both = People(persons=(*alone.persons, Person(name="ada", roles=("ops", "finance"))))
    assert Deciders(both, NOON).unmet_resolution(requirement, EXCLUDED, DEADLINE) == ()


NAMES: Final = ("rita", "dana", "bob", "erik", "olga")
ROLES: Final = ("finance", "ops")
MOMENTS = st.integers(min_value=-4, max_value=8).map(lambda half: NOON + half * DAY / 2)


@st.composite
def persons(draw: st.DrawFn) -> People:
    def absence() -> Absence:
        since, until = sorted((draw(MOMENTS), draw(MOMENTS)))
        return Absence(since=since, until=until)

    def lent() -> Delegation:
        to, roles = draw(st.sampled_from(NAMES)), draw(st.lists(st.sampled_from(ROLES), min_size=1))
        return Delegation(
            to=to, roles=tuple(roles), valid_from=draw(st.none() | MOMENTS), valid_until=draw(MOMENTS)
        )

    return People(
        persons=tuple(
            Person(
                name=name,
                roles=tuple(draw(st.lists(st.sampled_from(ROLES), unique=True))),
                active=draw(st.sampled_from((True, True, True, False))),
                absences=tuple(absence() for _ in range(draw(st.integers(0, 2)))),
                delegates=tuple(lent() for _ in range(draw(st.integers(0, 1)))),
            )
            for name in NAMES
        )
    )


def counts(people: People, name: str, at: datetime) -> list[tuple[str, str]]:
    """Return the names and roles in which a person could approve at that time, using a simple model."""
    by_name = {one.name: one for one in people.persons}
    person = by_name[name]
    is_away = any(one.since <= at < one.until for one in person.absences)
    if not person.active or is_away or name in EXCLUDED:
        return []
    ways = [(name, role) for role in (*person.roles, ANYONE)]
    for other in by_name.values():
        for one in other.delegates:
            lasts = (one.valid_from is None or one.valid_from <= at) and (
                one.valid_until is None or at < one.valid_until
            )
            if other.active and one.to == name and lasts and other.name not in (name, *EXCLUDED):
                ways += [(other.name, role) for role in one.roles if role in other.roles]
    return ways


def could_be_met(requirement: Requirement, people: People, times: list[datetime]) -> bool:
    """Try every choice of approvers for each need, at any of these times."""
    places = [need.role for need in requirement.needs for _ in range(need.count)]
    able = {name: {way for at in times for way in counts(people, name, at)} for name in NAMES}
    for names in permutations(NAMES, len(places)):
        for acting in product(
            *(
                [person for person, role in able[name] if role == place]
                for name, place in zip(names, places, strict=True)
            )
        ):
            if len(set(acting)) == len(acting):
                return True
    return False


@settings(max_examples=60)
@given(
    persons(),
    st.dictionaries(st.sampled_from((*ROLES, ANYONE)), st.integers(1, 2), min_size=1, max_size=2),
)
def test_the_result_agrees_with_trying_every_person_every_half_day(
    people: People, needs: dict[str, int]
) -> None:
    requirement = wants(*needs.items())
    found = Deciders(people, NOON).unmet_approvals(requirement, (), EXCLUDED, DEADLINE)
    assert bool(found) is not could_be_met(requirement, people, [NOON])
    later = [NOON + half * DAY / 2 for half in range(6)]
    firsts = [n for n in range(len(later)) if could_be_met(requirement, people, later[: n + 1])]
    if found:
        expected = later[firsts[0]] if firsts else None
        assert {one.possible_from for one in found} == {expected}


@settings(max_examples=25)
@given(persons(), st.sampled_from(NAMES[1:]))
def test_an_approval_already_given_is_not_required_again(people: People, name: str) -> None:
    approver = Approver(name=name, standings=(PersonRoles(person=name, roles=("finance",)),))
    requirement = wants(("finance", 1))
    assert approvers.satisfied(requirement, (approver,), EXCLUDED)
    assert Deciders(people, NOON).unmet_approvals(requirement, (approver,), EXCLUDED, DEADLINE) == ()


def test_a_later_escalation_makes_an_approval_possible_from_then_on() -> None:
    people = People(persons=(finance("dana", absences=away(9)), Person(name="cfo", roles=("head",))))
    later = LaterApprovers(role="finance", to="head", at=NOON + DAY)
    asked = Deciders(people, NOON).unmet_approvals
    (one,) = asked(wants(("finance", 1)), (), EXCLUDED, DEADLINE, later_approvers=(later,))
    assert one.possible_from == NOON + DAY
    assert str(one).endswith("; from Fri 2026-01-02 12:00 UTC, enough people can")
    begun = later.model_copy(update={"at": NOON})
    assert asked(wants(("finance", 1)), (), EXCLUDED, DEADLINE, later_approvers=(begun,)) == ()
    (never,) = asked(wants(("finance", 1)), (), EXCLUDED, NOON + DAY, later_approvers=(later,))
    assert never.possible_from is None
