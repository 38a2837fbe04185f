"""Sentences that say why a run does not proceed: it is retried, paused, or cannot be recorded."""

from collections.abc import Iterator

from plangate.domain.status import Attempt, Status, StepStatus, Unrecorded
from plangate.presentation.clock import moment
from plangate.presentation.words import UNKNOWN_SENDER, spelled, step_name


def troubles(status: Status) -> Iterator[str]:
    """Yield a sentence for each problem that delays the run now."""
    yield from (said for _, said in troubles_by_cause(status))


def troubles_by_cause(status: Status) -> Iterator[tuple[str, str]]:
    """Yield each of these sentences after its cause, which stays the same from one attempt to the next."""
    if status.unrecorded is not None:
        yield status.unrecorded.cause, _unrecorded(status.unrecorded)
    if status.drafting is not None:
        said = f"The draft of revision {status.revision + 1} {_tried(status.drafting)}"
        yield status.drafting.paused or status.drafting.last_error, said
    for step in status.steps:
        attempt = _attempt(step)
        if attempt is not None:
            said = f"{step_name(step.number, len(status.steps))}, {step.tool}, {_tried(attempt)}"
            yield attempt.paused or attempt.last_error, said


def _unrecorded(what: Unrecorded) -> str:
    waiting = [*_decisions(what), *(["the outcome"] if what.outcome else [])]
    verb = "have" if what.decisions > 1 or len(waiting) > 1 else "has"
    since = moment(what.since, with_seconds=True)
    kept = f"{' and '.join(waiting)} {verb} been kept since {since}"
    return f"{kept} and cannot be recorded yet: {what.cause.rstrip('.')}."


def _decisions(what: Unrecorded) -> Iterator[str]:
    """Yield the number of waiting decisions, with the names of the first few."""
    if not what.decisions:
        return
    known = [f"{one.by or UNKNOWN_SENDER}: {spelled(one.decision)}" for one in what.oldest]
    if known and what.decisions > len(known):
        known.append("…")
    named = f" ({', '.join(known)})" if known else ""
    yield f"{what.decisions} decision{'s' if what.decisions > 1 else ''}{named}"


def _attempt(step: StepStatus) -> Attempt | None:
    if step.attempt is None:
        return None
    return Attempt(
        attempt=step.attempt,
        last_error=step.last_error,
        next_try=step.next_try,
        is_stopped=step.is_stopped,
        paused=step.paused,
    )


def _tried(attempt: Attempt) -> str:
    failed = f" The attempt before it failed: {attempt.last_error.rstrip('.')}." if attempt.last_error else ""
    if attempt.is_stopped and not attempt.paused:
        return f"waits. {attempt.last_error}"
    if attempt.paused:
        return f"is {attempt.paused}{failed and '.' + failed}"  # no full stop behind a command
    when = f"begins at {moment(attempt.next_try, with_seconds=True)}" if attempt.next_try else "is running"
    return f"is being retried: attempt {attempt.attempt} {when}.{failed}"
