"""Notify the requester and operators when no one can decide on a run, and when people can decide again."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from plangate.domain.people.assurance import Assurance
from plangate.domain.runs.run import Phase, RunState
from plangate.notifications.audience import Audience
from plangate.notifications.facts import facts_of
from plangate.notifications.followed_run import Followed, key_in
from plangate.notifications.notice import Notice, NoticeKind
from plangate.notifications.people_asked import DecisionRequest, is_of_hold, key_of


def stuck(
    followed: Followed, requests: Sequence[DecisionRequest], audience: Audience, now: datetime
) -> Iterator[Notice]:
    """Yield notices to the requester and operators that no one can decide, or that people can again.

    There is one notice each time this starts. A new review with the same cause needs no new notice, unless
    people were notified in between that the run can continue.
    """
    run = followed.run
    if run.phase not in (Phase.IN_REVIEW, Phase.HELD) or (run.deadline is not None and run.deadline <= now):
        return
    unmet = () if _has_enough(run, requests, audience) else audience.unmet(run)
    facts = facts_of(run, audience).model_copy(update={"happened": "; ".join(unmet)})
    for person in _recipients(run, audience) if unmet else _notified_before(followed):
        if audience.may_see(run, person):
            kind = NoticeKind.STUCK if unmet else NoticeKind.UNSTUCK
            event = _event(followed, person, facts.happened)
            yield Notice(person=person, kind=kind, event=event, due_at=followed.moved_at, facts=facts)


def _recipients(run: RunState, audience: Audience) -> Iterable[str]:
    requester = audience.approver(run.requester)
    names = [*([requester.name] if requester is not None else []), *audience.operators]
    return dict.fromkeys(person for name in names for person in audience.recipients_instead_of(run, name))


def _notified_before(followed: Followed) -> Iterable[str]:
    """Return who was notified that no one can approve the plan, or that no one can resolve the held run."""
    is_hold = followed.run.held is not None
    return dict.fromkeys(
        one.person
        for one in followed.earlier
        if one.kind == NoticeKind.STUCK and one.is_sent and is_of_hold(key_in(one.event)) is is_hold
    )


def _event(followed: Followed, person: str, cause: str) -> str:
    """Return the name of a person's notice: the earlier one if they were already notified of this cause."""
    key = key_of(followed.run)
    words = [
        one
        for one in followed.earlier
        if one.is_sent
        and one.person == person
        and one.kind in (NoticeKind.STUCK, NoticeKind.UNSTUCK)
        and is_of_hold(key_in(one.event)) is is_of_hold(key)
    ]
    last, number = words[-1] if words else None, sum(one.kind == NoticeKind.UNSTUCK for one in words)
    digest = hashlib.sha256(cause.encode()).hexdigest()[:12]
    if not cause:
        return last.event if last and last.kind == NoticeKind.UNSTUCK else f"unstuck:{key}:{number}"
    if last and last.kind == NoticeKind.STUCK and (key_in(last.event) == key or last.event.endswith(digest)):
        return last.event
    return f"stuck:{key}:{number}:{digest}"


def _has_enough(run: RunState, requests: Sequence[DecisionRequest], audience: Audience) -> bool:
    """Return whether a quick count shows that enough people are present to decide.

    People who are away are not counted, although they are asked: they can decide, but may not read their
    messages. Delegated roles are not counted either, because delegator and delegate may be able to give only
    one approval between them.
    """
    assert run.drafted is not None
    requirement = run.drafted.requirement
    needs_key = max(requirement.assurance, requirement.resolving.assurance) is Assurance.SIGNED
    certain = [one for one in requests if not (one.instead_of or one.is_keyless or one.is_away)]
    present = {
        one.person
        for one in certain
        if one.kind is not NoticeKind.ESCALATED and not audience.is_away(one.person)
    }
    if needs_key or run.phase is Phase.HELD:
        return not needs_key and any(one in audience.roles_of for one in present)
    wanted = sum(need.count for need in requirement.needs)
    return all(
        sum(one.name in present and need.role in one.standings[0].roles for one in audience.known) >= wanted
        for need in requirement.needs
    )
