"""Have a worker check a plan with its tools, before a person confirms it."""

import secrets
from datetime import timedelta
from typing import Final

from pydantic import JsonValue
from temporalio.client import ActivityFailureError
from temporalio.client import Client as TemporalClient
from temporalio.common import RetryPolicy
from temporalio.service import RPCError

from plangate.client.messages import sendable
from plangate.client.short_workflows import INTERACTIVE
from plangate.domain.plans.plan_checked import PlanChecked
from plangate.temporal.contract import CHECK_PLAN

_WITHIN: Final = timedelta(seconds=3)
_ONCE: Final = RetryPolicy(maximum_attempts=1)


async def checked_by_worker(client: TemporalClient, task_queue: str, plan: JsonValue) -> PlanChecked | None:
    """Return the result of a check with a worker's tools; None if no worker can be reached."""
    try:
        found: PlanChecked = await client.execute_activity(
            CHECK_PLAN,
            sendable(plan),
            id=f"check-plan-{secrets.token_hex(6)}",
            task_queue=task_queue,
            result_type=PlanChecked,
            schedule_to_close_timeout=_WITHIN,
            retry_policy=_ONCE,
            priority=INTERACTIVE,
        )
    except (ActivityFailureError, RPCError):
        return None
    return found
