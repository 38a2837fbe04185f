"""What a notice says about a run, in our own words.

Nothing that a model or a tool wrote, no argument, amount or recipient is in it, unless every rule that
demands something of the plan allows details.
"""

from collections import Counter
from typing import Final

from plangate.domain.audit import Outcome
from plangate.domain.decision import Choice
from plangate.domain.policy import Requirement
from plangate.domain.run import RunState, StepState
from plangate.notifications.audience import Audience
from plangate.notifications.notice import Facts

_ENDED: Final = {
    Outcome.EXECUTED: "it was executed",
    Outcome.REJECTED: "it was rejected",
    Outcome.EXPIRED: "it expired: its deadline passed without the approvals that it needs",
    Outcome.WITHDRAWN: "it was withdrawn",
    Outcome.FAILED: "it failed",
}
_STANDS: Final = {
    StepState.PENDING: "not begun",
    StepState.DONE: "done",
    StepState.FAILED: "failed",
    StepState.IN_DOUBT: "in doubt",
    StepState.SKIPPED: "skipped",
    StepState.UNDONE: "done and taken back",
}


def facts_of(run: RunState, audience: Audience) -> Facts:
    """Return what is so whatever the notice is for."""
    drafted = run.drafted
    steps = drafted.plan.steps if drafted else ()
    return Facts(
        workflow_id=run.workflow_id,
        revision=drafted.revision if drafted else 0,
        tools=tuple(Counter(step.tool for step in steps).items()),
        requester=run.requester,
        deadline=None if run.closed else run.deadline,
        details=tuple(step.preview for step in steps) if drafted and _is_open(drafted.requirement) else (),
        link=audience.link(run.workflow_id),
    )


def held_because(run: RunState) -> str:
    """Return what happened to a held run."""
    if run.held is None or run.drafted is None:
        return ""
    number, steps = run.held.step, run.drafted.plan.steps
    what = f"step {number}, {steps[number - 1].tool}"
    state = run.steps[number - 1].part(undo=run.held.undo).state
    if run.held.undo:
        what = f"the undo of {what}"
    if state is StepState.IN_DOUBT:
        return f"{what}, is in doubt: it was begun, and it is not known whether it happened"
    return f"{what}, failed" if state is StepState.FAILED else f"{what}, cannot go on"


def ended_because(run: RunState) -> str:
    """Return how the run ended; empty while it is open."""
    if run.closed is None:
        return ""
    words = _ENDED[run.closed.outcome]
    if run.closed.outcome is Outcome.REJECTED and (by := decided_by(run)):
        return f"{words} by {by}"
    return words


def decided_by(run: RunState) -> str:
    """Return who decided: who rejected or resolved, else who approved; empty if no one did."""
    if run.closed is not None and run.closed.outcome in (Outcome.EXPIRED, Outcome.WITHDRAWN):
        return ""
    for decided in reversed(run.decisions):
        decision = decided.arrival.decision
        if not decided.verdict.accepted or decision is None:
            continue
        if decision.decision in (Choice.REJECT, Choice.RESOLVE):
            return decided.approver.name if decided.approver else decision.by
        break
    return ", ".join(one.name for one in run.approvers)


def with_steps(facts: Facts, run: RunState) -> Facts:
    """Return facts with what was done and what was not."""
    planned = run.drafted.plan.steps if run.drafted else ()
    done, not_done = [], []
    for number, (step, progress) in enumerate(zip(planned, run.steps, strict=False), start=1):
        name = f"step {number}: {step.tool}"
        if progress.state is StepState.DONE:
            done.append(name)
        else:
            not_done.append(f"{name} ({_STANDS[progress.state]})")
    return facts.model_copy(update={"done": tuple(done), "not_done": tuple(not_done)})


def _is_open(requirement: Requirement) -> bool:
    """Return whether messages may show what the steps do."""
    return requirement.notify_details
