"""Send requests to stop and release, as Temporal's own command line does."""

from typing import Any
from uuid import uuid4

from plangate.domain.runs.stops import StopAnswer
from tests.support.gate import Gate


async def order(gate: Gate, *inputs: Any, **message: Any) -> StopAnswer:
    """Start a workflow with this message, or with these inputs, and return the result."""
    answer: StopAnswer = await gate.client.execute_workflow(
        "PlangateStop",
        args=list(inputs) if inputs else [message],
        id=f"order-{uuid4().hex}",
        task_queue=gate.settings.task_queue,
        result_type=StopAnswer,
    )
    return answer


async def stop(gate: Gate, by: str = "dana", **more: Any) -> int:
    """Request a stop, and return the number of the stop."""
    answer = await order(gate, **{"action": "stop", "by": by, "reason": "wrong amounts", **more})
    assert answer.accepted, answer.reason
    return max(one.number for one in answer.stops)


async def go(gate: Gate, number: int, *by: str, **more: Any) -> StopAnswer:
    """Release a stop on behalf of each of these people; return the last response."""
    for name in by or ("dana",):
        answer = await order(gate, **{"action": "go", "by": name, "stop": number, **more})
        assert answer.accepted, answer.reason
    return answer
