"""Decide whether a step may begin now, and check recorded start times.

`plangate.domain.times.start_times` computes the times. `RunState.beginning` contains those that apply: the
plan's earliest start, the end of the cooling off, and the windows and freezes of its rules.
"""

from datetime import datetime, timedelta
from typing import Final

from plangate.domain.policies.requirement import Requirement
from plangate.domain.runs.audit import Drafted, Reopened
from plangate.domain.runs.run import Phase, RunState, StepState
from plangate.domain.times.calendars import Calendar
from plangate.domain.times.start_times import search_of, start_times, start_times_before

FARTHEST: Final = timedelta(days=366)
"""How far in the future a plan's earliest start may be."""


def why_too_early(state: RunState, at: datetime) -> str:
    """Return the reason why no step may begin yet at that time.

    It is empty if a step may begin, or if no step can ever begin.
    """
    first, beginning = state.beginning.first(at), state.beginning
    if first is None or first <= at:
        return ""
    if beginning.cooling_until is not None and at < beginning.cooling_until:
        return f"approvals can be withdrawn until {_moment(beginning.cooling_until)}"
    if beginning.not_before is not None and at < beginning.not_before:
        return f"the plan does not begin before {_moment(beginning.not_before)}"
    return f"its rules allow no step to begin before {_moment(first)}"


def why_too_late(state: RunState) -> str:
    """Return the reason why no step can begin now or later, as a clause."""
    end = state.beginning.end
    by = ", ".join(one.name for one in _calendars(state.drafted.requirement)) if state.drafted else ""
    when = f"after {_moment(end)}" if end is not None else "at any time"
    return f"no step may begin {when}, because of the windows and freezes of its rules ({by})"


def missed_start_times(state: RunState, at: datetime) -> bool:
    """Return whether no step of an approved plan has begun or can still begin."""
    is_untouched = not state.claimed and not state.resolutions
    is_untouched = is_untouched and all(one.state is StepState.PENDING for one in state.steps)
    return state.phase is Phase.EXECUTING and is_untouched and state.beginning.first(at) is None


def wrong_start_times(event: Drafted | Reopened, drafted: Drafted | None = None) -> str | None:
    """Compute the start times of a review again from its facts, and return the error in the recorded ones.

    Args:
        event: the event that opened the review.
        drafted: its plan, if the review was reopened.
    """
    plan, began = (event.plan, event.drafted_at) if isinstance(event, Drafted) else (None, event.reopened_at)
    if plan is None:
        assert drafted is not None
        plan = drafted.plan
    requirement = event.requirement or (drafted.requirement if drafted else None)
    assert requirement is not None
    if not _calendars(requirement):
        return "has start times, but no rule requires any" if event.starts is not None else None
    if event.starts is None:
        return "does not contain the times in which its steps may begin"
    named = {one.name for one in _calendars(requirement)}
    if {one.calendar for one in event.starts.facts} != named:
        return "has start times from calendars other than those of its rules"
    search = search_of(began, event.deadline, plan.not_before, requirement.cooling_seconds)
    given = requirement.windows, requirement.freezes, event.starts.facts, search
    is_right = event.starts.spans in (start_times(*given), start_times_before(*given, began))
    return None if is_right else "has start times that differ from those of its rules"


def _calendars(requirement: Requirement) -> tuple[Calendar, ...]:
    return (*requirement.windows, *requirement.freezes)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
