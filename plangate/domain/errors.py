"""All of Plangate's errors, grouped by who must act.

The message of each error is one sentence for a person: what is wrong and what to do.

    PlangateError
    ├── BadInput                 the sender fixes what was sent
    │   ├── PlanInvalid          contains every error with its location
    │   ├── RequestInvalid
    │   ├── IdInUse
    │   └── RunNotFound
    ├── Refused                  not allowed; nothing was done
    │   ├── NotApproved
    │   └── StatusContradicts    the status is inconsistent, so it is not shown
    ├── PlannerError             the operator or the requester checks the model
    │   ├── NoModel              permanent: nothing is configured
    │   ├── ModelRefused         permanent: the model's service refused
    │   ├── ModelUnavailable     transient
    │   └── DraftUnusable        permanent: the model's response is not a plan
    ├── ToolError                raised by tools, one for each possible state of the effect
    │   ├── ToolUnavailable      transient; nothing happened
    │   ├── ToolRefused          permanent; nothing happened
    │   │   └── StepUnready      before the step: a precondition is no longer met, or a reference has no value
    │   ├── OutcomePending       transient; it may have happened, and the tool can be asked later
    │   └── EffectUnknown        it may have happened: the step is in doubt
    ├── InDoubt                  a person must check what the step did
    ├── NotAnswered              the sender starts a worker and checks again
    ├── ListIncomplete           the status of some listed runs cannot be read; contains the error of each
    ├── StepStopped              transient: the step waits until people release the stop
    ├── StepTooEarly             transient: approvals can still be withdrawn, or the start time is not reached
    ├── WorkerStopping           transient: another worker takes over
    ├── RecordsUnavailable       transient: the operator checks the database
    │   └── OtherRecords         transient: a worker with the run's own records takes over
    ├── DirectoryUnavailable     transient: the operator fixes the list of people
    └── OperatorError            the operator fixes the configuration
        ├── SettingsInvalid
        ├── FileInvalid          a policy or a list of people; contains every error with its location
        ├── NoWorkingTime        a calendar never has working time, or its zone or country is unknown
        ├── ToolInvalid          a tool's author fixes it; states file and line
        ├── PlannerInvalid       a planner's author fixes it; states file and line
        ├── RecordsMissing
        ├── TrailDamaged         the trail differs from what was written
        └── TemporalUnreachable
            └── TemporalDenied   the server responds, but refuses this client

``activities/temporal_failures.py`` alone decides which of them are retried.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from plangate.domain.escaping import one_line
from plangate.domain.faults import Fault
from plangate.domain.plurals import counted

_MOST_NAMED: Final = 5


class PlangateError(Exception):
    """The base of all errors that Plangate raises on purpose; ``str()`` is for people."""


class BadInput(PlangateError):
    """The input is invalid."""


class PlanInvalid(BadInput):
    """A plan is invalid; ``faults`` contains each error."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        listed = "; ".join(map(str, self.faults))
        super().__init__(f"The plan cannot be used ({counted(len(self.faults), 'error')}): {listed}")


class RequestInvalid(BadInput):
    """A request is malformed."""


class IdInUse(BadInput):
    """The workflow id is already used by another request, running or recorded."""


class RunNotFound(BadInput):
    """There is no run with that id, or no open one."""


class NotAnswered(PlangateError):
    """No worker responded."""


class ListIncomplete(PlangateError):
    """A list of runs is incomplete: some statuses cannot be read; ``unread`` maps each id to its error."""

    def __init__(self, unread: "Mapping[str, PlangateError]") -> None:
        self.unread = dict(unread)
        named = ", ".join(one_line(one) for one in list(self.unread)[:_MOST_NAMED])
        more = f" and {len(self.unread) - _MOST_NAMED:,} more" if len(self.unread) > _MOST_NAMED else ""
        first_of_each = {type(error): str(error) for error in reversed(self.unread.values())}
        it = "it" if len(self.unread) == 1 else "they"
        super().__init__(
            f"The status of {counted(len(self.unread), 'open run')} cannot be read, so {it} may wait for a "
            f"person: {named}{more}. {' '.join(reversed(first_of_each.values()))}"
        )


class Refused(PlangateError):
    """The action is not allowed."""


class NotApproved(Refused):
    """A step has no recorded approval of exactly this plan."""


class StatusContradicts(Refused):
    """The parts of a status contradict each other, so it is neither shown nor signed."""


class PlannerError(PlangateError):
    """The request did not lead to a plan."""


class NoModel(PlannerError):
    """The worker has no model to plan with."""


class ModelRefused(PlannerError):
    """The model's service refused: a wrong key, no permission, an unknown model, a bad request."""


class ModelUnavailable(PlannerError):
    """The model's service did not respond, or asked to retry later."""


class DraftUnusable(PlannerError):
    """The model's response is not a plan."""


class ToolError(PlangateError):
    """A tool did not do what the step asked."""


class ToolUnavailable(ToolError):
    """Nothing happened; a retry may succeed.

    ``after`` is how long the remote system asks to wait (``Retry-After``); None for the usual pause.
    """

    def __init__(self, message: str, after: timedelta | None = None) -> None:
        super().__init__(message)
        self.after = after


class ToolRefused(ToolError):
    """Nothing happened; a retry is pointless."""


class StepUnready(ToolRefused):
    """The step did not begin: its precondition is no longer met, or a reference cannot be resolved."""


class OutcomePending(ToolError):
    """The effect may have happened; the claim stays open until the tool can be asked again.

    ``again`` is when to ask; None for the usual pause.
    """

    def __init__(self, message: str, again: timedelta | None = None) -> None:
        super().__init__(message)
        self.again = again


class EffectUnknown(ToolError):
    """The effect was started, and the tool cannot find out whether it happened."""


class InDoubt(PlangateError):
    """A step's effect was started and its result is unknown; a person must check it before it is repeated."""


class StepStopped(PlangateError):
    """People have stopped all steps, or those of one tool; nothing was done."""


class StepTooEarly(PlangateError):
    """A step may not begin yet; ``again`` is how long to wait."""

    def __init__(self, message: str, again: timedelta) -> None:
        super().__init__(message)
        self.again = again


class WorkerStopping(PlangateError):
    """The worker is stopping; another worker repeats this work, which has had no effect."""


class RecordsUnavailable(PlangateError):
    """The database of the records is unavailable."""


class OtherRecords(RecordsUnavailable):
    """This worker's records are not those of the run."""


class DirectoryUnavailable(PlangateError):
    """The list of people cannot currently be read, so no decision can be checked."""


class OperatorError(PlangateError):
    """The configuration is incomplete or wrong."""


class SettingsInvalid(OperatorError):
    """A setting has a value that cannot be used."""


class FileInvalid(OperatorError):
    """A policy or a list of people is invalid; ``faults`` contains each error."""

    def __init__(self, path: str, faults: Sequence[Fault]) -> None:
        self.path = path
        self.faults = tuple(faults)
        listed = "; ".join(map(str, self.faults))
        super().__init__(f"{path} cannot be used ({counted(len(self.faults), 'error')}): {listed}")


class NoWorkingTime(OperatorError):
    """A calendar has too little working time, or its zone or country is not available on this system."""


class ToolInvalid(OperatorError):
    """A tool cannot be used as its author wrote it."""


class PlannerInvalid(OperatorError):
    """A planner cannot be used as its author wrote it."""


class RecordsMissing(OperatorError):
    """There are no records to read yet."""


class TrailDamaged(OperatorError):
    """A run's trail differs from what was written, so the run cannot continue."""


class TemporalUnreachable(OperatorError):
    """The Temporal server cannot be reached, or does not respond."""


class TemporalDenied(TemporalUnreachable):
    """The Temporal server refuses this client: an unknown namespace, a wrong key or certificate."""
