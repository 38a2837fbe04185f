"""Describe when a plan runs: its earliest time, its windows and freezes, and the first possible start."""

from collections.abc import Iterator
from datetime import datetime

from plangate.domain.runs.run import StepState
from plangate.domain.runs.status import Status
from plangate.domain.times.start_times import calendar_words
from plangate.presentation.clock import moment
from plangate.presentation.durations import from_now


def when_it_runs(status: Status, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield a label and words for each limit on when the plan runs; nothing if it can run at any time."""
    if status.plan is not None and status.plan.not_before is not None:
        is_models = status.planner is not None and not status.author
        by = "which the planner proposed" if is_models else "as the plan specifies"
        yield "not before", f"{moment(status.plan.not_before)}, {by}"
    if status.requirement is not None:
        for one in status.requirement.windows:
            yield "window", f"steps begin {calendar_words(one)} ({one.name})"
        for one in status.requirement.freezes:
            yield "freeze", f"no step begins {calendar_words(one)} ({one.name})"
    first = status.begins(now)
    if first is not None:
        yield "runs", f"at the earliest {moment(first)}, {from_now(first, now)}"
    elif status.can_never_begin(now):
        yield "runs", "never: no possible start time is left"


def begins_words(status: Status, now: datetime) -> str:
    """Return when the approved plan begins or continues, if it waits for a time; else empty."""
    until = status.waits_until(now)
    if until is None:
        return ""
    return f"at {moment(until, with_seconds=True)}, {from_now(until, now)}"


def can_withdraw_approvals(status: Status, now: datetime) -> bool:
    """Return whether approvals can be withdrawn while the plan waits, according to its status."""
    has_not_begun = all(step.state is StepState.PENDING and not step.is_begun for step in status.steps)
    return bool(status.approved_by) and status.waits_until(now) is not None and has_not_begun
