"""What a page says about the missing approvals: exactly the choices that complete the requirement."""

import re
from collections.abc import Sequence
from itertools import combinations_with_replacement
from random import Random

import pytest

from plangate.domain.decisions.decision import Choice
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE, Approver, Delegation, People, Person, PersonRoles
from plangate.domain.policies.approvers import countable_roles, represented
from plangate.domain.policies.escalation import Escalation
from plangate.domain.policies.missing_approvals import missing_after, still_missing
from plangate.domain.policies.requirement import Missing, Need, Requirement, missing_in_words
from plangate.domain.runs.fold import apply
from plangate.domain.runs.open_decisions import needed_decisions
from plangate.domain.runs.run import Phase, RunState
from plangate.domain.runs.status import status_of
from plangate.presentation.markdown import details_page
from plangate.presentation.run_page import needed_words, run_page
from plangate.web.deciding_view import missing_after as after_approval
from plangate.web.language import languages
from plangate.web.offered_decisions import may_decide_now, offered
from plangate.web.run_view import RunContext
from tests.support.build import NOON, after, arrival, drafted, state_after
from tests.support.drawn_pages import read_html, render_run
from tests.support.naive_review import most_filled
from tests.support.senders import judge_all, sent
from tests.support.times import times
from tests.unit.test_run_page import printed

F, L, OPS, HR = "finance", "legal", "ops", "hr"
ROLES = (ANYONE, F, L, OPS, HR)


def requirement(**counts: int) -> Requirement:
    return Requirement(needs=tuple(Need(role=role, count=count) for role, count in counts.items()))


def person(name: str, *roles: str) -> Approver:
    return Approver(name=name, standings=(PersonRoles(person=name, roles=(*roles, ANYONE)),))


def words(required: Requirement, *approved: Sequence[str]) -> str:
    people = [person(f"p{number}", *roles) for number, roles in enumerate(approved)]
    return missing_in_words(still_missing(required, people, ("rita",)))


@pytest.mark.parametrize(
    ("required", "approved", "said"),
    [
        (requirement(finance=1, legal=1), [], "1 approval by finance and 1 approval by legal"),
        (requirement(finance=1, legal=1), [(F, L)], "1 approval by finance or legal"),
        (requirement(finance=1, legal=1), [(F, L), (F,)], ""),
        (
            requirement(finance=1, legal=1, ops=1),
            [(F, L)],
            "1 approval by finance or legal and 1 approval by ops",
        ),
        (requirement(finance=1, legal=1, ops=1), [(F, L), (L, OPS)], "1 approval by finance, legal or ops"),
        (
            requirement(finance=1, legal=1, ops=1),
            [(F, L, OPS)],
            "2 of these 3 approvals (1 approval by finance, 1 approval by legal, 1 approval by ops)",
        ),
        (
            requirement(finance=2, legal=1),
            [(F, L)],
            "1 approval by finance and 1 approval by finance or legal",
        ),
        (requirement(finance=2, legal=2), [(F, L), (F, L)], "2 approvals by finance or legal"),
        (
            requirement(finance=1, legal=1, ops=1, hr=1),
            [(F, L), (L, OPS, HR)],
            "2 approvals, the next one by finance, legal, ops or hr",
        ),
        (requirement(anyone=1, finance=1), [(F,)], "1 approval by anyone but the requester"),
        (requirement(anyone=2, finance=1), [(F,)], "2 approvals by anyone but the requester"),
        (requirement(anyone=1, finance=1), [()], "1 approval by finance"),
    ],
)
def test_the_words_for_approvers_with_several_roles(
    required: Requirement, approved: Sequence[Sequence[str]], said: str
) -> None:
    assert words(required, *approved) == said


def test_the_german_words_are_complete() -> None:
    german = languages()["de"].said
    said = [
        f"approved; still needed: {words(requirement(finance=1, legal=1, ops=1), (F, L))}",
        words(requirement(finance=1, legal=1, ops=1), (F, L, OPS)),
        words(requirement(finance=1, legal=1, ops=1, hr=1), (F, L), (L, OPS, HR)),
        f"approved; still needed: {words(requirement(anyone=2, finance=1), (F,))}",
    ]
    assert [german(one) for one in said] == [
        "genehmigt; noch nötig: 1 Genehmigung durch finance oder legal und 1 Genehmigung durch ops",
        (
            "2 von diesen 3 Genehmigungen (1 Genehmigung durch finance, 1 Genehmigung durch legal, "
            "1 Genehmigung durch ops)"
        ),
        "2 Genehmigungen, die nächste durch finance, legal, ops oder hr",
        "genehmigt; noch nötig: 2 Genehmigungen durch irgendjemanden außer der Person, die es beantragt hat",
    ]


# ---- the pages of a run that dana, who has both roles, has approved --------------------------------

PEOPLE = People(
    persons=(
        Person(name="rita"),
        Person(name="dana", roles=(F, L)),
        Person(name="fred", roles=(F,)),
        Person(name="lena", roles=(L,)),
    )
)


def approved_by_dana(*later: tuple[str, str]) -> tuple[RunState, str]:
    """Return the run, and the result of dana's approval; ``later`` are escalations from a role."""
    escalations = tuple(Escalation(role=role, after_seconds=60, to=to) for role, to in later)
    needs = requirement(finance=1, legal=1).model_copy(update={"escalations": escalations})
    state = state_after(drafted(requirement=needs))
    (decided,) = judge_all(state, sent([arrival()], PEOPLE))
    return after(state, decided), decided.verdict.reason


def test_every_page_says_that_one_approval_by_either_role_is_missing() -> None:
    state, told = approved_by_dana()
    status = status_of(state, source="records")
    assert told == "approved; still needed: 1 approval by finance or legal"
    assert "**Still needed: 1 approval by finance or legal.** Approved so far" in details_page(state)
    terminal = printed(run_page(status, NOON), terminal=False)
    assert re.search("still needed +1 approval by finance or legal\\b", terminal)
    for language, said in {
        "en": "1 approval by finance or legal. Who can give it: fred, lena",
        "de": "1 Genehmigung durch finance oder legal. Wer sie geben kann: fred, lena",
    }.items():
        page = read_html(render_run(status, RunContext(people=PEOPLE), language=language))
        assert said in " ".join(page.one("dl", class_="facts").text.split())
    assert status.model_dump(mode="json")["missing"] == [
        {"count": 1, "of": [{"role": F, "count": 1}, {"role": L, "count": 1}]}
    ]


def test_a_role_that_may_approve_later_is_added_to_the_alternatives() -> None:
    _, told = approved_by_dana((L, "boss"))
    assert told == (
        "approved; still needed: 1 approval by finance or legal (from Thu 2026-01-01 12:01 UTC also by boss)"
    )


@pytest.mark.parametrize("more", [(), ((F, "cfo"),), ((F, "cfo"), (L, "board"))])
def test_any_number_of_later_roles_is_translated(more: Sequence[tuple[str, str]]) -> None:
    _, told = approved_by_dana((L, "boss"), *more)
    also = " ".join(f"(ab Do., 1. Jan. 2026 12:01 UTC auch durch {to})" for _, to in ((L, "boss"), *more))
    german = languages()["de"].said(told)
    assert german == f"genehmigt; noch nötig: 1 Genehmigung durch finance oder legal {also}"


def test_the_status_of_an_older_worker_has_no_alternatives() -> None:
    state, _ = approved_by_dana()
    older = status_of(state, source="workflow").model_copy(update={"missing": ()})
    assert needed_words(older) == "1 approval by finance and 1 approval by legal"


# ---- delegates of people for whom an approval counts already ----------------------------------------


def delegating(rng: Random) -> People:
    """Return a list in which people delegate some of their roles to each other; rita requests."""
    names = ("dana", "erik", "fred", "gina", "hans")
    persons = [Person(name="rita")]
    for name in names:
        roles = tuple(rng.sample((F, L), rng.randint(0, 2)))
        lent = [one for one in roles if rng.random() < 0.7]
        to = [rng.choice([other for other in names if other != name]) for _ in lent]
        delegates = tuple(Delegation(to=other, roles=(role,)) for other, role in zip(to, lent, strict=True))
        persons.append(Person(name=name, roles=roles, delegates=delegates))
    return People(persons=tuple(persons))


def test_pages_ask_exactly_the_people_whose_approval_counts() -> None:
    rng = Random(5)
    useless = promised = 0
    for _ in range(times(300)):
        people, counts = delegating(rng), rng.choice(({F: 2}, {F: 3}, {F: 1, L: 1}, {F: 2, L: 1}))
        state = state_after(drafted(requirement=requirement(**counts)))
        names = [one.name for one in people.persons[1:]]
        for name in rng.sample(names, rng.randint(0, 2)):
            state = after(state, *judge_all(state, sent([arrival(by=name)], people)))
        if state.phase is not Phase.IN_REVIEW:
            continue
        status = status_of(state, source="records")
        approvers = [people.identify(one, NOON).approver for one in status.approved_by]
        is_certain = all(
            one and len({person for person, _ in countable_roles(one, counts, ("rita",))}) == 1
            for one in approvers
        )
        listed = {name for one in needed_decisions(status, people, NOON) for name in one.names or ()}
        for name in set(names) - set(status.approved_by):
            identified = people.identify(name, NOON)
            (decided,) = judge_all(state, sent([arrival(by=name)], people))
            is_offered = Choice.APPROVE in offered(status, identified, NOON)
            case = (people, counts, status.approved_by, name, decided.verdict)
            assert is_offered == may_decide_now(status, identified, NOON) == (name in listed), case
            assert is_offered or not decided.verdict.accepted, case
            if is_certain:
                assert is_offered == decided.verdict.accepted, case
                useless += "adds nothing" in decided.verdict.reason
            if is_offered and is_certain:
                runs = apply(state, decided).phase is Phase.EXECUTING
                assert runs == (not after_approval(status, identified)), case
                promised += runs
    assert useless > 10, useless
    assert promised > 10, promised


def test_an_approval_that_may_count_for_several_people_leaves_open_for_whom() -> None:
    needs = requirement(finance=1)
    weak = person("fred", F).model_copy(update={"assurance": Assurance.TYPED})
    both = Approver(name="dana", standings=tuple(PersonRoles(person=one, roles=(F,)) for one in ("a", "b")))
    assert represented(needs, [person("fred", F)], ()) == ("fred",)
    assert represented(needs, [both], ()) == ()
    assert represented(needs.model_copy(update={"assurance": Assurance.SIGNED}), [weak], ()) == ()


# ---- the words, read as a person reads them, and every choice of further approvers ------------------


def read(said: str) -> list[Missing]:
    """Return what the words mean; a role that is listed without a limit may give all of them."""
    return [_read(part) for part in re.split(r" and (?=\d)", said)] if said else []


def _read(part: str) -> Missing:
    if limited := re.fullmatch(r"(\d+) of these (\d+) approvals \((.+)\)", part):
        of = tuple(need for one in limited[3].split(", ") for need in _read(one).of)
        assert sum(need.count for need in of) == int(limited[2])
        return Missing(count=int(limited[1]), of=of)
    found = re.fullmatch(r"(\d+) approvals?(, the next one)? by (.+)", part)
    assert found, part
    count = int(found[1])
    roles = re.split(r", | or ", found[3].replace("anyone but the requester", ANYONE))
    return Missing(
        count=count, of=tuple(Need(role=role, count=count) for role in roles), is_open=bool(found[2])
    )


def allows(parts: Sequence[Missing], people: Sequence[Sequence[str]]) -> bool:
    """Return whether these people, with these roles, are exactly the approvals that the parts list."""
    if not people:
        return not any(one.count for one in parts)
    first, *others = people
    for index, one in enumerate(parts):
        for need in one.of if one.count else ():
            if need.role in first and need.count:
                of = tuple(
                    other.model_copy(update={"count": other.count - (other.role == need.role)})
                    for other in one.of
                )
                rest = one.model_copy(update={"count": one.count - 1, "of": of})
                if allows([*parts[:index], rest, *parts[index + 1 :]], others):
                    return True
    return False


def random_case(rng: Random) -> tuple[dict[str, int], list[list[tuple[str, str]]]]:
    """Return a requirement, and the persons and roles for which each approval so far can count."""
    roles = rng.sample(ROLES, rng.randint(1, 4))
    needs = {role: rng.choice((1, 1, 1, 2)) for role in roles}
    approved = []
    for number in range(rng.randint(0, 3)):
        own = [(f"p{number}", role) for role in (ANYONE, *rng.sample(ROLES[1:], rng.randint(0, 3)))]
        if rng.random() < 0.3:
            delegator = rng.choice(("p0", "p1", "q"))
            own += [(delegator, role) for role in rng.sample(ROLES[1:], rng.randint(1, 2))]
        approved.append(own)
    return needs, approved


def approver_of(number: int, ways: Sequence[tuple[str, str]]) -> Approver:
    persons = dict.fromkeys(name for name, _ in ways)
    return Approver(
        name=f"p{number}",
        standings=tuple(
            PersonRoles(person=name, roles=tuple(role for one, role in ways if one == name))
            for name in persons
        ),
    )


def completes(
    needs: dict[str, int], approved: Sequence[list[tuple[str, str]]], more: Sequence[Sequence[str]]
) -> bool:
    """Return whether some way to count every approval meets the requirement."""
    further = [[(f"new {number}", role) for role in roles] for number, roles in enumerate(more)]
    ways: set[tuple[frozenset[str], tuple[str, ...]]] = {(frozenset(), ())}
    for own in (*approved, *further):
        ways |= {
            (persons | {person}, tuple(sorted((*roles, role))))
            for persons, roles in ways
            for person, role in own
            if person not in persons and roles.count(role) < needs.get(role, 0)
        }
    return any(len(roles) == sum(needs.values()) for _, roles in ways)


KINDS = [(ANYONE,), *((ANYONE, role) for role in ROLES[1:]), (ANYONE, F, L), (ANYONE, L, OPS, HR)]


def test_the_words_list_exactly_the_approvals_that_complete_the_requirement() -> None:
    rng = Random(7)
    forms = {"or": 0, "of these": 0, "next one": 0, "and": 0}
    for _ in range(times(200)):
        needs, approved = random_case(rng)
        required = requirement(**needs)
        so_far = [approver_of(number, ways) for number, ways in enumerate(approved)]
        said = missing_in_words(still_missing(required, so_far, ("rita",)))
        parts = read(said)
        left = sum(needs.values()) - most_filled(needs, approved)
        assert sum(one.count for one in parts) == left
        forms = {form: count + (f" {form} " in f"{said} ") for form, count in forms.items()}
        for more in combinations_with_replacement(KINDS, left):
            case = (needs, approved, said, more)
            if not any(one.is_open for one in parts):
                assert completes(needs, approved, more) == allows(parts, more), case
        for kind in KINDS if any(one.is_open for one in parts) else ():
            may_be_next = any(role in kind for one in parts for role in one.roles)
            others = combinations_with_replacement(KINDS, left - 1)
            assert may_be_next == any(completes(needs, approved, (kind, *more)) for more in others), said
    assert all(count > 2 for form, count in forms.items() if form != "next one"), forms
    assert forms["next one"], forms


def test_a_page_says_before_an_approval_what_is_missing_after_it() -> None:
    rng = Random(11)
    for _ in range(times(200)):
        needs, approved = random_case(rng)
        required = requirement(**needs)
        so_far = [approver_of(number, ways) for number, ways in enumerate(approved)]
        before = still_missing(required, so_far, ("rita",))
        if not before:
            continue
        visitor = rng.choice([kind for kind in KINDS if any(set(kind) & set(one.roles) for one in before)])
        told = missing_after(before, person("visitor", *visitor), ("rita",))
        assert sum(one.count for one in told) == sum(one.count for one in before) - 1
        if not any(one.is_open for one in (*before, *told)):
            for more in combinations_with_replacement(KINDS, sum(one.count for one in told)):
                is_enough = completes(needs, approved, (visitor, *more))
                assert is_enough == allows(told, more), (needs, approved, before, visitor, told, more)
