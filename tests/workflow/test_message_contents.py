"""The request is passed to the activity that writes the first entry of the trail, and to no other."""

from tests.support.gate import Gate

REQUEST = "Refund order 1042, and keep the reason confidential."


async def test_the_request_is_in_the_history_only_where_the_run_starts(gate: Gate) -> None:
    """The first workflow task checks the supplied plan; the history has only its result."""
    status = await gate.in_review("one", "two", request=REQUEST)
    await gate.decide(status)
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    history = await gate.handle(status.workflow_id).fetch_history()
    kinds = [
        event.WhichOneof("attributes")
        for event in history.events
        if REQUEST.encode() in event.SerializeToString()
    ]
    assert kinds == ["workflow_execution_started_event_attributes"]
