"""Run workflows past three limits of the SDK, each of which would block a run for ever.

* An update of 2 to 4 MB reaches a worker, but the server cannot store it. The SDK's response to an update
  contains the whole update, even if it is rejected, so each workflow task that answers it would fail. Such an
  update gets no answer: if a workflow task succeeds without an answer to an update, the server rejects it.
* While a local activity runs, the SDK answers a query by completing the workflow task. If the activity ends
  at that moment, the history contains its result in this task, but the workflow gets the result in the next
  task, after the messages that arrived with it. A replay takes the result first, and its commands have
  another order than the history. So such a workflow task is failed before it changes anything; the server
  repeats it, and the worker starts from the history (docs/decisions/0081).
* If a history cannot be replayed, the SDK logs this only at the first attempt of a workflow task.
"""

import logging
from shlex import quote
from typing import Final

from temporalio.bridge.proto.workflow_activation import RemoveFromCache, WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

LARGEST_UPDATES: Final = 2_000_000
"""The maximum total size of the new updates in one workflow task, in bytes: less than the server's limits of
2 MB for a payload and 4 MB for a response."""
_MERGED: Final = (
    "The result of a local activity arrived together with newer messages. This workflow task is repeated, so "
    "that the run can be replayed; nothing is lost."
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
        """Return an instance that checks each activation first."""
        instance = super().create_instance(det)
        activate, processed = instance.activate, 0

        def activate_checked(act: WorkflowActivation) -> WorkflowActivationCompletion:
            nonlocal processed
            is_new_task, processed = act.history_length > processed, act.history_length
            if is_new_task and _merges_results(act):
                completion = WorkflowActivationCompletion()
                completion.failed.failure.message = _MERGED
                return completion
            _remove_large_updates(act)
            _log_if_not_replayable(act, det.info.workflow_id)
            return activate(act)

        instance.activate = activate_checked  # type: ignore[method-assign]  # the class is private
        return instance


def _merges_results(act: WorkflowActivation) -> bool:
    """Whether results of local activities come together with what the new workflow task brings."""
    results = [job for job in act.jobs if job.HasField("resolve_activity") and job.resolve_activity.is_local]
    return bool(results) and len(results) < len(act.jobs) and not act.is_replaying


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
