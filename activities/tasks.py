"""The inputs of the activities, and the results that are not events on the trail.

Only tasks that may open a run's trail contain the request: the draft, an admission (in its state) and the
close.
"""

from pydantic import JsonValue

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.decisions.decision import Arrival
from plangate.domain.plans.plan import Plan
from plangate.domain.runs.audit import Closed, Event, Outcome, Reopened, RunRef, StepDone, StepUndone
from plangate.domain.runs.run import RunState


class DraftTask(Frozen):
    """Draft revision ``revision``: from the supplied plan if there is one, otherwise from the request.

    ``is_edit``: the plan comes from the last accepted edit in the records. ``at`` is the workflow's time, for
    a draft inside its task.
    """

    run: RunRef
    revision: int
    supplied: JsonValue = None
    is_edit: bool = False
    at: AwareDatetime | None = None
    feedback: str = ""
    previous: Plan | None = None

    def requested_by(self, name: str) -> "DraftTask":
        """Return this task with this spelling of the requester's name."""
        requested = self.run.requested
        if requested is None or requested.requester == name:
            return self
        requested = requested.model_copy(update={"requester": name})
        return self.model_copy(update={"run": self.run.model_copy(update={"requested": requested})})


class KeepTask(Frozen):
    """Keep the plan in review, because the edit for revision ``revision`` cannot be drafted."""

    run: RunRef
    revision: int
    reason: str
    at: AwareDatetime


class AdmitTask(Frozen):
    """Check these received decisions in order, against the run's state."""

    run: RunRef
    state: RunState
    arrivals: tuple[Arrival, ...]

    def opening(self) -> RunRef:
        """Return the run with its request, for a decision that arrived before the draft opens the trail."""
        return self.run.model_copy(update={"requested": self.state.requested})


class StepTask(Frozen):
    """Execute step ``step`` (from 1) of exactly this plan, or undo it.

    Attributes:
        requested_at: when the request arrived.
        undo: whether to undo the step's effect.
        resolution: the number of the resolution that is part of the idempotency key; 0 for the first try.
        resolutions: the number of resolutions that the run has accepted.
    """

    run: RunRef
    requested_at: AwareDatetime
    plan: Plan
    revision: int
    fingerprint: str
    step: int
    undo: bool = False
    resolution: int = 0
    resolutions: int = 0


class StepResult(Frozen):
    """The result of a step: done (the last step also closes the run), undone, or the review is reopened.

    ``record`` is the recorded state if, according to the record, the plan is no longer being executed, but
    the run still executes it.
    """

    done: StepDone | None = None
    undone: StepUndone | None = None
    closed: Closed | None = None
    reopened: Reopened | None = None
    record: RunState | None = None


class HoldTask(Frozen):
    """Hold the run at step ``step``, or at its undo, which ended at ``at`` because of ``reason``.

    ``resolutions`` is the number of resolutions that the run has accepted; ``requested_at`` is when the
    request arrived according to Temporal, or None in tasks from older workers.
    """

    run: RunRef
    fingerprint: str
    step: int
    undo: bool = False
    reason: str
    at: AwareDatetime
    resolutions: int = 0
    requested_at: AwareDatetime | None = None


class HoldResult(Frozen):
    """The recorded state after the hold, or why the record rules out a hold, which ends the run."""

    record: RunState
    refusal: str = ""


class CloseTask(Frozen):
    """Close the run; ``step`` is the step that was not done, or not undone, if that led to the outcome."""

    run: RunRef
    outcome: Outcome
    reason: str
    at: AwareDatetime
    fingerprint: str | None = None
    step: int | None = None
    undo: bool = False


class CloseResult(Frozen):
    """The events that were recorded when the run was closed, in order."""

    events: tuple[Event, ...]


class WaitTask(Frozen):
    """Wait until the records can be written and, if needed, the list of people can be read.

    The trail of the waiting run must be readable, and must belong to the chain ``chain_id`` if that is given.
    """

    needs_people: bool
    chain_id: str = ""


class MessageTask(Frozen):
    """Check or record a message that does not belong to a run.

    Attributes:
        key: identifies this message: the first run id of the chain of Temporal runs that sent it. A reset,
            a retry or a cron job therefore does not create a second request.
        inputs: the inputs, as sent.
        received_at: when the server received it.
        at: the current time, by the server's clock.
    """

    key: str
    inputs: tuple[JsonValue, ...]
    received_at: AwareDatetime
    at: AwareDatetime
