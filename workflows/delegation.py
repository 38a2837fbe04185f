"""The workflow `PlangateDelegation`: process and record one request to begin or end a delegation.

It ends with the result. As with stops, the delegations are kept in the records, not in a workflow.
"""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.delegating import Delegating
    from plangate.domain.decisions.delegations import DelegationAnswer
    from plangate.temporal.contract import DELEGATION_TYPE
    from workflows.recording import Recording
    from workflows.short_workflow import message_task, result_page


@workflow.defn(name=DELEGATION_TYPE)
class PlangateDelegation:
    """The handling of one request, from receipt to result."""

    def __init__(self) -> None:
        self._recording = Recording(needs_people=True)
        self._answer: DelegationAnswer | None = None

    @workflow.run
    async def run(self, order: Any = None, *more: Any) -> DelegationAnswer:
        """Process and record the request; always return the result and the current delegations."""
        self._answer = await self._recording.write(
            Delegating.judge_delegation,
            lambda: message_task(order, *more),
        )
        return self._answer

    @workflow.query(description="The result of the request, or the reason why there is none yet")
    def status(self) -> DelegationAnswer:
        """Return the result, or the reason why it cannot be recorded yet."""
        return self._answer or DelegationAnswer(
            reason=self._recording.why_not_written("it is being processed")
        )

    def page(self) -> str:
        """Return the Web UI's page; see `workflows.details_interceptor`."""
        return result_page(self.status(), "the delegations are in the result")
