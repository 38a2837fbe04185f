"""Run workflows past limits of the SDK, each of which would block a run for ever.

* An update of 2 to 4 MB reaches a worker, but the server cannot store it. The SDK's response to an update
  contains the whole update, even if it is rejected, so each workflow task that answers it would fail. Such an
  update gets no answer: if a workflow task succeeds without an answer to an update, the server rejects it.
* The SDK answers a query while a local activity runs, by completing the workflow task. If the activity ends
  at that moment, the history contains its result, but not what the workflow does next. The SDK then repeats
  this without the messages to the server, or in another order (docs/decisions/0081). So the queries of a
  workflow task are answered when its local activities have ended.
* If a local activity ends between two workflow tasks, the workflow gets its result together with the news of
  the second one. A replay delivers it after them. So they are always processed in this order.
* A query that waited for a worker arrives with the whole history, which may already contain news for the next
  workflow task. The SDK would process them with the query, before the messages that the task brings; a
  replay processes all of them at once. So such a query fails. It is recognized by the time of the workflow
  and the size of the history, which only a workflow task changes. The size alone may stay the same: the
  server counts the events of a repeated workflow task when the next one has already started.
* If a history cannot be replayed, the SDK logs this only at the first attempt of a workflow task.
"""

import logging
from collections.abc import Callable, Sequence
from shlex import quote
from typing import Final, NamedTuple, Self

from temporalio.bridge.proto.workflow_activation import (
    RemoveFromCache,
    WorkflowActivation,
    WorkflowActivationJob,
)
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

LARGEST_UPDATES: Final = 2_000_000
"""The maximum total size of the new updates in one workflow task, in bytes: less than the server's limits of
2 MB for a payload and 4 MB for a response."""
_QUERY_WITHOUT_TASK: Final = "legacy_query"
"""The id that the SDK gives to a query that does not belong to a workflow task."""
_NO_TASK: Final = (
    "The run has received something that no workflow task has processed yet. Query it again; if the run was "
    "terminated or reset, read its record with starter.py status."
)
_NOT_REPLAYABLE: Final = (
    "The history of this run cannot be replayed, so this worker cannot continue it. Restore the version of "
    "the worker that wrote the history, or start the run again from its record: temporal workflow reset "
    "-w {} --type FirstWorkflowTask --reason '…'"
)
_log = logging.getLogger(__name__)


class Runner(UnsandboxedWorkflowRunner):
    """Runs workflows without the sandbox, and within these limits."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Return an instance whose activations are checked first."""
        instance = super().create_instance(det)
        activations = _Activations(instance.activate, det.info.workflow_id)
        instance.activate = activations.process  # type: ignore[method-assign]  # the class is private
        return instance


class _Position(NamedTuple):
    """How far a run has processed its history."""

    length: int  # in events
    size: int  # of the history at the start of the last workflow task, in bytes
    time: int  # of the workflow, in nanoseconds since 1970

    @classmethod
    def of(cls, act: WorkflowActivation) -> Self:
        return cls(act.history_length, act.history_size_bytes, act.timestamp.ToNanoseconds())


class _Activations:
    """The activations of one run, in order."""

    def __init__(
        self, activate: Callable[[WorkflowActivation], WorkflowActivationCompletion], workflow_id: str
    ) -> None:
        self._activate = activate
        self._workflow_id = workflow_id
        self._local_activities: set[int] = set()  # those that are running
        self._queries: WorkflowActivation | None = None  # those that are answered later in this task
        self._last = _Position(0, 0, 0)

    def process(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        """Process an activation, within the limits."""
        _remove_large_updates(act)
        _log_if_not_replayable(act, self._workflow_id)
        last, self._last = self._last, _Position.of(act)
        if self._last.length > last.length:
            is_new_task = (self._last.size, self._last.time) != (last.size, last.time)
            if not act.is_replaying and not is_new_task:
                return _failed(_NO_TASK)
            self._queries = None  # the server sends them again with the new workflow task
        if self._local_activities and _is_answered_with_task(act):
            self._queries = act
            return _no_commands()
        completion = self._processed(_one_by_one(act))
        if self._queries is not None and not self._local_activities and _may_end_task(completion):
            completion.MergeFrom(self._activate(self._queries))
            self._queries = None
        return completion

    def _processed(self, acts: Sequence[WorkflowActivation]) -> WorkflowActivationCompletion:
        """Process activations one after the other; return one completion with the commands of all."""
        completion: WorkflowActivationCompletion | None = None
        for act in acts:
            self._local_activities -= {job.resolve_activity.seq for job in act.jobs if _is_local_result(job)}
            processed = self._activate(act)
            if completion is None:  # nearly always the only one, which need not be copied
                completion = processed
            else:
                completion.MergeFrom(processed)
            if completion.HasField("failed"):
                break
            self._local_activities |= {
                command.schedule_local_activity.seq
                for command in completion.successful.commands
                if command.HasField("schedule_local_activity")
            }
        return _no_commands() if completion is None else completion


def _is_answered_with_task(act: WorkflowActivation) -> bool:
    """Whether the activation contains the queries of a workflow task; others come without a task."""
    return any(
        job.HasField("query_workflow") and job.query_workflow.query_id != _QUERY_WITHOUT_TASK
        for job in act.jobs
    )


def _may_end_task(completion: WorkflowActivationCompletion) -> bool:
    """Whether the workflow task may end here, as it does with the answer to a query.

    The SDK reports at once that an activity is cancelled, so the workflow continues in the same task.
    """
    return completion.HasField("successful") and not any(
        command.HasField("request_cancel_activity") for command in completion.successful.commands
    )


def _is_local_result(job: WorkflowActivationJob) -> bool:
    return job.HasField("resolve_activity") and job.resolve_activity.is_local


def _one_by_one(act: WorkflowActivation) -> list[WorkflowActivation]:
    """Return what a replay would process: each result of a local activity separately, at the end."""
    results = [job for job in act.jobs if _is_local_result(job)]
    others = [job for job in act.jobs if not _is_local_result(job)]
    batches = [*([others] if others else []), *([result] for result in results)]
    return [act] if len(batches) == 1 else [_with_jobs(act, jobs) for jobs in batches]


def _with_jobs(act: WorkflowActivation, jobs: Sequence[WorkflowActivationJob]) -> WorkflowActivation:
    copy = WorkflowActivation()
    copy.CopyFrom(act)
    del copy.jobs[:]
    copy.jobs.extend(jobs)
    return copy


def _failed(why: str) -> WorkflowActivationCompletion:
    completion = WorkflowActivationCompletion()
    completion.failed.failure.message = why
    return completion


def _no_commands() -> WorkflowActivationCompletion:
    completion = WorkflowActivationCompletion()
    completion.successful.SetInParent()
    return completion


def _remove_large_updates(act: WorkflowActivation) -> None:
    """Remove new updates in excess of the limit; a replayed one was already stored."""
    left = LARGEST_UPDATES
    for job in list(act.jobs):
        if job.HasField("do_update") and job.do_update.run_validator:
            size = job.do_update.ByteSize()
            if size > left:
                act.jobs.remove(job)
            else:
                left -= size


def _log_if_not_replayable(act: WorkflowActivation, workflow_id: str) -> None:
    for job in act.jobs:
        if (
            job.HasField("remove_from_cache")
            and job.remove_from_cache.reason == RemoveFromCache.NONDETERMINISM
        ):
            _log.error(
                _NOT_REPLAYABLE.format(quote(workflow_id)),
                extra={
                    "action": "not_replayable",
                    "workflow_id": workflow_id,
                    "error": job.remove_from_cache.message,
                },
            )
