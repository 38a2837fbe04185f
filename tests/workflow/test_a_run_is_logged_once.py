"""Each event of a run is logged in one line, by the activity that recorded it."""

import logging

import pytest
from structlog.testing import capture_logs

from tests.support.gate import Gate


async def test_a_run_is_logged_from_its_request_to_its_end_without_repetition(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as lines, caplog.at_level(logging.INFO, "temporalio.workflow"):
        status = await gate.in_review("one", "two")
        await gate.signal(status)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    logged = [line for line in lines if line["log_level"] == "info"]
    assert [line["action"] for line in logged] == ["drafted", "decided", "done", "closed"]
    assert (logged[-1]["outcome"], logged[-1]["step"]) == ("executed", 2)
    by_the_workflow = [record for record in caplog.records if record.name == "temporalio.workflow"]
    assert [getattr(record, "action", None) for record in by_the_workflow] == ["requested"]
