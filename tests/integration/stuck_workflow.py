"""A workflow for `test_deadlock_detection`, and for tests that register a workflow without starting it."""

from typing import ClassVar

from temporalio import workflow


@workflow.defn
class Stuck:
    """A workflow that never yields in its first turn and returns in the next."""

    turns: ClassVar[int] = 0

    @workflow.run
    async def run(self) -> int:
        """Return the number of turns that it took."""
        Stuck.turns += 1
        while Stuck.turns == 1:
            pass
        return Stuck.turns
