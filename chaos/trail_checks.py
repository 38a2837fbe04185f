"""Check the invariants of a run's audit trail and of its history in Temporal."""

from collections.abc import Sequence

from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.client import WorkflowHistory

from chaos.orders import REQUESTER
from chaos.report import Report
from plangate.domain.decisions.decision import Choice
from plangate.domain.runs.audit import (
    FIRST_HASH,
    AuditEntry,
    Claimed,
    Closed,
    Decided,
    Drafted,
    StepDone,
    entry_after,
)

# The server itself fails a workflow task if signals arrive during it, or too many for its buffer.
_HARMLESS = (
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
)


def check_trail(trail: Sequence[AuditEntry], report: Report) -> None:
    """Check that the trail is complete, and that no entry precedes its cause."""
    run = trail[0].workflow_id
    report.expect(_is_linked(trail), f"the trail of {run} is broken")
    events = [entry.event for entry in trail]
    report.expect(
        sum(isinstance(event, Closed) for event in events) == 1, f"{run} is not closed exactly once"
    )
    for number, event in enumerate(events):
        before = events[:number]
        match event:
            case Claimed():
                approved = any(_approves(earlier, event.fingerprint) for earlier in before)
                report.expect(approved, f"step {event.step} of {run} was claimed before it was approved")
                drafted = [earlier for earlier in before if isinstance(earlier, Drafted)]
                is_current = bool(drafted) and drafted[-1].fingerprint == event.fingerprint
                report.expect(
                    is_current,
                    f"step {event.step} of {run} was claimed under a plan that was not the current one",
                )
            case StepDone():
                claimed = any(
                    isinstance(earlier, Claimed) and earlier.step == event.step for earlier in before
                )
                report.expect(claimed, f"step {event.step} of {run} was done before it was claimed")
                again = any(
                    isinstance(earlier, StepDone) and earlier.step == event.step for earlier in before
                )
                report.expect(not again, f"step {event.step} of {run} was done twice")


def check_history(history: WorkflowHistory, report: Report) -> None:
    """Check that no workflow task ever failed because of Plangate."""
    for event in history.events:
        if not event.HasField("workflow_task_failed_event_attributes"):
            continue
        failed = event.workflow_task_failed_event_attributes
        if failed.cause not in _HARMLESS:
            cause = WorkflowTaskFailedCause.Name(failed.cause)
            report.record_error(
                f"a workflow task of {history.workflow_id} failed: {cause} {failed.failure.message}"
            )


def _approves(event: object, fingerprint: str) -> bool:
    if not isinstance(event, Decided) or not event.verdict.accepted:
        return False
    decision = event.arrival.decision
    return (
        decision is not None
        and decision.decision is Choice.APPROVE
        and fingerprint.startswith(decision.plan)
        and len(decision.plan) >= 8
        and decision.by != REQUESTER
    )


def _is_linked(trail: Sequence[AuditEntry]) -> bool:
    previous = FIRST_HASH
    for number, entry in enumerate(trail, start=1):
        expected = entry_after(
            previous,
            workflow_id=entry.workflow_id,
            number=number,
            key=entry.key,
            at=entry.at,
            actor=entry.actor,
            event=entry.event,
        )
        if entry != expected:
            return False
        previous = entry.hash
    return True
