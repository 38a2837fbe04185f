"""The task of an activity that processes the input of a workflow outside a run."""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.tasks import MessageTask


def message_task(*inputs: Any) -> MessageTask:
    """Return the current workflow's inputs as a task; one input that is None stands for no input."""
    info = workflow.info()
    return MessageTask(
        key=info.first_execution_run_id,
        inputs=() if inputs == (None,) else inputs,
        received_at=info.start_time,
        at=workflow.now(),
    )
