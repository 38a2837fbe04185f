"""Write to the records from a run: with a local activity, and with waits outside the workflow task.

A local activity is part of its workflow task. Endless retries would keep the task open: the server would
write three events every eight seconds, and end the run after some days. The local activity is therefore tried
twice. Then an ordinary activity waits (`activities.waiting_for_records`), and the run continues.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.tasks import WaitTask
    from activities.waiting_for_records import Waiting
    from plangate.domain.base import AwareDatetime, Frozen
    from plangate.domain.errors import (
        DirectoryUnavailable,
        IdInUse,
        NotApproved,
        OtherRecords,
        RecordsUnavailable,
        RequestInvalid,
        TrailDamaged,
    )
    from plangate.domain.escaping import cut
    from workflows import options

MAX_REASON: Final = 10_000
LONGEST_REASON: Final = MAX_REASON + 100  # including the note that it was cut
# Outages that are over when `Waiting.wait_for_records` returns, so that a retry may follow soon.
_OUTAGES: Final = frozenset(
    one.__name__ for one in (RecordsUnavailable, DirectoryUnavailable, OtherRecords, TrailDamaged)
)
_DAMAGED: Final = TrailDamaged.__name__
# Permanent failures: such a run was never recorded. All other failures can be repaired, so the run waits.
_REFUSALS: Final = frozenset(one.__name__ for one in (NotApproved, IdInUse, RequestInvalid, TrailDamaged))
_FINAL: Final = frozenset(one.__name__ for one in (IdInUse, RequestInvalid))
Task = TypeVar("Task")
Result = TypeVar("Result")


class RecordingFailure(Frozen):
    """The reason why something cannot be recorded, and the time of the first failure."""

    cause: str
    since: AwareDatetime


class Recording:
    """Writes entries of one kind, one at a time.

    Attributes:
        failure: why the next entry cannot be written now; None if it can.
        is_trying: whether it is being written now, so that it may already be recorded.
    """

    def __init__(self, *, needs_people: bool) -> None:
        self._needs_people = needs_people
        self.is_trying = False
        self.failure: RecordingFailure | None = None

    @property
    def waits_outside(self) -> bool:
        """Whether an entry is waiting and no attempt is in progress, so the run may continue without it."""
        return self.failure is not None and not self.is_trying

    def why_not_written(self, otherwise: str) -> str:
        """Return why the next entry cannot be written now, or ``otherwise`` if it can."""
        return self.failure.cause if self.failure is not None else otherwise

    def resume(self, failure: RecordingFailure | None) -> None:
        """Continue the wait of the previous run; the write is retried first."""
        self.failure, self.is_trying = failure, failure is not None

    async def write(
        self,
        activity: Callable[[Any, Task], Awaitable[Result]],
        make_task: Callable[[], Task],
        may_begin: Callable[[], bool] = lambda: True,
    ) -> Result:
        """Write what ``make_task`` returns, with retries, and return the result, however long that takes.

        No attempt is made before ``may_begin`` is true.

        Raises:
            FailureError: the entry can never be written, because the run was never recorded.
        """
        rounds = 0
        while True:
            if not may_begin():
                self.is_trying = False
                await workflow.wait_condition(may_begin)
            self.is_trying = True
            try:
                result = await workflow.execute_local_activity_method(activity, make_task(), **options.RECORD)
            except FailureError as error:
                failure = error
            else:
                self.failure = None
                return result
            finally:
                self.is_trying = False
            if _is_final(failure):
                self.failure = None
                raise failure
            since = self.failure.since if self.failure else workflow.now()
            self.failure = RecordingFailure(cause=reason_of(failure), since=since)
            await self._wait_outside(rounds, failure)
            rounds += 1

    async def _wait_outside(self, rounds: int, failure: FailureError) -> None:
        """Wait until a retry may succeed; ``rounds`` retries have failed so far."""
        if rounds:
            longest = options.LONGEST_PAUSE if _is_outage(failure) else options.LONGEST_PAUSE_OF_A_FAULT
            pause = min(timedelta(seconds=2 ** min(rounds, 20)), longest)
            await workflow.sleep(pause, summary="it could not be recorded")
        # Otherwise another request may be recorded under this id, which is not damage.
        chain_id = workflow.info().first_execution_run_id if _type_of(failure) == _DAMAGED else ""
        await workflow.execute_activity_method(
            Waiting.wait_for_records,
            WaitTask(needs_people=self._needs_people, chain_id=chain_id),
            summary="waits until it can be recorded",
            **options.WAIT,
        )


def reason_of(error: FailureError) -> str:
    """Return the reason why an activity failed, in one sentence that fits into a message."""
    cause = _unwrapped(error)
    if isinstance(cause, ApplicationError):
        return cut(cause.message, MAX_REASON)
    return cut(f"{type(cause).__name__}: {cause}", MAX_REASON)


def is_refusal(error: FailureError) -> bool:
    """Return whether the record rules out a step entirely, so that no decision can make it continue."""
    return _type_of(error) in _REFUSALS


def has_nothing_to_do(error: FailureError) -> bool:
    """Return whether, according to the record, there is nothing to do."""
    return _type_of(error) == NotApproved.__name__


def _unwrapped(error: FailureError) -> BaseException:
    """Return the activity's own error; a local activity's failure is not always wrapped."""
    return error.cause or error if isinstance(error, ActivityError) else error


def _is_final(error: FailureError) -> bool:
    cause = _unwrapped(error)
    return isinstance(cause, ApplicationError) and cause.non_retryable and cause.type in _FINAL


def _is_outage(error: FailureError) -> bool:
    return _type_of(error) in _OUTAGES


def _type_of(error: FailureError) -> str | None:
    cause = _unwrapped(error)
    return cause.type if isinstance(cause, ApplicationError) else None
