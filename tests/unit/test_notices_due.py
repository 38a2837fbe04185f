"""The notices that a run needs are a function of its trail, the people, and the earlier notices."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plangate.domain.decisions.decision import Choice, Resolution
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Absence, Delegation, InvalidApproval, Key, People, Person, Role
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.escalation import Escalation
from plangate.domain.policies.requirement import Need, Requirement, Resolvers
from plangate.domain.policies.viewers import Party, Viewers
from plangate.domain.runs.audit import (
    Claimed,
    Closed,
    Decided,
    Event,
    Held,
    Outcome,
    Reopened,
    StepFailed,
    StepInDoubt,
    StepUndone,
)
from plangate.domain.times.calendars import Calendar, Hours
from plangate.notifications.absences import absence_notices
from plangate.notifications.addresses import addresses_of
from plangate.notifications.audience import Audience, audience_of
from plangate.notifications.due import notices_due
from plangate.notifications.followed_run import Followed
from plangate.notifications.notice import Notice, NoticeKind
from plangate.notifications.steps_by_end import End
from plangate.records.notices import EarlierNotice
from tests.support.build import DEADLINE, HOUR, NOON, done, drafted, requested, state_after
from tests.support.notices import decided

FINANCE = Requirement(needs=(Need(role="finance", count=1),))
TWO = Requirement(needs=(Need(role="finance", count=2),))
LIST = People(
    persons=tuple(
        Person(name=name, roles=roles, mail=f"{name}@example.org")
        for name, roles in {
            "rita": (),
            "dana": ("finance",),
            "kim": ("finance",),
            "head": ("boss",),
            "olga": ("operator",),
        }.items()
    )
)


def audience(people: People = LIST, now: datetime = NOON, *, is_narrowed: bool = False) -> Audience:
    return audience_of(
        people,
        now,
        operators="operator",
        is_narrowed=is_narrowed,
        inbox="https://inbox",
        addresses_of=lambda name: addresses_of(people, name),
    )


def due(
    *events: Event,
    earlier: Sequence[EarlierNotice] = (),
    now: datetime = NOON,
    people: People = LIST,
    is_narrowed: bool = False,
) -> list[Notice]:
    run = state_after(requested(), *events)
    ended_at = NOON if run.closed else None
    followed = Followed(run, NOON, ended_at, earlier)
    return list(notices_due(followed, audience(people, now, is_narrowed=is_narrowed), now))


def said(notices: Sequence[Notice]) -> list[str]:
    return sorted(f"{one.person} {one.kind}" for one in notices)


def sent(notices: Sequence[Notice], before: Sequence[EarlierNotice] = ()) -> list[EarlierNotice]:
    """Return all notices by recipient, after the due ones have been sent."""
    newly_sent = [
        EarlierNotice(person=one.person, event=one.event, kind=one.kind.value, is_sent=True)
        for one in notices
        if one.due_at <= NOON
    ]
    known = {(one.person, one.event) for one in before}
    return [*before, *(one for one in newly_sent if (one.person, one.event) not in known)]


PLAN = drafted(requirement=FINANCE)


def test_neither_the_requester_nor_an_author_is_asked() -> None:
    people = LIST.model_copy(update={"persons": (*LIST.persons, Person(name="Rita B", roles=("finance",)))})
    assert said(due(drafted(requirement=FINANCE, author="kim"), people=people)) == [
        "Rita B needed",
        "dana needed",
    ]


def test_an_approver_who_gave_one_of_two_approvals_is_not_asked_again() -> None:
    first = drafted(requirement=TWO)
    earlier = sent(due(first))
    found = due(first, decided("dana", first.fingerprint), earlier=earlier)
    assert said(found) == ["kim needed"]
    assert {one.event for one in found} == {one.event for one in earlier}


def test_a_person_is_told_that_a_new_revision_voids_their_approval() -> None:
    first, second = drafted(requirement=TWO), drafted(revision=2, requirement=TWO)
    approved = (first, decided("dana", first.fingerprint))
    earlier = sent(due(*approved), sent(due(first)))
    asked = decided("head", first.fingerprint, Choice.REQUEST_CHANGES)
    assert said(due(*approved, asked, earlier=earlier)) == []
    assert said(due(*approved, asked, second, earlier=earlier)) == ["dana changed", "kim needed"]


def test_a_stale_approval_is_requested_again() -> None:
    ended = (PLAN, decided("dana", PLAN.fingerprint))
    earlier = sent(due(*ended, earlier=sent(due(PLAN))), sent(due(PLAN)))
    lost = InvalidApproval(name="dana", reason="is too old")
    again = Reopened(fingerprint=PLAN.fingerprint, step=1, lost=(lost,), reopened_at=NOON, deadline=DEADLINE)
    assert said(due(*ended, again, earlier=earlier)) == ["dana changed", "kim needed"]


HEAD = Requirement(needs=(Need(role="boss", count=1),))


def test_a_person_who_may_not_approve_the_new_revision_is_relieved_once() -> None:
    first, second = drafted(requirement=TWO), drafted(revision=2, requirement=HEAD)
    asked = decided("head", first.fingerprint, Choice.REQUEST_CHANGES)
    events = (first, decided("dana", first.fingerprint), asked, second)
    found = due(*events, earlier=sent(due(first)))
    assert said(found) == ["dana voided", "head needed", "kim relieved"]
    facts = next(one.facts for one in found if one.person == "dana")
    assert facts.happened == "head requested changes, and the plan was drafted again"
    assert facts.deadline is None
    earlier = sent(found, sent(due(first)))
    again = decided("head", second.fingerprint, Choice.REQUEST_CHANGES)
    third = drafted(revision=3, requirement=HEAD)
    found = due(*events, again, third, earlier=earlier)
    assert [one.event for one in found if one.person == "dana"] == ["voided:2"]
    ended = due(*events, decided("head", second.fingerprint), earlier=sent(due(first)))
    assert "dana voided" in said(ended)


def test_a_person_who_is_asked_again_is_not_relieved() -> None:
    first, second = drafted(requirement=TWO), drafted(revision=2, requirement=TWO)
    asked = decided("head", first.fingerprint, Choice.REQUEST_CHANGES)
    events = (first, decided("dana", first.fingerprint), asked, second)
    earlier = sent(due(*events))
    assert said(due(*events, earlier=earlier)) == ["dana changed", "kim needed"]
    drafting = decided("head", second.fingerprint, Choice.REQUEST_CHANGES)
    assert said(due(*events, drafting)) == []
    ended = Closed(outcome=Outcome.WITHDRAWN)
    assert said(due(*events, ended, earlier=earlier)) == ["dana relieved", "kim relieved", "rita outcome"]


def test_neither_an_author_nor_a_requester_of_changes_is_told_that_their_approval_is_void() -> None:
    first = drafted(requirement=TWO)
    approved = (first, decided("dana", first.fingerprint))
    for choice, author in ((Choice.EDIT, "dana"), (Choice.REQUEST_CHANGES, "")):
        second = drafted(revision=2, requirement=HEAD, author=author)
        assert said(due(*approved, decided("dana", first.fingerprint, choice), second)) == ["head needed"]


def test_an_approver_who_lost_the_role_is_notified_that_their_approval_is_void() -> None:
    lost = InvalidApproval(name="dana", reason="no longer has the role")
    again = Reopened(fingerprint=PLAN.fingerprint, step=1, lost=(lost,), reopened_at=NOON, deadline=DEADLINE)
    events = (PLAN, decided("dana", PLAN.fingerprint), again)
    found = due(*events, people=with_changed("dana", roles=()))
    assert said(found) == ["dana voided", "kim needed"]
    assert said(due(*events, people=with_changed("dana", active=False))) == ["kim needed"]


def test_a_relieved_person_is_asked_again_when_the_approval_is_withdrawn() -> None:
    approved = (PLAN, decided("dana", PLAN.fingerprint))
    earlier = sent(due(PLAN))
    earlier = sent(due(*approved, earlier=earlier), earlier)
    assert [one.kind for one in earlier if one.person == "kim"] == ["needed", "relieved"]
    back = decided("dana", PLAN.fingerprint, Choice.WITHDRAW_APPROVAL)
    found = due(*approved, back, earlier=earlier)
    new = [one for one in found if (one.person, one.event) not in {(t.person, t.event) for t in earlier}]
    assert said(new) == ["kim needed"]


FINANCE_AND_BOSS = Requirement(needs=(Need(role="finance", count=1), Need(role="boss", count=1)))


def test_a_person_relieved_in_a_review_is_told_who_approved_and_who_later_withdrew_the_approval() -> None:
    plan = drafted(requirement=FINANCE_AND_BOSS)
    approved = (plan, decided("dana", plan.fingerprint))
    earlier = sent(due(plan))
    (relieved,) = (one for one in due(*approved, earlier=earlier) if one.kind is NoticeKind.RELIEVED)
    assert (relieved.person, relieved.facts.verdict, relieved.facts.by) == ("kim", "approved", "dana")
    assert relieved.facts.happened == "the approvals of other people are still missing"
    earlier = sent(due(*approved, earlier=earlier), earlier)
    back = (*approved, decided("dana", plan.fingerprint, Choice.WITHDRAW_APPROVAL))
    assert happened(due(*back, earlier=earlier), "kim") == "dana withdrew their approval"
    assert happened(due(*back, earlier=sent(due(plan))), "head") == ""


def test_a_person_is_relieved_each_time_the_review_no_longer_needs_them() -> None:
    """Dana approves, withdraws the approval, and approves again: Kim is asked twice, and relieved twice."""
    events: list[Event] = [PLAN]
    earlier = sent(due(*events))
    for choice in (Choice.APPROVE, Choice.WITHDRAW_APPROVAL, Choice.APPROVE):
        events.append(decided("dana", PLAN.fingerprint, choice))
        earlier = sent(due(*events, earlier=earlier), earlier)
    kinds = [one.kind for one in earlier if one.person == "kim"]
    assert kinds == ["needed", "relieved", "needed", "relieved"]


def test_notices_to_another_spelling_of_a_name_count_as_sent() -> None:
    plan = drafted(requirement=FINANCE.model_copy(update={"remind": (1800,)}))
    earlier = [one.model_copy(update={"person": one.person.upper()}) for one in sent(due(plan))]
    late = DEADLINE - timedelta(minutes=10)
    assert said(due(plan, earlier=earlier, now=late)) == [
        "dana needed", "dana reminder", "kim needed", "kim reminder",
    ]  # fmt: skip
    relieved = due(plan, decided("dana", plan.fingerprint), earlier=earlier)
    assert said(relieved) == ["kim relieved"]


def test_a_person_without_a_notice_is_not_relieved() -> None:
    waiting = [one.model_copy(update={"is_sent": False}) for one in sent(due(PLAN))]
    found = due(PLAN, decided("dana", PLAN.fingerprint), earlier=waiting)
    assert said(found) == []


def test_only_the_last_due_reminder_is_sent_before_the_deadline() -> None:
    reminding = FINANCE.model_copy(update={"remind": (1800, 900, 7200)})
    plan = drafted(requirement=reminding)
    first = due(plan)
    times = sorted(one.due_at for one in first if one.kind is NoticeKind.REMINDER and one.person == "dana")
    assert times == [DEADLINE - timedelta(minutes=30), DEADLINE - timedelta(minutes=15)]
    late = due(plan, earlier=sent(first), now=DEADLINE - timedelta(minutes=5))
    assert [one.due_at for one in late if one.kind is NoticeKind.REMINDER and one.person == "dana"] == [
        DEADLINE - timedelta(minutes=15)
    ]


def test_a_reminder_due_at_night_is_sent_in_the_last_working_hour_before() -> None:
    office = Calendar(name="office", zone="Europe/Berlin", hours=(Hours(begin=time(9), end=time(17)),))
    persons = tuple(
        one.model_copy(update={"calendar": "office"}) if one.name == "dana" else one for one in LIST.persons
    )
    people = LIST.model_copy(update={"persons": persons, "calendars": (office,)})
    deadline = NOON + timedelta(days=1, hours=18)
    plan = drafted(requirement=FINANCE.model_copy(update={"remind": (36_000,)}), deadline=deadline)
    found = {one.person: one.due_at for one in due(plan, people=people) if one.kind is NoticeKind.REMINDER}
    assert found == {
        "kim": deadline - timedelta(hours=10),
        "dana": NOON + timedelta(days=1, hours=3),  # 16:00 in Berlin; Kim's reminder is at 21:00 there
    }


OFFICE = Hours(begin=time(9), end=time(17))
IN_BERLIN = NOON + timedelta(days=1, hours=3)  # 16:00 there, as the office is about to close


def reminded(
    remind: tuple[int, ...], deadline: datetime, hours: Hours, earlier: Sequence[EarlierNotice] = ()
) -> list[str]:
    """Return the reminders of Dana, who works in Berlin; all were due at 16:00 there."""
    plan = drafted(requirement=FINANCE.model_copy(update={"remind": remind}), deadline=deadline)
    days = tuple(range(7))
    office = Calendar(name="office", zone="Europe/Berlin", weekdays=days, hours=(hours,))
    people = with_changed("dana", calendar="office").model_copy(update={"calendars": (office,)})
    found = due(plan, people=people, earlier=[*sent(due(plan)), *earlier], now=IN_BERLIN)
    return [one.event for one in found if one.person == "dana" and one.kind is NoticeKind.REMINDER]


@pytest.mark.parametrize(
    "hours",
    [Hours(begin=time(6), end=time(22)), Hours(begin=time(9), end=time(16))],
    ids=["longer", "shorter"],
)
@pytest.mark.parametrize(
    ("remind", "deadline", "coming"),
    [
        ((36_000, 7_200), IN_BERLIN + timedelta(hours=15), []),  # both were due in the last hour of the day
        ((36_000, 3_600), IN_BERLIN + timedelta(hours=18), ["3600"]),
    ],
    ids=["the last", "the first of two"],
)
def test_a_change_of_working_hours_repeats_no_reminder(
    remind: tuple[int, ...], deadline: datetime, coming: list[str], hours: Hours
) -> None:
    first = reminded(remind, deadline, OFFICE)
    assert len(first) == 1 + len(coming)
    earlier = [EarlierNotice(person="dana", event=first[0], kind="reminder", is_sent=True)]
    again = reminded(remind, deadline, hours, earlier)
    assert [one.rpartition(":")[2] for one in again if one != first[0]] == coming


def test_another_role_is_asked_when_its_escalation_begins() -> None:
    escalation = Escalation(role="finance", after_seconds=600, to="boss")
    found = due(drafted(requirement=FINANCE.model_copy(update={"escalations": (escalation,)})))
    escalated = [one for one in found if one.kind is NoticeKind.ESCALATED]
    assert said(found) == ["dana needed", "head escalated", "kim needed"]
    assert [one.due_at for one in escalated] == [NOON + timedelta(minutes=10)]


def test_an_absent_person_is_notified_on_return_and_a_substitute_meanwhile() -> None:
    away = Absence(since=NOON - HOUR, until=NOON + HOUR / 2, to="head")
    persons = tuple(
        one.model_copy(update={"absences": (away,)}) if one.name == "dana" else one for one in LIST.persons
    )
    people = LIST.model_copy(update={"persons": persons})
    first = due(PLAN, people=people)
    assert said(first) == ["head needed", "kim needed"]
    assert "dana is away" in next(one.facts.happened for one in first if one.person == "head")
    earlier = sent(first)
    assert said(due(PLAN, people=people, earlier=earlier, now=NOON + HOUR / 2)) == [
        "dana needed",
        "head relieved",
        "kim needed",
    ]


KEY = Key(id="k", x="x" * 43)
SIGNED = FINANCE.model_copy(update={"assurance": Assurance.SIGNED, "remind": (600,)})


def with_keys(*names: str, people: People = LIST) -> People:
    persons = [
        one.model_copy(update={"keys": (KEY,)}) if one.name in names else one for one in people.persons
    ]
    return people.model_copy(update={"persons": tuple(persons)})


def test_a_person_without_a_key_is_asked_once_to_add_one_and_never_reminded() -> None:
    escalation = Escalation(role="finance", after_seconds=600, to="boss")
    plan = drafted(requirement=SIGNED.model_copy(update={"escalations": (escalation,)}))
    people = with_keys("dana")
    found = due(plan, people=people)
    assert said(found) == ["dana needed", "dana reminder", "head needed", "kim needed"]
    for notice in found:
        is_keyless = notice.person in ("kim", "head")
        assert ("you have no passkey yet" in notice.facts.happened) is is_keyless
    earlier = sent(found)
    again = due(drafted(revision=2, requirement=SIGNED), people=people, earlier=earlier)
    assert said(again) == ["dana needed", "dana reminder"]


def test_a_delegate_without_a_key_learns_who_delegated_the_role() -> None:
    delegated = with_changed("dana", delegates=(Delegation(to="head", roles=("finance",)),))
    found = due(drafted(requirement=SIGNED), people=with_keys("dana", people=delegated))
    how = "your decision must be signed, and you have no passkey yet"
    assert happened(found, "head").startswith(f"dana delegated the role finance to you; {how}: ")
    assert happened(found, "kim").startswith(how)


def test_a_substitute_who_is_missing_only_a_key_gets_one_notice_about_it() -> None:
    away = Absence(since=NOON - HOUR, until=NOON + HOUR / 2, to="kim")
    people = with_keys("dana", people=with_changed("dana", absences=(away,)))
    found = [one for one in due(drafted(requirement=SIGNED), people=people) if one.person == "kim"]
    assert [one.kind for one in found if one.kind is not NoticeKind.REMINDER] == [NoticeKind.NEEDED]
    assert found[0].facts.happened == (
        "you get this because dana is away; dana still can approve it, and so can you once you have a "
        "passkey: add one on “My page” and have it confirmed"
    )
    assert not found[0].asks_reader


def test_a_person_who_added_a_key_is_asked_like_anyone_else() -> None:
    plan = drafted(requirement=SIGNED)
    earlier = sent(due(plan, people=with_keys("dana")))
    (asked,) = [
        one
        for one in due(plan, people=with_keys("dana", "kim"), earlier=earlier)
        if one.person == "kim" and one.kind is NoticeKind.NEEDED
    ]
    assert (asked.person, asked.event) not in {(one.person, one.event) for one in earlier}
    assert asked.facts.happened == ""


def test_a_substitute_for_a_person_without_a_key_is_not_asked_to_add_one() -> None:
    away = Absence(since=NOON - HOUR, until=NOON + HOUR / 2, to="head")
    people = with_keys("dana")
    persons = [
        one.model_copy(update={"absences": (away,)}) if one.name == "kim" else one for one in people.persons
    ]
    assert "head needed" not in said(due(drafted(requirement=SIGNED), people=People(persons=tuple(persons))))


def test_only_people_who_may_resolve_are_asked_to() -> None:
    requirement = FINANCE.model_copy(update={"resolvers": Resolvers(any_of=(("boss",),))})
    plan = drafted(requirement=requirement)
    held = (
        plan,
        decided("dana", plan.fingerprint),
        StepInDoubt(step=1, reason="cut off at 4,000 EUR"),
        Held(number=1, step=1, fingerprint=plan.fingerprint, why="secret", held_at=NOON, deadline=DEADLINE),
    )
    found = due(*held)
    assert said(found) == ["head held"]
    assert found[0].facts.happened == (
        "step 1, t, is in doubt: it was started, and it is not known whether it happened"
    )
    assert found[0].facts.not_known == ("step 1: t (in doubt)",)
    assert found[0].facts.not_done == ("step 2: t (not begun)",)
    resolved = decided("boss2", plan.fingerprint, Choice.RESOLVE, step=1, resolution=Resolution.RETRY, hold=1)
    assert said(due(*held, resolved, earlier=sent(found))) == ["head relieved"]


def test_the_requester_learns_what_was_done_and_what_was_not() -> None:
    ended = (
        PLAN,
        decided("dana", PLAN.fingerprint),
        done(1),
        Closed(outcome=Outcome.FAILED, reason="secret"),
    )
    outcome = next(one for one in due(*ended) if one.kind is NoticeKind.OUTCOME)
    assert outcome.person == "rita"
    assert (outcome.facts.done, outcome.facts.not_done) == (("step 1: t",), ("step 2: t (not begun)",))
    assert "secret" not in outcome.facts.model_dump_json()


APPROVED = (PLAN, decided("dana", PLAN.fingerprint))


def test_steps_are_described_by_their_previews_only_if_the_rules_allow_details() -> None:
    steps = tuple(Step(tool="t", arguments={"n": number}, preview="Refund 60 EUR") for number in (1, 2))
    refunds = Plan(summary="s", steps=steps)
    for is_open, listed in ((True, "step 1, Refund 60 EUR"), (False, "step 1: t")):
        plan = drafted(refunds, requirement=FINANCE.model_copy(update={"notify_details": is_open}))
        ended = (plan, decided("dana", plan.fingerprint), done(1), Closed(outcome=Outcome.FAILED))
        (outcome,) = (one.facts for one in due(*ended) if one.kind is NoticeKind.OUTCOME)
        assert outcome.done == (listed,)


def test_the_subject_lists_skipped_steps_by_their_tool_even_with_details() -> None:
    steps = tuple(Step(tool="t", arguments={"n": number}, preview="Refund 60 EUR") for number in (1, 2))
    requirement = FINANCE.model_copy(update={"notify_details": True})
    plan = drafted(Plan(summary="s", steps=steps), requirement=requirement)
    name = {"fingerprint": plan.fingerprint}
    skip = decided("dana", plan.fingerprint, Choice.RESOLVE, step=2, resolution=Resolution.SKIP, hold=1)
    held = (done(1), REFUSED, held_at(2).model_copy(update=name), skip)
    found = due(plan, decided("dana", plan.fingerprint), *held, Closed(outcome=Outcome.EXECUTED))
    (outcome,) = (one.facts for one in found if one.kind is NoticeKind.OUTCOME)
    assert (outcome.skipped, outcome.skipped_tools) == (("step 2, Refund 60 EUR",), ("step 2: t",))


def held_at(step: int, *, hold: int = 1, undo: bool = False) -> Held:
    return Held(
        number=hold,
        step=step,
        undo=undo,
        fingerprint=PLAN.fingerprint,
        why="secret",
        held_at=NOON,
        deadline=DEADLINE,
    )


def resolved(step: int, resolution: Resolution, *, hold: int = 1) -> Decided:
    return decided("dana", PLAN.fingerprint, Choice.RESOLVE, step=step, resolution=resolution, hold=hold)


DOUBT = StepInDoubt(step=1, reason="secret")
UNDONE = StepUndone(step=1, receipt=Receipt(summary="ok"))
REFUSED = StepFailed(step=2, reason="secret")


@pytest.mark.parametrize(
    ("events", "outcome", "lists", "happened"),
    [
        (
            (DOUBT, held_at(1), resolved(1, Resolution.ABORT)),
            Outcome.FAILED,
            {"not_known": ("step 1: t (in doubt)",), "not_done": ("step 2: t (not begun)",)},
            "dana aborted it",
        ),
        (
            (done(1), REFUSED, held_at(2)),
            Outcome.FAILED,
            {"done": ("step 1: t",), "not_done": ("step 2: t (failed)",)},
            "step 2, t, could not continue, and no one resolved it",
        ),
        (
            (done(1), REFUSED, held_at(2), resolved(2, Resolution.SKIP)),
            Outcome.EXECUTED,
            {"done": ("step 1: t",), "skipped": ("step 2: t",)},
            "it was executed, with step 2 (t) skipped",
        ),
        (
            (DOUBT, held_at(1), resolved(1, Resolution.MARK_DONE), done(2)),
            Outcome.EXECUTED,
            {"done": ("step 1: t (as reported by a person)", "step 2: t")},
            "it was executed",
        ),
        (
            (
                done(1),
                REFUSED,
                held_at(2),
                resolved(2, Resolution.UNDO),
                StepUndone(step=1, receipt=Receipt(summary="ok")),
            ),
            Outcome.FAILED,
            {"undone": ("step 1: t",), "not_done": ("step 2: t (failed)",)},
            "step 2 failed; dana undid step 1",
        ),
        (
            (
                *(done(1), REFUSED, held_at(2), resolved(2, Resolution.UNDO)),
                *(StepInDoubt(step=1, undo=True, reason="secret"), held_at(1, hold=2, undo=True)),
            ),
            Outcome.FAILED,
            {
                "not_known": ("step 1: t (done; whether it was undone is in doubt)",),
                "not_done": ("step 2: t (failed)",),
            },
            "the undo of step 1, t, could not continue, and no one resolved it",
        ),
        (
            (done(1), Claimed(step=2, attempt=1, idempotency_key="k", fingerprint=PLAN.fingerprint)),
            Outcome.FAILED,
            {"done": ("step 1: t",), "not_known": ("step 2: t (begun)",)},
            "it failed",
        ),
    ],
    ids=["aborted", "not resolved", "skipped", "marked as done", "undone", "undo in doubt", "cut off"],
)
def test_each_step_is_in_the_correct_list_and_the_outcome_is_complete(
    events: tuple[Event, ...], outcome: Outcome, lists: dict[str, tuple[str, ...]], happened: str
) -> None:
    found = due(*APPROVED, *events, Closed(outcome=outcome, reason="secret"))
    facts = next(one.facts for one in found if one.kind is NoticeKind.OUTCOME)
    ends = {end.value: getattr(facts, end.value) for end in End}
    assert {end: steps for end, steps in ends.items() if steps} == lists
    assert facts.happened == happened
    assert "secret" not in facts.model_dump_json()


@pytest.mark.parametrize(
    ("events", "happened", "verdict"),
    [
        ((PLAN,), "its deadline passed without the approvals", "expired without a decision"),
        (APPROVED, "its rules left no time at which its steps could start", "expired before it could start"),
        ((drafted(requirement=Requirement()),), "its rules left no time", "expired before it could start"),
    ],
    ids=["not approved", "approved", "free"],
)
def test_the_requester_learns_why_the_plan_expired(
    events: tuple[Event, ...], happened: str, verdict: str
) -> None:
    (facts,) = (one.facts for one in due(*events, Closed(outcome=Outcome.EXPIRED)))
    assert happened in facts.happened
    assert facts.verdict == verdict


def test_an_unsatisfiable_rule_is_reported_immediately() -> None:
    left = People(persons=tuple(one for one in LIST.persons if "finance" not in one.roles))
    assert said(due(PLAN, people=left)) == ["olga stuck", "rita stuck"]


LEFT = People(persons=tuple(one for one in LIST.persons if "finance" not in one.roles))


def test_a_missing_approver_is_not_reported_once_the_deadline_has_passed() -> None:
    """The run ends at the deadline, and its end is reported."""
    assert said(due(PLAN, people=LEFT, now=DEADLINE - timedelta(seconds=1))) == ["olga stuck", "rita stuck"]
    assert due(PLAN, people=LEFT, now=DEADLINE) == []


def test_a_missing_approver_is_reported_again_only_after_recovery() -> None:
    earlier: list[EarlierNotice] = []
    sent_to_olga = []
    for people in (LEFT, LEFT, LIST, LIST, LEFT, LEFT, LIST):
        after = sent(due(PLAN, people=people, earlier=earlier), earlier)
        sent_to_olga.append([one.kind for one in after[len(earlier) :] if one.person == "olga"])
        earlier = after
    assert sent_to_olga == [["stuck"], [], ["unstuck"], [], ["stuck"], [], ["unstuck"]]


def test_the_same_cause_is_not_repeated_for_a_new_revision_but_another_cause_is_reported() -> None:
    earlier = sent(due(PLAN, people=LEFT))
    asked = decided("head", PLAN.fingerprint, Choice.REQUEST_CHANGES)
    for requirement, number in ((FINANCE, 0), (TWO, 1)):
        again = drafted(revision=2, requirement=requirement)
        after = sent(due(PLAN, asked, again, people=LEFT, earlier=earlier), earlier)
        assert [one.person for one in after[len(earlier) :]] == ["rita", "olga"] * number
    found = due(PLAN, asked, drafted(revision=2, requirement=FINANCE), earlier=earlier)
    assert said(found) == ["dana needed", "kim needed", "olga unstuck", "rita unstuck"]


def test_a_missing_approver_is_independent_of_a_hold() -> None:
    earlier = sent(due(PLAN, people=LEFT))
    held = (*APPROVED, DOUBT, held_at(1))
    assert "unstuck" not in " ".join(said(due(*held, earlier=earlier)))
    earlier = sent(due(*held, people=People(), earlier=earlier), earlier)
    assert said(due(*APPROVED, earlier=earlier, people=LEFT)) == []


def test_only_people_who_may_see_the_run_are_notified() -> None:
    hidden = FINANCE.model_copy(update={"seen_by": (Viewers(name="few", roles=("nobody",)),)})
    ended = (drafted(requirement=hidden), Closed(outcome=Outcome.EXPIRED))
    assert said(due(drafted(requirement=hidden), is_narrowed=True)) == ["dana needed", "kim needed"]
    assert said(due(*ended, is_narrowed=True)) == []


EVENTS = st.lists(
    st.sampled_from(["approve dana", "approve kim", "withdraw dana", "withdraw kim", "redraft", "close"]),
    max_size=8,
)


@settings(max_examples=60)
@given(EVENTS, st.lists(st.booleans(), min_size=8, max_size=8))
def test_after_any_events_the_last_notice_to_each_person_is_correct(
    actions: list[str], sends: list[bool]
) -> None:
    """The last notice to a person is correct: a request if they are needed, else 'nothing more to do'."""
    events: list[Event] = [drafted(requirement=TWO)]
    earlier = sent(due(*events))
    for number, (what, is_sent) in enumerate(zip(actions, sends, strict=False)):
        run = state_after(requested(), *events)
        if run.closed is not None:
            break
        verb, _, name = what.partition(" ")
        if verb == "redraft":
            events.append(drafted(revision=run.next_revision, requirement=TWO))
        elif verb == "close":
            events.append(Closed(outcome=Outcome.WITHDRAWN))
        else:
            choice = Choice.APPROVE if verb == "approve" else Choice.WITHDRAW_APPROVAL
            event = decided(name, run.fingerprint or "", choice)
            key = event.arrival.key + str(number)
            events.append(event.model_copy(update={"arrival": event.arrival.model_copy(update={"key": key})}))
        if is_sent:
            earlier = sent(due(*events, earlier=earlier), earlier)
    earlier = sent(due(*events, earlier=earlier), earlier)
    calls = due(*events, earlier=earlier)
    assert {(one.person, one.event) for one in calls} <= {(one.person, one.event) for one in earlier}
    names = [(one.person, one.event) for one in earlier]
    assert len(names) == len(set(names))
    run = state_after(requested(), *events)
    for person in ("dana", "kim"):
        words = [one.kind for one in earlier if one.person == person]
        is_needed = (
            run.closed is None and not run.is_approved and person not in [a.name for a in run.approvers]
        )
        has_withdrawn = any(one.startswith(f"withdraw {person}") for one in actions)
        if is_needed and not has_withdrawn:
            assert words[-1] in ("needed", "changed")


def happened(notices: Sequence[Notice], person: str) -> str:
    return next(one.facts.happened for one in notices if one.person == person)


def test_a_notice_to_review_again_states_who_requested_changes_and_that_the_approval_is_void() -> None:
    first, second = drafted(requirement=TWO), drafted(revision=2, requirement=TWO)
    asked = decided("head", first.fingerprint, Choice.REQUEST_CHANGES)
    events = (first, decided("dana", first.fingerprint), asked, second)
    found = due(*events, earlier=sent(due(first)))
    by = "head requested changes, and the plan was drafted again"
    assert happened(found, "dana") == by
    assert happened(found, "kim") == by


def test_a_notice_to_review_again_states_the_editor_or_the_reason() -> None:
    first, edited = drafted(requirement=TWO), drafted(revision=2, requirement=TWO, author="head")
    found = due(first, decided("dana", first.fingerprint), edited, earlier=sent(due(first)))
    assert happened(found, "dana") == "head edited the plan"
    ended = (PLAN, decided("dana", PLAN.fingerprint))
    lost = InvalidApproval(name="dana", reason="dana's approval is too old")
    again = Reopened(fingerprint=PLAN.fingerprint, step=1, lost=(lost,), reopened_at=NOON, deadline=DEADLINE)
    found = due(*ended, again, earlier=sent(due(PLAN)))
    assert happened(found, "dana") == "dana's approval is too old"
    assert {one.facts.is_reopened for one in found} == {True}


def verdicts(notices: Sequence[Notice], kind: NoticeKind) -> set[tuple[str, str]]:
    return {(one.facts.verdict, one.facts.by) for one in notices if one.kind is kind}


def test_a_relief_notice_states_its_cause() -> None:
    earlier = sent(due(PLAN))
    approved = (PLAN, decided("dana", PLAN.fingerprint))
    assert verdicts(due(*approved, earlier=earlier), NoticeKind.RELIEVED) == {("approved", "dana")}
    rejected = (PLAN, decided("dana", PLAN.fingerprint, Choice.REJECT), Closed(outcome=Outcome.REJECTED))
    assert verdicts(due(*rejected, earlier=earlier), NoticeKind.RELIEVED) == {("rejected", "dana")}
    assert verdicts(due(*rejected, earlier=earlier), NoticeKind.OUTCOME) == {("rejected", "dana")}
    expired = (PLAN, Closed(outcome=Outcome.EXPIRED))
    without = {("expired without a decision", "")}
    assert verdicts(due(*expired, earlier=earlier), NoticeKind.RELIEVED) == without
    withdrawn = (PLAN, Closed(outcome=Outcome.WITHDRAWN))
    assert verdicts(due(*withdrawn, earlier=earlier), NoticeKind.RELIEVED) == {("withdrawn", "")}


def test_an_expiry_with_some_approvals_does_not_say_that_no_one_decided() -> None:
    first = drafted(requirement=TWO)
    ended = (first, decided("dana", first.fingerprint), Closed(outcome=Outcome.EXPIRED))
    found = due(*ended, earlier=sent(due(first)))
    assert verdicts(found, NoticeKind.RELIEVED) == {("expired without enough approvals", "")}


def test_the_comment_of_a_rejection_is_sent_only_if_the_rules_allow_details() -> None:
    for is_open in (False, True):
        plan = drafted(requirement=FINANCE.model_copy(update={"notify_details": is_open}))
        ended = (plan, decided("dana", plan.fingerprint, Choice.REJECT), Closed(outcome=Outcome.REJECTED))
        found = due(*ended, earlier=sent(due(plan)))
        assert {one.facts.comment for one in found} == {"agreed" if is_open else ""}


# People who may not see a run

HIDDEN = drafted(
    requirement=FINANCE.model_copy(update={"seen_by": (Viewers(name="few", roles=("nobody",)),)})
)


def with_changed(name: str, **changes: object) -> People:
    """Return the list with one person changed."""
    persons = tuple(one.model_copy(update=changes) if one.name == name else one for one in LIST.persons)
    return LIST.model_copy(update={"persons": persons})


def test_a_substitute_gets_notices_only_of_visible_runs() -> None:
    away = Absence(since=NOON - HOUR, until=NOON + HOUR, to="head")
    people = with_changed("dana", absences=(away,))
    assert said(due(PLAN, people=people)) == ["head needed", "kim needed"]
    assert said(due(HIDDEN, people=people, is_narrowed=True)) == ["dana needed", "kim needed"]


def test_a_person_who_may_no_longer_see_a_run_gets_no_notice_about_it() -> None:
    earlier = sent(due(HIDDEN, is_narrowed=True))
    without = with_changed("dana", roles=())
    assert said(due(HIDDEN, earlier=earlier, people=without, is_narrowed=True)) == ["kim needed"]
    assert said(due(PLAN, earlier=sent(due(PLAN)), people=without)) == ["dana relieved", "kim needed"]


def test_a_person_who_may_not_see_the_new_revision_is_not_told_that_their_approval_is_void() -> None:
    first = drafted(requirement=TWO)
    approved = (first, decided("dana", first.fingerprint))
    edited = decided("olga", first.fingerprint, Choice.EDIT)
    for role, finance in (("auditor", []), ("finance", ["dana voided", "kim relieved"])):
        seen_by = (Viewers(name="few", roles=(role,)),)
        second = drafted(revision=2, author="olga", requirement=HEAD.model_copy(update={"seen_by": seen_by}))
        found = due(*approved, edited, second, earlier=sent(due(first)), is_narrowed=True)
        assert said(found) == sorted([*finance, "head needed"])


def test_a_person_who_may_not_see_a_run_gets_no_notice_that_no_one_can_approve_it() -> None:
    left = People(persons=tuple(one for one in LIST.persons if "finance" not in one.roles))
    assert said(due(HIDDEN, people=left, is_narrowed=True)) == []


def test_no_person_is_reminded_without_a_first_notice() -> None:
    plan = drafted(requirement=FINANCE.model_copy(update={"remind": (1800,)}))
    late = DEADLINE - timedelta(minutes=10)
    assert said(due(plan, now=late)) == ["dana needed", "kim needed"]
    earlier = [one.model_copy(update={"person": "dana"}) for one in sent(due(plan))[:1]]
    assert said(due(plan, now=late, earlier=earlier)) == ["dana needed", "dana reminder", "kim needed"]


# Notices to people with another role, or at another time


def with_role_addresses(*names: str, people: People = LIST) -> People:
    roles = tuple(Role(name=name, notify=(f"slack://{name}",)) for name in names)
    return people.model_copy(update={"described_roles": roles})


def test_an_absent_person_who_no_longer_has_a_key_is_not_relieved() -> None:
    plan = drafted(requirement=SIGNED)
    earlier = sent(due(plan, people=with_keys("dana", "kim")))
    away = Absence(since=NOON - HOUR, until=NOON + HOUR, to="head")
    people = with_keys("dana", people=with_changed("kim", absences=(away,)))
    assert "kim relieved" not in said(due(plan, people=people, earlier=earlier))


def test_the_outcome_is_sent_once_even_if_the_requester_has_returned() -> None:
    ended = (*APPROVED, Closed(outcome=Outcome.EXECUTED))
    away = Absence(since=NOON - HOUR, until=NOON + HOUR, to="head")
    earlier = sent(due(*ended, people=with_changed("rita", absences=(away,))))
    assert [(one.person, one.kind) for one in earlier] == [("head", "outcome")]
    assert said(due(*ended, earlier=earlier)) == ["head outcome"]


def test_one_person_with_both_roles_cannot_give_both_approvals() -> None:
    both = Requirement(needs=(Need(role="finance", count=1), Need(role="boss", count=1)))
    persons = [one for one in with_changed("dana", roles=("finance", "boss")).persons if one.name != "head"]
    alone = People(persons=tuple(one for one in persons if one.name != "kim"))
    assert said(due(drafted(requirement=both), people=alone)) == ["dana needed", "olga stuck", "rita stuck"]
    assert "rita stuck" not in said(due(drafted(requirement=both), people=People(persons=tuple(persons))))


def test_a_channel_is_notified_only_while_its_role_can_act() -> None:
    escalation = Escalation(role="finance", after_seconds=600, to="boss")
    needs = (Need(role="finance", count=1), Need(role="operator", count=1))
    plan = drafted(requirement=Requirement(needs=needs, escalations=(escalation,)))
    people = with_role_addresses("finance", "boss", "operator")
    channels = {one.person: one.kind for one in due(plan, people=people) if one.person.startswith("role:")}
    assert channels == {"role:finance": "needed", "role:operator": "needed", "role:boss": "escalated"}
    found = due(plan, decided("dana", plan.fingerprint), people=people)
    assert {one.person for one in found if one.person.startswith("role:")} == {"role:operator"}


def test_a_channel_is_asked_to_resolve_only_if_all_its_people_may() -> None:
    for groups, channels in (((("boss",),), ["role:boss"]), ((("boss",), ("finance",)), [])):
        requirement = FINANCE.model_copy(update={"resolvers": Resolvers(any_of=groups)})
        plan = drafted(requirement=requirement)
        held = held_at(1).model_copy(update={"fingerprint": plan.fingerprint})
        found = due(
            plan,
            decided("dana", plan.fingerprint),
            DOUBT,
            held,
            people=with_role_addresses("boss", "finance"),
        )
        assert [one.person for one in found if one.person.startswith("role:")] == channels


def to_channels(notices: Sequence[Notice]) -> list[str]:
    return [one for one in said(notices) if one.startswith("role:")]


ONLY_REQUESTER = (Viewers(name="salaries", who=(Party.REQUESTER,)),)


def test_a_channel_is_not_relieved_of_a_run_that_its_people_may_no_longer_see() -> None:
    people = with_role_addresses("finance")
    earlier = sent(due(PLAN, people=people, is_narrowed=True))
    assert "role:finance" in [one.person for one in earlier]
    edited = decided("head", PLAN.fingerprint, Choice.EDIT)
    for seen_by, relieved in ((ONLY_REQUESTER, []), ((), ["role:finance relieved"])):
        second = drafted(revision=2, author="head", requirement=HEAD.model_copy(update={"seen_by": seen_by}))
        for end in ((), (Closed(outcome=Outcome.WITHDRAWN),)):
            found = due(PLAN, edited, second, *end, earlier=earlier, people=people, is_narrowed=True)
            assert to_channels(found) == relieved


def test_a_channel_gets_notices_only_if_all_people_with_its_role_may_see_the_run() -> None:
    escalation = Escalation(role="finance", after_seconds=600, to="boss")
    resolvers = Resolvers(any_of=(("operator",),))
    hidden = FINANCE.model_copy(
        update={
            "escalations": (escalation,),
            "resolvers": resolvers,
            "remind": (600,),
            "seen_by": (Viewers(name="few"),),
        }
    )
    channels = with_role_addresses("finance", "boss", "operator")
    for author in ("", "kim", "head", "olga"):  # the author does not decide, so they may not see the run
        plan = drafted(requirement=hidden, author=author)
        held = held_at(1).model_copy(update={"fingerprint": plan.fingerprint})
        asked = to_channels(due(plan, people=channels, is_narrowed=True))
        resolving = to_channels(due(plan, held, people=channels, is_narrowed=True))
        finance = ["role:finance needed", "role:finance reminder"] if author != "kim" else []
        boss = ["role:boss escalated", "role:boss reminder"] if author != "head" else []
        assert asked == [*boss, *finance]
        assert resolving == (["role:operator held"] * 2 if author != "olga" else [])


def test_a_channel_gets_no_notice_if_a_delegate_with_its_role_may_not_see_the_run() -> None:
    seen_by = (Viewers(name="authors", who=(Party.AUTHORS,)),)
    plan = drafted(requirement=FINANCE.model_copy(update={"seen_by": seen_by}), author="dana")
    delegated = with_changed("dana", delegates=(Delegation(to="head", roles=("finance",)),))
    for people, found in ((LIST, ["role:finance needed"]), (delegated, [])):
        channels = with_role_addresses("finance", people=people)
        assert to_channels(due(plan, people=channels, is_narrowed=True)) == found


def test_the_channel_of_a_role_without_active_people_gets_no_notices_about_runs() -> None:
    channels = with_role_addresses("finance")
    earlier = sent(due(PLAN, people=channels))
    without = with_role_addresses("finance", people=LEFT)
    inactive = tuple(
        one.model_copy(update={"active": "finance" not in one.roles}) for one in channels.persons
    )
    for people in (without, channels.model_copy(update={"persons": inactive})):
        assert to_channels(due(PLAN, people=people)) == []
        assert to_channels(due(PLAN, Closed(outcome=Outcome.WITHDRAWN), earlier=earlier, people=people)) == []


def test_an_ended_run_has_no_deadline() -> None:
    found = due(PLAN, Closed(outcome=Outcome.WITHDRAWN), earlier=sent(due(PLAN)))
    assert said(found) == ["dana relieved", "kim relieved", "rita outcome"]
    assert {one.facts.deadline for one in found} == {None}


def test_a_notice_about_a_hold_during_an_undo_mentions_the_undo() -> None:
    undoing = (done(1), REFUSED, held_at(2), resolved(2, Resolution.UNDO))
    failed = StepInDoubt(step=1, undo=True, reason="secret")
    found = due(*APPROVED, *undoing, failed, held_at(1, hold=2, undo=True))
    happened = {one.facts.happened for one in found if one.kind is NoticeKind.HELD}
    assert happened == {
        "the undo of step 1, t, is in doubt: it was started, and it is not known whether it happened"
    }


def test_a_delegate_with_the_operators_role_gets_no_operational_notices() -> None:
    delegated = (Delegation(to="kim", roles=("operator", "finance")),)
    assert audience(with_changed("olga", delegates=delegated)).operators == ("olga",)


def test_a_person_who_left_is_not_shown_as_away() -> None:
    away = Absence(since=NOON - HOUR, until=NOON + HOUR)
    for is_active, expected in ((True, ["dana"]), (False, [])):
        people = with_changed("dana", absences=(away,), active=is_active)
        assert [one.person for one in absence_notices(audience(people))] == expected


# ---- several reviews and holds of one run, and changing rights ----------------------------------


def held(number: int) -> tuple[Event, ...]:
    hold = Held(
        number=number,
        step=1,
        undo=False,
        fingerprint=PLAN.fingerprint,
        why="x",
        held_at=NOON,
        deadline=DEADLINE,
    )
    return StepFailed(step=1, reason="refused"), hold


def retried(by: str, hold: int | None = None) -> Decided:
    more = {} if hold is None else {"hold": hold}
    return decided(by, PLAN.fingerprint, Choice.RESOLVE, step=1, resolution=Resolution.RETRY, **more)


BEGUN = (
    PLAN,
    decided("head", PLAN.fingerprint),
    Claimed(step=1, idempotency_key="k", fingerprint=PLAN.fingerprint, attempt=1),
)


def later(
    earlier: Sequence[EarlierNotice], *events: Event, people: People = LIST, now: datetime = NOON
) -> tuple[list[Notice], list[EarlierNotice]]:
    """Return the new notices that are due after these events, and all notices after sending them."""
    known = {(one.person, one.event) for one in earlier if one.is_sent}
    found = due(*events, earlier=earlier, people=people, now=now)
    new = [one for one in found if one.due_at <= now and (one.person, one.event) not in known]
    newly_sent = [
        EarlierNotice(person=one.person, event=one.event, kind=one.kind.value, is_sent=True) for one in new
    ]
    return new, [*earlier, *newly_sent]


def decided_later(by: str, at: datetime) -> Decided:
    made = decided(by, PLAN.fingerprint)
    return made.model_copy(update={"arrival": made.arrival.model_copy(update={"received_at": at})})


def with_people(**changes: dict[str, object]) -> People:
    persons = tuple(one.model_copy(update=changes.get(one.name, {})) for one in LIST.persons)
    return LIST.model_copy(update={"persons": persons})


def test_a_person_asked_again_in_a_reopened_review_is_relieved_if_another_person_approves() -> None:
    _, earlier = later([], PLAN)
    events: tuple[Event, ...] = (PLAN, decided("dana", PLAN.fingerprint))
    _, earlier = later(earlier, *events)
    lost = (InvalidApproval(name="dana", reason="dana's approval is too old"),)
    at = NOON + timedelta(microseconds=1)
    events += (Reopened(fingerprint=PLAN.fingerprint, step=1, lost=lost, reopened_at=at, deadline=DEADLINE),)
    asked, earlier = later(earlier, *events, now=at)
    assert "dana changed" in said(asked)
    new, _ = later(earlier, *events, decided_later("kim", at), now=at)
    assert "dana relieved" in said(new)


def test_two_reopenings_within_one_second_cause_two_requests() -> None:
    _, earlier = later([], PLAN)
    events: tuple[Event, ...] = (PLAN,)
    for number in (1, 2):
        at = NOON + timedelta(microseconds=number)
        lost = (InvalidApproval(name="dana", reason="dana's approval is too old"),)
        reopened = Reopened(
            fingerprint=PLAN.fingerprint, step=1, lost=lost, reopened_at=at, deadline=DEADLINE
        )
        events += (decided("dana", PLAN.fingerprint), reopened)
        asked, earlier = later(earlier, *events, now=at)
        assert "dana changed" in said(asked)


@pytest.mark.parametrize("first", [None, 1])
def test_a_person_who_resolved_an_earlier_hold_is_relieved_in_the_next_hold(first: int | None) -> None:
    _, earlier = later([], *BEGUN, *held(1))
    _, earlier = later(earlier, *BEGUN, *held(1), retried("dana", first))
    events = (*BEGUN, *held(1), retried("dana", first), *held(2))
    _, earlier = later(earlier, *events)
    new, _ = later(earlier, *events, retried("kim", 2))
    assert "dana relieved" in said(new)
    assert "kim relieved" not in said(new)


def test_an_unresolved_hold_is_not_attributed_to_the_person_who_resolved_another_hold() -> None:
    _, earlier = later([], *BEGUN, *held(1))
    _, earlier = later(earlier, *BEGUN, *held(1), retried("kim", 1))
    events = (*BEGUN, *held(1), retried("kim", 1), *held(2))
    _, earlier = later(earlier, *events)
    ended, _ = later(earlier, *events, Closed(outcome=Outcome.FAILED, reason="held and not resolved"))
    lost, _ = later(earlier, *events, people=with_people(dana={"roles": ()}))
    relieved = [one for one in (*ended, *lost) if one.kind is NoticeKind.RELIEVED]
    assert {one.person for one in relieved} >= {"dana", "kim"}
    assert [(one.facts.verdict, one.facts.by) for one in relieved] == [("", "")] * len(relieved)


AWAY_TO_HEAD: dict[str, object] = {
    "absences": (Absence(since=NOON - HOUR, until=NOON + 24 * HOUR, to="head"),)
}
DELEGATED_TO_HEAD = Delegation(to="head", roles=("finance",), **{"from": NOON - HOUR}, until=NOON + 24 * HOUR)


@pytest.mark.parametrize("events", [(PLAN,), (*BEGUN, *held(1))], ids=["a review", "a hold"])
def test_a_substitute_who_may_then_decide_is_asked_in_their_own_name(events: Sequence[Event]) -> None:
    alone: dict[str, dict[str, object]] = {"kim": {"roles": ()}}
    first, earlier = later([], *events, people=with_people(dana=AWAY_TO_HEAD, **alone))
    delegated = {**AWAY_TO_HEAD, "delegates": (DELEGATED_TO_HEAD,)}
    second, _ = later(earlier, *events, people=with_people(dana=delegated, **alone))
    (for_dana,) = (one for one in first if one.person == "head")
    assert for_dana.facts.instead_of == ("dana",)
    (own,) = (one for one in second if one.person == "head" and one.asks_reader)
    assert own.facts.instead_of == ()


def test_the_address_of_a_role_is_not_asked_if_none_of_its_people_may_approve() -> None:
    changes: dict[str, dict[str, object]] = {
        "dana": {"roles": ()}, "kim": {"roles": ()}, "rita": {"roles": ("finance",)}
    }  # fmt: skip
    roles = (Role(name="finance", notify=("slack://x",)),)
    people = with_people(**changes).model_copy(update={"described_roles": roles})
    assert "role:finance needed" not in said(due(PLAN, people=people))
    named = LIST.model_copy(update={"described_roles": roles})
    assert "role:finance needed" in said(due(PLAN, people=named))
