"""Whether what was accepted still holds, by a list of people and at a time.

A worker asks before each step, with the list of now. An auditor asks with the list that was in force then,
and with one of today, which says what was revoked since. All of it is pure: what is given decides.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from plangate.domain import policy
from plangate.domain.audit import Decided, Event, Reopened
from plangate.domain.decision import Arrival, Choice, Decision
from plangate.domain.people import Approver, LostApproval, People, Standing, in_force, same_person
from plangate.domain.policy import Requirement
from plangate.domain.run import RunState
from plangate.domain.standing_approvals import given_at

_TAKEN_BACK = "says the same as the approval that was taken back, and may be that one sent twice"
_PUT_BACK = (
    "it says what an approval from before the run was reset or continued said, and may be that one put back; "
    "approve again with a comment of today"
)


def stale_approvers(state: RunState, at: datetime) -> tuple[str, ...]:
    """Return whose approvals are too old at that time for a step to start under them.

    A signed one is as old as its signature: whoever carries it could keep it back.
    """
    valid_for = state.drafted.requirement.approval_valid_for if state.drafted else None
    if valid_for is None:
        return ()
    oldest = at - timedelta(seconds=valid_for)
    return tuple(approval.approver.name for approval in state.approvals if given_at(approval) < oldest)


def lost_approvals(state: RunState, people: People | None, at: datetime) -> tuple[LostApproval, ...]:
    """Return the approvals under which no step may start at that time, each with the reason.

    Every approval fills one place of the requirement, since one that adds nothing is refused. So none can be
    lost without leaving a place empty.
    """
    if state.drafted is None:
        return ()
    lost = [
        LostApproval(name=name, reason=f"{name}'s approval is too old") for name in stale_approvers(state, at)
    ]
    if people is None:
        return tuple(lost)
    stale = {one.name for one in lost}
    kept: list[Approver] = []
    for approver in state.approvers:
        reason = no_proof(approver, people, at)
        if approver.name in stale:
            continue
        if reason:
            lost.append(LostApproval(name=approver.name, reason=reason))
        else:
            kept.append(approver)
    return (*lost, *_lost_roles(state, state.drafted.requirement, kept, people, at))


def _lost_roles(
    state: RunState, requirement: Requirement, approvers: Sequence[Approver], people: People, at: datetime
) -> Iterator[LostApproval]:
    """Yield those who lost a role that counted; where the places are filled without it, nothing is lost."""
    left = [_narrowed(approver, people, at) for approver in approvers]
    if policy.covered(requirement, left, state.requester) == len(approvers):
        return
    for approver in approvers:
        lacking = unfounded_standing(approver, people, at, requirement, state.requester)
        if lacking:
            yield LostApproval(name=approver.name, reason=lacking)


def no_proof(approver: Approver, people: People, at: datetime) -> str | None:
    """Say why that list, in force at that time, does not know this person, or not their key."""
    name, person = approver.name, people.find(approver.name)
    if person is None:
        return f"{name} is not in the list of people"
    if not person.active:
        return f"{name} is not active any more"
    return unknown_key(approver, people) or invalid_key(approver, people, at)


def unknown_key(approver: Approver, people: People) -> str | None:
    """Say so where the key that a decision was signed with is not one of its maker's, by that list."""
    if not approver.is_signed:
        return None
    person = people.find(approver.name)
    if person is not None and approver.public_key in [key.x for key in person.keys]:
        return None
    return f"the key that {approver.name} signed with is not one of {approver.name}'s in the list of people"


def invalid_key(approver: Approver, people: People, at: datetime) -> str | None:
    """Say so where the key that a decision was signed with is not valid then, or was not when it signed."""
    person = people.find(approver.name) if approver.is_signed else None
    for key in person.keys if person else ():
        if key.x != approver.public_key:
            continue
        which = f"signing key {key.id}" if person and len(person.keys) > 1 else "signing key"
        if approver.signed_at is not None and not in_force(key, approver.signed_at):
            return f"{approver.name}'s {which} was not valid when {approver.name} signed"
        if not in_force(key, at):
            return f"{approver.name}'s {which} is not valid any more"
    return None


def unfounded_standing(
    approver: Approver, people: People, at: datetime, requirement: Requirement, requester: str
) -> str | None:
    """Say so where the record gives somebody a role that is asked for, and the list does not give it.

    Roles that are not asked for do not matter, nor does in whose name the requester could act.
    """
    demanded = {need.role for need in requirement.needs}
    had = policy.ways_of(approver, demanded, requester)
    has = set(policy.ways_of(_narrowed(approver, people, at), demanded, requester))
    lacking = [way for way in had if way not in has]
    if not lacking:
        return None
    person, role = lacking[0]
    if same_person(person, approver.name):
        return f"{approver.name} has not the role {role}"
    owner = next(one.person for one in approver.standings if same_person(one.person, person))
    return f"{owner} does not let {approver.name} act with the role {role}"


def _narrowed(approver: Approver, people: People, at: datetime) -> Approver:
    """Return the approver with those of their standings alone that the list gives them at that time."""
    known = people.identify(approver.name, at).approver
    given = known.standings if known else ()
    standings = []
    for standing in approver.standings:
        today = {
            role for one in given if same_person(one.person, standing.person) for role in one.roles
        }  # fmt: skip
        roles = tuple(role for role in standing.roles if role in today)
        standings.append(Standing(person=standing.person, roles=roles))
    return approver.model_copy(update={"standings": tuple(standings)})


def may_be_put_back(
    state: RunState, before: Sequence[Event], arrival: Arrival, approver: Approver | None
) -> str | None:
    """Say so where an approval may be an earlier one that was taken back or lost, and came once more.

    Temporal hands signals over again behind a reset, with the time of the reset, and a decision may come by
    signal and update. A signed one is told by its id, and by when it was signed; of the others only that
    matters whose earlier approval was taken back, was lost, or can get too old.

    Args:
        state: the run, with the plan in review.
        before: what is on its trail, or about to be, ahead of this arrival.
        arrival: what came.
        approver: what is known of its sender.
    """
    decision = arrival.decision
    if state.drafted is None or decision is None or decision.decision is not Choice.APPROVE:
        return None
    taken_back = [
        one for one in _decided_by(decision.by, before)
        if _said(one, Choice.WITHDRAW_APPROVAL) and one.verdict.accepted
        and one.arrival.decision is not None and one.arrival.decision.names(state.fingerprint)
    ]  # fmt: skip
    if approver is not None and approver.is_signed and approver.signed_at is not None:
        if any(approver.signed_at < _whole_second(one) for one in taken_back):
            return "it was signed before that approval was taken back; look at the plan and sign again"
        return None
    same = [
        one for one in _decided_by(decision.by, before)
        if _said(one, Choice.APPROVE, decision.comment) and one.arrival.key != arrival.key
    ]  # fmt: skip
    if taken_back and same:
        return f"it {_TAKEN_BACK}; approve again with another comment"
    run_id = arrival.key.partition(":")[0]
    can_end = state.drafted.requirement.approval_valid_for is not None or _was_lost(decision.by, before)
    if can_end and any(one.arrival.key.partition(":")[0] != run_id for one in same):
        return _PUT_BACK
    return None


def _decided_by(name: str, before: Sequence[Event]) -> Iterator[Decided]:
    for event in before:
        if isinstance(event, Decided):
            decision = event.arrival.decision
            if decision is not None and same_person(decision.by, name):
                yield event


def _said(event: Decided, choice: Choice, comment: str | None = None) -> bool:
    decision: Decision | None = event.arrival.decision
    if decision is None or decision.decision is not choice:
        return False
    return comment is None or decision.comment == comment


def _was_lost(name: str, before: Sequence[Event]) -> bool:
    return any(
        same_person(lost.name, name) for event in before if isinstance(event, Reopened) for lost in event.lost
    )


def _whole_second(taken_back: Decided) -> datetime:
    """Return when an approval was taken back, by the signer's clock where it is known, in whole seconds."""
    signed_at = taken_back.approver.signed_at if taken_back.approver else None
    return (signed_at or taken_back.arrival.received_at).replace(microsecond=0)
