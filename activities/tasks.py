"""What the workflow hands to its activities, and what comes back where it is no event of the trail."""

from pydantic import JsonValue

from plangate.domain.audit import Closed, Event, Outcome, Reopened, RunRef, StepDone
from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.decision import Arrival
from plangate.domain.plan import Plan
from plangate.domain.run import RunState


class DraftTask(Frozen):
    """Draft revision ``revision``: of the supplied plan if there is one, of the request else."""

    run: RunRef
    revision: int
    supplied: JsonValue = None
    feedback: str = ""
    previous: Plan | None = None


class AdmitTask(Frozen):
    """Judge these arrivals as the run stands, in their order."""

    run: RunRef
    state: RunState
    arrivals: tuple[Arrival, ...]


class StepTask(Frozen):
    """Execute step ``step`` (from 1) of exactly this plan."""

    run: RunRef
    plan: Plan
    revision: int
    fingerprint: str
    step: int
    tries: int


class StepResult(Frozen):
    """What came of a step: it is done (and the run closed with the last), or the review is open again.

    ``record`` is the state by the record where that left the execution before the run did.
    """

    done: StepDone | None = None
    closed: Closed | None = None
    reopened: Reopened | None = None
    record: RunState | None = None


class CloseTask(Frozen):
    """Close the run; ``step`` is the one that did not get done, where the outcome came of a step."""

    run: RunRef
    outcome: Outcome
    reason: str
    at: AwareDatetime
    fingerprint: str | None = None
    step: int | None = None


class CloseResult(Frozen):
    """What was written down at the close, in order."""

    events: tuple[Event, ...]


class WaitTask(Frozen):
    """Wait until the records can be written, and the list of people be read if that is needed too.

    The trail of the run that waits is to be readable, and that of the chain ``chain_id``, where one is given.
    """

    needs_people: bool
    chain_id: str = ""
