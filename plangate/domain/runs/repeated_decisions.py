"""Recognize edits and resolutions that are received again after a reset of the run, or after its worker died.

The record includes such a decision, but the state of the run does not. The same decision can then be accepted
again, so that the run matches its record; a different one is refused.
"""

from collections.abc import Callable, Sequence

from plangate.domain.decisions.decision import Arrival, Choice, Decision
from plangate.domain.people.people import Identified, same_person
from plangate.domain.runs.audit import Decided, Event
from plangate.domain.runs.fold import changes_run, fold
from plangate.domain.runs.review import judge
from plangate.domain.runs.run import RunState


def repeats(
    workflow_id: str,
    events: Sequence[Event],
    repeated: Decided,
    is_match: Callable[[RunState], bool] = lambda _: True,
) -> bool:
    """Return whether an edit or a resolution repeats an earlier accepted one.

    It must also be acceptable in the state in which the earlier one was accepted. A copy by the same person
    needs no new proof: the signature was already used for the first one, and the copy changes nothing.

    Args:
        workflow_id: the run.
        events: the earlier events.
        repeated: the decision.
        is_match: returns whether an earlier decision is the repeated one, given the state in which it was
            accepted.
    """
    arrival = repeated.arrival
    if arrival.decision is None or arrival.decision.decision not in (Choice.EDIT, Choice.RESOLVE):
        return False
    for index, event in enumerate(events):
        if (
            not isinstance(event, Decided)
            or not event.verdict.accepted
            or not _is_same_decision(event.arrival, arrival)
        ):
            continue
        before, sender = fold(workflow_id, events[:index]), _sender(event, repeated)
        if (
            is_match(before)
            and changes_run(before, event)
            and judge(before, arrival, sender).verdict.accepted
        ):
            return True
    return False


def _sender(earlier: Decided, repeated: Decided) -> Identified:
    first, second = earlier.approver, repeated.approver
    is_copy = first is not None and second is not None and same_person(first.name, second.name)
    return Identified(approver=first if is_copy else second)


def _is_same_decision(one: Arrival, other: Arrival) -> bool:
    """Return whether two messages are the same edit or the same resolution, regardless of who sent them."""
    if one.key == other.key or one.decision is None or other.decision is None:
        return False
    return _content(one.decision) == _content(other.decision)


def _content(decision: Decision) -> tuple[object, ...]:
    return decision.decision, decision.new_plan, decision.step, decision.resolution, decision.hold
