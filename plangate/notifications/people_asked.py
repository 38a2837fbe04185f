"""Find who is asked now to approve a plan in review, or to resolve a held run."""

from collections.abc import Iterator

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ROLE, identity, same_person
from plangate.domain.policies.escalation import with_later_roles
from plangate.domain.policies.missing_approvals import missing
from plangate.domain.runs.audit import Decided
from plangate.domain.runs.open_decisions import able_to_approve, able_to_resolve
from plangate.domain.runs.run import Phase, RunState
from plangate.notifications.audience import Audience
from plangate.notifications.notice import NoticeKind

ASKING_KINDS = frozenset({NoticeKind.NEEDED, NoticeKind.CHANGED, NoticeKind.ESCALATED, NoticeKind.HELD})
"""The kinds of notices that ask for something."""
_MOMENT = "%Y%m%dT%H%M%S%f"


class DecisionRequest(Frozen):
    """One person who is asked.

    Attributes:
        person: their name, or a role's as ``role:NAME``.
        key: identifies the review or hold; part of the event's name.
        at: when they are first asked.
        instead_of: the absent people whose messages they get, before they may decide themselves; empty if the
            message is their own.
        own_at: when they are asked for themselves, if they get messages for others first; None if never.
        is_keyless: whether they cannot decide yet, because the decision must be signed and they have no key.
        lacks_only_key: whether they get messages for others, and could decide themselves if they had a key.
        is_away: whether they are asked although they are away, because no one else can decide now.
    """

    person: str
    kind: NoticeKind
    key: str
    at: AwareDatetime
    instead_of: tuple[str, ...] = ()
    own_at: AwareDatetime | None = None
    is_keyless: bool = False
    lacks_only_key: bool = False
    is_away: bool = False


def people_asked(run: RunState, audience: Audience) -> tuple[DecisionRequest, ...]:
    """Return everyone who can make the decision that the run waits for, now or later, and may see the run.

    This includes people who are away, and people who need only a key to decide; both are marked.
    """
    if run.drafted is None:
        return ()
    if run.phase is Phase.IN_REVIEW:
        found = _asked_to_approve(run, audience)
    elif run.phase is Phase.HELD:
        found = _asked_to_resolve(run, audience)
    else:
        return ()
    return tuple(_with_key(one, run, audience) for one in found if audience.may_see(run, one.person))


def key_of(run: RunState) -> str:
    """Return a unique name for the current review or hold of the run."""
    return f"hold{run.next_hold}" if run.held is not None else _review_key(run)


def _review_key(run: RunState) -> str:
    revision = str(run.drafted.revision if run.drafted else 0)
    return revision + (f".{run.reopened.reopened_at:{_MOMENT}}" if run.reopened else "")


def is_of_hold(key: str) -> bool:
    """Return whether the key in this name identifies a hold."""
    return key.startswith("hold")


def has_decided(run: RunState, person: str, key: str, what: Choice | None = None) -> bool:
    """Return whether this person decided in the review or hold with this key.

    In a reopened review, only decisions since it was reopened are checked. In a review, ``what`` restricts
    the check to one kind of decision.
    """
    if is_of_hold(key):
        last = resolution_of(run, key)
        return last is not None and same_person(_name(last), person)
    number, _, began = key.partition(".")
    fingerprints = (*run.replaced, run.fingerprint)
    if not 0 < _number(number) <= len(fingerprints):
        return False
    plan = fingerprints[_number(number) - 1]
    return any(
        decided.verdict.accepted
        and (decision := decided.arrival.decision) is not None
        and decision.decision is not Choice.RESOLVE
        and what in (None, decision.decision)
        and same_person(decision.by, person)
        and decision.refers_to(plan)
        and f"{decided.arrival.received_at:{_MOMENT}}" >= began
        for decided in run.decisions
    )


def resolution_of(run: RunState, key: str) -> Decided | None:
    """Return the decision that ended the hold with this key, or None; each decision ends one hold."""
    resolutions = [
        decided
        for decided in run.decisions
        if decided.verdict.accepted
        and decided.arrival.decision is not None
        and decided.arrival.decision.decision is Choice.RESOLVE
    ]
    # Count from the newest hold, because the oldest decisions may be cut off.
    behind = run.resolutions - _number(key.removeprefix("hold"))
    return resolutions[-behind - 1] if 0 <= behind < len(resolutions) else None


def _number(text: str) -> int:
    """Return the number in the name of an event; 0 if the row was edited."""
    return int(text) if text.isascii() and text.isdecimal() else 0


def _name(decided: Decided) -> str:
    return decided.arrival.decision.by if decided.arrival.decision else ""


def needs_signature(run: RunState) -> bool:
    """Return whether the decision that the run waits for must be signed."""
    return _proof(run) is Assurance.SIGNED


def _proof(run: RunState) -> Assurance:
    assert run.drafted is not None
    requirement = run.drafted.requirement
    return requirement.resolving.assurance if run.phase is Phase.HELD else requirement.assurance


def _with_key(request: DecisionRequest, run: RunState, audience: Audience) -> DecisionRequest:
    """Return the request to a person, marked if they have no key for the signature."""
    approver = audience.approver(request.person)
    if approver is None or approver.assurance >= _proof(run):
        return request
    kind = request.kind if request.kind is NoticeKind.HELD else NoticeKind.NEEDED
    return request.model_copy(update={"kind": kind, "is_keyless": True})


def _asked_to_approve(run: RunState, audience: Audience) -> Iterator[DecisionRequest]:
    assert run.drafted is not None
    key, began = key_of(run), run.review_or_hold_began or run.drafted.drafted_at
    approved_by, represented = [one.name for one in run.approvers], run.represented
    still = missing(run.drafted.requirement, run.approvers_as_received, run.excluded)
    known = audience.with_a_role(need.role for need in still)
    able = able_to_approve(still, known, run.excluded, approved_by, represented)
    for name in able:
        kind = NoticeKind.CHANGED if _gave_before(run, name) else NoticeKind.NEEDED
        yield DecisionRequest(person=name, kind=kind, key=key, at=began)
    roles = {need.role: began for need in still}
    asked = set(able)
    for addition in sorted(run.later_approvers, key=lambda one: one.at):
        more = (one for one in audience.with_a_role([addition.to]) if one.name not in asked)
        later = [with_later_roles(one, [addition], addition.at) for one in more]
        for name in able_to_approve(still, later, run.excluded, approved_by, represented):
            asked.add(name)
            yield DecisionRequest(person=name, kind=NoticeKind.ESCALATED, key=key, at=addition.at)
        if addition.role in roles:
            roles.setdefault(addition.to, addition.at)
    for role, at in roles.items():
        if role in audience.roles and asked & {one.name for one in audience.with_a_role([role])}:
            kind = NoticeKind.NEEDED if at == began else NoticeKind.ESCALATED
            yield DecisionRequest(person=ROLE + role, kind=kind, key=key, at=at)


def _asked_to_resolve(run: RunState, audience: Audience) -> Iterator[DecisionRequest]:
    assert run.drafted is not None
    assert run.held is not None
    key, at, requirement = key_of(run), run.held.held_at, run.drafted.requirement
    known = audience.with_a_role(role for roles in requirement.resolving.any_of for role in roles)
    for name in able_to_resolve(requirement, known, run.excluded):
        yield DecisionRequest(person=name, kind=NoticeKind.HELD, key=key, at=at)
    groups = requirement.resolving.any_of
    for role in groups[0] if len(groups) == 1 else ():
        if role in audience.roles:
            yield DecisionRequest(person=ROLE + role, kind=NoticeKind.HELD, key=key, at=at)


def _gave_before(run: RunState, name: str) -> bool:
    """Return whether one of this person's approvals became invalid: by a new revision, an edit, or expiry."""
    if run.reopened is not None and any(same_person(one.name, name) for one in run.reopened.lost):
        return True
    last = _last_approvals(run).get(identity(name))
    return last is not None and (not last.refers_to(run.fingerprint) or run.reopened is not None)


def _last_approvals(run: RunState) -> dict[str, Decision]:
    """Return each person's last approval of any plan, unless they withdrew it."""
    found: dict[str, Decision] = {}
    for decided in run.decisions:
        decision = decided.arrival.decision
        if decision is None or not decided.verdict.accepted:
            continue
        if decision.decision is Choice.APPROVE:
            found[identity(decision.by)] = decision
        elif decision.decision is Choice.WITHDRAW_APPROVAL:
            found.pop(identity(decision.by), None)
    return found


def voided(run: RunState) -> dict[str, str]:
    """Return the people whose approval became invalid, each with the key of the review in which it did.

    Authors and people who requested changes are omitted, because they caused it.
    """
    found = {}
    for person, decision in _last_approvals(run).items():
        number = next(
            (one for one, name in enumerate(run.replaced, start=1) if decision.refers_to(name)), None
        )
        if number is None or any(same_person(person, one) for one in run.authors):
            continue
        if not has_decided(run, person, str(number), Choice.REQUEST_CHANGES):
            found[person] = str(number + 1)
    if run.reopened is not None:
        still_valid = {identity(one.name) for one in run.approvers}
        lost = {identity(one.name) for one in run.reopened.lost}
        found |= dict.fromkeys(lost - still_valid, _review_key(run))
    return found
