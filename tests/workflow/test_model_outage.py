"""An outage of a model's service delays a draft, and its cause is shown during the retries."""

import asyncio

from temporalio.api.workflow.v1 import PendingActivityInfo

from plangate.domain.errors import ModelUnavailable
from tests.support.gate import Gate
from tests.support.wait_limit import WAIT_LIMIT

OUTAGE = ModelUnavailable("The model's service failed (503).")


async def test_a_draft_is_retried_until_the_service_recovers_and_shows_the_reason(gate: Gate) -> None:
    gate.planner.failures = [OUTAGE]
    workflow_id = await gate.submit(request="Call Kim.")
    retried = await _retried(gate, workflow_id)
    assert (retried.attempt, retried.last_failure.message) == (2, str(OUTAGE))
    assert not retried.last_failure.HasField("cause")
    status = await gate.until("in_review", workflow_id)
    assert status.plan is not None


async def _retried(gate: Gate, workflow_id: str) -> PendingActivityInfo:
    async with asyncio.timeout(WAIT_LIMIT):
        while True:
            described = await gate.handle(workflow_id).describe()
            for pending in described.raw_description.pending_activities:
                if pending.HasField("last_failure"):
                    return pending
            await asyncio.sleep(0.02)


async def test_an_outage_longer_than_the_setting_ends_the_run_with_the_number_of_attempts(
    idle_gate: Gate,
) -> None:
    idle_gate.settings = idle_gate.settings.model_copy(update={"model_outage_seconds": 1})
    idle_gate.planner.failures = [OUTAGE] * 9
    async with idle_gate.worker():
        result = await idle_gate.result(await idle_gate.submit(request="Call Kim."))
    assert result.outcome == "failed"
    assert "The model's service failed (503). It was tried 2 times in " in result.reason
    idle_gate.database.close()
