"""A workflow for `test_deadlock_detection`, and for tests that register a workflow without starting it."""

from typing import ClassVar

from temporalio import workflow


@workflow.defn
class Stuck:
    """A workflow whose first workflow task never yields and whose second one returns."""

    tasks: ClassVar[int] = 0
    is_looping: ClassVar[bool] = False

    @workflow.run
    async def run(self) -> int:
        """Return the number of workflow tasks that it took."""
        Stuck.tasks += 1
        Stuck.is_looping = Stuck.tasks == 1
        try:
            while Stuck.is_looping:
                pass
        finally:
            Stuck.is_looping = False
        return Stuck.tasks
