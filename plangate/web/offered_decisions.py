"""Choose the decisions that a page offers to a person. The worker checks again; only its result is final."""

from collections.abc import Sequence
from datetime import datetime

from plangate.domain.decisions.decision import Choice
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Approver, Identified, PersonRoles, same_person
from plangate.domain.policies import approvers
from plangate.domain.policies.escalation import with_later_roles
from plangate.domain.runs.run import Phase, StepState
from plangate.domain.runs.status import Status, StepStatus


def may_decide_now(status: Status, identified: Identified, now: datetime) -> bool:
    """Return whether this person's approval or resolution would advance this run now.

    It reads these parts of the status: the state, the requirement, the missing approvals, the roles that may
    give them later, the requester, the authors, the approvers and those for whom an approval counts already.
    """
    approver = identified.approver
    if approver is None or identified.objection or status.requirement is None:
        return False
    excluded = (status.requester, *status.authors)
    if status.state == Phase.HELD:
        return approvers.can_resolve(status.requirement, approver, excluded)
    has_approved = any(same_person(approver.name, name) for name in status.approved_by)
    able = with_later_roles(approver, status.reliefs, now)
    return status.state == Phase.IN_REVIEW and not has_approved and _helps(status, able, excluded)


def offered(status: Status, identified: Identified, now: datetime) -> tuple[Choice, ...]:
    """Return the decisions that this person may make on this run now, in the order of their buttons."""
    approver = identified.approver
    if approver is None or identified.objection or status.requirement is None:
        return ()
    # The page asks for the proof later, because who may decide does not depend on it.
    approver = approver.model_copy(update={"assurance": Assurance.SIGNED})
    excluded = (status.requester, *status.authors)
    if status.state == Phase.HELD:
        return (Choice.RESOLVE,) if approvers.can_resolve(status.requirement, approver, excluded) else ()
    has_approved = any(same_person(approver.name, name) for name in status.approved_by)
    if status.state == Phase.EXECUTING and has_approved and not has_begun(status):
        return (Choice.WITHDRAW_APPROVAL,)
    if status.state != Phase.IN_REVIEW:
        return ()
    approver = with_later_roles(approver, status.reliefs, now)
    is_excluded = any(same_person(approver.name, one) for one in excluded)
    has_role = bool(approvers.covered(status.requirement, (approver,), excluded))
    offers: list[Choice] = []
    if has_approved:
        offers.append(Choice.WITHDRAW_APPROVAL)
    elif not is_excluded and _helps(status, approver, excluded):
        offers.append(Choice.APPROVE)
    if is_excluded or has_role:
        offers += [Choice.REJECT, Choice.REQUEST_CHANGES, Choice.EDIT]
    return tuple(offers)


def delegators_of(status: Status, identified: Identified) -> tuple[PersonRoles, ...]:
    """Return the delegators whose roles this person needs to decide on this run, with these roles."""
    approver, requirement = identified.approver, status.requirement
    if approver is None or requirement is None:
        return ()
    is_held = status.state == Phase.HELD
    demanded = {role for group in requirement.resolving.any_of for role in group} if is_held else ()
    found = [
        PersonRoles(person=one.person, roles=roles)
        for one in approver.standings
        if (roles := tuple(role for role in one.roles if role in (demanded or requirement.asked_roles)))
    ]
    return () if any(same_person(one.person, approver.name) for one in found) else tuple(found)


def has_begun(status: Status) -> bool:
    """Return whether any step has started, which means that approvals can no longer be withdrawn."""
    return any(map(_has_begun, status.steps))


def _has_begun(step: StepStatus) -> bool:
    return step.is_begun or step.attempt is not None or step.state is not StepState.PENDING


def _helps(status: Status, approver: Approver, excluded: Sequence[str]) -> bool:
    """Return whether this person can give an approval that is still missing."""
    approver = approvers.without_represented(approver, status.represented)
    return bool(approvers.countable_roles(approver, {need.role for need in status.still_needed}, excluded))
