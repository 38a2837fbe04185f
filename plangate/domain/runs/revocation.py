"""Check whether accepted approvals are still valid, for a given list of people and time.

A worker checks before each step, with the current list. An auditor checks with the list that was in effect at
that time, and with today's list, which shows later revocations.
"""

from collections.abc import Container, Iterator, Sequence
from datetime import datetime, timedelta

from plangate.domain.decisions.decision import Arrival, Choice, Decision
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import (
    Approver,
    InvalidApproval,
    People,
    PersonRoles,
    is_valid_at,
    same_person,
)
from plangate.domain.policies import approvers
from plangate.domain.policies.approvers import can_resolve
from plangate.domain.policies.escalation import later_approvers_of
from plangate.domain.policies.requirement import Requirement
from plangate.domain.runs.audit import Decided, Event, Reopened
from plangate.domain.runs.run import Approval, RunState
from plangate.domain.runs.valid_approvals import given_at

_WITHDRAWN = "repeats an approval that was withdrawn, and may be a replay of it"
_REPLAYED = (
    "it may be a replay of an earlier unsigned approval, from before the run was reset or continued; "
    "approve again with a different comment"
)

_REFUSED_BEFORE = (
    "it may be a replay of an earlier unsigned approval that was refused, from before the run was reset or "
    "continued; approve again with a different comment"
)


def stale_approvers(state: RunState, at: datetime) -> tuple[str, ...]:
    """Return the approvers whose approvals are too old for a step to start at that time.

    The age of a signed approval is measured from its signature, because its delivery can be delayed.
    """
    valid_for = state.drafted.requirement.approval_valid_for if state.drafted else None
    if valid_for is None:
        return ()
    oldest = at - timedelta(seconds=valid_for)
    return tuple(approval.approver.name for approval in state.approvals if given_at(approval) < oldest)


def invalid_approvals(state: RunState, people: People | None, at: datetime) -> tuple[InvalidApproval, ...]:
    """Return the approvals that are no longer valid at that time, each with the reason.

    Every approval satisfies one part of the requirement, because an approval that adds nothing is refused.
    If any one of them is missing, the requirement is therefore not met.
    """
    if state.drafted is None:
        return ()
    lost = [
        InvalidApproval(name=name, reason=f"{name}'s approval is too old")
        for name in stale_approvers(state, at)
    ]
    if people is None:
        return tuple(lost)
    stale = {one.name for one in lost}
    kept: list[Approval] = []
    for approval in state.approvals:
        approver = approval.approver
        reason = no_proof(approver, people, at)
        if approver.name in stale:
            continue
        if reason:
            lost.append(InvalidApproval(name=approver.name, reason=reason))
        else:
            kept.append(approval)
    return (*lost, *_missing_roles(state, state.drafted.requirement, kept, people, at))


def _missing_roles(
    state: RunState, requirement: Requirement, approvals: Sequence[Approval], people: People, at: datetime
) -> Iterator[InvalidApproval]:
    """Yield the approvals whose approver lost the role, unless the requirement is met without them."""
    left = [state.as_received(_narrowed(one.approver, people, at), one) for one in approvals]
    if approvers.covered(requirement, left, state.excluded) == len(approvals):
        return
    for one in approvals:
        begun = [
            later.to for later in later_approvers_of(requirement.escalations, one.began) if one.at >= later.at
        ]
        demanded = [*(need.role for need in requirement.needs), *begun]
        missing = missing_role(one.approver, people, at, demanded, state.excluded)
        if missing:
            yield InvalidApproval(name=one.approver.name, reason=missing)


def invalid_resolution(state: RunState, people: People | None, at: datetime) -> str | None:
    """Return the reason why the last resolution is no longer valid at that time, or None.

    Its effect must not begin if the person was removed, their key was revoked, or they may no longer resolve.
    A resolution does not expire.
    """
    if state.drafted is None or state.resolution is None or people is None:
        return None
    last, requirement = state.resolution, state.drafted.requirement
    reason = no_proof(last.approver, people, at)
    if reason is None and not can_resolve(requirement, _narrowed(last.approver, people, at), state.excluded):
        reason = f"{last.approver.name} may no longer resolve this run"
    if reason is None:
        return None
    return f"{last.approver.name} resolved step {last.step} with '{last.resolution}', and now {reason}"


def no_proof(approver: Approver, people: People, at: datetime) -> str | None:
    """Return the reason why this person or their key is not valid in that list at that time, or None."""
    name, person = approver.name, people.find(approver.name)
    if person is None:
        return f"{name} is not in the list of people"
    if not person.active:
        return f"{name} is no longer active"
    return (
        _untrusted_web(approver, people) or unknown_key(approver, people) or invalid_key(approver, people, at)
    )


def changed_roles(approver: Approver, people: People, at: datetime) -> str | None:
    """Return the reason why an approver's record does not match a list: other keys or other roles."""
    lost = no_proof(approver, people, at)
    if lost:
        return lost
    known = people.identify(approver.name, at).approver
    is_the_same = known is not None and known.standings == approver.standings
    return None if is_the_same else f"{approver.name} had other roles"


def _untrusted_web(approver: Approver, people: People) -> str | None:
    """Return an error message if the web server that attests a login is not, or no longer, trusted."""
    trusted = people.web.keys
    if approver.assurance is not Assurance.LOGIN or trusted is None or approver.public_key in trusted:
        return None
    return f"the web server that attests the login of {approver.name} is not one of PLANGATE_WEB_KEYS"


def unknown_key(approver: Approver, people: People) -> str | None:
    """Return an error message if the signing key is not one of the approver's keys in that list."""
    if not approver.is_signed:
        return None
    person = people.find(approver.name)
    if person is not None and approver.public_key in [key.x for key in person.keys]:
        return None
    return f"the key that {approver.name} signed with is not one of {approver.name}'s in the list of people"


def invalid_key(approver: Approver, people: People, at: datetime) -> str | None:
    """Return an error message if the signing key is not valid at that time, or was not when it signed."""
    person = people.find(approver.name) if approver.is_signed else None
    for key in person.keys if person else ():
        if key.x != approver.public_key:
            continue
        which = f"signing key {key.id}" if person and len(person.keys) > 1 else "signing key"
        if approver.signed_at is not None and not is_valid_at(key, approver.signed_at):
            return f"{approver.name}'s {which} was not valid when {approver.name} signed"
        if not is_valid_at(key, at):
            return f"{approver.name}'s {which} is no longer valid"
    return None


def missing_role(
    approver: Approver, people: People, at: datetime, demanded: Container[str], excluded: Sequence[str]
) -> str | None:
    """Return an error message if the list does not give the approver a recorded role that is ``demanded``.

    Other roles are ignored, as are delegations by the requester and the authors.
    """
    had = approvers.countable_roles(approver, demanded, excluded)
    has = set(approvers.countable_roles(_narrowed(approver, people, at), demanded, excluded))
    missing = [way for way in had if way not in has]
    if not missing:
        return None
    person, role = missing[0]
    if same_person(person, approver.name):
        return f"{approver.name} does not have the role {role}"
    owner = next(one.person for one in approver.standings if same_person(one.person, person))
    return f"{owner} has not authorized {approver.name} to act in the role {role}"


def _narrowed(approver: Approver, people: People, at: datetime) -> Approver:
    """Return the approver, limited to the names and roles that the list grants at that time."""
    known = people.identify(approver.name, at).approver
    given = known.standings if known else ()
    standings = []
    for standing in approver.standings:
        current = {
            role for one in given if same_person(one.person, standing.person) for role in one.roles
        }  # fmt: skip
        roles = tuple(role for role in standing.roles if role in current)
        standings.append(PersonRoles(person=standing.person, roles=roles))
    return approver.model_copy(update={"standings": tuple(standings)})


def possible_replay(
    state: RunState, before: Sequence[Event], arrival: Arrival, approver: Approver | None
) -> str | None:
    """Return an error message if an approval may repeat an earlier withdrawn, invalid or refused one.

    After a reset, Temporal delivers signals again, with the time of the reset. A decision may also be
    received both as a signal and as an update. A signed decision is recognized by its id and the time of its
    signature. An unsigned one is refused only if the earlier approval was withdrawn, invalid or refused, or
    can expire. A refused approval must not be accepted later because its sender has since gained a right.

    Args:
        state: the run, with the plan in review.
        before: the events before this message, recorded or about to be recorded.
        arrival: the approval.
        approver: the sender, if known.
    """
    decision = arrival.decision
    if state.drafted is None or decision is None or decision.decision is not Choice.APPROVE:
        return None
    withdrawn = [
        one for one in _decided_by(decision.by, before)
        if _is_decision(one, Choice.WITHDRAW_APPROVAL) and one.verdict.accepted
        and one.arrival.decision is not None and one.arrival.decision.refers_to(state.fingerprint)
    ]  # fmt: skip
    if approver is not None and approver.is_proven and approver.signed_at is not None:
        if any(approver.signed_at < _whole_second(one) for one in withdrawn):
            return "it was signed before that approval was withdrawn; review the plan and sign again"
        return None
    same = [
        one for one in _decided_by(decision.by, before)
        if _is_decision(one, Choice.APPROVE, decision.comment) and one.arrival.key != arrival.key
    ]  # fmt: skip
    if withdrawn and same:
        return f"it {_WITHDRAWN}; approve again with another comment"
    run_id = arrival.key.partition(":")[0]
    can_end = state.drafted.requirement.approval_valid_for is not None or _was_invalidated(
        decision.by, before
    )
    from_before = [one for one in same if one.arrival.key.partition(":")[0] != run_id]
    if can_end and from_before:
        return _REPLAYED
    equal = [one.verdict.accepted for one in from_before if _plan_of(one) == decision.plan]
    return _REFUSED_BEFORE if equal and not any(equal) else None


def _decided_by(name: str, before: Sequence[Event]) -> Iterator[Decided]:
    for event in before:
        if isinstance(event, Decided):
            decision = event.arrival.decision
            if decision is not None and same_person(decision.by, name):
                yield event


def _is_decision(event: Decided, choice: Choice, comment: str | None = None) -> bool:
    decision: Decision | None = event.arrival.decision
    if decision is None or decision.decision is not choice:
        return False
    return comment is None or decision.comment == comment


def _plan_of(event: Decided) -> str | None:
    return event.arrival.decision.plan if event.arrival.decision else None


def _was_invalidated(name: str, before: Sequence[Event]) -> bool:
    return any(
        same_person(lost.name, name) for event in before if isinstance(event, Reopened) for lost in event.lost
    )


def _whole_second(withdrawn: Decided) -> datetime:
    """Return when an approval was withdrawn, in whole seconds, by the signer's clock if known."""
    signed_at = withdrawn.approver.signed_at if withdrawn.approver else None
    return (signed_at or withdrawn.arrival.received_at).replace(microsecond=0)
