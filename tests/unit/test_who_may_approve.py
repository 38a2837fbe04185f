"""Who may approve what, and when it is enough: thousands of cases against a rule of this file's own.

The rule is written from the words of the design, by trying every assignment of approvals to demanded roles;
it shares nothing with the code but the words of the cases.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from plangate.domain.audit import Drafted, Requested
from plangate.domain.decision import Arrival, Choice, Decision, Via
from plangate.domain.errors import NotApproved
from plangate.domain.fold import apply, fold
from plangate.domain.people import ANYONE, Approver, Delegation, People, Person, Standing
from plangate.domain.plan import Plan, Step, fingerprint_of
from plangate.domain.policy import Need, Requirement, covered
from plangate.domain.review import authorise, judge
from plangate.domain.revocation import stale_approvers
from plangate.domain.run import Phase, RunState
from tests.support.fakes import AUDIENCE
from tests.support.senders import sender_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DEADLINE = NOON + timedelta(hours=10)
PLAN = Plan(summary="s", steps=(Step(tool="t", arguments={}),))
OLD, NEW = (fingerprint_of(PLAN, revision, "w", AUDIENCE) for revision in (1, 2))
NAMES = ("rita", "dana", "erik", "fred", "gina")
ROLES = ("finance", "ops", "legal")
LEAST_CASES = 5_000


@dataclass
class Loan:
    """Somebody lends roles to another, between two hours of the day."""

    to: str
    roles: tuple[str, ...]
    begins: int
    ends: int


@dataclass
class Human:
    roles: tuple[str, ...]
    active: bool
    loans: tuple[Loan, ...]


@dataclass
class Said:
    """One decision as a case has it: who, in which spelling, what, on which plan, in which hour."""

    by: str
    spelled: str
    choice: Choice
    plan: str
    hour: int


@dataclass
class Case:
    humans: dict[str, Human]
    needs: dict[str, int]
    valid_hours: int | None
    said: list[Said]
    count: Counter[str] = field(default_factory=Counter)


some_roles = st.lists(st.sampled_from(ROLES), max_size=2, unique=True).map(tuple)
loans = st.builds(
    Loan,
    to=st.sampled_from(NAMES),
    roles=st.lists(st.sampled_from(ROLES), min_size=1, max_size=2, unique=True).map(tuple),
    begins=st.sampled_from([0, 0, 0, 4]),
    ends=st.sampled_from([12, 12, 12, 3]),
)
humans = st.builds(
    Human,
    roles=some_roles,
    active=st.sampled_from([True] * 11 + [False]),
    loans=st.lists(loans, max_size=2).map(tuple),
)
spellings = st.sampled_from([str.lower, str.upper, str.title, lambda name: f" {name} "])
said = st.builds(
    lambda by, spell, choice, plan, hour: Said(by, spell(by), choice, plan, hour),
    by=st.sampled_from((*NAMES[1:], *NAMES[1:], *NAMES, "nobody")),
    spell=spellings,
    choice=st.sampled_from([Choice.APPROVE] * 20 + [Choice.REJECT, Choice.REQUEST_CHANGES]),
    plan=st.sampled_from([NEW] * 10 + [NEW[:8], OLD, OLD[:12], "0" * 12]),
    hour=st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10]),
)
cases = st.builds(
    Case,
    humans=st.fixed_dictionaries(dict.fromkeys(NAMES, humans)),
    needs=st.dictionaries(st.sampled_from((*ROLES, ANYONE)), st.integers(1, 2), min_size=1, max_size=3),
    valid_hours=st.sampled_from([None, None, 2, 5]),
    said=st.lists(said, min_size=3, max_size=8).map(lambda some: sorted(some, key=lambda one: one.hour)),
)


# ---- the rule of this file ----------------------------------------------------------------------


def capacities(case: Case, by: str, hour: int) -> list[tuple[str, str]]:
    """Every (person, role) that somebody can stand for at that hour; nobody stands for the requester."""
    human = case.humans.get(by)
    if human is None or not human.active or by == "rita":
        return []
    found = [(by, role) for role in (*human.roles, ANYONE)]
    for name, other in case.humans.items():
        for loan in other.loans:
            in_force = loan.begins <= hour < loan.ends
            if name not in (by, "rita") and loan.to == by and in_force and other.active:
                found += [(name, role) for role in loan.roles if role in other.roles]
    return found


def most_filled(needs: dict[str, int], people: Sequence[list[tuple[str, str]]]) -> int:
    """The most demanded places that these people fill, over every way to place them."""
    useful = [[None, *(way for way in set(ways) if way[1] in needs)] for ways in people]
    best = 0
    for ways in product(*useful):
        placed = [way for way in ways if way is not None]
        persons = [person for person, _ in placed]
        roles = Counter(role for _, role in placed)
        if len(set(persons)) == len(persons) and all(roles[role] <= needs[role] for role in roles):
            best = max(best, len(placed))
    return best


class Naive:
    """The review as the design tells it."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.approved: list[tuple[str, int, list[tuple[str, str]]]] = []
        self.over = False
        self.enough = False

    def accepts(self, one: Said) -> bool:
        if self.over or self.enough or not NEW.startswith(one.plan) or one.hour >= 10:
            return False
        human = self.case.humans.get(one.by)
        if human is None or not human.active:
            return False
        ways = capacities(self.case, one.by, one.hour)
        if one.choice is not Choice.APPROVE:
            if one.by != "rita" and most_filled(self.case.needs, [ways]) == 0:
                return False
            self.over = True
            return True
        if one.by == "rita" or any(one.by == by for by, _, _ in self.approved):
            return False
        before = [known for _, _, known in self.approved]
        if most_filled(self.case.needs, [*before, ways]) == most_filled(self.case.needs, before):
            return False
        self.approved.append((one.by, one.hour, ways))
        self.enough = most_filled(self.case.needs, [*before, ways]) == sum(self.case.needs.values())
        return True


# ---- the code -----------------------------------------------------------------------------------


def at(hour: int) -> datetime:
    return NOON + timedelta(hours=hour)


def people_of(case: Case) -> People:
    return People(
        persons=tuple(
            Person(
                name=name.title(),
                roles=human.roles,
                active=human.active,
                delegates=tuple(
                    Delegation(
                        to=loan.to, roles=loan.roles, valid_from=at(loan.begins), valid_until=at(loan.ends)
                    )
                    for loan in human.loans
                ),
            )
            for name, human in case.humans.items()
        )
    )


def in_review(case: Case) -> RunState:
    requirement = Requirement(
        needs=tuple(Need(role=role, count=count) for role, count in case.needs.items()),
        approval_valid_for=case.valid_hours * 3600 if case.valid_hours else None,
    )
    requested = Requested(request="r", requester="RITA ", timeout_seconds=60, requested_at=NOON)
    drafts: list[Any] = [
        Drafted(
            revision=revision, plan=PLAN, fingerprint=fingerprint, audience=AUDIENCE, requirement=requirement,
            drafted_at=NOON, deadline=DEADLINE,
        )
        for revision, fingerprint in enumerate((OLD, NEW), start=1)
    ]  # fmt: skip
    return fold("w", [requested, *drafts])


def arrival_of(one: Said, number: int) -> Arrival:
    decision = Decision(decision=one.choice, by=one.spelled, plan=one.plan, comment="c")
    return Arrival(
        key=str(number), via=Via.SIGNAL, name=one.choice.value, received_at=at(one.hour), decision=decision
    )


def test_every_case_of_the_table_ends_as_the_naive_rule_says() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=2_000, deadline=None, database=None, derandomize=True)
    @given(cases)
    def compare(case: Case) -> None:
        state, naive, people = in_review(case), Naive(case), people_of(case)
        for number, one in enumerate(case.said):
            arrival = arrival_of(one, number)
            event = judge(state, arrival, sender_of(arrival, people))
            expected = naive.accepts(one)
            assert event.verdict.accepted is expected, event.verdict.reason
            state = apply(state, event)
            assert (state.phase is Phase.EXECUTING) is naive.enough
            seen[_kind(one, event.verdict.reason, accepted=expected)] += 1
            seen["cases"] += 1
        _compare_authorisation(state, naive, seen)

    compare()
    assert seen["cases"] >= LEAST_CASES
    for corner in (
        "approved", "rejected", "changes", "known role lacking", "requester", "twice", "old plan",
        "too late", "unknown", "inactive", "enough", "stale", "lent", "rearranged",
    ):  # fmt: skip
        assert seen[corner] >= 10, (corner, seen)


def _compare_authorisation(state: RunState, naive: Naive, seen: Counter[str]) -> None:
    """A step may start as long as the approvals are there, and none of them is older than allowed."""
    try:
        authorise(state, NEW, 1)
    except NotApproved:
        assert not naive.enough
        return
    assert naive.enough
    seen["enough"] += 1
    valid = naive.case.valid_hours
    hour = 11
    old = {by for by, when, _ in naive.approved if valid is not None and hour - when > valid}
    assert {name.strip().lower() for name in stale_approvers(state, at(hour))} == old
    seen["stale"] += bool(old)
    seen["lent"] += any(all(person != by for person, role in ways if role in naive.case.needs)
                        for by, _, ways in naive.approved)  # fmt: skip
    seen["rearranged"] += _first_come_first_served(naive) < sum(naive.case.needs.values())


def _first_come_first_served(naive: Naive) -> int:
    """How many places are filled if each takes the first one that fits, and keeps it."""
    left, used = dict(naive.case.needs), set()
    for _, _, ways in naive.approved:
        for person, role in ways:
            if left.get(role) and person not in used:
                left[role] -= 1
                used.add(person)
                break
    return sum(naive.case.needs.values()) - sum(left.values())


def _kind(one: Said, reason: str, *, accepted: bool) -> str:
    if accepted:
        return {"approve": "approved", "reject": "rejected", "request_changes": "changes"}[one.choice]
    for words, kind in {
        "has ended": "over", "approved already and is being": "over", "was replaced": "old plan",
        "deadline": "too late", "not in the list of people": "unknown", "not active": "inactive",
        "asked for this": "requester", "counts once": "twice", "has no role": "known role lacking",
    }.items():  # fmt: skip
        if words in reason:
            return kind
    return reason.partition(" ")[2]


def test_however_many_people_lend_to_each_other_the_places_are_counted_soon() -> None:
    """Twenty of them have more ways to fill the places than can be tried."""
    names = [f"p{number}" for number in range(20)]
    everybody = tuple(Standing(person=name, roles=("a", "b", "c")) for name in names)
    approvers = [Approver(name=name, standings=everybody) for name in names]
    needs = tuple(Need(role=role, count=7) for role in ("a", "b"))
    assert covered(Requirement(needs=needs), approvers, "rita") == 14
    assert covered(Requirement(needs=(*needs, Need(role="d", count=7))), approvers, "rita") == 14
    chance = Random(11)
    for _ in range(40):  # the best that is found where not everything can be tried
        some = [
            Approver(
                name=name,
                standings=tuple(
                    Standing(person=chance.choice(names), roles=(chance.choice("abcd"),)) for _ in range(12)
                ),
            )
            for name in names[:17]
        ]
        wanted = Requirement(needs=tuple(Need(role=role, count=chance.randint(1, 8)) for role in "abcd"))
        assert 0 < covered(wanted, some, "rita") <= 17
