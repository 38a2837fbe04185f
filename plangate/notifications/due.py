"""Compute the notices that a run needs now, from its state, the people and earlier notices. Does no I/O.

A person gets one notice for each event name. ``asked:KEY:N`` asks for something in the review or hold KEY; N
counts the earlier ``relieved`` notices, which report that nothing more needs to be done. ``for:KEY:N`` asks a
substitute, who may get ``asked`` later, and ``escalated:KEY:N`` asks a person who was asked before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from plangate.domain.errors import NoWorkingTime
from plangate.domain.people.people import same_person
from plangate.domain.runs.audit import Outcome
from plangate.domain.runs.run import Phase, RunState
from plangate.domain.times.reminders import Reminder, reminders
from plangate.notifications.audience import Audience
from plangate.notifications.facts import (
    changed_because,
    delegated_to,
    ended_because,
    facts_of,
    held_because,
    verdict_on,
    with_steps,
    withdrawn_because,
)
from plangate.notifications.followed_run import Followed, key_in, number_in
from plangate.notifications.notice import REMINDED, Facts, Notice, NoticeKind
from plangate.notifications.people_asked import (
    ASKING_KINDS,
    DecisionRequest,
    has_decided,
    is_of_hold,
    needs_signature,
    voided,
)
from plangate.notifications.recipients import Recipients, recipients
from plangate.notifications.sentences import HOW_TO_GET_A_PASSKEY
from plangate.notifications.stuck import stuck

_KEYLESS: Final = f"your decision must be signed, and you have no passkey yet: {HOW_TO_GET_A_PASSKEY}"
_ASKING_EVENTS: Final = ("asked", "escalated", "for")  # the prefixes of the names of such events
_ASKED: Final = frozenset(kind.value for kind in (*ASKING_KINDS, NoticeKind.REMINDER))


def notices_due(followed: Followed, audience: Audience, now: datetime) -> tuple[Notice, ...]:
    """Return every notice that the run needs now, including those already sent.

    A notice that is not among them and has not been sent yet must be cancelled.
    """
    found = recipients(followed.run, audience)
    followed = _with_listed_names(followed, audience)
    return (
        *_request_notices(followed, found.requests, audience, now),
        *_no_longer_asked(followed, found, audience),
        *_voided(followed, found, audience),
        *stuck(followed, found.requests, audience, now),
        *_outcome(followed, audience),
    )


def _with_listed_names(followed: Followed, audience: Audience) -> Followed:
    """Return the facts with the names of notified people as written in the list now."""
    earlier = [
        one.model_copy(update={"person": audience.listed_name(one.person)}) if one.person else one
        for one in followed.earlier
    ]
    return replace(followed, earlier=earlier)


def _request_notices(
    followed: Followed, requests: Sequence[DecisionRequest], audience: Audience, now: datetime
) -> Iterator[Notice]:
    run = followed.run
    facts = _asking_facts(run, audience, now)
    for request in requests:
        if request.is_keyless:
            yield from _key_missing(followed, request, facts, audience)
            continue
        event = _event(followed, request)
        is_again = followed.times(NoticeKind.RELIEVED, request.person, request.key) > 0
        happened = _happened(run, request, is_again=is_again)
        own_facts = facts.model_copy(
            update={"happened": happened, "instead_of": request.instead_of, "may_from": request.own_at}
        )
        notice = Notice(
            person=request.person, kind=request.kind, event=event, due_at=request.at, facts=own_facts
        )
        yield notice
        for reminder in _reminders(followed, request, audience, now):
            name = f"{_reminded(request)}{run.deadline:%Y%m%dT%H%M%S}:{reminder.seconds}"
            kind = NoticeKind.HELD if request.kind is NoticeKind.HELD else NoticeKind.REMINDER
            yield notice.model_copy(update={"kind": kind, "event": name, "due_at": reminder.at})


def _asking_facts(run: RunState, audience: Audience, now: datetime) -> Facts:
    """Return the facts that are the same for everyone who is asked."""
    if run.drafted is None or run.phase not in (Phase.IN_REVIEW, Phase.HELD):
        return facts_of(run, audience)
    facts = facts_of(run, audience).model_copy(update={"needs_signature": needs_signature(run)})
    if run.held is not None:
        return with_steps(facts, run)
    first = run.beginning.first(now)
    return facts.model_copy(update={"begins": first if first is not None and first > now else None})


def _event(followed: Followed, request: DecisionRequest) -> str:
    """Return the name of the event that asks a person to decide; each event is sent once.

    A person who was notified in place of someone away is notified again when they may decide themselves.
    """
    number = followed.times(NoticeKind.RELIEVED, request.person, request.key)
    if request.instead_of:
        return f"for:{request.key}:{number}"
    event = f"asked:{request.key}:{number}"
    if request.kind is not NoticeKind.ESCALATED:
        return event
    sent_kinds = {
        one.kind
        for one in followed.earlier
        if one.is_sent and (one.person, one.event) == (request.person, event)
    }
    return f"escalated:{request.key}:{number}" if sent_kinds - {request.kind.value} else event


def _key_missing(
    followed: Followed, request: DecisionRequest, facts: Facts, audience: Audience
) -> Iterator[Notice]:
    """Yield, once per run, a notice that the person needs a key first; they get no reminders."""
    before = [
        one.event for one in followed.earlier if one.is_sent and same_person(one.person, request.person)
    ]
    event = f"keyless:{request.key}:0"
    if all(one == event or not one.startswith("keyless:") for one in before):
        delegated = delegated_to(followed.run, audience.approver(request.person))
        happened = "; ".join(one for one in (_happened(followed.run, request), delegated, _KEYLESS) if one)
        own_facts = facts.model_copy(update={"happened": happened, "lacks_key": True})
        yield Notice(
            person=request.person, kind=request.kind, event=event, due_at=request.at, facts=own_facts
        )


def _reminded(request: DecisionRequest) -> str:
    """Return the event name prefix for a person's reminders in a review."""
    return f"{REMINDED}{request.key}:"


def _reminders(
    followed: Followed, request: DecisionRequest, audience: Audience, now: datetime
) -> Sequence[Reminder]:
    """Return a person's remaining reminders; if several are overdue, only the last of them.

    An overdue reminder is sent only if the person was asked before it was due. A person who will be asked
    directly later is reminded on behalf of others until then. If their working time changed after a reminder,
    no earlier reminder is sent again.
    """
    run = followed.run
    remind = run.drafted.requirement.remind if run.drafted else ()
    if not remind or run.deadline is None:
        return ()
    try:
        times = reminders(request.at, run.deadline, remind, audience.working_time_of(request.person))
    except NoWorkingTime:  # no working time in so many years, so remind outside of it
        times = reminders(request.at, run.deadline, remind)
    before = [
        number_in(one.event)
        for one in followed.earlier
        if one.is_sent and one.person == request.person and one.event.startswith(_reminded(request))
    ]
    times = tuple(one for one in times if not before or one.seconds <= min(before))
    passed = [one for one in times if one.at <= now]
    coming = [one for one in times if one.at > now and (request.own_at is None or one.at <= request.own_at)]
    number = followed.times(NoticeKind.RELIEVED, request.person, request.key)
    events = [f"{word}:{request.key}:{number}" for word in _ASKING_EVENTS]
    was_sent = any(
        one.is_sent and one.person == request.person and one.event in events for one in followed.earlier
    )
    return [*(passed[-1:] if was_sent else ()), *coming]


def _no_longer_asked(followed: Followed, found: Recipients, audience: Audience) -> Iterator[Notice]:
    """Yield a notice to each person who was asked, is no longer asked, and did not decide themselves.

    If they are away, the notice states who is asked instead.
    """
    run = followed.run
    if run.phase is Phase.DRAFTING:
        return
    still = {request.person for request in found.requests} | found.away
    facts = facts_of(run, audience).model_copy(update={"happened": ended_because(run), "deadline": None})
    last = {one.person: one.event for one in followed.earlier if one.is_sent and one.kind in _ASKED}
    for person, event in last.items():
        key = key_in(event)
        if person in still or has_decided(run, person, key) or not audience.may_see(run, person):
            continue
        asked = [one.event for one in followed.earlier if one.person == person and one.is_sent]
        names = tuple(f"{word}:{key}:" for word in _ASKING_EVENTS)
        number = max((number_in(one) for one in asked if one.startswith(names)), default=0)
        goes_to = found.goes_to.get(person)
        more = {"goes_to": goes_to} if goes_to else verdict_on(run, key)
        yield Notice(
            person=person,
            kind=NoticeKind.RELIEVED,
            event=f"relieved:{key}:{number}",
            due_at=followed.moved_at,
            facts=facts.model_copy(update=more),
        )


def _voided(followed: Followed, found: Recipients, audience: Audience) -> Iterator[Notice]:
    """Notify people whose approval is no longer valid and who are not asked again that no action is needed.

    People who were asked again and are no longer needed get a ``relieved`` notice instead.
    """
    run = followed.run
    if run.phase is Phase.DRAFTING:
        return
    asked = {request.person for request in found.requests} | found.away | found.goes_to.keys()
    facts = facts_of(run, audience).model_copy(update={"happened": changed_because(run), "deadline": None})
    for name, key in voided(run).items():
        approver = audience.approver(name)
        if approver is None or approver.name in asked or not audience.may_see(run, approver.name):
            continue
        event = f"voided:{key}"
        again = (one for one in followed.earlier if one.is_sent and one.person == approver.name)
        if not any(one.kind in _ASKED and _is_from(key_in(one.event), key) for one in again):
            yield Notice(
                person=approver.name,
                kind=NoticeKind.VOIDED,
                event=event,
                due_at=followed.moved_at,
                facts=facts,
            )


def _is_from(key: str, first: str) -> bool:
    """Return whether a review is this one or a later one, according to their keys."""
    if is_of_hold(key):
        return False
    (number, _, moment), (lowest, _, since) = key.partition("."), first.partition(".")
    return (number_in(number), moment) >= (number_in(lowest), since)


def _outcome(followed: Followed, audience: Audience) -> Iterator[Notice]:
    """Yield a notice of how the run ended, to the requester or to the people who get their messages."""
    run = followed.run
    requester = audience.approver(run.requester)
    if run.closed is None or requester is None or not audience.may_see(run, requester.name):
        return
    verdict = verdict_on(run)
    if run.closed.outcome is Outcome.FAILED:
        verdict = {}  # the failure was not the approvers' decision
    own_facts = with_steps(facts_of(run, audience), run)
    own_facts = own_facts.model_copy(update={"happened": ended_because(run)} | verdict)
    notified = [one.person for one in followed.earlier if one.kind == NoticeKind.OUTCOME and one.is_sent]
    for person in notified or audience.recipients_instead_of(run, requester.name):
        away = () if same_person(person, requester.name) else (requester.name,)
        yield Notice(
            person=person,
            kind=NoticeKind.OUTCOME,
            event="outcome",
            due_at=followed.moved_at,
            facts=own_facts.model_copy(update={"instead_of": away}),
        )


def _happened(run: RunState, request: DecisionRequest, *, is_again: bool = False) -> str:
    """Return the reason for asking; ``is_again`` if the person was notified that nothing more is needed."""
    parts = [held_because(run)] if run.held is not None else []
    if is_again and request.kind is not NoticeKind.HELD and (why := withdrawn_because(run)):
        parts.append(why)
    if request.kind in (NoticeKind.NEEDED, NoticeKind.CHANGED) and (why := changed_because(run)):
        parts.append(why)
    what = "resolve" if request.kind is NoticeKind.HELD else "approve"
    if request.instead_of:
        names = " and ".join(request.instead_of)
        verb = "is" if len(request.instead_of) == 1 else "are"
        own = f"until you may {what} it yourself, {names} still can"
        if request.lacks_only_key:
            own = (
                f"{names} still can {what} it, and so can you once you have a passkey: {HOW_TO_GET_A_PASSKEY}"
            )
        elif not request.own_at:
            own = f"you cannot {what} it yourself, but {names} still can"
        parts += [f"you get this because {names} {verb} away", own]
    if request.is_away:
        parts.append(f"you are away, but no one who gets your messages can {what} this now")
    return "; ".join(parts)
