"""Random reviews, with their deadlines, approvers, start times of plans, and reminders.

A simple model steps through the minutes one by one. It shares only the terms of the case and the standard
library's zones with the code: no calendar, no deadline, no review.
"""

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import cached_property

from plangate.domain.decisions.decision import Arrival, Choice, Decision, Via
from plangate.domain.errors import NotApproved
from plangate.domain.people.absence import Absences, away_until
from plangate.domain.people.people import Absence, People, Person, identify
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.policies.escalation import Escalation
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import Drafted, Outcome
from plangate.domain.runs.deadlines import exceeded_limit, exceeds_request, review_deadline
from plangate.domain.runs.fold import apply, fold
from plangate.domain.runs.lifecycle import why_may_not_end
from plangate.domain.runs.review import authorise, judge
from plangate.domain.runs.run import Phase, RunState, next_wakeup
from plangate.domain.runs.starting import why_too_early, wrong_start_times
from plangate.domain.times.calendars import Calendar
from plangate.domain.times.reminders import remind_at
from plangate.domain.times.working_time import WorkingTime
from plangate.policy.public_holidays import facts_at, with_holidays
from plangate.policy.starting import starts_of
from tests.support.build import RUN, drafted, requested
from tests.support.calendars import ZONES, calendar_by, moment_by
from tests.support.naive_calendar import DAY, MINUTE, LocalTimes, NaiveCalendar
from tests.support.naive_review import most_filled

NAMES = ("dana", "erik", "fred", "gina", "hans")
ROLES = ("finance", "ops", "board")
DEFAULT = 72 * 60
_BACK, _AHEAD = 9 * DAY, 14 * DAY
_REGIONS = (("", ""), ("", ""), ("DE", "BY"), ("US", ""), ("CL", ""), ("IN", ""))


class TimeCase:
    """A case: calendars, a requirement, people and their decisions, in minutes after ``began``."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.zone = rng.choice(ZONES)
        self.began = moment_by(rng, self.zone)
        self._minutes: dict[str, NaiveCalendar] = {}
        near = self.began.date()
        self.limit, self.reader = self._calendar("limit", near), self._calendar("reader", near)
        self.windows = tuple(self._calendar(f"w{n}", near) for n in range(rng.choice((0, 0, 1, 2))))
        self.freezes = tuple(self._calendar(f"f{n}", near) for n in range(rng.choice((0, 0, 1))))
        self.needs = {role: rng.choice((1, 1, 2)) for role in rng.sample(ROLES, rng.randint(1, 2))}
        self.later = [
            (role, rng.choice((1, 30, 600, 1440, 4000)), to)
            for role in self.needs
            for to in rng.sample([one for one in ROLES if one != role], rng.randint(0, 1))
        ]
        self.working = rng.choice((None, None, ("days", 1), ("days", 2), ("hours", 1), ("hours", 9)))
        self.timeout = rng.choice((None, None, 90, 1440, 4000))
        self.own = rng.choice((DEFAULT, DEFAULT, 60, 2000))
        self.remind = tuple(sorted(rng.sample((15, 120, 600, 1440), rng.randint(0, 2)), reverse=True))
        self.roles = {name: tuple(rng.sample(ROLES, rng.randint(0, 2))) for name in NAMES}
        self.away = {name: self._absences(name) for name in NAMES}

    def _calendar(self, name: str, near: date) -> Calendar:
        made = calendar_by(self.rng, near, self.zone)
        country, region = self.rng.choice(_REGIONS)
        days = tuple(sorted({*made.weekdays, *self.rng.sample(range(7), 3)}))
        changed = {"name": name, "weekdays": days, "holidays": (), "country": country, "region": region}
        return made.model_copy(update=changed)

    def _absences(self, name: str) -> list[tuple[int, int, str]]:
        begins = [self.rng.randint(-2000, 6000) for _ in range(self.rng.choice((0, 0, 1, 2)))]
        others = [one for one in NAMES if one != name]
        return [(one, one + self.rng.randint(1, 3000), self.rng.choice(others)) for one in begins]

    def approvals(self, deadline: int) -> list[tuple[int, str]]:
        """Return the approvers with the minutes of their decisions, which are often near a change."""
        edges = [0, deadline, *(minute for _, minute, _ in self.later)]
        minutes = [
            self.rng.choice(edges) + self.rng.choice((-1, 0, 0, 1, self.rng.randint(-900, 900)))
            for _ in range(self.rng.randint(2, 8))
        ]
        return sorted((max(minute, 0), self.rng.choice((*NAMES, "rita"))) for minute in minutes)

    @cached_property
    def local_times(self) -> LocalTimes:
        return LocalTimes(self.zone, self.began - _BACK, self.began + _AHEAD)

    # ---- the simple model ------------------------------------------------------------------------

    def minutes_of(self, calendar: Calendar) -> NaiveCalendar:
        if calendar.name not in self._minutes:
            known, ends = with_holidays(calendar, self.began), (self.began - _BACK, self.began + _AHEAD)
            self._minutes[calendar.name] = NaiveCalendar(known, *ends, self.local_times)
        return self._minutes[calendar.name]

    def deadline(self) -> int:
        """Return the minute in which the review ends."""
        ends = [] if self.own == DEFAULT and self.working else [self.own]
        ends += [self.timeout] if self.timeout else []
        if self.working:
            kind, count = self.working
            naive = self.minutes_of(self.limit)
            end = naive.add_days(self.began, count) if kind == "days" else naive.add_hours(self.began, count)
            ends.append(int((end - self.began) / MINUTE))
        return min(ends)

    def approved_in(self, approvals: list[tuple[int, str]], deadline: int) -> tuple[list[bool], int | None]:
        """Return the valid approvals, and the minute of the last one that was needed."""
        accepted: list[tuple[str, list[tuple[str, str]]]] = []
        verdicts, done = [], None
        for minute in range(max((at for at, _ in approvals), default=0) + 1):
            for _, name in [one for one in approvals if one[0] == minute]:
                roles = {*self.roles.get(name, ())}
                roles |= {role for role, at, to in self.later if to in roles and minute >= at}
                ways = [(name, role) for role in sorted(roles)]
                before = [known for _, known in accepted]
                is_open = done is None and minute < deadline and name != "rita"
                is_new = all(name != one for one, _ in accepted)
                helps = most_filled(self.needs, [*before, ways]) > most_filled(self.needs, before)
                verdicts.append(is_open and is_new and helps)
                if verdicts[-1]:
                    accepted.append((name, ways))
                    full = most_filled(self.needs, [known for _, known in accepted])
                    done = minute if full == sum(self.needs.values()) else None
        return verdicts, done

    def begins_in(self, minute: int) -> int | None:
        """Return the first minute, from this one on, in which a step may begin."""
        windows = [self.minutes_of(one).working for one in self.windows]
        freezes = [self.minutes_of(one).working for one in self.freezes]
        first = int(_BACK / MINUTE)
        for number in range(first + minute, len(self.local_times.shown)):
            if all(one[number] for one in windows) and not any(one[number] for one in freezes):
                return number - first
        return None

    def reminded_at(self, deadline: int, before: int) -> datetime:
        naive, moment = self.minutes_of(self.reader), self.began + (deadline - before) * MINUTE
        if naive.working[naive.number(moment)]:
            return moment
        begin, end = naive.last_working(moment)
        return max(begin, end - 60 * MINUTE)

    def is_away(self, name: str, minute: int) -> bool:
        return any(begin <= minute < end for begin, end, _ in self.away[name])

    def returns_in(self, name: str, minute: int) -> int:
        while self.is_away(name, minute):
            minute += 1
        return minute

    def recipient(self, name: str, minute: int) -> str:
        """Return who gets a person's messages: the first substitute in the chain who is not away."""
        one, seen = name, {name}
        while self.is_away(one, minute):
            away = [(end, to) for begin, end, to in self.away[one] if begin <= minute < end]
            one = max(away)[1]
            if one in seen:
                return name
            seen.add(one)
        return one

    # ---- the case as domain objects -------------------------------------------------------------

    def at(self, minute: int) -> datetime:
        return self.began + minute * MINUTE

    def requirement(self) -> Requirement:
        working: tuple[WorkingTime, ...] = ()
        if self.working:
            kind, count = self.working
            working = (WorkingTime(**{kind: count}, calendar=self.limit),)
        return Requirement(
            needs=tuple(Need(role=role, count=count) for role, count in self.needs.items()),
            timeout_seconds=self.timeout * 60 if self.timeout else None,
            working=working,
            escalations=tuple(
                Escalation(role=role, after_seconds=60 * minute, to=to) for role, minute, to in self.later
            ),
            remind=tuple(60 * one for one in self.remind),
            windows=self.windows,
            freezes=self.freezes,
        )

    def people(self) -> People:
        absences = {
            name: tuple(Absence(since=self.at(begin), until=self.at(end), to=to) for begin, end, to in spans)
            for name, spans in self.away.items()
        }
        persons = [Person(name=name, roles=self.roles[name], absences=absences[name]) for name in NAMES]
        return People(persons=(*persons, Person(name="rita", roles=ROLES)))

    def drafted(self) -> Drafted:
        """Return the plan as the activity that drafts it does."""
        requirement, asked = self.requirement(), requested(timeout_seconds=60 * self.own)
        facts = facts_at(requirement, self.began)
        deadline = review_deadline(asked, requirement, self.began, facts)
        return drafted(
            Plan(summary="s", steps=(Step(tool="t", arguments={}),)),
            requirement=requirement,
            drafted_at=self.began,
            deadline=deadline,
            facts=facts,
            starts=starts_of(requirement, self.began, deadline, None),
        )


def differences(seed: int) -> list[str] | None:
    """Return where Plangate and the simple model of a case differ; None if the case cannot be completed.

    This happens if there are too few minutes for calendars that rarely have working time.
    """
    case = TimeCase(seed)
    try:
        return [f"seed {seed}: {one}" for one in _differences(case)]
    except (IndexError, ValueError, KeyError):
        return None


def _differences(case: TimeCase) -> Iterator[str]:
    deadline, event = case.deadline(), case.drafted()
    if event.deadline != case.at(deadline):
        yield f"the review ends at {event.deadline}, expected at {case.at(deadline)}"
        return
    yield from _wrong_audit(case, event)
    approvals = case.approvals(deadline)
    verdicts, done = case.approved_in(approvals, deadline)
    state, found, people = fold(RUN, (requested(timeout_seconds=60 * case.own), event)), [], case.people()
    yield from _wrong_while_waiting(case, state, 0, approvals[0][0] if approvals else deadline)
    for number, (minute, name) in enumerate(approvals):
        at = case.at(minute)
        decided = judge(state, _arrival(event, at, name, number), identify(people, name, at))
        found.append(decided.verdict.accepted)
        state = apply(state, decided)
        if state.phase is Phase.IN_REVIEW:
            upto = approvals[number + 1][0] if number + 1 < len(approvals) else deadline + 60
            yield from _wrong_while_waiting(case, state, minute, upto)
    if found != verdicts:
        yield f"the approvals {approvals} have the results {found}, expected {verdicts}"
    elif (state.phase is Phase.EXECUTING) != (done is not None):
        yield f"the plan is {state.state} after {approvals}, expected approval in {done}"
    elif done is not None:
        yield from _wrong_start(case, state, done)
    yield from _wrong_messages(case, people, event.deadline, deadline)


def _arrival(event: Drafted, at: datetime, name: str, number: int) -> Arrival:
    decision = Decision(decision=Choice.APPROVE, by=name, plan=event.fingerprint, comment=str(number))
    return Arrival(key=str(number), via=Via.SIGNAL, name="approve", received_at=at, decision=decision)


def _wrong_while_waiting(case: TimeCase, state: RunState, since: int, until: int) -> Iterator[str]:
    """Advance the time in a review without approvals: the plan can only expire."""
    assert state.drafted is not None
    for minute in {since, until, case.rng.randint(since, max(since, until)), until + 500_000}:
        at = case.at(minute)
        if state.is_approved or why_may_not_end(state, Outcome.EXECUTED, at) is None:
            yield f"the plan is approved in minute {minute} without enough approvals"
        if next_wakeup(state, at) != max(at, state.drafted.deadline):
            yield f"the run does not wake up at its deadline, in minute {minute}"
        if (why_may_not_end(state, Outcome.EXPIRED, at) is None) != (at >= state.drafted.deadline):
            yield f"the run expires at the wrong time, in minute {minute}"
        try:
            authorise(state, state.drafted.fingerprint, 1)
            yield f"a step may begin in minute {minute} without enough approvals"
        except NotApproved:
            pass


def _wrong_start(case: TimeCase, state: RunState, done: int) -> Iterator[str]:
    expected, first = case.begins_in(done), state.beginning.first(case.at(done))
    if expected is not None and first != case.at(expected):
        yield f"the plan begins at {first}, expected at {case.at(expected)}"
    if expected is not None:
        for minute in {done, case.rng.randint(done, max(done, expected)), expected}:
            if bool(why_too_early(state, case.at(minute))) != (case.begins_in(minute) != minute):
                yield f"whether a step may begin in minute {minute} differs from the simple model"


def _wrong_audit(case: TimeCase, event: Drafted) -> Iterator[str]:
    """Check the recorded times again, and a deadline that is a second too late."""
    asked, requirement = requested(timeout_seconds=60 * case.own), event.requirement
    if exceeds_request(event, asked) or exceeded_limit(event, requirement) or wrong_start_times(event):
        yield "an auditor reports correct times as wrong"
    late = event.model_copy(update={"deadline": event.deadline + timedelta(seconds=1)})
    if not exceeds_request(late, asked) and not exceeded_limit(late, requirement):
        yield "an auditor does not report a deadline that is too late"


def _wrong_messages(case: TimeCase, people: People, end: datetime, deadline: int) -> Iterator[str]:
    calendar = with_holidays(case.reader, case.began)
    for before in case.remind:
        moment, expected = remind_at(end, 60 * before, calendar), case.reminded_at(deadline, before)
        if moment != expected or moment > end:
            yield f"a reminder {before} minutes before comes at {moment}, expected at {expected}"
    for name in NAMES:
        minute = case.rng.randint(-2000, 6000)
        person, at = people.find(name), case.at(minute)
        assert person is not None
        back = case.returns_in(name, minute) if case.is_away(name, minute) else None
        if away_until(person, at) != (None if back is None else case.at(back)):
            yield f"{name} is away until {away_until(person, at)}, expected {back}"
        found = Absences(people, at).recipients_for(name)
        if found != (case.recipient(name, minute),):
            yield f"{found} get messages for {name}, expected {case.recipient(name, minute)}"
