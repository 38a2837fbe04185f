"""What the workflows outside a run have in common: the task of their activity, and their page."""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.tasks import MessageTask
    from plangate.domain.decisions.delegations import DelegationAnswer
    from plangate.domain.runs.stops import StopAnswer


def message_task(*inputs: Any) -> MessageTask:
    """Return the current workflow's inputs as a task; one input that is None stands for no input."""
    info = workflow.info()
    return MessageTask(
        key=info.first_execution_run_id,
        inputs=() if inputs == (None,) else inputs,
        received_at=info.start_time,
        at=workflow.now(),
    )


def result_page(answer: StopAnswer | DelegationAnswer, without_reason: str) -> str:
    """Return the Web UI's page of a request: whether it was accepted, and why."""
    verdict = {True: "Accepted", False: "Refused", None: "No result yet"}[answer.accepted]
    return f"{verdict}: {answer.reason or without_reason}."
