"""The request travels to the first writer of the trail, and in no later message."""

import pytest

from tests.support.gate import Gate

REQUEST = "Refund order 1042, which is between Kim and us."


@pytest.mark.parametrize(
    ("texts", "opens_by"),
    [((), ["activity_task_scheduled_event_attributes"]), (("one", "two"), [])],
)
async def test_the_request_is_in_the_history_where_the_run_starts_and_where_its_trail_opens(
    gate: Gate, texts: tuple[str, ...], opens_by: list[str]
) -> None:
    """A supplied plan opens it inside the first workflow task, of which the history has only the result."""
    status = await gate.in_review(*texts, request=REQUEST)
    await gate.decide(status)
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    history = await gate.handle(status.workflow_id).fetch_history()
    kinds = [
        event.WhichOneof("attributes")
        for event in history.events
        if REQUEST.encode() in event.SerializeToString()
    ]
    assert kinds == ["workflow_execution_started_event_attributes", *opens_by]
