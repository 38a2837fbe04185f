"""Leave updates unanswered that are too large for the server to store; the server then rejects them.

The server delivers updates of up to 4 MB to a worker, but cannot store more than 2 MB. The SDK's response to
an update contains the whole update, even if it is rejected. So each workflow task that answers such an update
would fail, and no other message of the run would be processed. If a workflow task succeeds without an answer
to an update, the server rejects the update.
"""

from typing import Final

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

LARGEST_UPDATES: Final = 2_000_000
"""The maximum total size of the new updates in one workflow task, in bytes: less than the server's limits of
2 MB for a payload and 4 MB for a response."""


class Runner(UnsandboxedWorkflowRunner):
    """Runs workflows without the updates that are too large."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Return an instance that does not get these updates."""
        instance = super().create_instance(det)
        activate = instance.activate

        def activate_bounded(act: WorkflowActivation) -> WorkflowActivationCompletion:
            _remove_large_updates(act)
            return activate(act)

        instance.activate = activate_bounded  # type: ignore[method-assign]  # the class is private
        return instance


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
