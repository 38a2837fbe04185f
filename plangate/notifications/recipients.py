"""Find the recipients of a run's requests: the people who are asked to decide, or others while they are away.

Messages to people who are away are redirected:

- a substitute gets a message when the absent person would have got it, and later also their own messages;
- if no present recipient can give something that the run waits for, all absent people also get the message.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from plangate.domain.people.people import same_person
from plangate.domain.policies.escalation import with_later_roles
from plangate.domain.policies.missing_approvals import missing
from plangate.domain.runs.open_decisions import able_to_approve
from plangate.domain.runs.run import RunState
from plangate.notifications.audience import Audience
from plangate.notifications.notice import NoticeKind
from plangate.notifications.people_asked import DecisionRequest, people_asked


@dataclass(frozen=True, slots=True)
class Recipients:
    """The recipients of a run's requests for a decision.

    Attributes:
        requests: the requests to each person; two for a person who is first asked on behalf of others, and
            later directly.
        goes_to: the people who get the messages of each person who is away.
        away: the absent people who need no notice, because they could not decide anyway.
    """

    requests: tuple[DecisionRequest, ...] = ()
    goes_to: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    away: frozenset[str] = frozenset()


def recipients(run: RunState, audience: Audience) -> Recipients:
    """Return the recipients of the run's current requests."""
    requests = people_asked(run, audience)
    others = {request.person: _instead(run, request.person, audience) for request in requests}
    present = {request.person: request for request in requests if others[request.person] == (request.person,)}
    absent = [request for request in requests if request.person not in present]
    moved = sorted((request for request in absent if not request.is_keyless), key=lambda request: request.at)
    goes_to = {request.person: others[request.person] for request in moved}
    found = list(_each(present, moved, goes_to, audience))
    left = _without_recipient(run, found, requests, audience) if moved else frozenset()
    kept = (request.model_copy(update={"is_away": True}) for request in moved if request.person in left)
    return Recipients(
        requests=(*found, *kept),
        goes_to={name: names for name, names in goes_to.items() if name not in left},
        away=frozenset(request.person for request in absent if request.is_keyless),
    )


def _instead(run: RunState, person: str, audience: Audience) -> tuple[str, ...]:
    """Return the people who get a person's messages, except the requester, authors and past approvers."""
    done = (*run.excluded, *(one.name for one in run.approvers if run.held is None))
    names = audience.recipients_instead_of(run, person)
    return tuple(name for name in names if not any(same_person(name, one) for one in done)) or (person,)


def _each(
    present: Mapping[str, DecisionRequest],
    moved: Sequence[DecisionRequest],
    goes_to: Mapping[str, Sequence[str]],
    audience: Audience,
) -> Iterator[DecisionRequest]:
    """Yield the requests to each person who is present: first those on behalf of others, then their own."""
    for_others: dict[str, list[DecisionRequest]] = {}
    for request in moved:
        for person in goes_to[request.person]:
            for_others.setdefault(person, []).append(request)
    for person in dict.fromkeys([*present, *for_others]):
        own, requests = present.get(person), for_others.get(person, [])
        is_able = own is not None and not own.is_keyless
        if requests and not (is_able and own is not None and own.at <= max(requests[0].at, audience.now)):
            first = _for_others(person, requests, own if is_able else None, audience)
            lacks_key = own is not None and own.is_keyless and own.at <= max(first.at, audience.now)
            yield first.model_copy(update={"lacks_only_key": lacks_key})
        if own is not None and (is_able or not requests):
            yield own


def _for_others(
    person: str, requests: Sequence[DecisionRequest], own: DecisionRequest | None, audience: Audience
) -> DecisionRequest:
    """Return the request to a person on behalf of others, due when one of them is first asked."""
    first = requests[0]
    begun = [request.person for request in requests if request.at <= max(first.at, audience.now)]
    return DecisionRequest(
        person=person,
        kind=NoticeKind.HELD if first.kind is NoticeKind.HELD else NoticeKind.NEEDED,
        key=first.key,
        at=first.at,
        instead_of=tuple(dict.fromkeys(begun)),
        own_at=own.at if own is not None else None,
    )


def _without_recipient(
    run: RunState, found: Iterable[DecisionRequest], requests: Sequence[DecisionRequest], audience: Audience
) -> frozenset[str]:
    """Return the people who could give an approval or a resolution that no current recipient can give now.

    People who are asked first are recipients even if the draft's clock is ahead of the notifier's.
    """
    begun = max(audience.now, min(request.at for request in requests))
    present = {
        request.person
        for request in found
        if not (request.is_keyless or request.instead_of)
        and request.at <= begun
        and audience.addresses_of(request.person)
        and not audience.is_away(request.person)
    }
    return frozenset(name for able in _able(run, requests, audience) if not able & present for name in able)


def _able(run: RunState, requests: Sequence[DecisionRequest], audience: Audience) -> Iterator[frozenset[str]]:
    """Yield, for each missing approval or resolution, the people who may give it now."""
    assert run.drafted is not None
    if run.held is not None:
        yield frozenset(request.person for request in requests if not request.is_keyless)
        return
    approved_by, represented = [one.name for one in run.approvers], run.represented
    for need in missing(run.drafted.requirement, run.approvers_as_received, run.excluded):
        roles = [need.role, *(one.to for one in run.later_approvers if one.role == need.role)]
        known = [
            with_later_roles(one, run.later_approvers, audience.now) for one in audience.with_a_role(roles)
        ]
        yield frozenset(able_to_approve([need], known, run.excluded, approved_by, represented))
