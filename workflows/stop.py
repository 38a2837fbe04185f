"""The workflow `PlangateStop`: process and record one stop or release request.

It ends with the result. The stops are kept in the records, not in a workflow, so a stop is not released if
workflows are cancelled, terminated or deleted in Temporal. Any client of the server can start it: Plangate's
command line, Temporal's, or the Web UI. No other connection is needed.
"""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.stopping import Stopping
    from plangate.domain.runs.stops import StopAnswer
    from plangate.temporal.contract import STOP_TYPE
    from workflows.recording import Recording
    from workflows.short_workflow import message_task, result_page


@workflow.defn(name=STOP_TYPE)
class PlangateStop:
    """The handling of one request, from receipt to result."""

    def __init__(self) -> None:
        self._recording = Recording(needs_people=True)
        self._answer: StopAnswer | None = None

    @workflow.run
    async def run(self, order: Any = None, *more: Any) -> StopAnswer:
        """Process and record the request; always return the result and the current stops."""
        self._answer = await self._recording.write(Stopping.judge_order, lambda: message_task(order, *more))
        return self._answer

    @workflow.query(description="The result of the request, or the reason why there is none yet")
    def status(self) -> StopAnswer:
        """Return the result, or the reason why it cannot be recorded yet."""
        return self._answer or StopAnswer(reason=self._recording.why_not_written("it is being processed"))

    def page(self) -> str:
        """Return the Web UI's page; see `workflows.details_interceptor`."""
        return result_page(self.status(), "the stops are in the result")
