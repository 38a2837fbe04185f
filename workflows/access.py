"""The workflow `PlangateLook`: record one access by an auditor, or one export.

The web server's connection to the records is read-only, so a worker records the access for it.
"""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.accesses import AccessRecording
    from plangate.domain.decisions.accesses import AccessAnswer
    from plangate.temporal.contract import LOOK_TYPE
    from workflows.recording import Recording
    from workflows.short_workflow import message_task


@workflow.defn(name=LOOK_TYPE)
class PlangateLook:
    """The recording of one access by an auditor."""

    def __init__(self) -> None:
        self._recording = Recording(needs_people=False)
        self._answer: AccessAnswer | None = None

    @workflow.run
    async def run(self, look: Any = None, *more: Any) -> AccessAnswer:
        """Record the access, and return whether the message could be parsed."""
        self._answer = await self._recording.write(
            AccessRecording.record_look, lambda: message_task(look, *more)
        )
        return self._answer

    @workflow.query(description="Whether the access is recorded, or why it is not yet")
    def status(self) -> AccessAnswer:
        """Return whether the access has been recorded, or the reason why it has not."""
        return self._answer or AccessAnswer(reason=self._recording.why_not_written("it is being recorded"))

    def page(self) -> str:
        """Return the Web UI's page; see `workflows.details_interceptor`."""
        answer = self.status()
        return f"Recorded: {answer.recorded}. {answer.reason}" if answer.reason else "Recorded."
