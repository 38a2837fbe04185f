"""Make runs skip waiting for their start time, to test that claiming a step waits anyway."""

import pytest

from workflows.plan_approval import PlanApproval


def skip_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every run execute its first step immediately."""

    async def begin(run: PlanApproval) -> None:
        drafted = run._state.drafted  # noqa: SLF001  shortens the run's own wait
        assert drafted is not None
        await run._execute_step(drafted, 1)  # noqa: SLF001

    monkeypatch.setattr(PlanApproval, "_wait_to_begin", begin)
