"""An absence redirects messages; no message is lost or wrongly says 'nothing to do'."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plangate.domain.decisions.decision import Choice
from plangate.domain.people import absence
from plangate.domain.people.absence import absence_of
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Absence, Delegation, Key, People, Person
from plangate.domain.policies.escalation import Escalation, with_later_roles
from plangate.domain.policies.missing_approvals import missing
from plangate.domain.policies.requirement import Need, Requirement, Resolvers
from plangate.domain.runs.audit import Event, Held, StepInDoubt
from plangate.domain.runs.open_decisions import able_to_approve, able_to_resolve
from plangate.domain.runs.run import RunState
from plangate.domain.runs.satisfiable import unmet
from plangate.notifications.absences import absence_notices
from plangate.notifications.addresses import addresses_of
from plangate.notifications.audience import Audience, audience_of
from plangate.notifications.due import notices_due
from plangate.notifications.followed_run import Followed
from plangate.notifications.notice import ASKING, Notice, NoticeKind
from plangate.notifications.people_asked import people_asked
from plangate.records.notices import EarlierNotice
from tests.support.build import HOUR, NOON, drafted, requested, state_after
from tests.support.notices import decided

DEADLINE = NOON + 12 * HOUR
ROLES = {"rita": (), "dana": ("finance",), "kim": ("finance", "legal"), "fred": ("boss",), "anna": ()}
KEY = Key(id="k", x="x" * 43)
ESCALATION = Escalation(role="finance", after_seconds=4 * 3600, to="boss")
FINANCE = Requirement(needs=(Need(role="finance", count=1),), escalations=(ESCALATION,))


def audience(people: People, now: datetime) -> Audience:
    return audience_of(
        people,
        now,
        operators="operator",
        is_narrowed=False,
        inbox="https://inbox",
        addresses_of=lambda name: addresses_of(people, name),
    )


def people_with(**changes: dict[str, object]) -> People:
    """Return the list of people with these fields set."""
    people = [Person(name=name, roles=roles, mail=f"{name}@example.org") for name, roles in ROLES.items()]
    return People(persons=tuple(one.model_copy(update=changes.get(one.name, {})) for one in people))


def away(to: str = "", since: float = -1, until: float = 20) -> dict[str, object]:
    return {"absences": (Absence(since=NOON + since * HOUR, until=NOON + until * HOUR, to=to),)}


def without(*names: str) -> dict[str, dict[str, object]]:
    return {name: {"active": False} for name in names}


def due(
    run: RunState, people: People, now: datetime = NOON, earlier: Sequence[EarlierNotice] = ()
) -> list[Notice]:
    return list(notices_due(Followed(run, NOON, None, earlier), audience(people, now), now))


def sent(
    notices: Sequence[Notice], now: datetime, before: Sequence[EarlierNotice] = ()
) -> list[EarlierNotice]:
    """Return all notices by recipient, after the due ones have been sent."""
    known = {(one.person, one.event) for one in before}
    return [
        *before,
        *(
            EarlierNotice(person=one.person, event=one.event, kind=one.kind.value, is_sent=True)
            for one in notices
            if one.due_at <= now and (one.person, one.event) not in known
        ),
    ]


def said(notices: Sequence[Notice], now: datetime = NOON) -> list[str]:
    return sorted(f"{one.person} {one.kind}" for one in notices if one.due_at <= now)


PLAN = state_after(requested(), drafted(requirement=FINANCE, deadline=DEADLINE))


def test_a_later_substitute_first_gets_the_redirected_message_and_later_their_own() -> None:
    people = people_with(dana=away("fred"), **without("kim"))
    found = due(PLAN, people)
    first, second = (one for one in found if one.person == "fred")
    assert (first.kind, first.due_at) == (NoticeKind.NEEDED, NOON)
    assert first.facts.instead_of == ("dana",)
    assert first.facts.may_from == second.due_at == NOON + 4 * HOUR
    assert first.facts.happened == (
        "you get this because dana is away; until you may approve it yourself, dana still can"
    )
    assert (second.kind, second.facts.instead_of) == (NoticeKind.ESCALATED, ())
    earlier = sent(found, NOON)
    later = NOON + 5 * HOUR
    new = [
        one
        for one in due(PLAN, people, later, earlier)
        if (one.person, one.event) not in {(t.person, t.event) for t in earlier}
    ]
    assert said(new, later) == ["dana relieved", "fred escalated", "rita unstuck"]


@pytest.mark.parametrize("to", ["anna", "fred"])
def test_if_no_one_else_can_decide_the_absent_person_is_asked_too(to: str) -> None:
    people = people_with(dana=away(to), **without("kim"))
    found = [one for one in due(PLAN, people) if one.due_at <= NOON and one.kind in ASKING]
    assert {one.person: one.asks_reader for one in found} == {"dana": True, to: False}
    own = next(one.facts.happened for one in found if one.person == "dana")
    assert own == "you are away, but no one who gets your messages can approve this now"


def test_an_absent_person_is_asked_too_if_no_message_reaches_the_person_who_is_present() -> None:
    people = people_with(dana=away("anna"), kim={"mail": ""})
    found = [one for one in due(PLAN, people) if one.due_at <= NOON and one.kind in ASKING]
    assert {one.person: one.asks_reader for one in found} == {"dana": True, "kim": True, "anna": False}


@pytest.mark.parametrize("seconds", [0, 1])
def test_an_absent_person_is_not_asked_in_addition_to_others_if_clocks_differ(seconds: int) -> None:
    slow_clock = NOON - timedelta(seconds=seconds)  # by the notifier's clock; the plan was drafted at noon
    found = due(PLAN, people_with(dana=away("anna")), slow_clock)
    assert [one.person for one in found if one.kind is NoticeKind.NEEDED] == ["kim", "anna"]


def test_a_person_who_becomes_absent_is_told_who_gets_their_messages_and_is_asked_again_on_return() -> None:
    earlier = sent(due(PLAN, people_with()), NOON)
    people = people_with(dana=away("anna", since=1, until=2))
    then = due(PLAN, people, NOON + HOUR, earlier)
    (relieved,) = (one for one in then if one.kind is NoticeKind.RELIEVED)
    assert (relieved.person, relieved.facts.goes_to) == ("dana", ("anna",))
    assert (relieved.facts.verdict, relieved.facts.by) == ("", "")
    earlier = sent(then, NOON + HOUR, earlier)
    back = due(PLAN, people, NOON + 2 * HOUR, earlier)
    new = [one for one in back if (one.person, one.event) not in {(t.person, t.event) for t in earlier}]
    assert said(new, NOON + 2 * HOUR) == ["anna relieved", "dana needed"]


@pytest.mark.parametrize("to", ["rita", "Rita"])
def test_the_requester_gets_no_redirected_messages(to: str) -> None:
    """They may not approve. The message must not be lost, so the absent person gets it."""
    found = due(PLAN, people_with(dana=away(to)))
    assert said(found) == ["dana needed", "kim needed"]


def test_a_person_who_has_approved_gets_no_redirected_message() -> None:
    two = Requirement(needs=(Need(role="finance", count=2),))
    draft = drafted(requirement=two, deadline=DEADLINE)
    run = state_after(requested(), draft, decided("kim", draft.fingerprint))
    assert said(due(run, people_with(dana=away("kim")))) == ["dana needed", "rita stuck"]


def test_a_person_without_an_address_gets_no_redirected_message() -> None:
    people = people_with(dana=away("anna"), anna={"mail": ""})
    assert said(due(PLAN, people)) == ["dana needed", "kim needed"]


def test_an_absence_is_reported_with_the_name_of_the_substitute() -> None:
    people = people_with(dana=away("fred"), kim=away(""))
    facts = {one.person: one.facts for one in absence_notices(audience(people, NOON))}
    assert (facts["dana"].goes_to, facts["kim"].goes_to) == (("fred",), ())
    assert {one.link for one in facts.values()} == {"https://inbox/me"}
    assert {one.away_until for one in facts.values()} == {NOON + 20 * HOUR}
    assert "they still come to you" in facts["kim"].happened


def test_a_substitute_of_a_changed_plan_is_not_told_that_they_approved() -> None:
    first = drafted(requirement=FINANCE, deadline=DEADLINE)
    asked_for = decided("kim", first.fingerprint, Choice.REQUEST_CHANGES)
    second = drafted(revision=2, requirement=FINANCE, deadline=DEADLINE)
    run = state_after(requested(), first, decided("dana", first.fingerprint), asked_for, second)
    found = due(run, people_with(dana=away("anna")))
    (redirected,) = (one for one in found if one.person == "anna")
    assert redirected.kind is NoticeKind.NEEDED
    assert "your earlier approval" not in redirected.facts.happened


HOURS = st.sampled_from([-1, 0, 1, 3, 4, 5, 9])
NAMES = ("dana", "kim", "fred", "anna")


@st.composite
def absences(draw: st.DrawFn) -> tuple[Absence, ...]:
    since, length = draw(HOURS), draw(st.sampled_from([1, 4, 20]))
    if draw(st.booleans()):
        return ()
    to = draw(st.sampled_from(["", *NAMES]))
    return (Absence(since=NOON + since * HOUR, until=NOON + (since + length) * HOUR, to=to),)


@st.composite
def delegates(draw: st.DrawFn) -> tuple[Delegation, ...]:
    if draw(st.integers(0, 3)):
        return ()
    until = NOON + draw(HOURS) * HOUR
    roles = draw(st.sampled_from([("finance",), ("legal",), ("boss",)]))
    return (Delegation(to=draw(st.sampled_from(NAMES)), roles=roles, valid_until=until),)


@st.composite
def lists_of_people(draw: st.DrawFn) -> People:
    def person(name: str) -> Person:
        rarely = draw(st.integers(0, 5))
        return Person(
            name=name,
            roles=ROLES[name],
            mail="" if rarely == 0 else f"{name}@example.org",
            keys=() if rarely == 1 else (KEY,),
            active=rarely != 2,
            absences=draw(absences()),
            delegates=draw(delegates()),
        )

    return People(persons=(Person(name="rita"), *map(person, NAMES)))


@st.composite
def waiting_runs(draw: st.DrawFn) -> RunState:
    roles = draw(st.sampled_from([("finance",), ("finance", "legal"), ("legal",)]))
    requirement = Requirement(
        needs=tuple(Need(role=role, count=draw(st.integers(1, 2))) for role in roles),
        assurance=draw(st.sampled_from([Assurance.TYPED, Assurance.SIGNED])),
        escalations=(ESCALATION,) if draw(st.booleans()) else (),
        resolvers=Resolvers(any_of=(("finance", "boss"),)),
        remind=(3600,),
    )
    plan = drafted(requirement=requirement, deadline=DEADLINE)
    events: list[Event] = [plan]
    if draw(st.booleans()):
        events.append(decided("kim", plan.fingerprint))
    run = state_after(requested(), *events)
    if run.is_approved:
        stops = StepInDoubt(step=1, reason="cut off")
        hold = Held(number=1, step=1, fingerprint=plan.fingerprint, why="w", held_at=NOON, deadline=DEADLINE)
        run = state_after(requested(), *events, stops, hold)
    return run


def able_now(run: RunState, who: Audience) -> Iterator[set[str]]:
    """Yield, for each pending approval or resolution, the people who can give it now."""
    assert run.drafted is not None
    requirement = run.drafted.requirement
    proof = requirement.resolving.assurance if run.held else requirement.assurance
    present = [one for one in who.known if one.assurance >= proof]
    if run.held:
        yield set(able_to_resolve(requirement, present, run.excluded))
        return
    present = [with_later_roles(one, run.later_approvers, who.now) for one in present]
    approved_by = [one.name for one in run.approvers]
    for need in missing(requirement, run.approvers_as_received, run.excluded):
        yield set(able_to_approve([need], present, run.excluded, approved_by, run.represented))


@settings(max_examples=60)
@given(waiting_runs(), lists_of_people())
def test_an_absence_never_delays_asking_a_person_who_may_decide(run: RunState, people: People) -> None:
    """This is true for each pending approval, as long as there is a person who can give it."""
    earlier: list[EarlierNotice] = []
    for hour in (0, 1, 3, 4, 5, 9):
        now = NOON + timedelta(hours=hour, minutes=1)
        who = audience(people, now)
        found = due(run, people, now, earlier)
        names = [(one.person, one.event) for one in found]
        assert len(names) == len(set(names))
        asking = [one for one in found if one.kind in ASKING]
        at = {one.person: one.due_at for one in sorted(asking, key=lambda one: one.due_at, reverse=True)}
        reached = {one.person for one in asking if one.asks_reader and one.due_at <= now}
        reached = set(filter(who.addresses_of, reached))
        for able in able_now(run, who):
            assert able & reached or not any(map(who.addresses_of, able))
        done = {*run.excluded, *(one.name for one in run.approvers if not run.held)}
        for ask in (one for one in people_asked(run, who) if not one.is_keyless):
            instead = [one for one in who.recipients_instead_of(run, ask.person) if one not in done]
            for person in instead or [ask.person]:
                assert at[person] <= max(ask.at, now)
        may_decide = {name for able in able_now(run, who) for name in able}
        for one in found:
            is_said = one.kind is NoticeKind.RELIEVED and one.person in may_decide
            assert not is_said or one.facts.goes_to == who.recipients_instead_of(run, one.person) != (
                one.person,
            )
            assert not one.asks_reader or one.person in may_decide or one.due_at > now
        earlier = sent(found, now, earlier)
    asked_once = [(one.person, one.event) for one in earlier]
    assert len(asked_once) == len(set(asked_once))


@pytest.mark.parametrize("is_cycle", [True, False])
def test_each_absence_is_looked_up_only_a_few_times_even_in_long_chains(
    monkeypatch: pytest.MonkeyPatch, *, is_cycle: bool
) -> None:
    count = 200
    names = [f"p{number}" for number in range(count)]
    persons = tuple(
        Person(
            name=name, mail="a@example.org", **away(names[(number + 1) % count] if is_cycle or number else "")
        )
        for number, name in enumerate(names)
    )
    looked_up: list[str] = []

    def counted(person: Person, at: datetime) -> Absence | None:
        looked_up.append(person.name)
        return absence_of(person, at)

    monkeypatch.setattr(absence, "absence_of", counted)
    audience(People(persons=persons), NOON)
    assert len(looked_up) <= 4 * count


def test_a_person_is_found_in_a_derived_list() -> None:
    people = people_with()
    assert people.find("DANA") == people.persons[1]
    more = people.model_copy(update={"persons": (*people.persons, Person(name="erik"))})
    assert more.find("Erik") == Person(name="erik")
    assert people.find("erik") is None
    assert people == people_with()


@pytest.mark.parametrize(("of_dana", "of_kim"), [("", ""), ("kim", "dana"), ("anna", ""), ("anna", "anna")])
def test_the_absence_of_all_approvers_is_reported_and_they_are_asked(of_dana: str, of_kim: str) -> None:
    run = state_after(
        requested(),
        drafted(requirement=Requirement(needs=(Need(role="finance", count=1),)), deadline=DEADLINE),
    )
    people = people_with(dana=away(of_dana), kim=away(of_kim))
    found = due(run, people)
    (stuck,) = (one for one in found if one.kind is NoticeKind.STUCK)
    assert (stuck.person, stuck.due_at) == ("rita", NOON)
    assert stuck.facts.happened == "; ".join(map(str, unmet(run, people, NOON)))
    assert {"dana needed", "kim needed"} <= set(said(found))


@given(lists_of_people(), waiting_runs(), st.integers(0, 11))
@settings(max_examples=60)
def test_notices_and_pages_agree_on_unobtainable_approvals(people: People, run: RunState, hours: int) -> None:
    now = NOON + hours * HOUR
    who = audience(people, now)
    causes = {one.facts.happened for one in due(run, people, now) if one.kind is NoticeKind.STUCK}
    missing_now = "; ".join(map(str, unmet(run, people, now)))
    is_open = run.deadline is None or now < run.deadline
    requester = who.approver(run.requester)
    if missing_now and is_open and requester is not None and who.may_see(run, requester.name):
        assert causes == {missing_now}
    else:
        assert not causes


@pytest.mark.parametrize("change", [away(), away(until=90), away("kim"), away(since=-2), away(until=20.5)])
def test_notices_are_checked_again_when_an_absence_begins_ends_or_is_extended(
    change: dict[str, object],
) -> None:
    keys = {
        audience(people, NOON).key
        for people in (people_with(), people_with(dana=away(until=19)), people_with(dana=change))
    }
    assert len(keys) == 3
    later = audience(people_with(dana=away(since=1, until=2)), NOON + 3 * HOUR)
    assert later.key == audience(people_with(), NOON + 3 * HOUR).key


def test_a_delegated_role_and_its_delegator_do_not_count_as_two_approvals() -> None:
    people = people_with(kim={"delegates": (Delegation(to="dana", roles=("legal",)),)})
    legal = [one.name for one in people.persons if "legal" in one.roles]
    assert legal == ["kim"]
    requirement = Requirement(needs=(Need(role="legal", count=2),))
    run = state_after(requested(), drafted(requirement=requirement, deadline=DEADLINE))
    causes = {one.facts.happened for one in due(run, people) if one.kind is NoticeKind.STUCK}
    assert causes == {"2 approvals by legal: only dana and kim can"}
