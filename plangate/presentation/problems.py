"""Describe why a run does not proceed: it is retried, paused, or cannot be recorded."""

import re
from collections.abc import Iterator
from typing import Final

from plangate.domain.plans.tool import STEP_TRIES
from plangate.domain.runs.status import Attempt, Status, StepStatus, Unrecorded
from plangate.presentation.clock import FormatTime, moment
from plangate.presentation.words import UNKNOWN_SENDER, spelled, step_name

_LOOKED_UP_LATER: Final = "it will be looked up again later"
"""The end of the error message of an attempt whose effect may still happen (`activities.execution`)."""
_MAY_STILL_HAPPEN: Final = re.compile(
    rf"(?:,? but it|\.? ?\bIt) may still happen, so {_LOOKED_UP_LATER}\.?\Z"
)


def problems(status: Status, format_time: FormatTime = moment) -> Iterator[str]:
    """Yield a sentence for each problem that delays the run now; ``format_time`` formats its times."""
    yield from (said for _, said in problems_by_cause(status, format_time))


def problems_by_cause(status: Status, format_time: FormatTime = moment) -> Iterator[tuple[str, str]]:
    """Yield each of these sentences with its cause, which is the same in every attempt."""
    if status.unrecorded is not None:
        yield status.unrecorded.cause, _unrecorded(status.unrecorded, format_time)
    for one in status.unmet:
        yield one.what, f"Needs {one}."
    if status.drafting is not None:
        tried = _tried(status.drafting, format_time)
        said = _lost_draft(status, format_time) or f"The draft of revision {status.revision + 1} {tried}"
        yield status.drafting.paused or status.drafting.last_error, said
    for step in status.steps:
        attempt = _attempt(step)
        if attempt is not None:
            name = f"{step_name(step.number, len(status.steps))}, {step.tool},"
            said = (
                _lost_step(name, attempt, format_time)
                or _unknown_step(name, attempt, format_time)
                or f"{name} {_tried(attempt, format_time)}{_how_long(attempt)}"
            )
            yield attempt.paused or attempt.last_error, said


def is_unknown(step: StepStatus) -> bool:
    """Return whether a step was called, its result is not known, and it is looked up again."""
    attempt = _attempt(step)
    return attempt is not None and _is_unknown(attempt)


def _is_unknown(attempt: Attempt) -> bool:
    return _LOOKED_UP_LATER in attempt.last_error and not attempt.is_stopped and not attempt.paused


def _lost_draft(status: Status, format_time: FormatTime) -> str:
    """State that a draft's worker does not respond; empty if it does."""
    draft = status.drafting
    if draft is None or draft.lost_since is None or draft.paused:
        return ""
    again = "again as soon as a worker runs" if draft.waits_for_worker else "again now"
    not_responding = _not_responding(draft, format_time)
    return f"{not_responding}; revision {status.revision + 1} was being drafted, and is drafted {again}."


def _lost_step(name: str, attempt: Attempt, format_time: FormatTime) -> str:
    """State that a step's worker does not respond, and that nothing is repeated unchecked; else empty."""
    if attempt.lost_since is None or attempt.paused:
        return ""
    lower = name[:1].lower() + name[1:]
    now = "" if attempt.waits_for_worker or attempt.next_try else f" Attempt {attempt.attempt} is running."
    return (
        f"{_not_responding(attempt, format_time)}; {lower} had begun.{now} A worker looks up "
        "whether it happened before it repeats anything."
    )


def _unknown_step(name: str, attempt: Attempt, format_time: FormatTime) -> str:
    """State that it is not known yet whether a step happened, and what follows; empty if that is known."""
    if not _is_unknown(attempt):
        return ""
    known = attempt.model_copy(update={"last_error": _MAY_STILL_HAPPEN.sub("", attempt.last_error)})
    when = "now"
    if attempt.next_try:
        when = f"at {format_time(attempt.next_try, with_seconds=True)}"
    elif attempt.waits_for_worker:
        when = "as soon as a worker runs"
    return (
        f"{name} was called, and its result is not known. It is looked up again {when}. It is repeated only "
        f"if it certainly did not happen; if that remains unknown, the run is held.{_failed(known)}"
    )


def _not_responding(attempt: Attempt, format_time: FormatTime) -> str:
    assert attempt.lost_since is not None
    who = "No worker has" if attempt.waits_for_worker else "Its worker has not"
    return f"{who} answered since {format_time(attempt.lost_since, with_seconds=True)}"


def _how_long(attempt: Attempt) -> str:
    """Describe how long a step will be retried; a step that waits for people is not retried."""
    if attempt.is_stopped or attempt.paused:
        return ""
    return f" A tool that fails is tried {STEP_TRIES} times, over about half an hour; then the run is held."


def _unrecorded(what: Unrecorded, format_time: FormatTime) -> str:
    waiting = [*_decisions(what), *(["the outcome"] if what.outcome else [])]
    verb = "have" if what.decisions > 1 or len(waiting) > 1 else "has"
    since = format_time(what.since, with_seconds=True)
    kept = f"{' and '.join(waiting)} {verb} been waiting since {since}"
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
        lost_since=step.lost_since,
        waits_for_worker=step.waits_for_worker,
    )


def _failed(attempt: Attempt) -> str:
    return f" The attempt before it failed: {attempt.last_error.rstrip('.')}." if attempt.last_error else ""


def _tried(attempt: Attempt, format_time: FormatTime) -> str:
    failed = _failed(attempt)
    if attempt.is_stopped and not attempt.paused:
        return f"waits. {attempt.last_error}"
    if attempt.paused:
        return f"is {attempt.paused}{failed and '.' + failed}"  # no full stop after a command
    when = "is running"
    if attempt.next_try:
        when = f"begins at {format_time(attempt.next_try, with_seconds=True)}"
    elif attempt.waits_for_worker:
        when = "waits for a worker"
    return f"is being retried: attempt {attempt.attempt} {when}.{failed}"
