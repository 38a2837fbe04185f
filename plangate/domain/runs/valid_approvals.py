"""Find the accepted approvals that are still valid, when they expire, and why the rest are not valid.

A new revision, drafted or edited, voids all approvals of the previous plan.
`plangate.domain.policies.approvers` defines who may approve, and whether the approvals are enough.
"""

from datetime import datetime, timedelta

from plangate.domain.decisions.decision import Choice
from plangate.domain.people.people import same_person
from plangate.domain.runs.audit import Decided
from plangate.domain.runs.run import Approval, Phase, RunState


def is_approval(decided: Decided) -> bool:
    """Return whether this is an approval that was accepted."""
    decision = decided.arrival.decision
    return decided.verdict.accepted and decision is not None and decision.decision is Choice.APPROVE


def given_at(approval: Approval) -> datetime:
    """Return the time from which an approval's age is measured; if it is signed, the signature's time."""
    signed_at = approval.approver.signed_at
    return approval.at if signed_at is None else min(approval.at, signed_at)


def counts_until(state: RunState, approval: Approval) -> datetime | None:
    """Return when this approval expires; None if it never does."""
    valid_for = state.drafted.requirement.approval_valid_for if state.drafted else None
    return None if valid_for is None else given_at(approval) + timedelta(seconds=valid_for)


def approval_of(state: RunState, decided: Decided) -> Approval | None:
    """Return the valid approval that results from this decision, if any.

    This is the approver's last accepted approval, because several may be received at the same moment.
    """
    if not is_approval(decided) or decided.approver is None or not _is_of_this_plan(state, decided):
        return None
    name, at = decided.approver.name, decided.arrival.received_at
    if any(is_approval(later) and _made_by(later, name) for later in _later_decisions(state, decided)):
        return None
    of_name = (one for one in state.approvals if same_person(one.approver.name, name))
    return next((one for one in of_name if one.at == at), None)


def why_invalid(state: RunState, decided: Decided) -> str:
    """Return the reason why an accepted approval is no longer valid; empty for any other decision."""
    if not is_approval(decided) or approval_of(state, decided) is not None:
        return ""
    if _was_withdrawn(state, decided):
        return "it was withdrawn"
    if not _is_of_this_plan(state, decided):
        revision = state.drafted.revision if state.drafted else 0
        return f"its plan was replaced by revision {revision}"
    if state.reopened is not None and decided.arrival.received_at <= state.reopened.reopened_at:
        if state.reopened.edit:
            return "its plan was edited, though the edit could not be drafted"
        name = decided.approver.name if decided.approver else ""
        reasons = [lost.reason for lost in state.reopened.lost if same_person(lost.name, name)]
        return reasons[0] if reasons else "it became invalid when the review was reopened earlier"
    if state.phase is Phase.DRAFTING:
        return "changes to its plan were requested"
    return "it is not one of the valid approvals"


def _is_of_this_plan(state: RunState, decided: Decided) -> bool:
    decision = decided.arrival.decision
    return decision is not None and (state.fingerprint or "").startswith(decision.plan)


def _was_withdrawn(state: RunState, approval: Decided) -> bool:
    """Return whether its approver withdrew it later by a decision that is still listed."""
    name = approval.approver.name if approval.approver else ""
    approved = approval.arrival.decision
    for later in _later_decisions(state, approval):
        decision = later.arrival.decision
        if (
            decision is None
            or approved is None
            or not later.verdict.accepted
            or not same_person(decision.by, name)
        ):
            continue
        # Either fingerprint may be a prefix of the other.
        is_of_its_plan = decision.refers_to(approved.plan) or approved.refers_to(decision.plan)
        if decision.decision is Choice.WITHDRAW_APPROVAL and is_of_its_plan:
            return True
    return False


def _later_decisions(state: RunState, decided: Decided) -> tuple[Decided, ...]:
    """Return the decisions after this one."""
    keys = [one.arrival.key for one in state.decisions]
    key = decided.arrival.key
    return state.decisions[keys.index(key) + 1 :] if key in keys else ()


def _made_by(decided: Decided, name: str) -> bool:
    return decided.approver is not None and same_person(decided.approver.name, name)
