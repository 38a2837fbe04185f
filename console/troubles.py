"""What keeps a run from going on, in sentences: it is tried again, is paused, or cannot be recorded."""

from collections.abc import Iterator

from console.clock import moment
from plangate.domain.status import Attempt, Status, StepStatus, Unrecorded


def troubles(status: Status) -> Iterator[str]:
    """Yield a sentence for each thing that the run cannot get on with now."""
    if status.unrecorded is not None:
        yield _unrecorded(status.unrecorded)
    if status.drafting is not None:
        yield f"The draft of revision {status.revision + 1} {_tried(status.drafting)}"
    for step in status.steps:
        attempt = _attempt(step)
        if attempt is not None:
            yield f"Step {step.number} of {len(status.steps)}, {step.tool}, {_tried(attempt)}"


def _unrecorded(what: Unrecorded) -> str:
    decisions = [f"{what.decisions} decision{'s' if what.decisions > 1 else ''}"] if what.decisions else []
    waiting = " and ".join([*decisions, *(["the outcome"] if what.outcome else [])])
    return (
        f"Since {moment(what.since, with_seconds=True)} this cannot be put on the record: {waiting}. "
        f"It waits until it can. {what.cause}"
    )


def _attempt(step: StepStatus) -> Attempt | None:
    if step.attempt is None:
        return None
    return Attempt(
        attempt=step.attempt, last_error=step.last_error, next_try=step.next_try, paused=step.paused
    )


def _tried(attempt: Attempt) -> str:
    failed = f" The attempt before it failed: {attempt.last_error}" if attempt.last_error else ""
    if attempt.paused:
        return f"is {attempt.paused}{failed and '.' + failed}"  # no full stop behind a command
    when = f"begins at {moment(attempt.next_try, with_seconds=True)}" if attempt.next_try else "is running"
    return f"is tried again: attempt {attempt.attempt} {when}.{failed}"
