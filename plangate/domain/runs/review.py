"""The review: whether a decision is accepted, and whether the record allows a step to run.

Only `judge` accepts decisions. It refuses those that are late, or not allowed in the phase
(`plangate.domain.runs.lifecycle`), and those of people without a required role
(`plangate.domain.policies.approvers`).
`authorise` checks the record again, independently, before a step runs.
"""

from datetime import timedelta
from typing import Final, assert_never

from plangate.domain.decisions.decision import Arrival, Choice, Decision, Resolution, Verdict, wrong_parts
from plangate.domain.errors import NotApproved
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Approver, Identified, same_person
from plangate.domain.plans.plan import short
from plangate.domain.policies import approvers
from plangate.domain.policies.approvers import can_resolve
from plangate.domain.policies.escalation import with_later_roles
from plangate.domain.policies.missing_approvals import still_missing
from plangate.domain.policies.requirement import Requirement, missing_in_words, needs_in_words
from plangate.domain.runs.audit import Decided
from plangate.domain.runs.fold import apply
from plangate.domain.runs.lifecycle import why_not_allowed
from plangate.domain.runs.run import Phase, RunState, StepState, next_undo
from plangate.domain.runs.starting import why_too_late

CLOCK_LEEWAY: Final = timedelta(minutes=5)
"""The maximum error of a signer's clock."""


def judge(state: RunState, arrival: Arrival, sender: Identified) -> Decided:
    """Return ``arrival`` as accepted or refused in the current state, with the approver who sent it."""
    objection = _objection(state, arrival, sender)
    if objection:
        verdict = Verdict(accepted=False, reason=objection)
    else:
        verdict = Verdict(accepted=True, reason=_acceptance_message(state, arrival, sender))
    return Decided(arrival=arrival, verdict=verdict, approver=sender.approver)


def authorise(state: RunState, fingerprint: str, step: int) -> None:
    """Check that the record allows step ``step`` (from 1) of the plan with ``fingerprint`` to run now.

    Raises:
        NotApproved: the record does not allow it; the message explains why.
    """
    plan = f"plan {short(fingerprint)}"
    if state.drafted is None or fingerprint not in (*state.replaced, state.drafted.fingerprint):
        raise NotApproved(f"No {plan} is recorded for this run, so none of its steps may run.")
    if fingerprint != state.drafted.fingerprint:
        raise NotApproved(
            f"{plan.capitalize()} was replaced by a later revision, so none of its steps may run."
        )
    if state.closed is not None:
        raise NotApproved(f"This run is closed ({state.state}), so no more of its steps may run.")
    if state.phase is not Phase.EXECUTING or not state.is_approved:
        raise NotApproved(
            f"{plan.capitalize()} is not approved according to the records, so none of its steps may run."
        )
    if not 1 <= step <= len(state.steps):
        raise NotApproved(f"{plan.capitalize()} has no step {step}.")
    if any(not progress.state.is_done_or_skipped for progress in state.steps[: step - 1]):
        raise NotApproved(f"Step {step} may not run before the steps before it are done.")
    if state.steps[step - 1].state is not StepState.PENDING:
        now = state.steps[step - 1].state.replace("_", " ")
        raise NotApproved(f"Step {step} is {now}, and no accepted resolution tries it again.")


def authorise_undo(state: RunState, fingerprint: str, step: int) -> None:
    """Check that the record allows step ``step`` (from 1) of that plan to be undone now.

    Raises:
        NotApproved: the record does not allow it; the message explains why.
    """
    plan = f"plan {short(fingerprint)}"
    if state.drafted is None or fingerprint != state.drafted.fingerprint:
        raise NotApproved(f"{plan.capitalize()} is not the newest one of this run, so it cannot be undone.")
    if state.phase is not Phase.UNDOING:
        raise NotApproved(f"No accepted resolution undoes {plan}, so none of its steps may be undone.")
    if step != next_undo(state):
        raise NotApproved(f"Step {step} is not the next one to undo.")


def _objection(state: RunState, arrival: Arrival, sender: Identified) -> str | None:
    decision = arrival.decision
    if decision is None:
        return arrival.fault
    wrong = wrong_parts(decision)
    if wrong is not None:
        return wrong
    not_now = _approved_before(state, decision) or why_not_allowed(state, decision, arrival.received_at)
    if not_now:
        return not_now
    if sender.approver is None or sender.objection:
        return sender.objection or f"{decision.by} is not known"
    able = with_later_roles(sender.approver, state.later_approvers, arrival.received_at)
    return _not_proven(state, decision, sender.approver) or _may_not_decide(state, decision, able)


def _approved_before(state: RunState, decision: Decision) -> str | None:
    """Return an error message if this approval was already accepted, for example if it was sent twice."""
    if decision.decision is not Choice.APPROVE:
        return None
    for approver in state.approvers:
        if same_person(approver.name, decision.by) and decision.refers_to(state.fingerprint):
            return f"{approver.name} has already approved this plan; each person's approval counts once"
    return None


def _assurance_for(decision: Decision, requirement: Requirement) -> Assurance:
    """Return the proof of identity that a decision needs."""
    is_resolution = decision.decision is Choice.RESOLVE
    return requirement.resolving.assurance if is_resolution else requirement.assurance


def _not_proven(state: RunState, decision: Decision, approver: Approver) -> str | None:
    requirement = state.drafted.requirement if state.drafted else None
    least = _assurance_for(decision, requirement) if requirement else Assurance.TYPED
    if approver.assurance < least:
        if least is Assurance.LOGIN:
            return "this needs at least a login; decide in the inbox, or sign the decision"
        what = "held run takes signed resolutions" if state.held else "plan takes signed decisions"
        return (
            f"this {what} only; make a key with `starter.py keys new`, and decide with "
            f"`starter.py {decision.decision.replace('_', '-')}`, or paste what `starter.py sign` prints"
        )
    if approver.batch is not None and decision.decision is not Choice.APPROVE:
        return "only approvals may be signed together; open the run, and sign this alone"
    if approver.batch is not None and (requirement is None or not requirement.batch):
        return "this plan may not be approved together with others; open it, and approve it alone"
    began = state.review_or_hold_began
    if approver.signed_at and began and approver.signed_at < began - CLOCK_LEEWAY:
        return "it was signed before this review began; review the plan and sign again"
    return None


def _may_not_decide(state: RunState, decision: Decision, approver: Approver) -> str | None:
    is_requester = same_person(approver.name, state.requester)
    match decision.decision:
        case Choice.APPROVE if is_requester:
            return f"{approver.name} is the requester; another person must approve"
        case Choice.APPROVE if any(same_person(approver.name, one) for one in state.authors):
            return f"{approver.name} edited this plan; another person must approve"
        case Choice.REJECT | Choice.REQUEST_CHANGES | Choice.EDIT:
            is_author = any(same_person(approver.name, one) for one in state.authors)
            return None if is_requester or is_author else _has_no_required_role(state, approver)
        case Choice.APPROVE:
            return _adds_nothing(state, approver)
        case Choice.RESOLVE:
            return _may_not_resolve(state, decision, approver)
        case Choice.WITHDRAW_APPROVAL:
            return _nothing_to_withdraw(state, approver)
        case _:
            assert_never(decision.decision)


def _may_not_resolve(state: RunState, decision: Decision, approver: Approver) -> str | None:
    """Return an error message if a person may not resolve the held run."""
    assert state.drafted is not None
    if any(same_person(approver.name, one) for one in state.excluded):
        what = "is the requester" if same_person(approver.name, state.requester) else "edited this plan"
        return f"{approver.name} {what}; another person must resolve it"
    if approver.is_proven and decision.hold is None and state.held is not None and state.held.number:
        return f'a signed resolution must give its hold; review the run, and sign "hold": {state.next_hold}'
    requirement = state.drafted.requirement
    if can_resolve(requirement, approver, state.excluded):
        return None
    return f"{approver.name} may not resolve this run; it needs {requirement.resolving}"


def _adds_nothing(state: RunState, approver: Approver) -> str | None:
    """Return an error message if this person's approval would not meet any unmet part of the requirement."""
    assert state.drafted is not None
    requirement, before = state.drafted.requirement, state.approvers_as_received
    if approvers.covered(requirement, (*before, approver), state.excluded) > approvers.covered(
        requirement, before, state.excluded
    ):
        return None
    return _has_no_required_role(state, approver) or (
        f"{approver.name}'s approval adds nothing to the approvals so far; "
        f"still needed: {_missing_text(state)}"
    )


def _nothing_to_withdraw(state: RunState, approver: Approver) -> str | None:
    if any(same_person(approver.name, one.name) for one in state.approvers):
        return None
    return f"{approver.name} has no approval of this plan to withdraw"


def _has_no_required_role(state: RunState, approver: Approver) -> str | None:
    """Return an error message if this person has no required role, except by the requester's delegation."""
    assert state.drafted is not None
    requirement = state.drafted.requirement
    if approvers.covered(requirement, (approver,), state.excluded):
        return None
    needs = needs_in_words(requirement.needs, state.later_approvers)
    return f"{approver.name} has no role that can decide on this plan; it needs {needs}"


def _resolved_message(arrival: Arrival) -> str:
    decision = arrival.decision
    assert decision is not None
    assert decision.resolution is not None
    match decision.resolution:
        case Resolution.RETRY:
            return f"step {decision.step} is tried again"
        case Resolution.SKIP:
            return f"step {decision.step} is skipped"
        case Resolution.MARK_DONE:
            return f"step {decision.step} is marked as done"
        case Resolution.UNDO:
            return "the done steps are being undone now, the last one first"
        case Resolution.ABORT:
            return "the run ends"
        case _:
            assert_never(decision.resolution)


def _missing_text(state: RunState) -> str:
    assert state.drafted is not None
    still = still_missing(state.drafted.requirement, state.approvers_as_received, state.excluded)
    return missing_in_words(still, state.later_approvers)


def _acceptance_message(state: RunState, arrival: Arrival, sender: Identified) -> str:
    """Return a description of what an accepted decision does."""
    accepted = Verdict(accepted=True, reason="")
    after = apply(state, Decided(arrival=arrival, verdict=accepted, approver=sender.approver))
    match after.phase:
        case Phase.EXECUTING | Phase.UNDOING if state.phase is Phase.HELD:
            return _resolved_message(arrival)
        case Phase.EXECUTING if after.waits_until(arrival.received_at):
            return (
                f"approved; the plan runs at {after.waits_until(arrival.received_at):%Y-%m-%d %H:%M:%S} UTC, "
                "and until then the approval can be withdrawn"
            )
        case Phase.EXECUTING if after.beginning.first(arrival.received_at) is None:
            return f"approved, but {why_too_late(after)}"
        case Phase.EXECUTING:
            return "approved; the plan can run now"
        case Phase.DRAFTING:
            return "a new revision is being drafted"
        case Phase.HELD | Phase.UNDOING:
            return ""
        case Phase.CLOSED:
            return f"the run ends: {after.state}"
        case Phase.IN_REVIEW:
            done = "approved" if len(after.approvals) > len(state.approvals) else "approval withdrawn"
            return f"{done}; still needed: {_missing_text(after)}"
        case _:
            assert_never(after.phase)
