"""Choose the decisions that a page offers to a person. The worker judges again; only its verdict counts."""

from collections.abc import Sequence
from datetime import datetime

from plangate.domain import policy
from plangate.domain.assurance import Assurance
from plangate.domain.decision import Choice, Resolution
from plangate.domain.escalation import standing_in
from plangate.domain.people import Approver, Identified, same_person
from plangate.domain.run import Phase, StepState
from plangate.domain.status import Status, StepStatus


def may_decide_now(status: Status, identified: Identified, now: datetime) -> bool:
    """Return whether this person's approval or resolution would advance this run now.

    It reads these parts of the status: the state, the requirement, the missing approvals, the roles that may
    give them later, the requester, the authors and the approvers.
    """
    approver = identified.approver
    if approver is None or identified.objection or status.requirement is None:
        return False
    barred = (status.requester, *status.authors)
    if status.state == Phase.HELD:
        return policy.can_resolve(status.requirement, approver, barred)
    has_approved = any(same_person(approver.name, name) for name in status.approved_by)
    able = standing_in(approver, status.reliefs, now)
    return status.state == Phase.IN_REVIEW and not has_approved and _helps(status, able, barred)


def offered(status: Status, identified: Identified, now: datetime) -> tuple[Choice, ...]:
    """Return the decisions that this person may take on this run now, in the order of their buttons."""
    approver = identified.approver
    if approver is None or identified.objection or status.requirement is None:
        return ()
    # The proof is asked for later: who may decide does not depend on it.
    approver = approver.model_copy(update={"assurance": Assurance.SIGNED})
    barred = (status.requester, *status.authors)
    if status.state == Phase.HELD:
        return (Choice.RESOLVE,) if policy.can_resolve(status.requirement, approver, barred) else ()
    has_approved = any(same_person(approver.name, name) for name in status.approved_by)
    if status.state == Phase.EXECUTING and has_approved and not any(map(_has_begun, status.steps)):
        return (Choice.WITHDRAW_APPROVAL,)
    if status.state != Phase.IN_REVIEW:
        return ()
    approver = standing_in(approver, status.reliefs, now)
    is_barred = any(same_person(approver.name, one) for one in barred)
    has_role = bool(policy.covered(status.requirement, (approver,), barred))
    offers: list[Choice] = []
    if has_approved:
        offers.append(Choice.WITHDRAW_APPROVAL)
    elif not is_barred and _helps(status, approver, barred):
        offers.append(Choice.APPROVE)
    if is_barred or has_role:
        offers += [Choice.REJECT, Choice.REQUEST_CHANGES, Choice.EDIT]
    return tuple(offers)


def _has_begun(step: StepStatus) -> bool:
    return step.is_begun or step.attempt is not None or step.state is not StepState.PENDING


def resolutions_for(status: Status) -> tuple[Resolution, ...]:
    """Return the resolutions that are possible now."""
    return status.held.resolutions if status.held is not None else ()


def _helps(status: Status, approver: Approver, barred: Sequence[str]) -> bool:
    """Return whether this person can meet a need that is still unmet."""
    return bool(policy.ways_of(approver, {need.role for need in status.still_needed}, barred))
