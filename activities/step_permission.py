"""Check whether the records permit a step to begin now.

It must be the next step of the approved plan (`plangate.domain.runs.review.authorise`), neither too early nor
too late, according to the current time of the Temporal server. If an approval is no longer valid, the review
is reopened (`activities.step_attempt`). If an earlier attempt may have acted, `why_not_repeat` returns why
its effect may only be looked up.
"""

from activities.heartbeat import ServerClock
from activities.tasks import StepTask
from plangate.domain.errors import NotApproved, StepTooEarly, ToolRefused
from plangate.domain.people.people import People
from plangate.domain.runs.review import authorise, authorise_undo
from plangate.domain.runs.revocation import invalid_approvals, invalid_resolution
from plangate.domain.runs.run import (
    Phase,
    RunState,
    StepProgress,
    StepState,
    UndoProgress,
    approval_was_withdrawn,
    key_of,
)
from plangate.domain.runs.starting import why_too_early, why_too_late


class StepPermission:
    """Checks one step, or its undo, against the recorded state of its run."""

    def __init__(self, task: StepTask, key: str, clock: ServerClock) -> None:
        """Create the object; ``key`` is the idempotency key of the step's effect."""
        self._task = task
        self._key = key
        self._clock = clock

    def raise_recorded_failure(self, state: RunState) -> None:
        """Refuse a step that is recorded as failed; its worker died before it could report the failure.

        Raises:
            ToolRefused: it failed; a person has to resolve it.
        """
        stopped = progress_in(state, self._task)
        if stopped is not None and stopped.state is StepState.FAILED:
            raise ToolRefused(stopped.reason)

    def is_retried(self, state: RunState) -> bool:
        """Return whether a person asked to retry an effect in doubt, which is then recorded as pending."""
        progress = progress_in(state, self._task)
        return progress is not None and progress.state is StepState.PENDING

    def authorise(self, state: RunState) -> None:
        """Check that the record allows this step, or its undo, under this idempotency key.

        Raises:
            NotApproved: the record does not allow it.
        """
        task = self._task
        if task.undo:
            authorise_undo(state, task.fingerprint, task.step)
        else:
            authorise(state, task.fingerprint, task.step)
        if key_of(state, task.step, undo=task.undo) != self._key:
            raise NotApproved(f"Step {task.step} has another idempotency key in the records.")

    def check_start_time(self, state: RunState) -> None:
        """Refuse a step that may not begin yet; the run itself only waits for the server's timer.

        Raises:
            StepTooEarly: according to the record, it may not begin yet.
        """
        now = self._clock.now()
        first = state.waits_until(now)
        if first is not None:
            raise StepTooEarly(f"{_sentence(why_too_early(state, now))}; nothing was done.", first - now)

    def why_too_late_to_begin(self, state: RunState, people: People | None) -> str | None:
        """Return the reason why a step may no longer begin: it is too late, or its resolution is invalid."""
        now = self._clock.now()
        if not self._task.undo and state.beginning.first(now) is None:
            return f"{_sentence(why_too_late(state))}."
        return invalid_resolution(state, people, now) if people is not None else None

    def why_not_repeat(self, state: RunState, people: People | None) -> str:
        """Return the reason why an earlier attempt's effect must not be repeated now, or an empty string."""
        why: str | None
        if self._task.undo:
            why = self.why_too_late_to_begin(state, people)
        else:
            now = self._clock.now()
            lost = [f"{one.reason}." for one in invalid_approvals(state, people, now)]
            early = why_too_early(state, now)
            why = next(iter(lost), None) or (f"{_sentence(early)}." if early else None)
            why = why or self.why_too_late_to_begin(state, people)
        return f"An earlier attempt may have done it, and it must not be repeated now. {why}" if why else ""


def progress_in(state: RunState, task: StepTask) -> StepProgress | UndoProgress | None:
    """Return the recorded progress of the step, or of its undo; None if it belongs to another plan."""
    if state.fingerprint != task.fingerprint or not 1 <= task.step <= len(state.steps):
        return None
    progress = state.steps[task.step - 1]
    return progress.part(undo=task.undo)


def is_ahead(record: RunState, task: StepTask) -> bool:
    """Return whether the record has a hold or a resolution that the run does not have, e.g. after a reset."""
    return record.fingerprint == task.fingerprint and (
        record.phase is Phase.HELD or record.resolutions > task.resolutions
    )


def is_no_longer_executed(record: RunState, fingerprint: str) -> bool:
    """Return whether this plan was approved, but is no longer being executed according to the records."""
    if record.fingerprint != fingerprint or record.phase is Phase.EXECUTING:
        return False
    return record.reopened is not None or approval_was_withdrawn(record)


def _sentence(clause: str) -> str:
    return clause[:1].upper() + clause[1:]
