"""The review: what becomes of a decision, and what stands on the record as approved.

`judge` gives the verdict; it is the only place where a decision is accepted. `authorise` asks the same
question of the record, later and independently, before a step acts.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from plangate.domain import policy
from plangate.domain.audit import Decided, Outcome
from plangate.domain.decision import Arrival, Choice, Decision, Verdict
from plangate.domain.errors import NotApproved
from plangate.domain.fold import apply
from plangate.domain.people import Approver, Identified, same_person
from plangate.domain.plan import short
from plangate.domain.policy import Need
from plangate.domain.run import Phase, RunState, StepState
from plangate.domain.visible import one_line

CLOCK_LEEWAY: Final = timedelta(minutes=5)
"""How far a signer's clock may be off."""


def judge(state: RunState, arrival: Arrival, sender: Identified) -> Decided:
    """Return ``arrival`` with its verdict as the run stands, and with what is known of its sender."""
    objection = _objection(state, arrival, sender)
    if objection:
        verdict = Verdict(accepted=False, reason=objection)
    else:
        verdict = Verdict(accepted=True, reason=_welcome(state, arrival, sender))
    return Decided(arrival=arrival, verdict=verdict, approver=sender.approver)


def authorise(state: RunState, fingerprint: str, step: int) -> None:
    """Do nothing if the record allows step ``step`` (from 1) of the plan with ``fingerprint`` to run now.

    Raises:
        NotApproved: it does not; the message says why.
    """
    plan = f"plan {short(fingerprint)}"
    if state.drafted is None or fingerprint not in (*state.replaced, state.drafted.fingerprint):
        raise NotApproved(f"No {plan} is on the record of this run, so nothing of it may run.")
    if fingerprint != state.drafted.fingerprint:
        raise NotApproved(f"{plan.capitalize()} was replaced by a newer revision, so nothing of it may run.")
    if state.closed is not None:
        raise NotApproved(f"This run is closed ({state.state}), so nothing more of it may run.")
    if state.phase is not Phase.EXECUTING or not state.is_approved:
        raise NotApproved(f"{plan.capitalize()} is not approved on the record, so nothing of it may run.")
    if not 1 <= step <= len(state.steps):
        raise NotApproved(f"{plan.capitalize()} has no step {step}.")
    if any(progress.state is not StepState.DONE for progress in state.steps[: step - 1]):
        raise NotApproved(f"Step {step} may not run before every step ahead of it is done.")


def _objection(state: RunState, arrival: Arrival, sender: Identified) -> str | None:
    decision = arrival.decision
    if decision is None:
        return arrival.fault
    plan = (
        _heard_twice(state, decision)
        or _not_open(state, decision)
        or _wrong_plan(state, decision)
        or _past_deadline(state, arrival)
    )
    if plan:
        return plan
    if sender.approver is None or sender.objection:
        return sender.objection or f"it is not known who {decision.by} is"
    return _not_proven(state, sender.approver) or _may_not_decide(state, decision, sender.approver)


def _heard_twice(state: RunState, decision: Decision) -> str | None:
    """Say so where this approval counts already: who sends it by two doors did nothing wrong."""
    if decision.decision is not Choice.APPROVE:
        return None
    for approver in state.approvers:
        if same_person(approver.name, decision.by) and decision.names(state.fingerprint):
            return f"{approver.name} has approved this plan already; it counts once"
    return None


def _not_open(state: RunState, decision: Decision) -> str | None:
    match state.phase:
        case Phase.CLOSED:
            return f"the run has ended ({state.state}); nothing can be decided any more"
        case Phase.EXECUTING if decision.decision is not Choice.WITHDRAW_APPROVAL:
            return "the plan is approved already and is being executed"
        case Phase.EXECUTING if state.claimed:
            return (
                f"step {state.claimed} has begun, so no approval can be taken back any more; to stop what is "
                f"left, withdraw the run: starter.py withdraw {one_line(state.workflow_id)}"
            )
        case _:
            return None


def _wrong_plan(state: RunState, decision: Decision) -> str | None:
    named = short(decision.plan)
    current = state.drafted
    if any(map(decision.names, state.replaced)):
        newest = f"revision {current.revision}, {short(current.fingerprint)}" if current else "a newer one"
        return f"plan {named} was replaced by {newest}; look at the new plan and decide on that"
    if current is None:
        return "there is no plan to decide on yet; wait for the draft"
    if not decision.names(current.fingerprint):
        return f"no plan of this run begins with {named}; the plan in review is {short(current.fingerprint)}"
    if state.phase is Phase.DRAFTING:
        return f"changes to plan {named} were requested and a new one is being drafted; wait for it"
    return None


def _past_deadline(state: RunState, arrival: Arrival) -> str | None:
    if state.phase is Phase.IN_REVIEW and state.deadline and arrival.received_at >= state.deadline:
        return f"the deadline, {state.deadline:%Y-%m-%d %H:%M} UTC, has passed"
    return None


def _not_proven(state: RunState, approver: Approver) -> str | None:
    requirement = state.drafted.requirement if state.drafted else None
    if requirement and requirement.signed and not approver.verified:
        return (
            "this plan takes signed decisions only; make a key with `starter.py keys new`, and decide with "
            "`starter.py approve`, or paste what `starter.py sign` prints"
        )
    began = state.review_began
    if approver.signed_at and began and approver.signed_at < began - CLOCK_LEEWAY:
        return "it was signed before this review began; look at the plan and sign again"
    return None


def _may_not_decide(state: RunState, decision: Decision, approver: Approver) -> str | None:
    is_requester = same_person(approver.name, state.requester)
    done = [number for number, step in enumerate(state.steps, 1) if step.state is StepState.DONE]
    if done and decision.decision is Choice.REQUEST_CHANGES:
        return (
            f"step {done[-1]} of this plan is done, and a new plan would do it again; "
            "approve the rest, or reject it"
        )
    if decision.decision is Choice.WITHDRAW_APPROVAL:
        return _nothing_to_take_back(state, approver)
    if decision.decision is not Choice.APPROVE:
        return None if is_requester else _has_no_say(state, approver)
    if is_requester:
        return f"{approver.name} asked for this; someone else must approve it"
    assert state.drafted is not None
    requirement, before = state.drafted.requirement, state.approvers
    if policy.covered(requirement, (*before, approver), state.requester) > policy.covered(
        requirement, before, state.requester
    ):
        return None
    return _has_no_say(state, approver) or (
        f"{approver.name}'s approval adds nothing to those that are there; "
        f"still needed: {_spelled(policy.missing(requirement, before, state.requester))}"
    )


def _nothing_to_take_back(state: RunState, approver: Approver) -> str | None:
    if any(same_person(approver.name, one.name) for one in state.approvers):
        return None
    return f"no approval of this plan by {approver.name} counts, so that there is nothing to take back"


def _has_no_say(state: RunState, approver: Approver) -> str | None:
    """Say so where this person has, in nobody's name but the requester's, a role that the plan asks for."""
    assert state.drafted is not None
    requirement = state.drafted.requirement
    if policy.covered(requirement, (approver,), state.requester):
        return None
    return f"{approver.name} has no role that can decide on this plan; it needs {_spelled(requirement.needs)}"


def _spelled(needs: Iterable[Need]) -> str:
    return " and ".join(map(str, needs))


def _welcome(state: RunState, arrival: Arrival, sender: Identified) -> str:
    accepted = Verdict(accepted=True, reason="")
    after = apply(state, Decided(arrival=arrival, verdict=accepted, approver=sender.approver))
    match after.phase:
        case Phase.EXECUTING:
            return "approved; the plan runs now"
        case Phase.DRAFTING:
            return "a new revision is being drafted"
        case Phase.CLOSED:
            return f"the run ends: {Outcome.REJECTED}"
        case _:
            assert state.drafted is not None
            still = policy.missing(state.drafted.requirement, after.approvers, state.requester)
            done = "approved" if len(after.approvals) > len(state.approvals) else "the approval is taken back"
            return f"{done}; still needed: {_spelled(still)}"
