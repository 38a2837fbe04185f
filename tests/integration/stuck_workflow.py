"""A workflow for `test_deadlock_detection`, and for tests that register a workflow without starting it."""

from typing import ClassVar

from temporalio import workflow


@workflow.defn
class Stuck:
    """A workflow whose first workflow task never yields and whose second one returns."""

    tasks: ClassVar[int] = 0

    @workflow.run
    async def run(self) -> int:
        """Return the number of workflow tasks that it took."""
        Stuck.tasks += 1
        while Stuck.tasks == 1:
            pass
        return Stuck.tasks
