"""The review: what becomes of a decision, and what stands on the record as approved.

`judge` gives the verdict; it is the only place where a decision is accepted. `authorise` asks the same
question of the record, later and independently, before a step acts.
"""

from collections.abc import Sequence

from plangate.domain import policy
from plangate.domain.audit import Decided, Outcome
from plangate.domain.decision import Arrival, Choice, Decision, Verdict
from plangate.domain.errors import NotApproved
from plangate.domain.plan import short
from plangate.domain.run import Phase, RunState, StepState, apply


def judge(state: RunState, arrival: Arrival) -> Verdict:
    """Return the verdict on ``arrival`` as the run stands."""
    objection = _objection(state, arrival)
    if objection:
        return Verdict(accepted=False, reason=objection)
    return Verdict(accepted=True, reason=_welcome(state, arrival))


def judge_all(state: RunState, arrivals: Sequence[Arrival]) -> tuple[Decided, ...]:
    """Return each arrival with its verdict, each judged after the ones before it took effect."""
    decided = []
    for arrival in arrivals:
        event = Decided(arrival=arrival, verdict=judge(state, arrival))
        state = apply(state, event)
        decided.append(event)
    return tuple(decided)


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
    if state.phase is not Phase.EXECUTING or not policy.satisfied(state.drafted.requirement, state.approvals):
        raise NotApproved(f"{plan.capitalize()} is not approved on the record, so nothing of it may run.")
    if not 1 <= step <= len(state.steps):
        raise NotApproved(f"{plan.capitalize()} has no step {step}.")
    if any(progress.state is not StepState.DONE for progress in state.steps[: step - 1]):
        raise NotApproved(f"Step {step} may not run before every step ahead of it is done.")


def _objection(state: RunState, arrival: Arrival) -> str | None:
    decision = arrival.decision
    if decision is None:
        return arrival.fault
    return (
        _not_open(state)
        or _wrong_plan(state, decision)
        or _past_deadline(state, arrival)
        or _may_not_approve(state, decision)
    )


def _not_open(state: RunState) -> str | None:
    match state.phase:
        case Phase.CLOSED:
            return f"the run has ended ({state.state}); nothing can be decided any more"
        case Phase.EXECUTING:
            return "the plan is approved already and is being executed"
        case _:
            return None


def _wrong_plan(state: RunState, decision: Decision) -> str | None:
    named = short(decision.plan)
    current = state.drafted
    if any(old.startswith(decision.plan) for old in state.replaced):
        newest = f"revision {current.revision}, {short(current.fingerprint)}" if current else "a newer one"
        return f"plan {named} was replaced by {newest}; look at the new plan and decide on that"
    if current is None:
        return "there is no plan to decide on yet; wait for the draft"
    if not current.fingerprint.startswith(decision.plan):
        return f"no plan of this run begins with {named}; the plan in review is {short(current.fingerprint)}"
    if state.phase is Phase.DRAFTING:
        return f"changes to plan {named} were requested and a new one is being drafted; wait for it"
    return None


def _past_deadline(state: RunState, arrival: Arrival) -> str | None:
    if state.drafted and arrival.received_at >= state.drafted.deadline:
        return f"the deadline, {state.drafted.deadline:%Y-%m-%d %H:%M} UTC, has passed"
    return None


def _may_not_approve(state: RunState, decision: Decision) -> str | None:
    if decision.decision is not Choice.APPROVE:
        return None
    if policy.same_person(decision.by, state.requester):
        return f"{decision.by} asked for this; somebody else must approve it"
    if any(policy.same_person(decision.by, approver) for approver in state.approvals):
        return f"{decision.by} has approved this plan already; it counts once"
    return None


def _welcome(state: RunState, arrival: Arrival) -> str:
    after = apply(state, Decided(arrival=arrival, verdict=Verdict(accepted=True, reason="")))
    match after.phase:
        case Phase.EXECUTING:
            return "approved; the plan runs now"
        case Phase.DRAFTING:
            return "a new revision is being drafted"
        case Phase.CLOSED:
            return f"the run ends: {Outcome.REJECTED}"
        case _:
            return "approved; more approvals are needed"
