"""Verify the recorded decisions of a run.

- The actor and the time of a decision are those of the received message.
- An accepted decision refers to a plan; if it changed the run, `judge` accepts it again, and it cannot be an
  earlier approval that was sent again.
- An accepted edit or resolution that changes nothing repeats an earlier one that did.

`plangate.audit.proof` verifies who decided.
"""

from collections.abc import Sequence

from plangate.domain.decisions.decision import Choice
from plangate.domain.escaping import one_line
from plangate.domain.people.people import Identified, same_person
from plangate.domain.plans.plan import MIN_PREFIX
from plangate.domain.runs.audit import AuditEntry, Decided, Event
from plangate.domain.runs.fold import apply, changes_run
from plangate.domain.runs.repeated_decisions import repeats
from plangate.domain.runs.review import judge
from plangate.domain.runs.revocation import possible_replay
from plangate.domain.runs.run import RunState


def wrong_actor(entry: AuditEntry, event: Decided) -> str | None:
    """Compare the entry's actor and time with those of the decision."""
    decision, approver = event.arrival.decision, event.approver
    if approver is not None and (decision is None or not same_person(approver.name, decision.by)):
        return f"is attributed to {one_line(approver.name)}, but the decision names another person"
    if approver is not None and entry.actor != approver.name:
        return f"has the actor {one_line(entry.actor)}, but {one_line(approver.name)} decided"
    if entry.at != event.arrival.received_at:
        return "has a time that differs from when the decision was received"
    return None


def wrong_verdict(state: RunState, event: Decided, before: Sequence[Event]) -> str | None:
    """Check an accepted decision again, if it changed the run, in the state at that time.

    An edit or a resolution that changed nothing may be accepted only if it repeats an earlier one that did.
    """
    decision = event.arrival.decision
    if event.verdict.accepted and (decision is None or len(decision.plan) < MIN_PREFIX):
        return "was accepted but refers to no plan"
    if not changes_run(state, event):
        is_one = decision is not None and decision.decision in (Choice.EDIT, Choice.RESOLVE)
        if not (is_one and event.verdict.accepted) or repeats(state.workflow_id, before, event):
            return None
    again = judge(state, event.arrival, Identified(approver=event.approver))
    return None if again.verdict.accepted else f"was accepted, though {again.verdict.reason}"


def replayed(state: RunState, before: Sequence[Event], event: Event) -> str | None:
    """Return an error if an accepted approval may be an earlier one that was sent again."""
    if not isinstance(event, Decided) or len(apply(state, event).approvals) <= len(state.approvals):
        return None
    again = possible_replay(state, before, event.arrival, event.approver)
    return f"was accepted, though {again}" if again else None
